"""Framing, and serving over pipes, files and sockets."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
import pty
import socket
import sys
import tty
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carpo_lsp.wire.transport import (
    FrameError,
    FrameParser,
    serve_socket,
    serve_stdio,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from carpo_lsp.wire.outbox import Outbox
    from carpo_lsp.wire.transport import OnData

DEADLINE = 10.0


def frame(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def parse(*pieces: bytes, parser: FrameParser | None = None) -> list[bytes | FrameError]:
    parser = parser or FrameParser()
    return [found for piece in pieces for found in parser.feed(piece)]


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


class TestFrameParser:
    @given(st.lists(st.binary()), st.lists(st.integers(min_value=0)))
    def test_any_bodies_in_any_pieces(self, bodies: list[bytes], cuts: list[int]) -> None:
        assert parse(*split(b"".join(map(frame, bodies)), cuts)) == bodies

    @given(st.binary(), st.lists(st.integers(min_value=0)))
    def test_pieces_do_not_matter_for_garbage(self, data: bytes, cuts: list[int]) -> None:
        assert parse(*split(data, cuts)) == parse(data)

    @given(st.from_regex(rb"[^\n]*\n[^\n]*", fullmatch=True).filter(lambda junk: b":" not in junk))
    def test_a_message_after_garbage_is_found(self, junk: bytes) -> None:
        assert parse(junk, frame(b"one"), frame(b"two"))[-1] == b"two"

    def test_byte_by_byte(self) -> None:
        data = frame(b"{}") + frame("é".encode())
        assert parse(*(bytes([byte]) for byte in data)) == [b"{}", "é".encode()]

    @pytest.mark.parametrize(
        "header",
        [
            b"content-length: 2\r\n\r\n",
            b"CONTENT-LENGTH:2\r\n\r\n",
            b"Content-Length : 2 \r\n\r\n",
            b"Content-Length: 2\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n",
            b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n",
            b"Content-Length: 2\n\n",
            b"\r\n\r\nContent-Length: 2\r\n\r\n",
        ],
    )
    def test_headers_that_are_accepted(self, header: bytes) -> None:
        assert parse(header, b"{}", frame(b"next")) == [b"{}", b"next"]

    @pytest.mark.parametrize(
        "broken",
        [
            b"Content-Length: two\r\n\r\n{}",
            b"Content-Length: -2\r\n\r\n{}",
            b"Content-Length:\r\n\r\n{}",
            b"Content-Length: 1e3\r\n\r\n{}",
            b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
            b"Content-Type: text/plain\r\n\r\n{}",
            b'{"no": "header"}\r\n',
            b'{"no": "header"}',
            b"x" * 100_000,
            b"x" * 100_000 + b":",
            # A length that counted characters leaves the rest of the body behind.
            b'"}',
        ],
    )
    def test_broken_header_is_one_error_and_the_next_message_is_read(self, broken: bytes) -> None:
        for data in ([broken, frame(b"one")], [broken + frame(b"one") + frame(b"two")]):
            error, *frames = parse(*data)
            assert isinstance(error, FrameError)
            assert frames[0] == b"one"
            assert all(isinstance(found, bytes) for found in frames)

    def test_too_large_message_is_skipped(self) -> None:
        parser = FrameParser(max_body=10)
        pieces = [frame(b"x" * 11)[:25], frame(b"x" * 11)[25:], frame(b"y" * 10)]
        error, rest = parse(*pieces, parser=parser)
        assert error == FrameError("a message of 11 bytes is too large")
        assert rest == b"y" * 10

    def test_large_message_in_pieces(self) -> None:
        body = os.urandom(50_000_000)
        data = frame(body)
        pieces = [data[start : start + 65536] for start in range(0, len(data), 65536)]
        assert parse(*pieces, frame(b"next")) == [body, b"next"]


class Echo:
    """A server that answers every message with itself."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()

    def __call__(self, outbox: Outbox) -> OnData:
        self.outbox = outbox
        self.connected.set()
        parser = FrameParser()

        def on_data(data: bytes) -> None:
            for body in parser.feed(data):
                assert isinstance(body, bytes)
                outbox.send(body)

        return on_data


class Peer:
    """The other end of descriptors that are served."""

    def __init__(self, write: int, read: int) -> None:
        self.write = write
        self.read = read

    async def exchange(self, body: bytes) -> None:
        """Send `body` and read it back, neither at the cost of the other."""
        data = frame(body)
        sending = asyncio.to_thread(_write_all, self.write, data)
        receiving = asyncio.to_thread(_read_exactly, self.read, len(data))
        async with asyncio.timeout(DEADLINE):
            _, received = await asyncio.gather(sending, receiving)
        assert received == data


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _read_exactly(fd: int, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        received += os.read(fd, size - len(received))
    return bytes(received)


def pipes(stack: contextlib.ExitStack) -> tuple[int, int, Peer]:
    stdin, write = os.pipe()
    read, stdout = os.pipe()
    for fd in (stdin, stdout, read):
        stack.callback(os.close, fd)
    return stdin, stdout, Peer(write, read)


def socket_pairs(stack: contextlib.ExitStack) -> tuple[int, int, Peer]:
    stdin, write = socket.socketpair()
    read, stdout = socket.socketpair()
    for sock in (stdin, stdout, read):
        stack.enter_context(sock)
    return stdin.fileno(), stdout.fileno(), Peer(write.detach(), read.fileno())


def one_socket(stack: contextlib.ExitStack) -> tuple[int, int, Peer]:
    ours, theirs = socket.socketpair()
    stack.enter_context(ours)
    stdout = os.dup(ours.fileno())
    stack.callback(os.close, stdout)
    write = theirs.detach()
    return ours.fileno(), stdout, Peer(write, write)


def terminal(stack: contextlib.ExitStack) -> tuple[int, int, Peer]:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    stdout = os.dup(theirs)
    for fd in (theirs, stdout):
        stack.callback(os.close, fd)
    return theirs, stdout, Peer(ours, ours)


def device(stack: contextlib.ExitStack, path: str) -> int:
    fd = os.open(path, os.O_RDWR)
    stack.callback(os.close, fd)
    return fd


KINDS = [pipes, socket_pairs, one_socket, terminal]


@contextlib.asynccontextmanager
async def running(coroutine: Awaitable[None]) -> AsyncIterator[asyncio.Future[None]]:
    task = asyncio.ensure_future(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait({task})


class TestStdio:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_messages_both_ways_until_the_end_of_input(
        self, kind: Callable[[contextlib.ExitStack], tuple[int, int, Peer]]
    ) -> None:
        with contextlib.ExitStack() as stack:
            stdin, stdout, peer = kind(stack)
            async with running(serve_stdio(Echo(), stdin=stdin, stdout=stdout)) as served:
                await peer.exchange(b"{}")
                await peer.exchange(b"x" * 1_000_000)
                os.close(peer.write)
                async with asyncio.timeout(DEADLINE):
                    await served

    @pytest.mark.parametrize("kind", [pipes, socket_pairs])
    async def test_descriptors_are_put_back(
        self, kind: Callable[[contextlib.ExitStack], tuple[int, int, Peer]]
    ) -> None:
        with contextlib.ExitStack() as stack:
            stdin, stdout, peer = kind(stack)
            before = os.fstat(stdin), os.fstat(stdout)
            echo = Echo()
            async with running(serve_stdio(echo, stdin=stdin, stdout=stdout)) as served:
                await peer.exchange(b"{}")
                assert os.read(stdin, 1) == b""
                assert os.path.samestat(os.fstat(stdout), os.fstat(2))
                os.close(peer.write)
                await served
            after = os.fstat(stdin), os.fstat(stdout)
            assert all(map(os.path.samestat, before, after))
            assert os.get_blocking(stdin)
            assert os.get_blocking(stdout)

    async def test_ends_when_nobody_reads_the_output(self) -> None:
        stdin, write = os.pipe()
        read, stdout = os.pipe()
        try:
            async with running(serve_stdio(Echo(), stdin=stdin, stdout=stdout)) as served:
                os.close(read)
                async with asyncio.timeout(DEADLINE):
                    await served
        finally:
            for fd in (stdin, write, stdout):
                os.close(fd)

    async def test_files(self, tmp_path: Path) -> None:
        data = frame(b"{}") + frame(b"x" * 300_000)
        (tmp_path / "in").write_bytes(data)
        with (tmp_path / "in").open("rb") as stdin, (tmp_path / "out").open("wb") as stdout:
            async with asyncio.timeout(DEADLINE):
                await serve_stdio(Echo(), stdin=stdin.fileno(), stdout=stdout.fileno())
        assert (tmp_path / "out").read_bytes() == data

    async def test_null_device(self) -> None:
        with contextlib.ExitStack() as stack:
            stdin, stdout = device(stack, os.devnull), device(stack, os.devnull)
            async with asyncio.timeout(DEADLINE):
                await serve_stdio(Echo(), stdin=stdin, stdout=stdout)

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /dev/full")
    async def test_full_device_ends_it(self) -> None:
        with contextlib.ExitStack() as stack:
            stdin, _, peer = pipes(stack)
            full = device(stack, "/dev/full")
            async with running(serve_stdio(Echo(), stdin=stdin, stdout=full)) as served:
                _write_all(peer.write, frame(b"{}"))
                async with asyncio.timeout(DEADLINE):
                    await served
            os.close(peer.write)

    @pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="pipes have their size")
    async def test_a_picture_fits_into_the_pipe(self) -> None:
        with contextlib.ExitStack() as stack:
            stdin, stdout, peer = pipes(stack)
            echo = Echo()
            written = asyncio.Event()
            async with running(serve_stdio(echo, stdin=stdin, stdout=stdout)):
                await echo.connected.wait()
                echo.outbox.on_drain(written.set)
                echo.outbox.send(b"x" * 500_000)
                async with asyncio.timeout(DEADLINE):
                    await written.wait()  # and nobody reads
            os.close(peer.write)

    async def test_cancelling_sends_what_is_queued(self) -> None:
        with contextlib.ExitStack() as stack:
            stdin, stdout, peer = pipes(stack)
            echo = Echo()
            async with running(serve_stdio(echo, stdin=stdin, stdout=stdout)):
                await echo.connected.wait()
                echo.outbox.send(b"last words")
            data = frame(b"last words")
            assert _read_exactly(peer.read, len(data)) == data
            os.close(peer.write)


class TestSocket:
    async def test_half_closed_client_gets_its_answers(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            async with running(serve_socket(Echo(), ours)) as served:
                theirs.sendall(frame(b"{}"))
                theirs.shutdown(socket.SHUT_WR)
                await served
            assert theirs.recv(100) == frame(b"{}")
            assert theirs.recv(100) == b""
