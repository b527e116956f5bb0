"""A log of every message that goes in or out, for those who write a client."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from typing import Any, Literal

from carpo_lsp import protocol

log = logging.getLogger(__name__)

Direction = Literal["receive", "send"]


class TrafficLog:
    """Appends each message to a file as one JSON line: `time`, `direction` and `message`.

    What may be a password or a token is left out, as is what is no JSON object. The file can be
    read by its owner alone. Raises OSError when it cannot be opened; when it cannot be written
    later, logging ends.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        # Line buffered: what a crash leaves behind is what was asked for.
        self._file = open(descriptor, "w", encoding="utf-8", errors="replace", buffering=1)

    def __call__(self, direction: Direction, body: bytes) -> None:
        if self._file.closed:
            return
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "direction": direction,
            "message": _readable(body),
        }
        try:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        except OSError as error:
            log.error("the traffic log ends here: %s", error)
            self.close()

    def close(self) -> None:
        self._file.close()


def _readable(body: bytes) -> Any:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        return f"({len(body)} bytes that are no JSON object)"
    hidden = _hidden_param(message)
    if hidden is not None and hidden in message["params"]:
        message["params"][hidden] = "…"
    return message


def _hidden_param(message: dict[str, Any]) -> str | None:
    """Which of its params may be a password or a token."""
    params = message.get("params")
    if isinstance(params, dict):
        match message.get("method"), params.get("command"):
            case protocol.STDIN, _:
                return "value"
            case protocol.ATTACH_KERNEL, _:
                return "token"
            case "workspace/executeCommand", "carpo.answer":
                return "arguments"
    return None
