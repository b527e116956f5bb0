"""The heartbeat channel of a kernel, which sends back whatever it is sent.

Many kernels answer it from a thread of its own, whatever their code does; others only between one
execution and the next. That something listens at its address is known in either case: ZeroMQ tells
when the other side has left, which it does when its process ends.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from carpo_lsp.deadlines import Deadline
from carpo_lsp.kernels.sockets import address, secure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PORT: Final = "hb_port"


async def beat(context: zmq.Context[Any], connection_file: str, seconds: float) -> bool | None:
    """Whether the kernel of a connection file answers one heartbeat within some seconds.

    None where the file tells of no heartbeat.
    """
    info = _read(connection_file)
    if info is None or PORT not in info:
        return None
    # One that got no answer takes no further request, so there is a socket for each.
    socket = _open(context, info, zmq.REQ)
    try:
        async with Deadline(seconds):
            socket.connect(address(info, "hb"))
            await socket.send(b"ping")
            await socket.recv()
    except TimeoutError:
        return False
    finally:
        socket.close()
    return True


async def is_there(context: zmq.Context[Any], info: Mapping[str, Any], seconds: float) -> bool:
    """Whether something listens at the address of a kernel's heartbeat, whatever its code does.

    The kernel is to have been started before: where a connection is refused nothing is there.
    """
    socket = _open(context, info, zmq.REQ)
    news = _news(context, socket, zmq.Event.HANDSHAKE_SUCCEEDED | zmq.Event.CONNECT_RETRIED)
    try:
        async with Deadline(seconds):
            socket.connect(address(info, "hb"))
            event = await recv_monitor_message(news)
    except TimeoutError:
        return False
    finally:
        _close(socket, news)
    return bool(event["event"] == zmq.Event.HANDSHAKE_SUCCEEDED)


async def until_gone(
    context: zmq.Context[Any],
    info: Mapping[str, Any],
    arrival: float,
    absence: float,
    on_leave: Callable[[], None],
    on_return: Callable[[], None],
) -> bool:
    """Return when nothing is at the address of a kernel's heartbeat.

    That is so when nothing has come within `arrival` seconds, or what was there has left and not
    come back within `absence` seconds. `on_leave` is called when it leaves, `on_return` when it is
    back, or another kernel is in its place. Returns whether anything has been there.
    """
    socket = _open(context, info, zmq.REQ)
    events = zmq.Event.HANDSHAKE_SUCCEEDED | zmq.Event.DISCONNECTED
    news = _news(context, socket, events)
    found = False
    try:
        socket.connect(address(info, "hb"))
        while True:
            try:
                async with Deadline(absence if found else arrival):
                    await _hear(news, zmq.Event.HANDSHAKE_SUCCEEDED)
            except TimeoutError:
                return found
            if found:
                on_return()
            found = True
            await _hear(news, zmq.Event.DISCONNECTED)
            on_leave()
    finally:
        _close(socket, news)


def _read(connection_file: str) -> dict[str, Any] | None:
    try:
        info = json.loads(Path(connection_file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return info if isinstance(info, dict) else None


async def _hear(news: Any, wanted: zmq.Event) -> None:
    while (await recv_monitor_message(news))["event"] != wanted:
        pass


def _open(context: zmq.Context[Any], info: Mapping[str, Any], kind: int) -> zmq.asyncio.Socket:
    """A socket that the context knows: it closes those when it is destroyed, and waits for ever,
    with the whole process, for any other."""
    socket: zmq.asyncio.Socket = context.socket(kind, socket_class=zmq.asyncio.Socket)
    socket.linger = 0
    secure(socket, info)
    return socket


def _news(
    context: zmq.Context[Any], socket: zmq.asyncio.Socket, events: zmq.Event
) -> zmq.asyncio.Socket:
    """The socket on which ZeroMQ tells what happens to another one."""
    where = f"inproc://news-{socket.FD}"
    socket.monitor(where, events)
    news: zmq.asyncio.Socket = context.socket(zmq.PAIR, socket_class=zmq.asyncio.Socket)
    news.connect(where)
    return news


def _close(socket: zmq.asyncio.Socket, news: zmq.asyncio.Socket) -> None:
    if not socket.closed:
        socket.disable_monitor()
    news.close()
    socket.close()
