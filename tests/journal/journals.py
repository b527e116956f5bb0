"""What tests of the journal share: executions, and the lines and records they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carpo_lsp.journal import reading
from carpo_lsp.journal.lines import Entry, KernelName, Place, encode, key_of, line
from carpo_lsp.kernels.events import OutputChanged

if TYPE_CHECKING:
    from pathlib import Path

    from carpo_lsp.kernels.events import Output

URI = "file:///w/a.py"
KEY = key_of(URI)
K = "kernel"
X = "execution"


def entry(msg_id: str, code: str = "code", **more: Any) -> Entry:
    """An execution in a document."""
    kernel = KernelName(kernel_id=K, spec_name="s", display_name="S", language="python")
    fields = {"execution_id": f"id-{msg_id}", "time": f"2026-01-01T00:00:{msg_id:0>2}+00:00"}
    return Entry(
        **{"msg_id": msg_id, "kernel": kernel, "code": code, "place": Place(uri=URI)}
        | fields
        | more
    )


def text(text: str, name: str = "stdout") -> Output:
    return {"output_type": "stream", "name": name, "text": text}


def display(value: str) -> Output:
    return {"output_type": "display_data", "data": {"text/plain": value}, "metadata": {}}


def append(output: Output, display_id: str | None = None) -> OutputChanged:
    return OutputChanged(K, X, "append", output, display_id)


def ended(msg_id: str, state: str = "ok") -> dict[str, Any]:
    """The line of an end."""
    fields = {"executionCount": 1, "durationMs": 2.0, "error": None}
    return line("end", msg_id, state=state, time="2026-01-01T00:01:00+00:00", **fields)


def printed(msg_id: str, words: str) -> dict[str, Any]:
    """The line of some text."""
    return line("output", msg_id, kind="append", output=text(words))


def whole(msg_id: str, words: str, code: str = "code") -> bytes:
    """All lines of an execution that printed something."""
    told = (entry(msg_id, code).begin(), line("state", msg_id, state="running"))
    return b"".join(map(encode, (*told, printed(msg_id, words), ended(msg_id))))


def read(root: Path, **options: Any) -> dict[str, tuple[str, list[Output]]]:
    """State and outputs of all executions, by the ids of their requests."""
    found = reading.executions(root, **options)
    shown = reading.with_outputs(found, tuple(found.entries.values()))
    return {each.msg_id: (each.state, outputs) for each, outputs in shown}
