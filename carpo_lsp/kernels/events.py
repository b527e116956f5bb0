"""What kernels and executions tell the layers above: frozen data, made where it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, structs

if TYPE_CHECKING:
    from carpo_lsp.kernels.messages import Message
    from carpo_lsp.protocol import Kernel, Session

ExecutionState = Literal["queued", "running", "waitingInput", "ok", "error", "aborted", "died"]
TERMINAL: frozenset[str] = frozenset({"ok", "error", "aborted", "died"})

KernelStatus = Literal["starting", "idle", "busy", "restarting", "dead", "stopped"]

Cause = Literal[
    "exited",
    "signal",
    "outOfMemory",
    "lost",
    "outputLost",
    "disconnected",
    "reconnected",
    "notKept",
    "interrupt",
    "limit",
    "start",
    "unresponsive",
    "responsive",
]
"""Why a kernel is dead, or what is said of one that is not, for programs: see docs/protocol.md."""

Output = dict[str, Any]
"""An nbformat 4 output; its `text` is always one string."""


class StateChanged(Struct, frozen=True):
    """An execution entered a state."""

    kernel_id: str
    execution_id: str
    state: ExecutionState
    execution_count: int | None = None
    queue_position: int | None = None
    """With `queued`: how many executions of the kernel come before this one."""
    error: dict[str, Any] | None = None
    """With `error` and `died`: `ename`, `evalue`, `traceback` (list of lines, may hold ANSI)."""
    user_expressions: dict[str, Any] | None = None
    duration_ms: float | None = None
    """With a terminal state: from the first sign of running to the end."""
    session: Session | None = None
    """With the code of another client: whose it is."""
    code: str | None = None
    """With `queued` of another client: what it runs, as far as it is known."""


class ExecutionResumed(Struct, frozen=True):
    """An execution that a server has left in a kept kernel begins anew here: all it has shown
    since it was sent comes again. Told before its first state."""

    kernel_id: str
    execution_id: str
    msg_id: str
    code: str
    place: dict[str, Any] | None
    """What was given as the place of its code."""


class OutputChanged(Struct, frozen=True):
    """An output was added, replaced by its display id, or all were cleared."""

    kernel_id: str
    execution_id: str
    kind: Literal["append", "update", "clear"]
    output: Output | None = None
    display_id: str | None = None
    wait: bool = False
    """With `clear`: clear when the next output arrives, not at once."""

    def for_execution(self, execution_id: str) -> OutputChanged:
        """The same change, for another execution that shows the display."""
        return structs.replace(self, execution_id=execution_id)


class InputRequested(Struct, frozen=True):
    """The kernel waits for a line of input."""

    kernel_id: str
    execution_id: str
    prompt: str
    password: bool


class StatusChanged(Struct, frozen=True):
    """A kernel's life took a turn."""

    kernel_id: str
    status: KernelStatus
    kernel: Kernel
    """The kernel as it was at that moment."""
    reason: str | None = None
    exit_code: int | None = None
    stderr_tail: str | None = None
    cause: Cause | None = None
    hint: str | None = None


class MessageReceived(Struct, frozen=True):
    """A message for whoever sent raw messages to the kernel, or a comm message."""

    kernel_id: str
    message: Message


Event = (
    ExecutionResumed
    | StateChanged
    | OutputChanged
    | InputRequested
    | StatusChanged
    | MessageReceived
)
