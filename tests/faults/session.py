"""A client at work: what it runs, asks, starts and ends, by a seed, until its server is gone."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs
from cells import ANSWER, CELLS, document, line_of
from invariants import end_of
from lsp_clients import DEADLINE, ServerError, Wire

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from cells import Cell
    from home import Home

OPTIONS = {"carpo": {"notifications": True}}

KILLED = {1001, 1002, 1003, 1004, 1005, -32800}
"""Codes of the errors by which a request is answered when its kernel has gone, or the server is
asked to end."""


class Witness(Wire):
    """A client that remembers what it asked and what it was told."""

    def __init__(self, *pipes: Any) -> None:
        super().__init__(*pipes)
        self.asked: set[int] = set()
        self.answered: list[int] = []
        self.wrong: ServerError | None = None
        """An answer to `post_only` that should not have been."""

    def send(self, message: dict[str, Any]) -> None:
        if "method" in message and "id" in message:
            self.asked.add(message["id"])
        super().send(message)

    def take_answer(self, message: dict[str, Any]) -> None:
        self.answered.append(message["id"])
        super().take_answer(message)

    def post_only(self, method: str, params: Any) -> None:
        """Send a request whose answer nobody waits for."""

        def look(answer: asyncio.Future[Any]) -> None:
            error = None if answer.cancelled() else answer.exception()
            if isinstance(error, ServerError) and error.code not in KILLED:
                self.wrong = error

        self.post(method, params).add_done_callback(look)

    async def until_noted(self, count: int) -> None:
        """Wait until there have been more notifications than that."""
        await self.until(lambda *_: len(self.notes) > count)

    async def read_to_the_end(self, *, in_order: bool) -> None:
        """Read all that a server that ends had sent; `in_order`: it was asked to end."""
        await self.close()
        assert len(self.answered) == len(set(self.answered)), "two answers to a request"
        missing = self.asked.difference(self.answered)
        assert self.asked.issuperset(self.answered), "an answer to nothing"
        assert not (in_order and missing), "requests without an answer"
        assert self.wrong is None

    def status(self, kernel_id: str) -> str:
        """What it was told last of a kernel."""
        told = [each for each in self.named("carpo/kernelStatus") if each["kernelId"] == kernel_id]
        return str(told[-1]["status"])

    @property
    def told(self) -> set[str]:
        """The executions it was told of."""
        ids = {params["executionId"] for params in self.named("carpo/executionState")}
        return {each for each in ids if not each.startswith("external:")}

    @property
    def ended(self) -> set[str]:
        """Those of which it was told that they have ended."""
        return {each for each in self.told if end_of(self.of(each)) is not None}


@attrs.frozen
class Document:
    """A document, whose kernel it has for itself."""

    name: str
    language: str
    keep: bool = False


@attrs.frozen
class Job:
    """One execution of a cell."""

    document: Document
    cell: Cell


class Session:
    """What goes on in one client at a time: a task for each document, and some more.

    Everything that is decided by chance is the same for the same seed; in which order it comes is
    up to the machine.
    """

    def __init__(
        self, home: Home, client: Witness, seed: int, documents: tuple[Document, ...]
    ) -> None:
        self.client = client
        self.jobs: dict[str, Job] = {}
        """All that was asked for, by execution id."""
        self.kept: set[str] = set()
        """Ids of the kernels of which the client has been told that they are kept."""
        self.not_kept: set[str] = set()
        """Ids of those that were to be, and of which it has been told that they are not."""
        self._home = home
        self._seed = seed
        self._documents = documents
        self._tasks: list[asyncio.Task[None]] = []
        self._numbers = itertools.count()

    def begin(self) -> None:
        works: list[Coroutine[Any, Any, None]] = [self._work(each) for each in self._documents]
        works += [self._come_and_go(), attend(self.client, self._chance("attend"))]
        self._tasks = [asyncio.create_task(work) for work in works]

    def open_documents(self, client: Witness) -> None:
        """Open the documents of this session in another client."""
        for each in self._documents:
            client.open(self._home.uri(each.name), document(each.language), each.language)

    async def end(self) -> None:
        """Stop. Raises what went wrong."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    def _chance(self, name: str) -> random.Random:
        return random.Random(f"{self._seed} {name}")  # noqa: S311 - to be the same again

    async def _work(self, place: Document) -> None:
        """Run cells of a document, one or several at a time, and restart its kernel."""
        chance = self._chance(place.name)
        client, uri = self.client, self._home.uri(place.name)
        client.open(uri, document(place.language), place.language)
        kernel_id = str(uuid4())
        await self._ask(
            "startKernel", textDocument={"uri": uri}, kernelId=kernel_id, timeout=2 * DEADLINE
        )
        if place.keep:
            self._note_kept(await self._ask("keepKernel", kernelId=kernel_id))
        while True:
            cells = chance.choices(CELLS[place.language], k=chance.choice((1, 1, 1, 2, 4)))
            ids = [await self._run(place, cell) for cell in cells]
            if chance.random() < 0.3:
                await self._ask("complete", kernelId=kernel_id, code="al", cursorPos=2)
            if chance.random() < 0.1:
                await self._restart(kernel_id, keep=place.keep)
            for execution_id in filter(None, ids):
                await client.until_done(execution_id)
            if None in ids or any(client.states(each)[-1] == "died" for each in ids if each):
                await self._restart(kernel_id, keep=place.keep)

    async def _restart(self, kernel_id: str, *, keep: bool) -> None:
        self.kept.discard(kernel_id)  # it has been told to end, which may be told later
        kernel = await self._ask("restartKernel", kernelId=kernel_id)
        if keep:
            self._note_kept(kernel)

    def _note_kept(self, kernel: dict[str, Any] | None) -> None:
        if kernel is not None:
            (self.kept if kernel["kept"] else self.not_kept).add(kernel["kernelId"])

    async def _run(self, place: Document, cell: Cell) -> str | None:
        """Have a cell run; the id of the execution, or None when the kernel is dead."""
        execution_id = f"{place.name}-{cell.name}-{next(self._numbers)}"
        self.jobs[execution_id] = Job(place, cell)
        answer = await self._ask(
            "execute",
            textDocument={"uri": self._home.uri(place.name)},
            position={"line": line_of(place.language, cell), "character": 0},
            executionId=execution_id,
        )
        if answer is None:
            del self.jobs[execution_id]
        return execution_id if answer else None

    async def _come_and_go(self) -> None:
        """Start kernels and end them, some before they are ready."""
        chance = self._chance("come and go")
        while True:
            kernel_id = str(uuid4())
            if chance.random() < 0.6:
                await self._ask("startKernel", specName="fake", kernelId=kernel_id)
            else:
                params = {"specName": "fake", "kernelId": kernel_id}
                self.client.post_only("carpo/startKernel", params)
                await self.client.until_status(kernel_id, "starting")
            await self._ask("shutdownKernel", kernelId=kernel_id)

    async def _ask(self, name: str, **params: Any) -> Any:
        """The answer to a request; None when it is that the kernel has gone."""
        try:
            return await self.client.request(f"carpo/{name}", params)
        except ServerError as error:
            if error.code not in KILLED:
                raise
            return None


async def attend(client: Witness, chance: random.Random) -> None:
    """Answer what kernels ask, or interrupt it, and interrupt what hangs."""
    seen = 0
    while True:
        await client.until(lambda *_: True, after=seen, deadline=10 * DEADLINE)
        notes = client.notes[seen:]
        seen += len(notes)
        for method, params in notes:
            if method == "carpo/inputRequest" and chance.random() < 0.7:
                params = {key: params[key] for key in ("kernelId", "executionId")}
                client.post_only("carpo/stdin", {**params, "value": ANSWER})
            elif method == "carpo/inputRequest" or is_begun(method, params):
                client.post_only("carpo/interrupt", {"kernelId": params["kernelId"]})


def is_begun(method: str, params: dict[str, Any]) -> bool:
    """Whether a cell that hangs says so."""
    output = params.get("output") or {}
    return method == "carpo/output" and "begun" in output.get("text", "")
