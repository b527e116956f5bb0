"""Serving on a TCP port: who is let in."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
import sys
from typing import Any

import pytest
from test_transport import DEADLINE, Echo, frame, parse, running

from carpo_lsp.wire import tcp
from carpo_lsp.wire.tcp import serve_tcp

TOKEN = "the right token, of some length"  # noqa: S105 - of a test


def first_message(token: object, method: str = "initialize") -> bytes:
    options = {"carpo": {"token": token, "notifications": True}}
    params = {"capabilities": {}, "initializationOptions": options}
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return frame(json.dumps(message).encode())


async def told(reader: asyncio.StreamReader) -> Any:
    """The one message that comes before the connection is closed."""
    async with asyncio.timeout(DEADLINE):
        (body,) = parse(await reader.read())
    assert isinstance(body, bytes)
    return json.loads(body)


class Announcement(io.StringIO):
    """Where a server announces its address; `line` waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self._told = asyncio.Event()

    def flush(self) -> None:
        self._told.set()

    async def line(self) -> str:
        async with asyncio.timeout(DEADLINE):
            await self._told.wait()
        return self.getvalue()


async def connect(announcement: Announcement) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = (await announcement.line()).split()[-1].rsplit(":", 1)
    return await asyncio.open_connection(host, int(port))


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


class TestTcp:
    async def test_serves_until_the_client_is_gone(self) -> None:
        announcement = Announcement()
        async with running(serve_tcp(Echo(), announce=announcement)) as served:
            assert (await announcement.line()).startswith("carpo-lsp listens on 127.0.0.1:")
            reader, writer = await connect(announcement)
            writer.write(frame(b"{}"))
            assert await reader.readexactly(len(frame(b"{}"))) == frame(b"{}")
            await close(writer)
            async with asyncio.timeout(DEADLINE):
                await served

    async def test_second_client_is_told_and_turned_away(self) -> None:
        announcement = Announcement()
        async with running(serve_tcp(Echo(), announce=announcement)):
            reader, writer = await connect(announcement)
            second_reader, second_writer = await connect(announcement)
            second_writer.write(frame(b'{"method": "initialize"}'))
            message = await told(second_reader)
            assert message["method"] == "window/showMessage"
            assert message["params"]["type"] == 1
            assert "already serves another client" in message["params"]["message"]
            await close(second_writer)

            writer.write(frame(b"{}"))
            assert await reader.readexactly(len(frame(b"{}"))) == frame(b"{}")
            await close(writer)

    async def test_turned_away_client_that_stays_does_not_hold_it_up(self) -> None:
        announcement = Announcement()
        async with running(serve_tcp(Echo(), announce=announcement)) as served:
            _, writer = await connect(announcement)
            reader, second = await connect(announcement)
            async with asyncio.timeout(DEADLINE):
                await reader.read()
            await close(writer)
            await served
            await close(second)

    async def test_port_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match="in use"):
                await serve_tcp(Echo(), port=port)

    async def test_address_goes_to_stderr(self, monkeypatch: pytest.MonkeyPatch) -> None:
        announcement = Announcement()
        monkeypatch.setattr(sys, "stderr", announcement)
        async with running(serve_tcp(Echo())):
            assert (await announcement.line()).startswith("carpo-lsp listens on 127.0.0.1:")


class TestToken:
    async def test_whoever_has_it_is_served_from_the_first_message_on(self) -> None:
        announcement = Announcement()
        async with running(serve_tcp(Echo(), token=TOKEN, announce=announcement)) as served:
            reader, writer = await connect(announcement)
            first = first_message(TOKEN)
            for data in (first[:30], first[30:] + frame(b"{}")[:5], frame(b"{}")[5:]):
                writer.write(data)
                await writer.drain()
            sent = first + frame(b"{}")
            async with asyncio.timeout(DEADLINE):
                assert await reader.readexactly(len(sent)) == sent
            await close(writer)
            async with asyncio.timeout(DEADLINE):
                await served

    @pytest.mark.parametrize(
        "first",
        [
            *(first_message(token) for token in ("", TOKEN[:-1], TOKEN + "x", None, 5, [TOKEN])),
            first_message(TOKEN, "carpo/listKernels"),
            frame(b'{"jsonrpc": "2.0", "id": 1, "method": "initialize"}'),
            frame(b'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"x": 1}}'),
            frame(b'{"jsonrpc": "2.0", "method": "exit"}'),
            frame(b"[1, 2]"),
            frame(b"{not json"),
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"Content-Length: 999999999999\r\n\r\n",
            b"x" * 100_000,
        ],
    )
    async def test_others_are_told_and_nothing_of_theirs_is_looked_at(self, first: bytes) -> None:
        announcement = Announcement()
        echo = Echo()
        async with running(serve_tcp(echo, token=TOKEN, announce=announcement)) as served:
            reader, writer = await connect(announcement)
            writer.write(first + first_message(TOKEN))
            error = (await told(reader))["error"]
            assert (error["code"], error["data"]) == (1010, {"name": "Unauthorized"})
            assert "initializationOptions" in error["message"]
            assert not echo.connected.is_set()
            await close(writer)

            # It goes on listening.
            reader, writer = await connect(announcement)
            writer.write(first_message(TOKEN))
            async with asyncio.timeout(DEADLINE):
                await echo.connected.wait()
            assert not served.done()
            await close(writer)

    async def test_others_do_not_keep_the_client_out_nor_does_it_let_them_in(self) -> None:
        announcement = Announcement()
        echo = Echo()
        async with running(serve_tcp(echo, token=TOKEN, announce=announcement)) as served:
            early_reader, early = await connect(announcement)
            early.write(first_message(TOKEN)[:50])
            _, writer = await connect(announcement)
            writer.write(first_message(TOKEN))
            async with asyncio.timeout(DEADLINE):
                await echo.connected.wait()
            early.write(first_message(TOKEN)[50:])
            assert (await told(early_reader))["method"] == "window/showMessage"
            late_reader, late = await connect(announcement)
            assert (await told(late_reader))["method"] == "window/showMessage"
            await close(writer)
            async with asyncio.timeout(DEADLINE):
                await served
            await close(early)
            await close(late)

    async def test_who_says_nothing_is_hung_up_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tcp, "PATIENCE", 0.01)
        announcement = Announcement()
        async with running(serve_tcp(Echo(), token=TOKEN, announce=announcement)):
            reader, writer = await connect(announcement)
            async with asyncio.timeout(DEADLINE):
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
            writer.close()

    async def test_a_crowd_is_turned_away(self) -> None:
        announcement = Announcement()
        async with running(serve_tcp(Echo(), token=TOKEN, announce=announcement)):
            crowd = [await connect(announcement) for _ in range(tcp.WAITING + 1)]
            assert (await told(crowd[-1][0]))["method"] == "window/showMessage"
            for _, writer in crowd:
                await close(writer)
