"""The executions of one kernel: those that wait, the one in flight, and those of others."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from carpo_lsp.deadlines import Deadline, Timer
from carpo_lsp.errors import NoInputPending
from carpo_lsp.kernels.events import OutputChanged
from carpo_lsp.kernels.execution import Execution
from carpo_lsp.kernels.externals import Externals
from carpo_lsp.kernels.messages import Message, Request
from carpo_lsp.kernels.outputs import OUTPUT_TYPES
from carpo_lsp.kernels.probe import Probe
from carpo_lsp.kernels.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from carpo_lsp.kernels.events import Event

log = logging.getLogger(__name__)

ENTER: Final = 1.0
"""Seconds an interrupt waits for the kernel to reach the code it is to interrupt."""

OWNERS: Final = 32
"""Executions, the last ones, that show a display and are told of its updates. A cell that is run
again shows the display of its earlier runs once more, and these nowhere."""

SETTLE: Final = 0.05
"""Seconds of quiet that end an execution whose output may come after its end."""

REMEMBERED: Final = 1000
"""Ended executions and displays of a kernel that are still recognised as ours."""


class ExecutionQueue:
    """Sends executions to a kernel one at a time and gives each the messages that are its own.

    The queue is kept here and not in the kernel, so that an interrupt can drop it, its length is
    known, and questions slip in between executions. Nothing is sent before `open` or after
    `close`; `send` takes requests, `emit` events, `changed` is called when `busy` may have changed.
    """

    def __init__(
        self,
        kernel_id: str,
        send: Callable[[Request], None],
        emit: Callable[[Event], None],
        changed: Callable[[], None],
    ) -> None:
        self.execution_count: int | None = None
        """Count of the last execution that had one."""
        self._kernel_id = kernel_id
        self._send = send
        self._emit = emit
        self._changed = changed
        self._open = False
        self._resuming = False
        self._waiting: deque[Execution] = deque()
        self._current: Execution | None = None
        self._probe: Probe | None = None
        self._settling: Timer | None = None
        self._disorderly = False
        """Whether the kernel has sent output after the end it belongs to."""
        self._new = True
        """Whether no execution of the kernel has ended, so that its ways are unknown."""
        self._entered = asyncio.Event()
        self._over = asyncio.Event()
        self._externals = Externals(kernel_id)
        self._ended: Recent[str, None] = Recent(REMEMBERED)
        self._displays: Recent[str, list[str]] = Recent(REMEMBERED)

    @property
    def pending(self) -> int:
        """How many executions of ours run or wait."""
        return len(self._waiting) + (self._current is not None)

    @property
    def busy(self) -> bool:
        """Whether code runs or waits, be it ours or another client's."""
        return self.pending > 0 or self._externals.busy

    @property
    def request(self) -> Request | None:
        """The request of the execution in flight."""
        return self._current.request if self._current is not None else None

    @property
    def interrupted(self) -> bool:
        """Whether the kernel has been asked to interrupt the execution in flight."""
        return self._current is not None and self._current.interrupted

    @property
    def waits_for_input(self) -> bool:
        return self._current is not None and self._current.input_header is not None

    @property
    def waits_for_password(self) -> bool:
        current = self._current
        return self.waits_for_input and current is not None and current.asks_password

    @property
    def running(self) -> tuple[str, float] | None:
        """Id and seconds of the running execution; None while none runs or it waits for input."""
        current = self._current
        if current is None or current.state != "running":
            return None
        return current.execution_id, current.seconds

    def open(
        self, execution_count: int | None, *, resuming: bool = False, busy: bool = False
    ) -> None:
        """The kernel is ready: send what waits, when `resuming` only after `go_on`. The count is
        known only of a new kernel. `busy`: until then it runs another client's code."""
        self._externals.unseen = busy
        self._open = self._new = True
        self._resuming = resuming
        self.execution_count = execution_count
        if busy:
            self._changed()
        self._pump()

    def go_on(self) -> None:
        """What had been sent to the kernel before has been resumed, or has ended."""
        self._resuming = self._externals.unseen = False
        self._pump()
        self._changed()

    def close(self, reason: str, stderr_tail: str = "") -> None:
        """The kernel is gone: everything ends as `died`."""
        self._open = False
        ending = [*([self._current] if self._current else []), *self._waiting]
        self._current = None
        self._stop_waiting_for_end()
        self._waiting.clear()
        error = {"ename": "KernelDied", "evalue": reason, "traceback": stderr_tail.splitlines()}
        for execution in ending:
            self._tell(execution.end("died", error))
        self._tell(self._externals.end())
        self._entered.set()
        self._over.set()

    def resume(self, message: Message) -> None:
        """Take over an execution whose request was sent by a server that has left."""
        execution = Execution.sent(self._kernel_id, message)
        if execution is None:
            self._ended[message.msg_id] = None  # a question of that server's
        elif self._current is None:
            self._current = execution
            self._over = asyncio.Event()
            self._emit(execution.resumed())
            self._tell(execution.queue(0))
            self._changed()
            self._find_out(execution)  # its end may have got lost

    def find_out(self) -> None:
        """Messages may have got lost: find out whether the kernel is through with what runs."""
        if self._current is not None:
            self._find_out(self._current)

    def leave(self) -> None:
        """The kernel goes on without us, and with it the execution in flight."""
        self.abort_waiting()
        self._open = False
        self._current = None
        self._stop_waiting_for_end()
        self._over.set()

    async def at_rest(self) -> None:
        """Wait until no execution is in flight."""
        while self._current is not None:
            await self._over.wait()

    def add(self, execution: Execution) -> None:
        """Queue an execution behind all others."""
        self._tell(execution.queue(self.pending))
        self._waiting.append(execution)
        self._pump()

    def drop(self, execution_id: str) -> bool:
        """Drop one that waits; whether it did."""
        for execution in self._waiting:
            if execution.execution_id == execution_id:
                self._waiting.remove(execution)
                self._tell(execution.end("aborted"))
                self._changed()
                return True
        return False

    def abort_waiting(self) -> None:
        """Drop what waits; the running execution goes on."""
        waiting, self._waiting = self._waiting, deque()
        for execution in waiting:
            self._tell(execution.end("aborted"))

    async def begin_interrupt(self, settling: float = 0.0) -> bool:
        """Wait until the kernel is at the code of the execution in flight, if there is one.

        An interrupt that arrives between the request and the code it is to run would be lost, or
        worse: some kernels stand it only when they have been at the code for `settling` seconds.
        Returns whether anything is left to interrupt; the caller does that now.
        """
        current, over = self._current, self._over
        if current is None:
            return self._externals.busy
        if not current.entered:
            try:
                async with Deadline(ENTER):
                    await self._entered.wait()
            except TimeoutError:
                log.info("A kernel does not tell that it runs; interrupting all the same")
        if settling > current.seconds:
            with contextlib.suppress(TimeoutError):
                async with Deadline(settling - current.seconds):
                    await over.wait()
        if current is not self._current:
            return False  # it has ended meanwhile; what runs now was not meant
        current.interrupted = True
        self._find_out(current)
        return True

    def answer(self, value: str, execution_id: str | None = None) -> None:
        """Answer the input request that waits. Raises `NoInputPending`."""
        current = self._current
        if current is None or current.input_header is None:
            raise NoInputPending("The kernel does not wait for input.")
        if execution_id is not None and execution_id != current.execution_id:
            raise NoInputPending(f"The execution {execution_id!r} does not wait for input.")
        content = {"value": value, "status": "ok"}
        self._send(Request("stdin", "input_reply", content, parent_header=current.input_header))
        self._tell(current.answer())

    def take(self, message: Message) -> bool:
        """Give a message to the execution it belongs to; False when it belongs to none."""
        current = self._current
        if self._probe is not None and self._probe.take(message):
            return True
        if current is not None and current.owns(message):
            self._feed(current, message)
        elif not self._open:
            return False  # the rest of what a kernel that is being ended had to say
        elif message.channel == "iopub" and message.parent_type in ("execute_request", ""):
            late = not message.parent_id or message.parent_id in self._ended
            if late and message.msg_type in ("execute_result", "error"):
                self._disorderly = True  # deno's may overtake each other at any time
                if current is not None:
                    current.patient = True
            self._tell(self._externals.feed(message, late))
            self._changed()
        else:
            return False
        return True

    def _pump(self) -> None:
        if self._current is not None or not self._waiting or not self._open or self._resuming:
            return
        self._tell(self._externals.end_late())
        self._externals.mark()
        # Registered first: the kernel may answer before `send` returns.
        self._current = self._waiting.popleft()
        self._entered.clear()
        self._over = asyncio.Event()
        self._current.patient = self._disorderly or self._new
        request = self._current.begin()
        self._changed()
        self._send(request)

    def _feed(self, current: Execution, message: Message) -> None:
        if current.settling and message.msg_type in OUTPUT_TYPES:
            self._disorderly = True
        self._tell(current.feed(message))
        if current.entered:
            self._entered.set()
        if current.execution_count is not None:
            self.execution_count = current.execution_count
        if current.done:
            self._finish(current)
        elif self._probe is not None:
            self._probe.hear()
        if current.half_done:
            self._find_out(current)
        elif current.settling:
            self._stop_waiting_for_end()
            self._settling = Timer(SETTLE, functools.partial(self._give_up, current))

    def _find_out(self, execution: Execution) -> None:
        """Find out whether the kernel is through with an execution and keeps the end of it.

        ipykernel drops a request that is interrupted on the way to its code, without a reply.
        """
        if not execution.settling and (self._probe is None or self._probe.over):
            self._probe = Probe(execution, self._send, self._give_up)

    def _stop_waiting_for_end(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None

    def _give_up(self, execution: Execution) -> None:
        self._probe = None  # it calls this as the last thing it does
        self._tell(execution.give_up())
        self._finish(execution)

    def _finish(self, execution: Execution) -> None:
        self._current = None
        self._new = False
        self._stop_waiting_for_end()
        self._entered.set()
        self._over.set()
        self._tell(self._externals.end_marked())
        if execution.request is not None:
            self._ended[execution.request.msg_id] = None
        options = execution.options
        stops = options.stop_on_error and not options.silent and not execution.interrupted
        if execution.state == "error" and stops:
            # Jupyter leaves this to the kernel's queue, but the queue is here. An interrupt has
            # dropped what waited; what has come since is meant to run.
            self.abort_waiting()
        self._pump()
        self._changed()

    def _tell(self, events: Iterable[Event]) -> None:
        """Emit events; a display update goes to every execution that shows the display."""
        for event in events:
            if isinstance(event, OutputChanged) and event.display_id is not None:
                owners = self._displays.setdefault(event.display_id, [])
                if event.kind == "update":
                    for owner in owners:
                        self._emit(event.for_execution(owner))
                    continue
                if event.execution_id not in owners:
                    owners.append(event.execution_id)
                    del owners[:-OWNERS]
            self._emit(event)
