"""From iopub messages to nbformat 4 outputs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from carpo_lsp.kernels.events import Output
    from carpo_lsp.kernels.messages import Message

OUTPUT_TYPES = frozenset({"stream", "display_data", "execute_result", "error"})

MAX_COUNT: Final = 2**31 - 1
"""The largest integer that LSP has."""

OWN_KEY: Final = "carpo"
"""Our own part of an output's metadata, which says where a big output is kept on disk."""


def from_message(message: Message) -> Output | None:
    """The output a message carries, or None when it carries none. Missing fields are filled in."""
    content = message.content
    match message.msg_type:
        case "stream":
            name = "stderr" if content.get("name") == "stderr" else "stdout"
            return stream(name, _text(content.get("text")))
        case "display_data" | "update_display_data":
            return display(content)
        case "execute_result":
            return {
                **display(content),
                "output_type": "execute_result",
                "execution_count": count_of(content),
            }
        case "error":
            return {"output_type": "error", **error_of(content)}
    return None


def stream(name: str, text: str) -> Output:
    """A stream output; `name` is stdout or stderr."""
    return {"output_type": "stream", "name": name, "text": text}


def display(content: dict[str, Any]) -> Output:
    """A display_data output of a content with `data` and `metadata`."""
    data = content.get("data")
    metadata = content.get("metadata")
    return {
        "output_type": "display_data",
        "data": {str(mime): _plain(str(mime), value) for mime, value in data.items()}
        if isinstance(data, dict)
        else {},
        "metadata": {key: value for key, value in metadata.items() if key != OWN_KEY}
        if isinstance(metadata, dict)
        else {},
    }


def error_of(content: dict[str, Any]) -> dict[str, Any]:
    """The `ename`, `evalue` and `traceback` of an error output or an error reply."""
    traceback = content.get("traceback")
    return {
        "ename": _text(content.get("ename")),
        "evalue": _text(content.get("evalue")),
        "traceback": [_text(line) for line in traceback] if isinstance(traceback, list) else [],
    }


def count_of(content: dict[str, Any]) -> int | None:
    """The execution count of a content, if it is one."""
    count = content.get("execution_count")
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MAX_COUNT
    return count if is_count else None


def display_id_of(message: Message) -> str | None:
    """The display id a display names in its transient part."""
    transient = message.content.get("transient")
    display_id = transient.get("display_id") if isinstance(transient, dict) else None
    return display_id if isinstance(display_id, str) else None


def _plain(mime: str, value: Any) -> Any:
    """A MIME value; nbformat's lists of lines become one string, and so does what is no text.
    JSON may be anything."""
    if mime.endswith("json"):
        return value
    if isinstance(value, list) and value and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return "" if value is None else str(value)
