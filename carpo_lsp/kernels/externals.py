"""Output that no running execution of ours asked for: other clients' code, and late output.

Both become executions of their own whose ids start with `external:`, so that nothing is lost and
no execution of ours gets output after its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from carpo_lsp.kernels.execution import Execution
from carpo_lsp.kernels.outputs import OUTPUT_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carpo_lsp.kernels.events import Event
    from carpo_lsp.kernels.messages import Message

PREFIX: Final = "external:"

CARRIES_OUTPUT: Final = OUTPUT_TYPES | {"clear_output", "update_display_data"}


class Externals:
    """The external executions of one kernel that have not ended."""

    def __init__(self, kernel_id: str) -> None:
        self._kernel_id = kernel_id
        self._running: dict[str, Execution] = {}
        self._late: dict[str, Execution] = {}

    @property
    def busy(self) -> bool:
        """Whether another client's code is running."""
        return bool(self._running)

    def feed(self, message: Message, late: bool) -> Iterator[Event]:
        """Take an iopub message of an execute request that is not the running one of ours.

        `late` says that the request was ours and has ended, and a thread it left behind still
        prints, or that the message names no request.
        """
        if late:
            yield from self._feed_late(message)
            return
        parent = message.parent_id
        execution = self._running.get(parent)
        if execution is None:
            status = message.content.get("execution_state")
            if message.msg_type == "status" and status != "busy":
                return  # the tail of something whose start we have not seen
            execution = self._running[parent] = self._make(parent)
            yield from execution.queue(0)
        if message.msg_type == "execute_input":
            execution.code = str(message.content.get("code", ""))
        yield from execution.feed(message)
        if execution.done:
            del self._running[parent]

    def _feed_late(self, message: Message) -> Iterator[Event]:
        if message.msg_type not in CARRIES_OUTPUT:
            return
        parent = message.parent_id
        execution = self._late.get(parent)
        if execution is None:
            execution = self._late[parent] = self._make(message.msg_id)
            yield from execution.queue(0)
        yield from execution.feed(message)

    def end_late(self) -> Iterator[Event]:
        """Close the late output seen so far; what comes later opens a new execution."""
        late, self._late = self._late, {}
        for execution in late.values():
            yield from execution.end("ok")

    def end(self) -> Iterator[Event]:
        """The kernel is gone."""
        yield from self.end_late()
        running, self._running = self._running, {}
        for execution in running.values():
            yield from execution.end("died")

    def _make(self, suffix: str) -> Execution:
        return Execution(self._kernel_id, PREFIX + suffix, "", replied=True)
