"""A kernel that somebody else started, reached by its connection file. Never ours to end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import zmq
import zmq.asyncio

from carpo_lsp.errors import KernelStartFailed
from carpo_lsp.kernels.channels import Channels
from carpo_lsp.kernels.connection import Exit, OnMessage
from carpo_lsp.kernels.messages import Request
from carpo_lsp.kernels.sockets import address, secure

BEAT: Final = 1.0
"""Seconds between heartbeats."""

MISSED: Final = 5
"""Heartbeats without an answer after which the kernel counts as gone."""

FIELDS: Final = ("transport", "ip", "shell_port", "iopub_port", "stdin_port", "control_port")


def read_connection_file(path: str) -> dict[str, Any]:
    """The content of a connection file. Raises `KernelStartFailed` when it is none."""
    try:
        info = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise KernelStartFailed(
            f"The connection file {path!r} cannot be read: {error.strerror}.",
            hint="Jupyter's connection files are in the folder `jupyter --runtime-dir` prints",
        ) from error
    except ValueError as error:
        raise KernelStartFailed(f"The connection file {path!r} is not valid JSON.") from error
    missing = [key for key in FIELDS if not isinstance(info, dict) or key not in info]
    if missing:
        raise KernelStartFailed(f"The connection file {path!r} lacks {', '.join(missing)}.")
    return dict(info)


class AttachedConnection:
    """A `Connection` to a running kernel. Its death is told by its heartbeat."""

    owned = False
    pid = None

    def __init__(
        self,
        connection_file: str,
        info: dict[str, Any],
        on_message: OnMessage,
        *,
        context: zmq.Context[zmq.Socket[bytes]],
    ) -> None:
        self.connection_file = connection_file
        self._info = info
        self._on_message = on_message
        self._context = context
        self._channels: Channels | None = None
        self._heart: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._channels = Channels(self._context, self._info, self._on_message)
        self._heart = asyncio.create_task(self._listen())

    def send(self, request: Request) -> None:
        if self._channels is not None:
            self._channels.send(request)

    async def wait_for_stdin(self) -> None:
        if self._channels is not None:
            await self._channels.wait_for_stdin()

    async def interrupt(self) -> None:
        # A process that is not ours gets no signals; ipykernel and others take the request too.
        self.send(Request("control", "interrupt_request", {}))

    async def stop(self, grace: float, *, restart: bool = False) -> None:
        if self._heart is not None:
            self._heart.cancel()
            self._heart = None
        if self._channels is not None:
            self._channels.close()
            self._channels = None

    def stderr_tail(self) -> str:
        return ""

    async def wait_closed(self) -> Exit:
        assert self._heart is not None, "wait_closed before start"
        await asyncio.shield(self._heart)
        return Exit(None, "", "The kernel no longer answers its heartbeat.", "lost")

    async def _listen(self) -> None:
        """Send heartbeats until several in a row go without an answer."""
        if "hb_port" not in self._info:
            await asyncio.Event().wait()  # nothing tells of this kernel's death
        context = zmq.asyncio.Context.shadow(self._context.underlying)
        missed = 0
        socket = self._open(context)
        try:
            while missed < MISSED:
                await socket.send(b"ping")
                if await socket.poll(int(BEAT * 1000)):
                    await socket.recv()
                    missed = 0
                    await asyncio.sleep(BEAT)
                else:
                    missed += 1
                    # A request socket that got no answer takes no further request.
                    socket.close()
                    socket = self._open(context)
        finally:
            socket.close()

    def _open(self, context: zmq.asyncio.Context) -> zmq.asyncio.Socket:
        socket = context.socket(zmq.REQ)
        socket.linger = 0
        secure(socket, self._info)
        socket.connect(address(self._info, "hb"))
        return socket
