"""One execute request, as a state machine without I/O: messages in, events out.

    queued ── begin ──> (sent) ── first sign of the kernel ──> running <──> waitingInput
                                                                  │
           ok, error, aborted <── reply and idle, in any order ───┤
           died, aborted      <── end(): the kernel is gone, or the queue was dropped
           ok, error, aborted <── give_up(): the kernel has moved on without the reply or idle

A terminal state needs the reply *and* idle: the reply may overtake the last output, and idle the
reply. After it the machine yields nothing more, whatever it is fed. A kernel whose reply is there
before it has published a thing does both at once, and idle may overtake its output as well: such an
execution is `settling` until `give_up`, and so is one that is told to be `patient`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from msgspec import Struct, field

from carpo_lsp.kernels import outputs
from carpo_lsp.kernels.events import (
    TERMINAL,
    Event,
    ExecutionResumed,
    ExecutionState,
    InputRequested,
    OutputChanged,
    StateChanged,
)
from carpo_lsp.kernels.messages import Message, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from carpo_lsp.protocol import Session


NO_REPLY: Final = {
    "ename": "NoReply",
    "evalue": "The kernel went on without a word on how this ended.",
    "traceback": [],
}


class ExecuteOptions(Struct, frozen=True):
    """The flags of an execute request, with Jupyter's defaults; the last is for the queue."""

    silent: bool = False
    store_history: bool = True
    user_expressions: dict[str, str] = field(default_factory=dict)
    allow_stdin: bool = True
    stop_on_error: bool = True


class Execution:
    """An execution from queue to end. `feed` it what its kernel sends with its id as parent."""

    def __init__(
        self,
        kernel_id: str,
        execution_id: str,
        code: str,
        options: ExecuteOptions | None = None,
        *,
        place: dict[str, Any] | None = None,
        replied: bool = False,
        session: Session | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`place`: where the code stands, as JSON, for whoever resumes the execution. `replied`:
        the reply goes to somebody else, so that idle alone is the end. `session`: who that is."""
        self.session = session
        self.kernel_id = kernel_id
        self.execution_id = execution_id
        self.code = code
        self.options = options or ExecuteOptions()
        self.state: ExecutionState = "queued"
        self.execution_count: int | None = None
        self.entered = False
        """Whether the kernel is at the code itself, so that an interrupt hits it."""
        self.interrupted = False
        """Whether the kernel has been asked to interrupt it."""
        self.input_header: dict[str, Any] | None = None
        """Header of the input request that waits for an answer."""
        self.asks_password = False
        """Whether the last input request was for a password."""
        self.request: Request | None = None
        self.msg_id = uuid4().hex
        """Id that its request has, or will have."""
        self.has_status = False
        """Whether the kernel has published a status for it, as it should."""
        self._place = place
        self._clock = clock
        self._started: float | None = None
        self._error: dict[str, Any] | None = None
        self._reply: dict[str, Any] | None = {} if replied else None
        self._idle = False
        self._published = False
        self.patient = False
        """Whether output may come after the end, see above."""

    @property
    def done(self) -> bool:
        return self.state in TERMINAL

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return 0.0 if self._started is None else self._clock() - self._started

    @property
    def replied(self) -> bool:
        """Whether the reply has come."""
        return self._reply is not None

    @property
    def half_done(self) -> bool:
        """Whether one of the two that make the end has come, the reply or idle."""
        return not self.done and self._idle != self.replied

    @property
    def settling(self) -> bool:
        """Whether both have come, and output may come all the same."""
        return not self.done and self._idle and self.replied

    def owns(self, message: Message) -> bool:
        """Whether a message belongs to this execution, which is the one in flight.

        Some kernels forget the parent of their input requests; only the one in flight can be it.
        """
        if self.request is None:
            return False
        if message.channel == "stdin" and not message.parent_id:
            return True
        return message.parent_id == self.request.msg_id

    @classmethod
    def sent(cls, kernel_id: str, request: Message) -> Execution | None:
        """The execution of a request that a server has sent; None for a question of its own."""
        carpo = request.metadata.get("carpo")
        if not isinstance(carpo, dict) or request.content.get("silent"):
            return None
        execution = cls(
            kernel_id, carpo["executionId"], request.content["code"], place=carpo["place"]
        )
        execution.msg_id = request.msg_id
        execution.begin()
        return execution

    def resumed(self) -> ExecutionResumed:
        """What tells that it begins anew."""
        return ExecutionResumed(
            self.kernel_id, self.execution_id, self.msg_id, self.code, self._place
        )

    def queue(self, position: int) -> Iterator[Event]:
        """Enter the queue behind `position` others."""
        code = self.code if self.session is not None else None
        yield StateChanged(
            self.kernel_id,
            self.execution_id,
            "queued",
            queue_position=position,
            session=self.session,
            code=code,
        )

    def begin(self) -> Request:
        """The execute request, to be sent now."""
        self.request = Request(
            "shell",
            "execute_request",
            {
                "code": self.code,
                "silent": self.options.silent,
                "store_history": self.options.store_history and not self.options.silent,
                "user_expressions": self.options.user_expressions,
                "allow_stdin": self.options.allow_stdin,
                # What waits is in our queue, not the kernel's. Told to stop, ipykernel aborts the
                # request that comes right after the error as well.
                "stop_on_error": False,
            },
            msg_id=self.msg_id,
            metadata={"carpo": {"executionId": self.execution_id, "place": self._place}},
        )
        return self.request

    def feed(self, message: Message) -> Iterator[Event]:
        """Take a message whose parent is this execution's request; yield what it changes."""
        if self.done:
            return
        if self.state == "queued":
            self._started = self._clock()
            yield self._enter("running")
        self._published = self._published or message.channel == "iopub"
        match message.msg_type:
            case "status":
                self.has_status = True
                self._idle = self._idle or message.content.get("execution_state") == "idle"
            case "execute_input":
                self.entered = True
                self._count(message.content)
            case "execute_reply":
                if self._reply is None:
                    self.patient = self.patient or not self._published
                    self._reply = message.content
                    self._count(message.content)
                    yield from self._pages(message.content)
            case "input_request":
                self.entered = True
                self.input_header = message.header
                content = message.content
                self.asks_password = bool(content.get("password", False))
                yield self._enter("waitingInput")
                yield InputRequested(
                    self.kernel_id,
                    self.execution_id,
                    str(content.get("prompt") or ""),
                    self.asks_password,
                )
            case "clear_output":
                wait = bool(message.content.get("wait", False))
                yield OutputChanged(self.kernel_id, self.execution_id, "clear", wait=wait)
            case "update_display_data":
                yield OutputChanged(
                    self.kernel_id,
                    self.execution_id,
                    "update",
                    outputs.from_message(message),
                    outputs.display_id_of(message),
                )
            case kind if kind in outputs.OUTPUT_TYPES:
                self.entered = True
                if kind == "error":
                    self._error = outputs.error_of(message.content)
                yield OutputChanged(
                    self.kernel_id,
                    self.execution_id,
                    "append",
                    outputs.from_message(message),
                    outputs.display_id_of(message),
                )
        if self._reply is not None and self._idle and not self.patient:
            yield self._finish(self._reply)

    def answer(self) -> Iterator[Event]:
        """The input request has been answered."""
        self.input_header = None
        if self.state == "waitingInput":
            yield self._enter("running")

    def end(self, state: ExecutionState, error: dict[str, Any] | None = None) -> Iterator[Event]:
        """End from outside: `aborted` when the queue was dropped, `died` with the kernel."""
        if not self.done:
            yield self._enter(state, error)

    def give_up(self) -> Iterator[Event]:
        """What is missing of the end will not come: the kernel has moved on, or is silent."""
        if self._reply is not None and not self.done:
            yield self._finish(self._reply)
        else:
            yield from self.end("aborted", None if self.interrupted else NO_REPLY)

    def _finish(self, reply: dict[str, Any]) -> Event:
        status = reply.get("status")
        if status == "aborted" or status == "abort":
            return self._enter("aborted")
        if status == "error" or self._error is not None:
            # Some kernels say ok to code that sent an error output.
            return self._enter("error", self._error or outputs.error_of(reply))
        expressions = reply.get("user_expressions")
        return self._enter(
            "ok", user_expressions=(expressions or None) if isinstance(expressions, dict) else None
        )

    def _enter(
        self,
        state: ExecutionState,
        error: dict[str, Any] | None = None,
        user_expressions: dict[str, Any] | None = None,
    ) -> Event:
        self.state = state
        terminal = state in TERMINAL
        if terminal:
            self.input_header = None
        return StateChanged(
            self.kernel_id,
            self.execution_id,
            state,
            execution_count=self.execution_count,
            error=error,
            user_expressions=user_expressions,
            duration_ms=None if self._started is None or not terminal else self.seconds * 1000,
            session=self.session,
        )

    def _count(self, content: dict[str, Any]) -> None:
        count = outputs.count_of(content)
        if count is not None:
            self.execution_count = count

    def _pages(self, reply: dict[str, Any]) -> Iterator[Event]:
        """Help asked for in the code (`name?`) comes as a payload of the reply, not on iopub."""
        payloads = reply.get("payload")
        for payload in payloads if isinstance(payloads, list) else ():
            if isinstance(payload, dict) and payload.get("source") == "page":
                output = outputs.display({"data": payload.get("data")})
                yield OutputChanged(self.kernel_id, self.execution_id, "append", output)
