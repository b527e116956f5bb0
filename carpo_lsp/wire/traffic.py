"""A log of every message that goes in or out, for those who write a client."""

from __future__ import annotations

import json
import logging
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from carpo_lsp import protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

HIDDEN: Final = "…"
"""What stands in the place of a secret."""

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
    _hide_secrets(message)
    return message


def _hide_secrets(message: dict[str, Any]) -> None:
    """Put something else in the place of what may be a password, a token or a key."""
    match message:
        case {"method": protocol.STDIN, "params": {"value": _} as params}:
            params["value"] = HIDDEN
        case {"method": protocol.ATTACH_KERNEL, "params": {} as params}:
            if "token" in params:
                params["token"] = HIDDEN
            if "serverUrl" in params:
                params["serverUrl"] = _without_secrets(params["serverUrl"])
        case {"method": protocol.START_KERNEL, "params": {"env": {**env}} as params}:
            params["env"] = dict.fromkeys(env, HIDDEN)
        case {"method": protocol.SEND, "params": {"msgType": "input_reply"} as params}:
            params["content"] = HIDDEN
        case {
            "method": "workspace/executeCommand",
            "params": {"command": "carpo.answer"} as params,
        }:
            params["arguments"] = HIDDEN
        case {
            "method": "initialize",
            "params": {"initializationOptions": {"carpo": {"token": _} as options}},
        }:
            options["token"] = HIDDEN
    for section in _settings_in(message):
        servers = section.get("servers")
        for server in servers.values() if isinstance(servers, dict) else ():
            _hide_in_server(server)


def _settings_in(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The settings that a message brings: with `initialize`, as news, or as an answer."""
    match message:
        case {
            "method": "initialize",
            "params": {"initializationOptions": {"carpo": {} as section}},
        }:
            yield section
        case {
            "method": "workspace/didChangeConfiguration",
            "params": {"settings": {"carpo": {} as section}},
        }:
            yield section
        case {"result": [*sections]}:
            yield from (section for section in sections if isinstance(section, dict))


def _hide_in_server(server: object) -> None:
    if isinstance(server, dict):
        server |= dict.fromkeys(server.keys() & {"token", "env"}, HIDDEN)
        if "url" in server:
            server["url"] = _without_secrets(server["url"])


def _without_secrets(url: object) -> str:
    """A URL without a password or a token in it."""
    if not isinstance(url, str):
        return HIDDEN
    return re.sub(r"(//)[^/?#]*@|([?#]).*", rf"\1\2{HIDDEN}", url)
