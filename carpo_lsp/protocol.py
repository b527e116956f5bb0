"""The carpo/* messages: their names, their params, results and payloads.

Attributes are snake_case here and camelCase on the wire, see `structure.py`. One rule holds in both
directions: a field with a default may be absent, and null then means absent; a field without one is
always there, be it as null. What Jupyter shapes itself (outputs, headers, `kernel_info` content)
stays a plain dict.
"""

from __future__ import annotations

import math
import re
import types
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import attrs

from carpo_lsp.errors import InvalidParams
from carpo_lsp.structure import camel_case
from carpo_lsp.structure import parse as parse
from carpo_lsp.structure import to_wire as to_wire

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = "1.0"

LIST_KERNEL_SPECS: Final = "carpo/listKernelSpecs"
START_KERNEL: Final = "carpo/startKernel"
ATTACH_KERNEL: Final = "carpo/attachKernel"
LIST_KERNELS: Final = "carpo/listKernels"
KERNEL_INFO: Final = "carpo/kernelInfo"
SELECT_KERNEL: Final = "carpo/selectKernel"
EXECUTE: Final = "carpo/execute"
STDIN: Final = "carpo/stdin"
COMPLETE: Final = "carpo/complete"
INSPECT: Final = "carpo/inspect"
IS_COMPLETE: Final = "carpo/isComplete"
HISTORY: Final = "carpo/history"
INTERRUPT: Final = "carpo/interrupt"
RESTART_KERNEL: Final = "carpo/restartKernel"
SHUTDOWN_KERNEL: Final = "carpo/shutdownKernel"
KEEP_KERNEL: Final = "carpo/keepKernel"
OUTPUTS: Final = "carpo/outputs"
SEND: Final = "carpo/send"

EXECUTION_STATE: Final = "carpo/executionState"
OUTPUT: Final = "carpo/output"
INPUT_REQUEST: Final = "carpo/inputRequest"
KERNEL_STATUS: Final = "carpo/kernelStatus"
MESSAGE: Final = "carpo/message"


# Checks. Each returns what is wrong with a value of the right type, or "".

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _non_empty(value: str) -> str:
    return "" if value else "must not be empty"


def _at_most_128(value: str) -> str:
    return "" if len(value) <= 128 else "must have at most 128 characters"


def _uuid(value: str) -> str:
    return "" if _UUID.fullmatch(value) else "must be a UUID"


def _not_negative(value: int) -> str:
    return "" if value >= 0 else "must not be negative"


def _positive(value: float) -> str:
    return "" if 0 < value < math.inf else "must be a positive, finite number"


def _finite(value: float) -> str:
    return "" if 0 <= value < math.inf else "must be a finite number, and not negative"


def _exactly_one(params: object, *names: str) -> None:
    if sum(getattr(params, name) is not None for name in names) != 1:
        wire = ", ".join(map(camel_case, names))
        raise InvalidParams(f"exactly one of {wire} is needed")


def _within_code(cursor_pos: int, code: str) -> None:
    # ipykernel answers nothing at all to a cursor behind the end.
    if cursor_pos > len(code):
        raise InvalidParams(
            f"cursorPos: {cursor_pos} is behind the end of code, which has {len(code)} code points"
        )


NonEmpty = Annotated[str, _non_empty]
ExecutionId = Annotated[str, _non_empty, _at_most_128]
# A connection file is named with it, so it must not be able to name another folder.
NewKernelId = Annotated[str, _uuid]
Count = Annotated[int, _not_negative]
Quantity = Annotated[float, _positive]
Minutes = Annotated[float, _finite]

Status = Literal["starting", "idle", "busy", "restarting", "dead", "stopped"]
State = Literal["queued", "running", "waitingInput", "ok", "error", "aborted", "died"]
Channel = Literal["shell", "control"]


# Parts


@attrs.frozen
class Position:
    """A place in a document; `character` counts units of the negotiated position encoding."""

    line: Count
    character: Count


@attrs.frozen
class Range:
    """From `start` up to, not including, `end`."""

    start: Position
    end: Position


@attrs.frozen
class TextDocument:
    """Names a document."""

    uri: NonEmpty


@attrs.frozen(kw_only=True)
class Limits:
    """What a kernel may use; None is no limit."""

    memory_mb: Quantity | None = None
    execution_seconds: Quantity | None = None
    idle_minutes: Quantity | None = None


@attrs.frozen(kw_only=True)
class Session:
    """Who has sent code to a kernel that others use as well, as Jupyter's header tells."""

    id: str
    username: str


# Params of requests


@attrs.frozen
class ListKernelSpecsParams:
    pass


@attrs.frozen(kw_only=True)
class StartKernelParams:
    """Exactly one of the first four; `timeout` in seconds."""

    spec_path: NonEmpty | None = None
    spec_name: NonEmpty | None = None
    language: NonEmpty | None = None
    text_document: TextDocument | None = None
    kernel_id: NewKernelId | None = None
    cwd: NonEmpty | None = None
    env: dict[str, str] = attrs.field(factory=dict)
    limits: Limits | None = None
    timeout: Quantity | None = None
    keep: bool | None = None
    """Whether it is to go on when the editor quits; by default as the user has set."""

    def __attrs_post_init__(self) -> None:
        _exactly_one(self, "spec_path", "spec_name", "language", "text_document")


@attrs.frozen(kw_only=True)
class AttachKernelParams:
    """At most one of `connection_file` and `server_url`, to which the rest belongs; with neither
    it is the kernel that was started last."""

    connection_file: NonEmpty | None = None
    server_url: NonEmpty | None = None
    token: str | None = None
    remote_kernel_id: NonEmpty | None = None
    spec_name: NonEmpty | None = None

    def __attrs_post_init__(self) -> None:
        if self.connection_file is not None and self.server_url is not None:
            raise InvalidParams("at most one of connectionFile, serverUrl may be given")


@attrs.frozen
class ListKernelsParams:
    pass


@attrs.frozen(kw_only=True)
class KernelInfoParams:
    kernel_id: str


@attrs.frozen(kw_only=True)
class SelectKernelParams:
    """`kernel_id` None unbinds."""

    text_document: TextDocument
    kernel_id: str | None
    language: NonEmpty | None = None


@attrs.frozen(kw_only=True)
class ExecuteParams:
    """One of `kernel_id`, `text_document`; one of `code`, `range`, `position`."""

    kernel_id: str | None = None
    text_document: TextDocument | None = None
    code: str | None = None
    range: Range | None = None
    position: Position | None = None
    execution_id: ExecutionId | None = None
    silent: bool = False
    store_history: bool = True
    user_expressions: dict[str, str] = attrs.field(factory=dict)
    allow_stdin: bool = True
    stop_on_error: bool = True

    def __attrs_post_init__(self) -> None:
        _exactly_one(self, "kernel_id", "text_document")
        _exactly_one(self, "code", "range", "position")
        if self.code is None and self.text_document is None:
            raise InvalidParams("textDocument: needed with range or position")


@attrs.frozen(kw_only=True)
class StdinParams:
    kernel_id: str
    execution_id: ExecutionId | None = None
    # Often a password: it must not reach a log through a repr.
    value: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class CompleteParams:
    """`cursor_pos` counts code points in `code`."""

    kernel_id: str
    code: str
    cursor_pos: Count

    def __attrs_post_init__(self) -> None:
        _within_code(self.cursor_pos, self.code)


@attrs.frozen(kw_only=True)
class InspectParams:
    """`cursor_pos` counts code points in `code`."""

    kernel_id: str
    code: str
    cursor_pos: Count
    detail_level: Literal[0, 1] = 0

    def __attrs_post_init__(self) -> None:
        _within_code(self.cursor_pos, self.code)


@attrs.frozen(kw_only=True)
class IsCompleteParams:
    kernel_id: str
    code: str


@attrs.frozen(kw_only=True)
class HistoryParams:
    """The last `n` entries that match the glob `pattern`."""

    kernel_id: str
    n: Count | None = None
    pattern: str | None = None


@attrs.frozen(kw_only=True)
class InterruptParams:
    kernel_id: str


@attrs.frozen(kw_only=True)
class RestartKernelParams:
    kernel_id: str


@attrs.frozen(kw_only=True)
class ShutdownKernelParams:
    """`force` ends a kernel that is not ours for all who use it; else it is only let go."""

    kernel_id: str
    force: bool = False


@attrs.frozen(kw_only=True)
class KeepKernelParams:
    """`minutes` is how long it may be idle without an editor, 0 for ever."""

    kernel_id: str
    keep: bool = True
    minutes: Minutes | None = None


@attrs.frozen(kw_only=True)
class OutputsParams:
    """Exactly one of both."""

    execution_id: ExecutionId | None = None
    text_document: TextDocument | None = None

    def __attrs_post_init__(self) -> None:
        _exactly_one(self, "execution_id", "text_document")


@attrs.frozen(kw_only=True)
class SendParams:
    """A Jupyter message; `buffers` are base64 on the wire."""

    kernel_id: str
    channel: Channel
    msg_type: NonEmpty
    content: dict[str, Any]
    metadata: dict[str, Any] = attrs.field(factory=dict)
    buffers: tuple[bytes, ...] = ()


PARAMS: Final[Mapping[str, type[Any]]] = types.MappingProxyType(
    {
        LIST_KERNEL_SPECS: ListKernelSpecsParams,
        START_KERNEL: StartKernelParams,
        ATTACH_KERNEL: AttachKernelParams,
        LIST_KERNELS: ListKernelsParams,
        KERNEL_INFO: KernelInfoParams,
        SELECT_KERNEL: SelectKernelParams,
        EXECUTE: ExecuteParams,
        STDIN: StdinParams,
        COMPLETE: CompleteParams,
        INSPECT: InspectParams,
        IS_COMPLETE: IsCompleteParams,
        HISTORY: HistoryParams,
        INTERRUPT: InterruptParams,
        RESTART_KERNEL: RestartKernelParams,
        SHUTDOWN_KERNEL: ShutdownKernelParams,
        KEEP_KERNEL: KeepKernelParams,
        OUTPUTS: OutputsParams,
        SEND: SendParams,
    }
)
"""Every request of the protocol and the class of its params."""


# Results


@attrs.frozen(kw_only=True)
class KernelSpec:
    name: str
    spec_path: str
    display_name: str
    language: str
    interrupt_mode: str
    origin: Literal["jupyter", "environment", "server"]


@attrs.frozen(kw_only=True)
class Resources:
    rss_bytes: int
    cpu_percent: float


@attrs.frozen(kw_only=True)
class Kernel:
    """A kernel as clients see it; times are ISO 8601 in UTC, `documents` are URIs.

    An attached kernel has no spec path, a remote one neither connection file nor pid.
    """

    kernel_id: str
    spec_name: str | None
    spec_path: str | None
    display_name: str
    language: str
    status: Status
    owned: bool
    connection_file: str | None
    pid: int | None
    documents: tuple[str, ...]
    execution_count: int | None
    pending: int
    started_at: str | None
    last_activity: str | None
    resources: Resources | None
    kept: bool = False
    server_url: str | None = None
    remote_kernel_id: str | None = None
    kernel_info: dict[str, Any] | None = None


@attrs.frozen(kw_only=True)
class ListKernelSpecsResult:
    specs: tuple[KernelSpec, ...]


@attrs.frozen(kw_only=True)
class ListKernelsResult:
    kernels: tuple[Kernel, ...]


@attrs.frozen(kw_only=True)
class ExecuteResult:
    execution_id: str
    kernel_id: str


@attrs.frozen(kw_only=True)
class CompleteResult:
    """`cursor_start` and `cursor_end` count code points."""

    matches: tuple[str, ...]
    cursor_start: int
    cursor_end: int
    metadata: dict[str, Any]


@attrs.frozen(kw_only=True)
class InspectResult:
    """`data` is a MIME bundle."""

    found: bool
    data: dict[str, Any]
    metadata: dict[str, Any]


@attrs.frozen(kw_only=True)
class IsCompleteResult:
    status: Literal["complete", "incomplete", "invalid", "unknown"]
    indent: str


@attrs.frozen(kw_only=True)
class HistoryResult:
    """Entries are session, line, source."""

    history: tuple[tuple[int, int, str], ...]


@attrs.frozen(kw_only=True)
class ExecutionOutputs:
    """What the server holds of one execution; `outputs` are nbformat 4 outputs."""

    execution_id: str
    range: Range | None = None
    state: State
    execution_count: int | None
    error: ExecutionError | None = None
    outputs: tuple[dict[str, Any], ...]
    session: Session | None = None
    """With the code of another client: whose it is."""
    code: str | None = None


@attrs.frozen(kw_only=True)
class OutputsResult:
    executions: tuple[ExecutionOutputs, ...]


@attrs.frozen(kw_only=True)
class SendResult:
    msg_id: str


# Payloads of notifications


@attrs.frozen(kw_only=True)
class ExecutionError:
    ename: str
    evalue: str
    traceback: tuple[str, ...]


@attrs.frozen(kw_only=True)
class ExecutionState:
    """An execution changed its state."""

    kernel_id: str
    execution_id: str
    text_document: TextDocument | None = None
    range: Range | None = None
    seq: int
    state: State
    execution_count: int | None = None
    queue_position: int | None = None
    error: ExecutionError | None = None
    user_expressions: dict[str, Any] | None = None
    duration_ms: float | None = None
    session: Session | None = None
    """With the code of another client: whose it is; an addition to version 1.0, as is `code`."""
    code: str | None = None


@attrs.frozen(kw_only=True)
class Output:
    """An execution's outputs changed; `output` is an nbformat 4 output."""

    kernel_id: str
    execution_id: str
    text_document: TextDocument | None = None
    seq: int
    kind: Literal["append", "update", "clear"]
    output: dict[str, Any] | None = None
    display_id: str | None = None
    wait: bool | None = None


@attrs.frozen(kw_only=True)
class InputRequest:
    """A kernel waits for `carpo/stdin`."""

    kernel_id: str
    execution_id: str
    text_document: TextDocument | None = None
    prompt: str
    password: bool


@attrs.frozen(kw_only=True)
class KernelStatus:
    """A kernel changed its status."""

    kernel_id: str
    status: Status
    reason: str | None = None
    exit_code: int | None = None
    stderr_tail: str | None = None
    cause: str | None = None
    """Why, for programs; an addition to version 1.0."""
    kernel: Kernel


@attrs.frozen(kw_only=True)
class Message:
    """A Jupyter message, as `carpo/send` asked for; `buffers` are base64 on the wire."""

    kernel_id: str
    channel: str
    header: dict[str, Any]
    parent_header: dict[str, Any]
    metadata: dict[str, Any]
    content: dict[str, Any]
    buffers: tuple[bytes, ...] = ()
