"""The limit: a client of plain ZeroMQ sockets that does nothing but what it must."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import zmq
from jupyter_client.connect import write_connection_file
from jupyter_client.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 120_000
"""Milliseconds to wait for a message."""

CHANNELS = {"shell": zmq.DEALER, "control": zmq.DEALER, "iopub": zmq.SUB}


class RawKernel:
    """A blocking client of a running kernel, by its connection file."""

    def __init__(self, connection_file: str) -> None:
        self.connection_file = connection_file
        info = json.loads(Path(connection_file).read_text())
        self._context = zmq.Context()
        self._session = Session(key=info["key"].encode(), check_pid=False)
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        for channel, kind in CHANNELS.items():
            socket = self._sockets[channel] = self._context.socket(kind)
            socket.linger = 0
            socket.rcvhwm = 0
            socket.reconnect_ivl = 10  # milliseconds; a kernel that starts is not there yet
            if kind == zmq.SUB:
                socket.subscribe(b"")
            if key := info.get("curve_publickey"):
                socket.curve_serverkey = socket.curve_publickey = key.encode()
                socket.curve_secretkey = info["curve_secretkey"].encode()
            separator = ":" if info["transport"] == "tcp" else "-"
            port = info[f"{channel}_port"]
            socket.connect(f"{info['transport']}://{info['ip']}{separator}{port}")

    def close(self) -> None:
        self._context.destroy(linger=0)

    def send(self, channel: str, msg_type: str, content: Any, subshell: str | None = None) -> str:
        """Send a request and return its id."""
        header = {**self._session.msg_header(msg_type), "msg_id": uuid4().hex}
        if subshell is not None:
            header["subshell_id"] = subshell
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self._sockets[channel].send_multipart(self._session.serialize(message))
        return str(header["msg_id"])

    def receive(self, channel: str) -> dict[str, Any]:
        """The next message of a channel."""
        socket = self._sockets[channel]
        if not socket.poll(DEADLINE):
            raise TimeoutError(f"nothing came on {channel}")
        _, parts = self._session.feed_identities(socket.recv_multipart())
        return dict(self._session.deserialize(parts))

    def drain(self, channel: str = "iopub") -> list[dict[str, Any]]:
        """What has come on a channel, without waiting."""
        found = []
        while self._sockets[channel].poll(0):
            found.append(self.receive(channel))
        return found

    def ask(self, channel: str, msg_type: str, content: Any, subshell: str | None = None) -> Any:
        """The content of the reply to a request."""
        msg_id = self.send(channel, msg_type, content, subshell)
        while (reply := self.receive(channel))["parent_header"].get("msg_id") != msg_id:
            pass
        return reply["content"]

    def wait_ready(self) -> None:
        """Wait until the kernel answers and publishes to us."""
        while True:
            self.ask("shell", "kernel_info_request", {})
            if self._sockets["iopub"].poll(50):
                self.drain()
                return

    def execute(self, code: str) -> str:
        """Send code; returns the id of the request."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        return self.send("shell", "execute_request", content)

    def outputs(self, msg_id: str) -> Iterator[dict[str, Any]]:
        """The messages on iopub that a request causes, up to idle."""
        while True:
            message = self.receive("iopub")
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            if message["content"].get("execution_state") == "idle":
                return
            yield message

    def run(self, code: str) -> list[dict[str, Any]]:
        """Run code to reply and idle; gives the messages on iopub."""
        msg_id = self.execute(code)
        published = list(self.outputs(msg_id))
        while self.receive("shell")["parent_header"].get("msg_id") != msg_id:
            pass
        return published

    def complete(self, code: str, subshell: str | None = None) -> list[str]:
        """The matches at the end of code."""
        content = {"code": code, "cursor_pos": len(code)}
        return list(self.ask("shell", "complete_request", content, subshell)["matches"])

    def subshell(self) -> str:
        """The id of a new subshell."""
        return str(self.ask("control", "create_subshell_request", {})["subshell_id"])


@contextlib.contextmanager
def attached(connection_file: str) -> Iterator[RawKernel]:
    """A raw client of a running kernel."""
    kernel = RawKernel(connection_file)
    try:
        kernel.wait_ready()
        yield kernel
    finally:
        kernel.close()


@contextlib.contextmanager
def started(folder: Path) -> Iterator[RawKernel]:
    """A raw client of a new Python kernel, which is not ready yet."""
    file = str(folder / f"kernel-{uuid4()}.json")
    address = str(folder / uuid4().hex[:8])
    write_connection_file(file, transport="ipc", ip=address)
    process = subprocess.Popen(
        [sys.executable, "-m", "ipykernel_launcher", "-f", file],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    kernel = RawKernel(file)
    try:
        yield kernel
    finally:
        kernel.close()
        process.kill()
        process.wait()
