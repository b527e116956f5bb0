"""A small language client for the examples: Python's standard library and nothing else.

It reads when it waits for something. A client for daily use would read all the time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Message = dict[str, Any]

DEADLINE = 60.0
"""Seconds the server has for each message we wait for; then it is killed."""


class LspClient:
    """Starts a server and talks LSP with it on its stdin and stdout."""

    def __init__(self, *command: str, on_message: Callable[[str, Message], None] | None = None):
        """`on_message` gets every message, with "-->" for those sent and "<--" for the others."""
        command = command or (sys.executable, "-m", "carpo_lsp")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._on_message = on_message or (lambda direction, message: None)
        self._last_id = 0
        self._notifications: deque[Message] = deque()

    def notify(self, method: str, params: Any = None) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def request(self, method: str, params: Any = None) -> Any:
        """Send a request and return its result. Notifications that come first are kept."""
        self._last_id += 1
        self._send({"id": self._last_id, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == self._last_id and "method" not in message:
                break
            self._keep(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    def next_notification(self, *methods: str) -> Message:
        """The next notification of one of these methods; those of others are dropped."""
        while True:
            while not self._notifications:
                self._keep(self._receive())
            message = self._notifications.popleft()
            if message["method"] in methods:
                return message

    def close(self) -> int:
        """Say goodbye and return the server's exit code."""
        self.request("shutdown")
        self.notify("exit")
        return self.process.wait(DEADLINE)

    def _keep(self, message: Message) -> None:
        if "id" not in message:
            self._notifications.append(message)
        elif "method" in message:
            # The server asks the client something. This one can do nothing, and has to say so.
            error = {"code": -32601, "message": "not supported"}
            self._send({"id": message["id"], "error": error})

    def _send(self, message: Message) -> None:
        message = {"jsonrpc": "2.0", **message}
        self._on_message("-->", message)
        body = json.dumps(message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self.process.stdin.flush()

    def _receive(self) -> Message:
        assert self.process.stdout is not None
        deadline = threading.Timer(DEADLINE, self.process.kill)
        deadline.start()
        try:
            length = 0
            while header := self.process.stdout.readline().strip():
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if not length:
                raise EOFError("the server is gone")
            message: Message = json.loads(self.process.stdout.read(length))
        finally:
            deadline.cancel()
        self._on_message("<--", message)
        return message
