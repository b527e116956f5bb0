"""Events as carpo/* notifications: numbered, in order, stream text joined, never too fast."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, structs

from carpo_lsp import protocol
from carpo_lsp.kernels.events import (
    TERMINAL,
    ExecutionResumed,
    InputRequested,
    MessageReceived,
    OutputChanged,
    StateChanged,
    StatusChanged,
)
from carpo_lsp.kernels.joined import is_plain_text
from carpo_lsp.kernels.recent import Recent
from carpo_lsp.kernels.transcript.spool import SpooledText

if TYPE_CHECKING:
    from collections.abc import Callable

    from carpo_lsp.kernels.events import Event
    from carpo_lsp.workspace.workspace import Workspace

INTERVAL: Final = 1 / 50
"""Seconds between two sendings of stream text; what is printed in between is sent as one."""

LARGE: Final = 512 * 1024
"""Characters of stream text that are sent without a wait: more would come as a file, or take long
to read in one piece."""

MOST_PENDING: Final = 1000
"""Texts that wait in memory for a slow client at the most."""

PATIENCE: Final = 1.0
"""Seconds to wait for the journal, at the most, before a state of an execution is told."""

NUMBERED: Final = 10_000
"""Ended executions whose numbering is remembered, for display updates that come later."""


class _Text(Struct, frozen=True):
    """Stream text of one execution that waits to be sent."""

    event: OutputChanged
    text: SpooledText


class Pusher:
    """Sends one client what happens in its kernels, once it has opted in.

    Stream text waits for its turn: a little, so that a printing loop does not become a message
    for each line, and as long as the client is slow (`congested`), when it grows in memory up to
    the push limit and from there in a file. Everything else is sent in the next turn of the loop,
    after the answer to the request that caused it; what must be kept for a slow client beyond
    that is the outbox's business.

    What a client has been told is not to be lost when this process is killed the next moment: that
    an execution has been queued, runs or has ended is told once the journal has written it.
    """

    def __init__(
        self,
        workspace: Workspace,
        notify: Callable[[str, Any], None],
        congested: Callable[[], bool],
    ) -> None:
        self._workspace = workspace
        self._notify = notify
        self._congested = congested
        self._pending: list[Event | _Text] = []
        self._open: dict[str, _Text] = {}
        self._numbers: dict[str, int] = {}
        """Of the executions that have not ended, the last `seq`."""
        self._ended: Recent[str, int] = Recent(NUMBERED)
        self._turn: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._urgent = False
        self._large = False
        self._last_sent = -math.inf
        """When stream text was, on the loop's clock."""
        self._held: list[Event | _Text] = []
        self._journal: asyncio.Future[None] | None = None
        self._patience: asyncio.TimerHandle | None = None

    def on_event(self, event: Event) -> None:
        """Take an event; to be subscribed to a Frontend."""
        if not self._workspace.client.wants_notifications or isinstance(event, ExecutionResumed):
            return
        if is_plain_text(event):
            self._add_text(event)
        else:
            self._urgent = True
            self._open.pop(getattr(event, "execution_id", ""), None)
            self._pending.append(event)
        self._schedule()

    def flush(self) -> None:
        """Send what waits. To be called when a slow client has caught up."""
        self._cancel()
        if self._held:
            return  # the rest follows that
        pending, self._pending = self._pending, []
        self._open.clear()
        self._urgent = self._large = False
        if not self._hold(pending):
            self._send_all(pending)

    def close(self) -> None:
        """The client is gone."""
        self._cancel()
        if self._patience is not None:
            self._patience.cancel()
        self._held.clear()
        self._pending.clear()
        self._open.clear()

    def _hold(self, pending: list[Event | _Text]) -> bool:
        """Whether to send something only when the journal has it."""
        journal = self._workspace.frontend.journal
        late = self._journal is not None and not self._journal.done()
        if journal is None or late or not any(map(_is_journaled, pending)):
            return False
        self._journal = journal.unwritten()
        if self._journal is None:
            return False
        self._held = pending
        self._journal.add_done_callback(lambda _: self._release(pending))
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(PATIENCE, self._release, pending)
        return True

    def _release(self, held: list[Event | _Text]) -> None:
        if self._held is not held or not held:
            return  # it took too long, or the client is gone
        if self._patience is not None:
            self._patience.cancel()
        self._held = []
        self._send_all(held)
        if self._pending:
            self._schedule()

    def _send_all(self, items: list[Event | _Text]) -> None:
        for item in items:
            if isinstance(item, _Text):
                self._last_sent = asyncio.get_running_loop().time()
                item.text.close()
                self._send(structs.replace(item.event, output=item.text.output()))
            else:
                self._send(item)

    def _add_text(self, event: OutputChanged) -> None:
        assert event.output is not None  # by is_plain_text
        name, text = event.output["name"], event.output["text"]
        waiting = self._open.get(event.execution_id)
        if waiting is None or waiting.text.name != name:
            limit = self._workspace.settings.output.max_push_bytes
            waiting = _Text(event, SpooledText(self._workspace.frontend.spool, name, limit))
            self._open[event.execution_id] = waiting
            self._pending.append(waiting)
            # Streams that alternate cannot be joined; the outbox keeps on disk what is too much.
            self._urgent = self._urgent or len(self._pending) >= MOST_PENDING
        waiting.text.append(text)
        self._large = self._large or waiting.text.size >= LARGE

    def _schedule(self) -> None:
        if self._turn is not None:
            return  # not put off by what comes meanwhile, of which there may be no end
        loop = asyncio.get_running_loop()
        if self._urgent:
            self._cancel()
            self._turn = loop.call_soon(self.flush)
        elif self._congested():
            return  # `flush` is called when the client has caught up
        elif self._large:
            self._cancel()
            self._turn = loop.call_soon(self._on_timer)
        elif self._timer is None:
            due = max(0.0, self._last_sent + INTERVAL - loop.time())
            self._timer = loop.call_later(due, self._on_timer)

    def _on_timer(self) -> None:
        self._turn = self._timer = None
        if self._urgent or not self._congested():  # else `flush` is called by the client's pace
            self.flush()

    def _cancel(self) -> None:
        for handle in (self._turn, self._timer):
            if handle is not None:
                handle.cancel()
        self._turn = self._timer = None

    def _send(self, event: Event) -> None:
        match event:
            case StateChanged() | OutputChanged():
                if not self._introduce(event):
                    return
                number = self._number(event)
                if isinstance(event, OutputChanged):
                    self._notify(protocol.OUTPUT, self._output(event, number))
                else:
                    self._notify(protocol.EXECUTION_STATE, self._state(event, number))
            case InputRequested():
                self._notify(
                    protocol.INPUT_REQUEST,
                    protocol.InputRequest(
                        kernel_id=event.kernel_id,
                        execution_id=event.execution_id,
                        text_document=self._document(event.execution_id),
                        prompt=event.prompt,
                        password=event.password,
                    ),
                )
            case MessageReceived():
                message = event.message
                self._notify(
                    protocol.MESSAGE,
                    protocol.Message(
                        kernel_id=event.kernel_id,
                        channel=message.channel,
                        header=message.header,
                        parent_header=message.parent_header,
                        metadata=message.metadata,
                        content=message.content,
                        buffers=message.buffers,
                    ),
                )
            case StatusChanged():
                self._notify(
                    protocol.KERNEL_STATUS,
                    protocol.KernelStatus(
                        kernel_id=event.kernel_id,
                        status=event.status,
                        reason=event.reason,
                        exit_code=event.exit_code,
                        stderr_tail=event.stderr_tail,
                        cause=event.cause,
                        kernel=self._workspace.with_documents(event.kernel),
                    ),
                )

    def _introduce(self, event: StateChanged | OutputChanged) -> bool:
        """A client that opts in while code runs has not been told that it was queued. False for
        an update of what it was never told of, or so long ago that the number is forgotten."""
        known = event.execution_id in self._numbers or event.execution_id in self._ended
        if isinstance(event, OutputChanged) and event.kind == "update":
            return known
        if not known and not (isinstance(event, StateChanged) and event.state == "queued"):
            self._send(StateChanged(event.kernel_id, event.execution_id, "queued"))
        return True

    def _number(self, event: StateChanged | OutputChanged) -> int:
        name = event.execution_id
        numbers = self._ended if name in self._ended else self._numbers
        number = numbers[name] = numbers.get(name, -1) + 1
        if isinstance(event, StateChanged) and event.state in TERMINAL and numbers is self._numbers:
            self._ended[name] = self._numbers.pop(name)
        return number

    def _state(self, event: StateChanged, number: int) -> protocol.ExecutionState:
        place = self._workspace.place(event.execution_id)
        error = event.error
        return protocol.ExecutionState(
            kernel_id=event.kernel_id,
            execution_id=event.execution_id,
            text_document=self._document(event.execution_id),
            range=place.range if place else None,
            seq=number,
            state=event.state,
            execution_count=event.execution_count if event.state in TERMINAL else None,
            queue_position=event.queue_position,
            error=protocol.ExecutionError(
                ename=error["ename"], evalue=error["evalue"], traceback=tuple(error["traceback"])
            )
            if error
            else None,
            user_expressions=event.user_expressions,
            duration_ms=event.duration_ms,
            session=event.session,
            code=event.code,
        )

    def _output(self, event: OutputChanged, number: int) -> protocol.Output:
        return protocol.Output(
            kernel_id=event.kernel_id,
            execution_id=event.execution_id,
            text_document=self._document(event.execution_id),
            seq=number,
            kind=event.kind,
            output=event.output,
            display_id=event.display_id,
            wait=event.wait if event.kind == "clear" else None,
        )

    def _document(self, execution_id: str) -> protocol.TextDocument | None:
        place = self._workspace.place(execution_id)
        return protocol.TextDocument(place.uri) if place else None


def _is_journaled(item: Event | _Text) -> bool:
    return isinstance(item, StateChanged) and item.state != "waitingInput"
