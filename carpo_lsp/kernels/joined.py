"""Stream text that comes in one turn of the loop, as one event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeGuard

from carpo_lsp.kernels import outputs
from carpo_lsp.kernels.events import OutputChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from carpo_lsp.kernels.events import Event

LONGEST: Final = 64 * 1024
"""Characters of joined text. What is longer by itself is passed on as it is."""


class Joined:
    """Passes events on to `emit`, in order; text right behind text of the same stream is joined.

    A loop that prints sends a message for each line, and all that is done with an event (keeping
    it, journaling it, sending it on) costs more than to read a line. Text waits until the turn of
    the loop ends in which it has come, or until anything else happens.
    """

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._first: OutputChanged | None = None
        self._name = ""
        self._parts: list[str] = []
        self._size = 0
        self._turn: asyncio.Handle | None = None

    def take(self, event: Event) -> None:
        """Take the next event."""
        if not is_plain_text(event):
            self.flush()
            self._emit(event)
            return
        assert event.output is not None  # by is_plain_text
        name, text = event.output["name"], event.output["text"]
        if not self._goes_on(event.execution_id, name) or self._size + len(text) > LONGEST:
            self.flush()
        if self._first is None:
            self._first, self._name = event, name
            self._turn = asyncio.get_running_loop().call_soon(self.flush)
        self._parts.append(text)
        self._size += len(text)

    def _goes_on(self, execution_id: str, name: str) -> bool:
        """Whether what waits is text of the same stream."""
        first = self._first
        return first is not None and first.execution_id == execution_id and self._name == name

    def flush(self) -> None:
        """Pass on what waits."""
        first, parts = self._first, self._parts
        if first is None:
            return
        self._first, self._parts, self._size = None, [], 0
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if len(parts) > 1:
            output = outputs.stream(self._name, "".join(parts))
            first = OutputChanged(first.kernel_id, first.execution_id, "append", output)
        self._emit(first)


def is_plain_text(event: Event) -> TypeGuard[OutputChanged]:
    """Whether an event adds stream text, as a kernel prints it."""
    return (
        isinstance(event, OutputChanged)
        and event.kind == "append"
        and event.output is not None
        and event.output["output_type"] == "stream"
        and "metadata" not in event.output
    )
