"""Right sessions made wrong: what a broken client might send, the same for the same seed."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from messages import notifications, requests

from carpo_lsp.features.commands import COMMANDS
from carpo_lsp.wire.bodies import decode

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

PLANTED: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 2**31, 2**32, 2**53 + 1, -(2**63), 10**30),
    *(0.5, 1e-9, 1e300, math.inf, -math.inf, math.nan),
    *("", "a", "é😀", "\ud800", "\x00", "a" * 5000, "\n\r\x0c\u2028", "%s{}", "1", "-3", "nan"),
    *("file:///", "file://host/x.py", "untitled:1", "~nobody/x", "../../x", "/", "C:\\x", "%zz"),
    *("fake", "carpo", "markdown", "carpo.answer", "00000000-0000-4000-8000-000000000000"),
    *([], {}, [[]], [None], {"": {}}, {"uri": None}, {"line": -1, "character": 10**12}),
]
"""Values that are put in the place of others."""

IDS: list[Any] = [None, True, 1.5, -0.0, [], {}, "", "x" * 10_000, "1", -7, 0, 10**40, "\ud800"]
"""Ids, right and wrong."""

METHODS = ("$/unknown", "$/logTrace", "unknown", "", "initialize", "textDocument/didSave", "carpo/")

ENDING = tuple(name for name in COMMANDS if name != "keepKernel")
"""Commands after which a server still ends its kernels."""

HEADERS = (
    b"Content-Length: x\r\n\r\n",
    b"Content-Length: -5\r\n\r\n",
    b"Content-Length: " + b"9" * 400 + b"\r\n\r\n",
    b"Content-Length: \xff\r\n\r\n",
    b"Content-Type: application/json\r\n\r\n",
    b"\r\n\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"y" * 20_000 + b"\r\n\r\n",
    b"\x00" * 100,
)
"""What is no header, or one that a server cannot use."""


class Fuzzer:
    """Makes the messages of a session; `chance` decides."""

    def __init__(self, chance: random.Random, uri: str, kernel_id: str) -> None:
        self._chance = chance
        self._uri = uri
        self._requests = requests(uri, kernel_id)
        # What is made of it may be to keep the kernel, which then outlives the server.
        del self._requests["carpo/keepKernel"]
        self._notifications = notifications(uri)
        self._next_id = 0

    def session(self, length: int) -> Iterator[bytes]:
        """So many pieces of what a client sends: messages right and wrong, and broken frames."""
        openers = list(self._notifications.items())[:-2]
        for method, params in openers:
            yield self.frame({"jsonrpc": "2.0", "method": method, "params": params})
        for _ in range(length):
            yield self._piece()

    def _piece(self) -> bytes:
        message = self._message()
        luck = self._chance.random()
        if luck < 0.25:
            return self.frame(message)
        if luck < 0.8:
            for _ in range(self._chance.choice((1, 1, 2, 5))):
                message = self.mutated(message)
            return self.frame(message)
        return self._broken(message)

    def _message(self) -> Any:
        """A request or a notification, whole but for its id."""
        choose = self._chance.choice
        if self._chance.random() < 0.3:
            method, params = choose(list(self._notifications.items()))
            return {"jsonrpc": "2.0", "method": method, "params": params}
        method, params = choose(list(self._requests.items()))
        if method == "workspace/executeCommand":
            params = {**params, "command": f"carpo.{choose(ENDING)}"}
        if self._chance.random() < 0.05:
            method = choose(METHODS)
        self._next_id += 1
        msg_id = choose(IDS) if self._chance.random() < 0.1 else f"fuzz-{self._next_id}"
        return {"jsonrpc": "2.0", "id": msg_id, "method": method, "params": params}

    def mutated(self, value: Any) -> Any:
        """The value with one thing in it changed, left out, doubled or added."""
        choose = self._chance.choice
        if isinstance(value, dict) and value and self._chance.random() < 0.9:
            key = choose(list(value))
            match choose(("into", "into", "into", "into", "without", "add")):
                case "without":
                    return {name: item for name, item in value.items() if name != key}
                case "add":
                    return {**value, choose(("id", "uri", "x", "", "_")): choose(PLANTED)}
            return {**value, key: self.mutated(value[key])}
        if isinstance(value, list) and value and self._chance.random() < 0.9:
            place = self._chance.randrange(len(value))
            match choose(("into", "into", "without", "double", "many")):
                case "without":
                    return value[:place] + value[place + 1 :]
                case "double":
                    return [*value, value[place]]
                case "many":
                    return value * 50
            return [*value[:place], self.mutated(value[place]), *value[place + 1 :]]
        if isinstance(value, str) and value and self._chance.random() < 0.5:
            # Not the folder: commands write files beside documents.
            fixed = len(self._uri) - 1 if value.startswith(self._uri[:-1]) else 0
            place = self._chance.randint(fixed, len(value))
            part = choose(("", "", "é", "\ud83d", "\n", "/", "%00", "#", " "))
            return value[:place] + part + value[place + choose((0, 1, 5)) :]
        if isinstance(value, int) and self._chance.random() < 0.5:
            return value + choose((-1, 1, 1000, -1000))
        return choose(PLANTED)

    def _broken(self, message: Any) -> bytes:
        """A frame that is not what it says, or whose body is no message."""
        body = bytearray(self.body(message))
        choose = self._chance.choice
        match choose(("cut", "flip", "header", "length", "batch", "scalar", "response")):
            case "cut":
                del body[self._chance.randrange(len(body)) :]
            case "flip":
                for _ in range(5):
                    body[self._chance.randrange(len(body))] = self._chance.randrange(256)
            case "header":
                return choose(HEADERS) + self.frame(message)
            case "length":
                wrong = max(0, len(body) + choose((-20, -1, 1, 2, 7)))
                return b"Content-Length: %d\r\n\r\n%b" % (wrong, body)
            case "batch":
                return self.frame([message, message])
            case "scalar":
                return self.frame(choose(PLANTED))
            case "response":
                # One without a result is an answer to some request of the server, or none.
                answer = {"jsonrpc": "2.0", "id": choose((1, 2, 3, "x", None))}
                return self.frame({**answer, choose(("result", "error")): choose(PLANTED)})
        return b"content-length:%d\r\nX-Other: 1\r\n\r\n%b" % (len(body), body)

    def frame(self, message: Any) -> bytes:
        body = self.body(message)
        return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)

    def body(self, message: Any) -> bytes:
        return json.dumps(message, ensure_ascii=self._chance.random() < 0.5).encode(
            "utf-8", "surrogatepass"
        )


def expected(body: bytes) -> str | None:
    """The id, as JSON, with which a server must answer a frame; None where it must not answer."""
    try:
        message = decode(body)
    except (ValueError, RecursionError):
        return "null"
    if not isinstance(message, dict):
        return "null"
    if "method" not in message and ("result" in message or "error" in message):
        return None
    msg_id = message.get("id")
    named = isinstance(msg_id, (int, str)) and not isinstance(msg_id, bool)
    right = message.get("jsonrpc") == "2.0" and isinstance(message.get("method"), str)
    if right and "id" not in message:
        return None
    return json.dumps(msg_id) if named else "null"
