"""A client that keeps what it is sent, and answers requests as the test says."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from support import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripted import Scripted


async def until(wanted: Callable[[], object]) -> None:
    """Wait until something holds that nobody tells of."""
    async with asyncio.timeout(DEADLINE):
        while not wanted():  # noqa: ASYNC110 - no event exists to wait for
            await asyncio.sleep(0.005)


class Recorder:
    """Stands in for the client of a bench."""

    def __init__(self, bench: Scripted) -> None:
        self.notes: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {}
        """Results by method; a request without one is refused."""
        self._arrived = asyncio.Event()
        bench.workspace.client.connect(self._notify, self._request)

    def _notify(self, method: str, params: Any) -> None:
        self.notes.append((method, params))
        self._arrived.set()

    def _request(self, method: str, params: Any) -> Future[Any]:
        self._notify(method, params)
        answer: Future[Any] = Future()
        if method in self.answers:
            answer.set_result(self.answers[method])
        else:
            answer.set_exception(RuntimeError(f"{method} is not known"))
        return answer

    def of(self, method: str) -> list[Any]:
        return [params for name, params in self.notes if name == method]

    def messages(self) -> list[str]:
        return [params.message for params in self.of(types.WINDOW_SHOW_MESSAGE)]

    def diagnostics(self) -> list[types.Diagnostic]:
        """The last that were published."""
        return list(self.of(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)[-1].diagnostics)

    def progress(self) -> list[Any]:
        return [params.value for params in self.of(types.PROGRESS)]

    async def until(self, wanted: Callable[[], object]) -> None:
        """Wait until something holds, which what is sent makes true."""
        async with asyncio.timeout(DEADLINE):
            while not wanted():
                self._arrived.clear()
                await self._arrived.wait()
