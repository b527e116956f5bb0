"""Serving one client on a TCP port: the first that comes with the token.

Everybody on the machine can connect to a port, so that nothing of what a connection sends is looked
at before it has shown the token, in `initializationOptions.carpo.token` of its first message.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import sys
from typing import IO, TYPE_CHECKING, Any, Final, cast

from carpo_lsp.errors import Unauthorized
from carpo_lsp.wire.bodies import decode
from carpo_lsp.wire.outbox import MIB
from carpo_lsp.wire.transport import Duplex, FrameError, FrameParser

if TYPE_CHECKING:
    from carpo_lsp.wire.transport import OnConnect

PATIENCE: Final = 30.0
"""Seconds a connection has to show the token."""

WAITING: Final = 16
"""Connections without the token there may be at a time."""

# Bytes of a first message; those of editors have some ten thousand.
_LARGEST = 4 * MIB
# How long a connection that was turned away may take to read why, in seconds.
_REFUSAL_DEADLINE = 2.0

_BUSY: Final = {
    "method": "window/showMessage",
    "params": {
        "type": 1,
        "message": "carpo-lsp already serves another client; start a server of your own.",
    },
}


async def serve_tcp(
    on_connect: OnConnect,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    tell_token: bool = False,
    announce: IO[str] | None = None,
) -> None:
    """Serve the first client that has the token, or the first at all where there is none.

    While it stays, others are told so and turned away. The address, with the port that was chosen
    for port 0, is written to `announce` (stderr), after the token if `tell_token`.
    """
    gone = asyncio.Event()
    door = _Door(on_connect, gone, token)
    server = await asyncio.get_running_loop().create_server(lambda: _Visitor(door), host, port)
    try:
        lines = [f"carpo-lsp: clients need the token {token}"] if tell_token else []
        lines.append(f"carpo-lsp listens on {host}:{server.sockets[0].getsockname()[1]}")
        print("\n".join(lines), file=announce or sys.stderr, flush=True)
        await gone.wait()
    finally:
        server.close()
        await door.close()


class _Door:
    """Who is there, and who is served."""

    def __init__(self, on_connect: OnConnect, gone: asyncio.Event, token: str | None) -> None:
        self.visitors: set[_Visitor] = set()
        self.token = token
        self._on_connect = on_connect
        self._gone = gone
        self._client: Duplex | None = None

    @property
    def closed(self) -> bool:
        """Whether nobody else is let in now."""
        return self._client is not None or len(self.visitors) > WAITING

    def admit(self) -> Duplex:
        self._client = Duplex(self._on_connect, self._gone.set)
        return self._client

    async def close(self) -> None:
        for visitor in self.visitors:
            visitor.transport.close()
        if self._client is not None:
            await self._client.outbox.close()


class _Visitor(asyncio.Protocol):
    """A connection, which becomes the client or is told why not and closed."""

    transport: asyncio.Transport

    def __init__(self, door: _Door) -> None:
        self._door = door
        self._client: Duplex | None = None
        self._parser = FrameParser(_LARGEST)
        self._seen = bytearray()
        self._patience: asyncio.TimerHandle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._door.visitors.add(self)
        if self._door.closed:
            self._refuse(_BUSY)
        elif self._door.token is None:
            self._admit()
        else:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(PATIENCE, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._client is not None:
            self._client.data_received(data)
        elif not self._refused:
            self._seen += data
            for frame in self._parser.feed(data)[:1]:
                self._decide(frame)

    def eof_received(self) -> bool:
        return self._client is not None and self._client.eof_received()

    def pause_writing(self) -> None:
        if self._client is not None:
            self._client.pause_writing()

    def resume_writing(self) -> None:
        if self._client is not None:
            self._client.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_longer()
        self._door.visitors.discard(self)
        if self._client is not None:
            self._client.connection_lost(exc)

    def _decide(self, frame: bytes | FrameError) -> None:
        message = _message(frame)
        if not _has_token(message, self._door.token or ""):
            error = Unauthorized(
                "This server wants the token it was started with, as carpo.token of the "
                "initializationOptions of the first message, initialize."
            )
            details = {"code": error.code, "message": error.message, "data": error.to_data()}
            msg_id = message.get("id")
            self._refuse({"id": msg_id if type(msg_id) in (int, str) else None, "error": details})
        elif self._door.closed:
            self._refuse(_BUSY)
        else:
            self._admit()
            self.data_received(bytes(self._seen))
        self._seen.clear()

    def _admit(self) -> None:
        self._wait_no_longer()
        self._door.visitors.discard(self)
        self._client = self._door.admit()
        self._client.connection_made(self.transport)

    def _refuse(self, message: dict[str, Any]) -> None:
        self._wait_no_longer()
        self._refused = True
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.transport.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        # Closed when the client closes: closing before its request is read would reset the
        # connection, and it might never see the message.
        self.transport.write_eof()
        asyncio.get_running_loop().call_later(_REFUSAL_DEADLINE, self.transport.abort)

    def _wait_no_longer(self) -> None:
        if self._patience is not None:
            self._patience.cancel()


def _message(frame: bytes | FrameError) -> dict[str, Any]:
    """A message that is an object, else an empty one."""
    try:
        message = None if isinstance(frame, FrameError) else decode(frame)
    except (ValueError, RecursionError):
        message = None
    return message if isinstance(message, dict) else {}


def _has_token(message: dict[str, Any], token: str) -> bool:
    given: Any = message if message.get("method") == "initialize" else None
    for key in ("params", "initializationOptions", "carpo", "token"):
        given = given.get(key) if isinstance(given, dict) else None
    # Takes as long for every token of the same length.
    return isinstance(given, str) and hmac.compare_digest(given.encode(), token.encode())
