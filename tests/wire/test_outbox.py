"""The writer in front of a client that stalls, comes back, or goes."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import tracemalloc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from carpo_lsp.wire.bodies import Encoder
from carpo_lsp.wire.outbox import KIB, MIB, Outbox
from carpo_lsp.wire.transport import FrameError, FrameParser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEADLINE = 20.0


class Reader:
    """A client that reads when it is told to."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._parser = FrameParser()

    async def read(self) -> bytes:
        """Whatever there is, b"" at the end."""
        return await asyncio.get_running_loop().sock_recv(self._sock, MIB)

    async def frames(self, count: int) -> list[bytes | FrameError]:
        frames: list[bytes | FrameError] = []
        async with asyncio.timeout(DEADLINE):
            while len(frames) < count:
                frames += self._parser.feed(await self.read())
        return frames

    async def read_to_end(self) -> bytes:
        received = bytearray()
        async with asyncio.timeout(DEADLINE):
            while data := await self.read():
                received += data
        return bytes(received)


@asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[tuple[Outbox, Reader, asyncio.Event]]:
    """An outbox over a socket pair that holds little, its reader, and whether it was lost."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * KIB)
    lost = asyncio.Event()
    outbox = Outbox(lost.set, **options)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: outbox, ours)
    with theirs:
        try:
            yield outbox, Reader(theirs), lost
        finally:
            await outbox.close(deadline=0)


async def a_tick() -> None:
    """Let the outbox write what was sent."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    await done.wait()


def bodies(count: int, size: int) -> list[bytes]:
    """Bodies of some `size`, no two alike."""
    return [b"%d:" % n + bytes([n % 256]) * (size + n % 7) for n in range(count)]


async def test_frames_arrive_in_order() -> None:
    async with connected() as (outbox, reader, _):
        sent = [b"{}", "é".encode(), b"", b"x" * 100_000]
        for body in sent:
            outbox.send(body)
        assert await reader.frames(4) == sent
        await a_tick()
        assert outbox.bytes_queued == 0
        assert not outbox.congested


async def test_what_is_sent_before_the_connection_waits_for_it() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        outbox = Outbox()
        outbox.send(b"early")
        await asyncio.get_running_loop().connect_accepted_socket(lambda: outbox, ours)
        assert await Reader(theirs).frames(1) == [b"early"]
        await outbox.close()


async def test_small_frames_are_joined() -> None:
    class Transport(asyncio.WriteTransport):
        def __init__(self) -> None:
            super().__init__()
            self.pieces: list[bytes] = []

        def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
            assert high == 0

        def write(self, data: Any) -> None:
            self.pieces.append(bytes(data))

        def is_closing(self) -> bool:
            return False

    transport = Transport()
    outbox = Outbox()
    outbox.connection_made(transport)
    for _ in range(1000):
        outbox.send(b"{}")
    await a_tick()
    assert transport.pieces == [b"Content-Length: 2\r\n\r\n{}" * 1000]


async def test_stalled_reader_gets_every_byte_in_order_from_bounded_memory() -> None:
    sent = bodies(2000, 5000)
    async with connected(max_memory=MIB) as (outbox, reader, _):
        for number, body in enumerate(sent):
            outbox.send(body)
            if number % 100 == 0:
                await a_tick()
            assert outbox.bytes_queued <= MIB
        assert outbox.congested
        assert outbox.bytes_spilled > 5 * MIB
        assert await reader.frames(len(sent)) == sent
        await a_tick()
        assert (outbox.bytes_queued, outbox.bytes_spilled) == (0, 0)
        assert not outbox.congested


@pytest.mark.parametrize("max_memory", [64 * MIB, 256 * KIB])
async def test_what_may_be_ahead_does_not_wait_for_a_slow_reader(max_memory: int) -> None:
    sent, answers = bodies(2000, 5000), [b"answer %d" % number for number in range(5)]
    async with connected(max_memory=max_memory) as (outbox, reader, _):
        for body in sent[:1000]:
            outbox.send(body)
        await a_tick()
        for answer in answers:
            outbox.send(answer, ahead=True)
        for body in sent[1000:]:
            outbox.send(body)
        received = await reader.frames(len(sent) + len(answers))
        places = [received.index(answer) for answer in answers]
        assert places == list(range(places[0], places[0] + len(answers)))
        assert places[0] < 250, "no more than what the system had"
        assert [body for body in received if body not in answers] == sent


async def test_what_is_ahead_comes_between_the_parts_of_the_overflow_file() -> None:
    sent = bodies(1000, 5000)
    async with connected(max_memory=64 * KIB) as (outbox, reader, _):
        for body in sent:
            outbox.send(body)
        received = await reader.frames(500)
        outbox.send(b"answer", ahead=True)
        received += await reader.frames(1001 - len(received))
        assert received.index(b"answer") < 750
        assert [body for body in received if body != b"answer"] == sent


async def test_frames_that_come_while_the_overflow_file_is_read() -> None:
    sent = bodies(600, 20_000)
    async with connected(max_memory=256 * KIB) as (outbox, reader, _):
        received: list[bytes | FrameError] = []
        for start in range(0, len(sent), 60):
            for body in sent[start : start + 60]:
                outbox.send(body)
            received += await reader.frames(20)
        received += await reader.frames(len(sent) - len(received))
        assert received == sent


async def test_the_overflow_file_is_used_again() -> None:
    async with connected(max_memory=64 * KIB) as (outbox, reader, _):
        for _ in range(3):
            sent = bodies(200, 5000)
            for body in sent:
                outbox.send(body)
            assert outbox.bytes_spilled > 0
            assert await reader.frames(len(sent)) == sent
            await a_tick()
            assert outbox.bytes_spilled == 0


async def test_one_message_may_be_larger_than_memory() -> None:
    async with connected(max_memory=MIB) as (outbox, reader, _):
        body = os.urandom(3 * MIB)
        outbox.send(body)
        outbox.send(b"next")
        assert outbox.bytes_spilled < 100
        assert await reader.frames(2) == [body, b"next"]


async def test_small_messages_take_little_more_memory_than_their_bytes() -> None:
    """An encoder may make bytes that take several times their size."""
    encoder = Encoder(str)
    async with connected() as (outbox, *_):
        tracemalloc.start()
        try:
            for number in range(10_000):
                outbox.send(encoder.encode({"number": number, "text": "x" * 300}))
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert outbox.bytes_queued > 3_000_000
        assert taken < 3 * outbox.bytes_queued


async def test_drain_is_told_each_time() -> None:
    async with connected() as (outbox, reader, _):
        drained = asyncio.Event()
        outbox.on_drain(drained.set)
        for _ in range(2):
            outbox.send(b"x" * MIB)
            assert outbox.congested
            await a_tick()
            assert not drained.is_set()
            await reader.frames(1)
            async with asyncio.timeout(DEADLINE):
                await drained.wait()
            assert not outbox.congested
            drained.clear()


async def test_a_small_backlog_is_no_congestion() -> None:
    async with connected(high_water=1000) as (outbox, _, _):
        outbox.send(b"x" * 500)
        assert not outbox.congested
        outbox.send(b"x" * 500)
        assert outbox.congested


class TestOverflowFails:
    @pytest.fixture(autouse=True)
    def _no_disk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(tempfile, "TemporaryFile", fail)

    async def test_messages_stay_in_memory(self, caplog: pytest.LogCaptureFixture) -> None:
        async with connected(max_memory=256 * KIB) as (outbox, reader, lost):
            sent = bodies(90, 10_000)
            for body in sent:
                outbox.send(body)
            assert outbox.bytes_spilled == 0
            assert outbox.bytes_queued > 256 * KIB
            assert await reader.frames(len(sent)) == sent
            assert not lost.is_set()
        assert caplog.text.count("No space left on device") == 1

    async def test_beyond_the_cap_the_connection_ends(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with connected(max_memory=256 * KIB) as (outbox, reader, lost):
            for body in bodies(200, 10_000):
                outbox.send(body)
            async with asyncio.timeout(DEADLINE):
                await lost.wait()
            assert outbox.bytes_queued == 0
            await reader.read_to_end()
        assert "closing the connection: the client does not read" in caplog.text


async def test_unreadable_overflow_file_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> bytes:
        raise OSError(5, "Input/output error")

    async with connected(max_memory=64 * KIB) as (outbox, reader, lost):
        for body in bodies(100, 5000):
            outbox.send(body)
        monkeypatch.setattr(os, "pread", fail)
        await reader.read_to_end()
        async with asyncio.timeout(DEADLINE):
            await lost.wait()
    assert "the overflow file cannot be read" in caplog.text


class TestClose:
    async def test_flushes_first(self) -> None:
        async with connected() as (outbox, reader, lost):
            outbox.send(b"x" * MIB)
            reading = asyncio.ensure_future(reader.read_to_end())
            await outbox.close(deadline=DEADLINE)
            assert lost.is_set()
            assert len(await reading) == len(b"Content-Length: 1048576\r\n\r\n") + MIB

    async def test_gives_up_on_a_stalled_client(self, caplog: pytest.LogCaptureFixture) -> None:
        async with connected(max_memory=64 * KIB) as (outbox, _, lost):
            for body in bodies(100, 5000):
                outbox.send(body)
            await outbox.close(deadline=0.01)
            assert lost.is_set()
            assert (outbox.bytes_queued, outbox.bytes_spilled) == (0, 0)
        assert "the client stopped reading" in caplog.text

    async def test_twice_and_sending_afterwards(self) -> None:
        async with connected() as (outbox, reader, _):
            await outbox.close()
            await outbox.close()
            outbox.send(b"late")
            assert outbox.bytes_queued == 0
            assert await reader.read_to_end() == b""

    async def test_client_that_is_gone(self) -> None:
        ours, theirs = socket.socketpair()
        lost = asyncio.Event()
        outbox = Outbox(lost.set, max_memory=MIB)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: outbox, ours)
        outbox.send(b"x" * 10 * MIB)
        await a_tick()
        drained = asyncio.Event()
        outbox.on_drain(drained.set)
        theirs.close()
        async with asyncio.timeout(DEADLINE):
            await lost.wait()
            # Who held output back for a slow client need not hold it any longer.
            await drained.wait()
        assert not outbox.congested
        outbox.send(b"late")
        assert outbox.bytes_queued == 0
        await outbox.close()
