"""The four ZeroMQ channels of one kernel: one reader each, no threads, no task per message."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import zmq
import zmq.asyncio
from jupyter_client.session import Session

from carpo_lsp.kernels.messages import Channel, Message, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

SOCKET_TYPES: Final[dict[Channel, int]] = {
    "shell": zmq.DEALER,
    "control": zmq.DEALER,
    "iopub": zmq.SUB,
    "stdin": zmq.DEALER,
}

RETRY: Final = 20
"""Milliseconds between attempts to connect, while the kernel starts. ZeroMQ's 100 add up."""

BATCH: Final = 64
"""Messages read from one channel before other work on the loop gets its turn. Reading goes on in
the next turn, so a flooding kernel is read at full speed without delaying its neighbours."""


class Channels:
    """The open sockets of one kernel, described by the content of its connection file.

    Shell, control and stdin share one identity, by which a kernel routes its input requests.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        info: Mapping[str, Any],
        on_message: Callable[[Message], None],
    ) -> None:
        key = info.get("key", b"")
        self._session = Session(
            key=key.encode() if isinstance(key, str) else key,
            signature_scheme=info.get("signature_scheme") or "hmac-sha256",
            # The check is for forks; it costs a system call for each message.
            check_pid=False,
        )
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[Channel, zmq.Socket[bytes]] = {}
        self._stdin: _Peer | None = None
        self._arrived = asyncio.Event()
        try:
            for channel, kind in SOCKET_TYPES.items():
                self._sockets[channel] = self._open(context, info, channel, kind)
            self._stdin = _Peer(self._sockets["stdin"])
            for channel, socket in self._sockets.items():
                socket.connect(address(info, channel))
        except Exception:
            self.close()
            raise

    def _open(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        info: Mapping[str, Any],
        channel: Channel,
        kind: int,
    ) -> zmq.Socket[bytes]:
        socket = context.socket(kind)
        socket.linger = 0
        # No high-water marks: past the default of 1,000 messages ZeroMQ drops output silently.
        socket.rcvhwm = 0
        socket.sndhwm = 0
        socket.reconnect_ivl = RETRY
        if channel == "iopub":
            socket.subscribe(b"")
        else:
            socket.identity = self._session.bsession
        secure(socket, info)
        self._loop.add_reader(socket.fileno(), self._read, channel)
        return socket

    def send(self, request: Request) -> None:
        """Send a request on its channel; dropped when the channels are closed."""
        socket = self._sockets.get(request.channel)
        if socket is None:
            return
        header = self._session.msg_header(request.msg_type)
        header["msg_id"] = request.msg_id
        if request.subshell_id is not None:
            header["subshell_id"] = request.subshell_id
        message = {
            "header": header,
            "parent_header": request.parent_header,
            "metadata": request.metadata,
            "content": request.content,
        }
        try:
            frames = [*self._session.serialize(message), *request.buffers]
            socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            # Without a send limit this means that there is no peer to queue for.
            log.warning("The kernel takes no messages on its %s channel", request.channel)
        # The descriptor of a ZeroMQ socket signals edges, and sending may have consumed one.
        self._loop.call_soon(self._read, request.channel)

    def _read(self, channel: Channel) -> None:
        socket = self._sockets.get(channel)
        if socket is None:
            return
        for _ in range(BATCH):
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._arrived.set()
            message = self._decode(channel, frames)
            if message is not None:
                self._on_message(message)
            if channel not in self._sockets:  # the message made its receiver close us
                return
        self._loop.call_soon(self._read, channel)

    def _decode(self, channel: Channel, frames: list[bytes]) -> Message | None:
        try:
            _, parts = self._session.feed_identities(frames)
            raw = self._session.deserialize(parts)
            return Message(
                channel=channel,
                header=_plain_dates(_dict(raw["header"])),
                parent_header=_plain_dates(_dict(raw["parent_header"])),
                metadata=_dict(raw["metadata"]),
                content=_dict(raw["content"]),
                buffers=tuple(bytes(buffer) for buffer in raw["buffers"]),
            )
        except Exception as error:
            # A kernel can send anything: a bad signature, broken JSON, too few parts. Whatever
            # the library makes of it must not end the reader.
            log.warning("Dropped a malformed message on %s: %s", channel, type(error).__name__)
            log.debug("The malformed message", exc_info=True)
            return None

    async def wait_for_stdin(self) -> None:
        """Wait until the stdin channel has its peer. On the others messages wait for theirs."""
        if self._stdin is not None:
            await self._stdin.came.wait()

    async def settle(self, quiet: float, limit: float) -> None:
        """Wait until nothing has arrived for `quiet` seconds, for at most `limit` seconds.

        A process that ended may have left messages on their way through ZeroMQ.
        """
        deadline = self._loop.time() + limit
        while self._sockets and self._loop.time() < deadline:
            for channel in tuple(self._sockets):
                self._read(channel)
            self._arrived.clear()
            try:
                async with asyncio.timeout(quiet):
                    await self._arrived.wait()
            except TimeoutError:
                return

    def close(self) -> None:
        """Close all sockets; safe more than once."""
        if self._stdin is not None:
            self._stdin.close()
        sockets, self._sockets = self._sockets, {}
        for socket in sockets.values():
            self._loop.remove_reader(socket.fileno())
            socket.close()


class _Peer:
    """Learns that a socket, not yet connected, has got its peer: ZeroMQ tells it on another."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.came = asyncio.Event()
        self._socket = socket
        self._news = socket.get_monitor_socket(zmq.Event.HANDSHAKE_SUCCEEDED)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._news.fileno(), self._read)
        # The descriptor tells nothing before the socket has been found empty once.
        self._loop.call_soon(self._read)

    def _read(self) -> None:
        if self._news.closed:
            return
        try:
            self._news.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        self.came.set()
        self.close()

    def close(self) -> None:
        """Stop listening; safe more than once."""
        if not self._news.closed:
            self._loop.remove_reader(self._news.fileno())
            self._socket.disable_monitor()
            self._news.close()


def address(info: Mapping[str, Any], channel: str) -> str:
    """The ZeroMQ address of a channel, by the content of a connection file."""
    separator = ":" if info["transport"] == "tcp" else "-"
    return f"{info['transport']}://{info['ip']}{separator}{info[f'{channel}_port']}"


def secure(socket: zmq.Socket[Any] | zmq.asyncio.Socket, info: Mapping[str, Any]) -> None:
    """Encrypt a socket (CurveZMQ) where the connection file has keys."""
    if public := info.get("curve_publickey"):
        socket.curve_serverkey = socket.curve_publickey = _bytes(public)
        socket.curve_secretkey = _bytes(info["curve_secretkey"])


def _bytes(key: str | bytes) -> bytes:
    return key.encode("ascii") if isinstance(key, str) else key


def _dict(value: object) -> dict[str, Any]:
    """Some kernels send null or nothing where the specification has an object."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise TypeError(f"expected an object, got {json.dumps(value)[:40]}")


def _plain_dates(header: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in header.items()
    }
