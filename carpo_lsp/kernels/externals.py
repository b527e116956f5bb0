"""Output that no running execution of ours asked for: other clients' code, and late output.

Both become executions of their own whose ids start with `external:`, so that nothing is lost and
no execution of ours gets output after its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import uuid4

from carpo_lsp.kernels.execution import Execution
from carpo_lsp.kernels.outputs import OUTPUT_TYPES
from carpo_lsp.kernels.recent import Recent
from carpo_lsp.protocol import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carpo_lsp.kernels.events import Event
    from carpo_lsp.kernels.messages import Message

PREFIX: Final = "external:"

CARRIES_OUTPUT: Final = OUTPUT_TYPES | {"clear_output", "update_display_data"}

REMEMBERED: Final = 1000
"""Ended executions of others that are still recognised."""


class Externals:
    """The external executions of one kernel that have not ended."""

    def __init__(self, kernel_id: str) -> None:
        self._kernel_id = kernel_id
        self._running: dict[str, Execution] = {}
        self.unseen = False
        """Whether code runs whose beginning has not been seen."""
        self._untold: set[str] = set()
        """Of those that run, those of which nothing has been told."""
        self._overtaken: set[str] = set()
        self._late: dict[str, Execution] = {}
        self._ended: Recent[str, None] = Recent(REMEMBERED)

    @property
    def busy(self) -> bool:
        """Whether another client's code is running."""
        return bool(self._running) or self.unseen

    def feed(self, message: Message, late: bool) -> Iterator[Event]:
        """Take an iopub message of an execute request that is not the running one of ours.

        `late` says that the request was ours and has ended, and a thread it left behind still
        prints, or that the message names no request.
        """
        parent = message.parent_id
        execution = self._running.get(parent)
        if execution is None:
            # Only who has been seen to start will be seen to end.
            if late or parent in self._ended or not _starts(message):
                yield from self._feed_late(message)
                return
            execution = self._running[parent] = self._make(_session(message))
            self._untold.add(parent)
        if message.msg_type == "execute_input":
            execution.code = str(message.content.get("code", ""))
        if parent in self._untold:
            # Told with its code. Who runs code silently, to learn something, shows nothing of it.
            if message.msg_type == "status":
                if _ends(message):
                    self._forget(parent)
                return
            self._untold.discard(parent)
            yield from execution.queue(0)
        yield from execution.feed(message)
        if execution.done:
            self._forget(parent)

    def _feed_late(self, message: Message) -> Iterator[Event]:
        if message.msg_type not in CARRIES_OUTPUT:
            return
        parent = message.parent_id
        execution = self._late.get(parent)
        if execution is None:
            execution = self._late[parent] = self._make(None)
            yield from execution.queue(0)
        yield from execution.feed(message)

    def end_late(self) -> Iterator[Event]:
        """Close the late output seen so far; what comes later opens a new execution."""
        late, self._late = self._late, {}
        for execution in late.values():
            yield from execution.end("ok")

    def mark(self) -> None:
        """An execution of ours is sent: the kernel gets to it when it is through with these."""
        self._overtaken = set(self._running)

    def end_marked(self) -> Iterator[Event]:
        """That execution has ended, and with it those whose end the kernel has not told."""
        for parent in [each for each in self._running if each in self._overtaken]:
            execution = self._running[parent]
            told = parent not in self._untold
            self._forget(parent)
            events = list(execution.give_up())
            if told:
                yield from events

    def _forget(self, parent: str) -> None:
        del self._running[parent]
        self._untold.discard(parent)
        self._ended[parent] = None

    def end(self) -> Iterator[Event]:
        """The kernel is gone."""
        self.unseen = False
        yield from self.end_late()
        running, self._running = self._running, {}
        for parent, execution in running.items():
            if parent not in self._untold:
                yield from execution.end("died")
        self._untold.clear()

    def _make(self, session: Session | None) -> Execution:
        execution_id = PREFIX + str(uuid4())
        return Execution(self._kernel_id, execution_id, "", replied=True, session=session)


def _session(message: Message) -> Session:
    """Who has sent the request that a message answers."""
    told = message.parent_header
    return Session(id=str(told.get("session") or ""), username=str(told.get("username") or ""))


def _starts(message: Message) -> bool:
    return message.msg_type == "execute_input" or (
        message.msg_type == "status" and message.content.get("execution_state") == "busy"
    )


def _ends(message: Message) -> bool:
    return message.msg_type == "status" and message.content.get("execution_state") == "idle"
