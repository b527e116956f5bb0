"""The lines of the journal: JSON objects that tell of one execution each, by its `msg`.

`msg` is the id of the execute request, and unique. The lines of an execution are, in this order:

    begin   id, time, kernel, code, place   it has been queued
    state   state, time                     it runs
    output  kind, output, displayId, wait   any number, as the protocol has them, see `changes`
    end     state, time, executionCount, durationMs, error
    cut                                     the journal could not be written while it ran
    hide                                    its user has cleared what it showed

`begin` may come again where a file goes on in the next one. A line with text that is none (half a
surrogate pair) is ASCII with JSON's escapes, so that it comes back as it was.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

import attrs
from msgspec import Struct

from carpo_lsp import jsontext, protocol
from carpo_lsp.errors import InvalidParams

if TYPE_CHECKING:
    from carpo_lsp.kernels.events import ExecutionState

Line = dict[str, Any]

NO_DOCUMENT: Final = "none"
"""The key of executions whose code came without a document."""

SERVER_ENDED: Final = "ServerEnded"
"""The `ename` of the error of executions whose server has gone while they ran."""

NOT_WRITTEN: Final = "NotJournaled"
"""That of executions whose end could not be written, as when a disk was full."""

_OUTPUT: Final = re.compile(rb'\{"type": ?"output", ?"msg": ?"([^"]*)"')


@attrs.frozen(kw_only=True)
class Place:
    """Where the code of an execution stands, as it was when it was run."""

    uri: str
    range: protocol.Range | None = None
    lines: tuple[str, ...] = ()
    """The lines of the document that the range touches, whole."""
    cell: int | None = None
    """The number of the cell in its document, from 0, when the whole cell was run."""
    notebook: str | None = None
    """The notebook that the document is a cell of."""

    @classmethod
    def from_wire(cls, told: dict[str, Any] | None) -> Place | None:
        """The place that JSON tells of; None where it tells of none."""
        try:
            return protocol.parse(cls, told) if told is not None else None
        except InvalidParams:
            return None

    @property
    def owner(self) -> str:
        """What is opened and closed as one: the notebook, else the document."""
        return self.notebook or self.uri


@attrs.frozen(kw_only=True)
class KernelName:
    """The kernel that an execution ran in, for those who read of it when it has gone."""

    kernel_id: str
    spec_name: str
    display_name: str
    language: str


class Entry(Struct, kw_only=True):
    """An execution as its lines tell it, without its outputs."""

    msg_id: str
    execution_id: str
    time: str
    """When it was queued: ISO 8601, UTC."""
    kernel: KernelName
    code: str
    place: Place | None = None
    state: ExecutionState = "queued"
    ended: str | None = None
    execution_count: int | None = None
    duration_ms: float | None = None
    error: dict[str, Any] | None = None
    hidden: bool = False
    """Whether its user has cleared what it showed."""
    cut: bool = False
    """Whether not all of it could be written."""
    size: int = 0
    """Bytes of the lines about its outputs."""
    live: bool = False
    """Whether the server that wrote it last still lives."""

    def begin(self) -> Line:
        """The line by which it begins."""
        kernel, place = protocol.to_wire(self.kernel), protocol.to_wire(self.place)
        told = {"id": self.execution_id, "time": self.time, "kernel": kernel, "code": self.code}
        return line("begin", self.msg_id, **told, **({"place": place} if place else {}))

    def lines_after(self) -> list[Line]:
        """The lines that come after its outputs."""
        found = []
        if self.ended is not None:
            found.append(
                line(
                    "end",
                    self.msg_id,
                    state=self.state,
                    time=self.ended,
                    executionCount=self.execution_count,
                    durationMs=self.duration_ms,
                    error=self.error,
                )
            )
        elif self.state != "queued":
            found.append(line("state", self.msg_id, state=self.state))
        if self.hidden:
            found.append(line("hide", self.msg_id))
        return found

    def apply(self, told: Line) -> None:
        """Take a line that is not about outputs."""
        match told["type"]:
            case "state":
                self.state = told["state"]
            case "end":
                self.state, self.ended = told["state"], told["time"]
                self.execution_count = told["executionCount"]
                self.duration_ms, self.error = told["durationMs"], told["error"]
            case "cut":
                self.cut = True
            case "hide":
                self.hidden = True


def line(kind: str, msg_id: str, /, **fields: Any) -> Line:
    """A line; its kind and execution come first, by which `output_of` knows it unread."""
    return {"type": kind, "msg": msg_id, **fields}


def encode(told: Line) -> bytes:
    return jsontext.encode_line(told)


def decode(raw: bytes) -> Line:
    """A line as it was written. Raises `ValueError` for anything else."""
    told = json.loads(raw)
    if not isinstance(told, dict) or not isinstance(told.get("msg"), str) or "type" not in told:
        raise ValueError("not a line of the journal")
    return told


def output_of(raw: bytes) -> str | None:
    """The execution of a line about outputs, None for other lines, without reading all of it."""
    found = _OUTPUT.match(raw)
    return found[1].decode("ascii", "replace") if found else None


def entry_of(told: Line) -> Entry:
    """What a `begin` says. Raises `ValueError`."""
    try:
        place = told.get("place")
        return Entry(
            msg_id=told["msg"],
            execution_id=told["id"],
            time=told["time"],
            kernel=protocol.parse(KernelName, told["kernel"]),
            code=told["code"],
            place=protocol.parse(Place, place) if place is not None else None,
        )
    except (KeyError, InvalidParams) as error:
        raise ValueError(f"not a line of the journal: {error}") from error


def key_of(uri: str | None) -> str:
    """How the files of a document, or of a notebook, are named."""
    if uri is None:
        return NO_DOCUMENT
    return hashlib.sha256(uri.encode("utf-8", "surrogatepass")).hexdigest()[:20]
