"""The websocket of a kernel's channels, opened again whenever it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket as sockets
from collections import deque
from socket import IPPROTO_TCP
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp.errors import ServerFailed
from carpo_lsp.kernels.codec import Faults
from carpo_lsp.kernels.remote.api import NoSuchKernel
from carpo_lsp.kernels.remote.frames import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

    from carpo_lsp.kernels.messages import Message, Request
    from carpo_lsp.kernels.remote.api import Api

log = logging.getLogger(__name__)

QUICKACK: Final[int | None] = getattr(sockets, "TCP_QUICKACK", None)
"""Linux has it. It lasts until the system thinks otherwise, so it is said again and again."""

FIRST: Final = 0.25
"""Seconds before the second attempt to reach a server again; each further one waits twice as long,
and a random share of that less, so that not all clients of a server come at once."""

LONGEST: Final = 30.0
"""Seconds between two attempts at most."""

STEADY: Final = 5.0
"""Seconds that a connection has to last; after a shorter one the waits go on growing, as a server
or a proxy may let one in and drop it at once."""


class Websocket:
    """The channels of one kernel, through its server.

    A server keeps what the kernel sends while nobody is connected, for the next one who comes with
    the same `session`. `on_lost` is told why a connection has broken, and again when that changes;
    `on_back` is called when there is another, before the messages it brings.
    """

    def __init__(
        self,
        api: Api,
        kernel_id: str,
        session: str,
        on_message: Callable[[Message], None],
        on_lost: Callable[[str], None],
        on_back: Callable[[], None],
    ) -> None:
        self._api = api
        self._kernel_id = kernel_id
        self._session = session
        self._on_message = on_message
        self._on_lost = on_lost
        self._on_back = on_back
        self._faults = Faults(kernel_id)
        self._unsent: deque[Request] = deque()
        self._has_unsent = asyncio.Event()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._wait = 0.0
        """Seconds before the next attempt to connect anew."""

    async def open(self, *, starts: bool = False) -> None:
        """Connect to the kernel, which may be one that only `starts`. Raises `ServerFailed`."""
        channels = self._api.open_channels(self._kernel_id, self._session, starts=starts)
        self._socket = await channels

    def send(self, request: Request) -> None:
        """Send a message, once there is a connection. One that was sent into a connection which
        turns out to be broken is not sent again: it may have arrived."""
        self._unsent.append(request)
        self._has_unsent.set()

    async def run(self) -> str:
        """Receive and send until the server has the kernel no more; says so in a sentence."""
        loop = asyncio.get_running_loop()
        while True:
            assert self._socket is not None, "run before open"
            began = loop.time()
            reason = await self._talk(self._socket)
            if loop.time() - began >= STEADY:
                self._wait = 0.0
            log.info("The connection to the kernel %s is cut: %s", self._kernel_id, reason)
            try:
                await self._reconnect(reason)
            except NoSuchKernel:
                return f"{self._api.server.title} has the kernel no more: it has ended."
            self._on_back()

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        """Why the connection broke, once it does."""
        writing = asyncio.create_task(self._write(socket))
        try:
            await self._read(socket)
        finally:
            writing.cancel()
            await asyncio.wait([writing])
            await socket.close()
        if isinstance(socket.exception(), TimeoutError):
            return "it does not answer"
        return "it broke" if socket.close_code in (None, 1006) else "the server closed it"

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        from aiohttp import WSMsgType

        protocol = socket.protocol
        connection = socket.get_extra_info("socket")
        async for frame in socket:
            _acknowledge(connection)
            if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            data: str | bytes = frame.data
            message = self._faults.attempt("its websocket", lambda: decode(data, protocol))  # noqa: B023 - called at once
            if message is None:
                continue
            try:
                self._on_message(message)
            except Exception:  # one message's fault must not cost the others their reader
                log.exception("A %s could not be handled", message.msg_type)

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self._has_unsent.wait()
            while self._unsent:
                frame = encode(self._unsent.popleft(), self._session, socket.protocol)
                try:
                    if isinstance(frame, str):
                        await socket.send_str(frame)
                    else:
                        await socket.send_bytes(frame)
                except ConnectionError:
                    return  # the reader learns of it too
            self._has_unsent.clear()

    async def _reconnect(self, reason: str) -> None:
        """Connect anew. Raises `NoSuchKernel` when the server answers that it is gone."""
        told = ""
        while True:
            if reason != told:
                told = reason
                self._on_lost(reason)
            await asyncio.sleep(self._wait * random.uniform(0.5, 1))  # noqa: S311 - no secret
            self._wait = min(max(FIRST, 2 * self._wait), LONGEST)
            try:
                await self._api.kernel(self._kernel_id)
                await self.open()
            except NoSuchKernel:
                raise
            except ServerFailed as error:
                reason = error.message
            else:
                return


def _acknowledge(connection: Any) -> None:
    """Have the system acknowledge at once what has come.

    Servers hold back a small message until the one before it is acknowledged, for which systems
    take 40 ms if they may; that is in each answer of a kernel, which is a few small messages.
    """
    if QUICKACK is not None and connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(IPPROTO_TCP, QUICKACK, 1)
