"""What live help remembers between requests: questions under way, and answers still good."""

from __future__ import annotations

import asyncio
import logging
from itertools import count
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

from carpo_lsp.errors import CarpoError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from carpo_lsp.features.queries import Variable

log = logging.getLogger(__name__)

T = TypeVar("T")

Moment = tuple[int | None, bool]
"""The execution count of a kernel and whether it was busy: while they stay, so do its names."""


class Entry(Struct, frozen=True):
    """One completion."""

    match: str
    kind: str
    """The kernel's word for what it is, empty where it has none."""
    signature: str


class Fetched(Struct, frozen=True):
    """Completions as a kernel gave them."""

    number: int
    kernel_id: str
    language: str
    moment: Moment | None
    """None when they replace text behind the cursor too: then they are good only once."""
    head: str
    """The code before what the completions replace."""
    typed: str
    """What of it had been typed."""
    entries: tuple[Entry, ...]


class Lane(Generic[T]):
    """Puts one question at a time; of those that wait, only the newest is ever put."""

    def __init__(self) -> None:
        self._next: tuple[Callable[[], Awaitable[T]], asyncio.Future[T | None]] | None = None
        self._newest: asyncio.Future[T | None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """The answer to a question; None when a newer one has come, or when it failed.

        A question whose asker has left is not put; one that has been put is seen to its end.
        """
        answer: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        if self._newest is not None and not self._newest.done():
            self._newest.set_result(None)
        self._newest = answer
        self._next = (question, answer)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(_report)
        return await answer

    async def _run(self) -> None:
        try:
            while self._next is not None:
                question, answer = self._next
                self._next = None
                if not answer.done():
                    result = await self._put(question)
                    if not answer.done():
                        answer.set_result(result)
        finally:
            # Here and not in a callback: the next question may come before that is called.
            self._task = None

    async def _put(self, question: Callable[[], Awaitable[T]]) -> T | None:
        try:
            return await question()
        except CarpoError as error:
            log.info("No answer: %s", error.message)
            return None


class Live:
    """The lanes of the kernels, and the last completions of each document."""

    def __init__(self) -> None:
        self.completions: dict[str, Fetched] = {}
        """By the document's URI."""
        self.variables: dict[str, list[Variable]] = {}
        """What was last known of a kernel's variables, by its id."""
        self._lanes: dict[str, Lane[Fetched]] = {}
        self._numbers = count()

    def new_number(self) -> int:
        return next(self._numbers)

    def lane(self, kernel_id: str) -> Lane[Fetched]:
        """Through which a kernel is asked for completions."""
        return self._lanes.setdefault(kernel_id, Lane())

    def find(self, number: object) -> Fetched | None:
        """The completions with a number, while they are their document's last."""
        return next((each for each in self.completions.values() if each.number == number), None)

    def forget_document(self, uri: str) -> None:
        self.completions.pop(uri, None)

    def forget_kernel(self, kernel_id: str) -> None:
        self._lanes.pop(kernel_id, None)
        self.variables.pop(kernel_id, None)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("A question failed", exc_info=error)
