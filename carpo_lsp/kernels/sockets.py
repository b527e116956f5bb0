"""The ZeroMQ sockets of a kernel: what kinds there are, and how they are opened."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import zmq

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from carpo_lsp.kernels.messages import Channel

SOCKET_TYPES: Final[dict[Channel, int]] = {
    "shell": zmq.DEALER,
    "control": zmq.DEALER,
    "iopub": zmq.SUB,
    "stdin": zmq.DEALER,
}

RETRY: Final = 10
"""Milliseconds between attempts to connect, while the kernel starts. ZeroMQ's 100 add up."""


@contextlib.contextmanager
def own_context() -> Iterator[zmq.Context[Any]]:
    """A ZeroMQ context for a look at kernels. It may go on when a manager ends, and with it the
    context of that and every socket in it."""
    context: zmq.Context[Any] = zmq.Context()
    try:
        yield context
    finally:
        context.destroy(linger=0)


def open_socket(
    context: zmq.Context[zmq.Socket[bytes]],
    info: Mapping[str, Any],
    channel: Channel,
    identity: bytes,
) -> zmq.Socket[bytes]:
    """A socket for one channel of the kernel of a connection file, not yet connected.

    Shell, control and stdin have one identity, by which a kernel routes its input requests.
    """
    socket = context.socket(SOCKET_TYPES[channel])
    try:
        secure(socket, info)
    except BaseException:
        socket.close()
        raise
    socket.linger = 0
    # No high-water marks: past the default of 1,000 messages ZeroMQ drops output silently.
    socket.rcvhwm = 0
    socket.sndhwm = 0
    socket.reconnect_ivl = RETRY
    if channel == "iopub":
        socket.subscribe(b"")
    else:
        socket.identity = identity
    return socket


def address(info: Mapping[str, Any], channel: str) -> str:
    """The ZeroMQ address of a channel, by the content of a connection file."""
    separator = ":" if info["transport"] == "tcp" else "-"
    return f"{info['transport']}://{info['ip']}{separator}{info[f'{channel}_port']}"


def secure(socket: zmq.Socket[Any], info: Mapping[str, Any]) -> None:
    """Encrypt a socket (CurveZMQ) where the connection file has keys."""
    if public := info.get("curve_publickey"):
        socket.curve_serverkey = socket.curve_publickey = _bytes(public)
        socket.curve_secretkey = _bytes(info["curve_secretkey"])


def _bytes(key: str | bytes) -> bytes:
    return key.encode("ascii") if isinstance(key, str) else key
