"""Bytes in and out: LSP's framing, and serving one client on stdio or a socket.

A transport is an async function whose first parameter is `on_connect`. It calls that with the
Outbox of its client, passes what the client sends to the function it gets back, and returns when
the client is gone. Cancelling it sends what is still queued, briefly, and ends the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import socket
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from carpo_lsp.wire.outbox import MIB, Outbox

if TYPE_CHECKING:
    from collections.abc import Iterator

OnData: TypeAlias = Callable[[bytes], None]
OnConnect: TypeAlias = Callable[[Outbox], OnData]

_CONTENT_LENGTH_AT_END = re.compile(rb"content-length[ \t]*:[ \t]*(\d+)[ \t]*$", re.IGNORECASE)
_HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LONGEST_HEADER_LINE = 8192
_CHUNK = 64 * 1024
_PIPE = MIB
"""Bytes that the pipe to a client is to hold."""


@attrs.frozen
class FrameError:
    """A message that could not be read."""

    reason: str


class FrameParser:
    """Splits a stream of bytes into messages, whatever the pieces it comes in.

    After a broken header everything up to the next Content-Length is skipped; a message larger
    than `max_body` bytes is skipped as a whole. Either gives one FrameError.
    """

    def __init__(self, max_body: int = 256 * MIB) -> None:
        self._max_body = max_body
        self._line = bytearray()
        self._in_header = False
        self._lost = False
        self._length: int | None = None
        self._body = bytearray()
        # Bytes of the body that are still to come, and whether they are wanted.
        self._missing = 0
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes | FrameError]:
        """The messages that `data` completes."""
        frames: list[bytes | FrameError] = []
        position = 0
        while position < len(data):
            if self._missing:
                position = self._take_body(data, position, frames)
            else:
                position = self._take_line(data, position, frames)
        return frames

    def _take_body(self, data: bytes, position: int, frames: list[bytes | FrameError]) -> int:
        end = min(position + self._missing, len(data))
        self._missing -= end - position
        if not self._skipping:
            if not self._missing and not self._body:
                frames.append(data[position:end])
                return end
            self._body += memoryview(data)[position:end]
            if not self._missing:
                frames.append(bytes(self._body))
                self._body = bytearray()
        return end

    def _take_line(self, data: bytes, position: int, frames: list[bytes | FrameError]) -> int:
        newline = data.find(b"\n", position)
        end = len(data) if newline < 0 else newline
        self._line += memoryview(data)[position:end]
        if newline >= 0:
            line = bytes(self._line.removesuffix(b"\r"))
            self._line.clear()
            self._header_line(line, frames)
            return newline + 1
        if len(self._line) > _LONGEST_HEADER_LINE:
            self._lose("a header line is too long", frames)
            del self._line[:-_LONGEST_HEADER_LINE]
        return end

    def _header_line(self, line: bytes, frames: list[bytes | FrameError]) -> None:
        if self._lost:
            # A body may come right before the header, without a line break.
            if found := _CONTENT_LENGTH_AT_END.search(line[-_LONGEST_HEADER_LINE:]):
                self._lost = False
                self._header_line(found[0], frames)
        elif not line:
            if self._in_header:
                self._end_header(frames)
        else:
            self._in_header = True
            name, colon, value = (part.strip() for part in line.partition(b":"))
            too_long = len(line) > _LONGEST_HEADER_LINE
            if too_long or not (colon and _HEADER_NAME.fullmatch(name)):
                self._lose("a header line is malformed", frames)
                self._header_line(line, frames)
            elif name.lower() == b"content-length":
                # Longer numbers are no sizes, and Python refuses to read very long ones.
                if value.isdigit() and len(value) <= 18:
                    self._length = int(value)
                else:
                    self._lose("Content-Length is not a number of bytes", frames)

    def _end_header(self, frames: list[bytes | FrameError]) -> None:
        length = self._length
        self._in_header = False
        self._length = None
        if length is None:
            self._lose("a header without Content-Length", frames)
        elif length == 0:
            frames.append(b"")
        else:
            self._missing = length
            self._skipping = length > self._max_body
            if self._skipping:
                frames.append(FrameError(f"a message of {length} bytes is too large"))

    def _lose(self, reason: str, frames: list[bytes | FrameError]) -> None:
        if not self._lost:
            frames.append(FrameError(reason))
        self._lost = True
        self._in_header = False
        self._length = None


async def serve_stdio(on_connect: OnConnect, *, stdin: int = 0, stdout: int = 1) -> None:
    """Serve the client behind two file descriptors: pipes, sockets, terminals or files.

    Meanwhile the descriptors themselves point elsewhere, so that a stray `print` or a child
    process cannot get between the client and us.
    """
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    with _claimed(stdin, os.devnull) as reading, _claimed(stdout, None) as writing:
        if _is_socket(reading) and _same_file(reading, writing):
            await serve_socket(on_connect, socket.socket(fileno=os.dup(reading)))
            return
        outbox = Outbox(gone.set)
        await _connect_output(outbox, writing)
        on_data = on_connect(outbox)
        reader: asyncio.BaseTransport | None = None
        try:
            if _is_pollable(reading):
                pipe = os.fdopen(os.dup(reading), "rb", buffering=0)
                reader, _ = await loop.connect_read_pipe(lambda: _Reader(on_data, gone.set), pipe)
                await gone.wait()
            else:
                await _read_file(reading, on_data)
        finally:
            await outbox.close()
            if reader is not None:
                reader.close()


async def serve_socket(on_connect: OnConnect, sock: socket.socket) -> None:
    """Serve the client at the other end of a connected stream socket; it is closed at the end."""
    gone = asyncio.Event()
    client = Duplex(on_connect, gone.set)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: client, sock)
    try:
        await gone.wait()
    finally:
        await client.outbox.close()


class _Reader(asyncio.Protocol):
    """The reading side of a client."""

    def __init__(self, on_data: OnData, on_end: Callable[[], None]) -> None:
        self._on_data = on_data
        self._on_end = on_end

    def data_received(self, data: bytes) -> None:
        self._on_data(data)

    def eof_received(self) -> None:
        self._on_end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_end()


class Duplex(asyncio.Protocol):
    """A client behind one socket."""

    def __init__(self, on_connect: OnConnect, on_end: Callable[[], None]) -> None:
        self.outbox = Outbox(on_end)
        self._on_connect = on_connect
        self._on_end = on_end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.outbox.connection_made(transport)
        self._on_data = self._on_connect(self.outbox)

    def data_received(self, data: bytes) -> None:
        self._on_data(data)

    def eof_received(self) -> bool:
        self._on_end()
        # Keeps our direction open for what is still queued.
        return True

    def pause_writing(self) -> None:
        self.outbox.pause_writing()

    def resume_writing(self) -> None:
        self.outbox.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.outbox.connection_lost(exc)


class _FileTransport(asyncio.WriteTransport):
    """Writes to what cannot be polled because it never blocks, such as a file."""

    def __init__(self, fd: int, outbox: Outbox) -> None:
        super().__init__()
        self._fd = fd
        self._outbox = outbox
        self._closing = False

    def write(self, data: Any) -> None:
        view = memoryview(data)
        try:
            while view and not self._closing:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self._close(error)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._close(None)

    def abort(self) -> None:
        self._close(None)

    def _close(self, error: OSError | None) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._outbox.connection_lost, error)


async def _connect_output(outbox: Outbox, fd: int) -> None:
    loop = asyncio.get_running_loop()
    if _is_socket(fd):
        # Not a pipe transport: it takes anything that can be read from a socket for a hang-up.
        await loop.connect_accepted_socket(lambda: outbox, socket.socket(fileno=os.dup(fd)))
    elif _is_pollable(fd):
        pipe = os.fdopen(os.dup(fd), "wb", buffering=0)
        _widen(pipe.fileno())
        await loop.connect_write_pipe(lambda: outbox, pipe)
    else:
        outbox.connection_made(_FileTransport(fd, outbox))


def _widen(pipe: int) -> None:
    """Have a pipe take a large message at once, where the system lets us: by default it takes
    64 KiB, and each 64 KiB of a picture would have to wait for the client to wake up."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):  # not a pipe, or the user has too many of that size
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)


async def _read_file(fd: int, on_data: OnData) -> None:
    while chunk := os.read(fd, _CHUNK):
        on_data(chunk)
        # Lets what the messages have started run, as waiting for the next ones would.
        await asyncio.sleep(0)


@contextlib.contextmanager
def _claimed(fd: int, substitute: str | None) -> Iterator[int]:
    """A duplicate of `fd`, while `fd` itself is a file, or stderr; all is put back at the end."""
    duplicate = os.dup(fd)
    blocking = os.get_blocking(fd)
    inheritable = os.get_inheritable(fd)
    if substitute is None:
        os.dup2(2, fd, inheritable)
    else:
        other = os.open(substitute, os.O_RDONLY)
        os.dup2(other, fd, inheritable)
        os.close(other)
    try:
        yield duplicate
    finally:
        # The flag belongs to the open file, which a shell or a parent process may share.
        os.set_blocking(duplicate, blocking)
        os.dup2(duplicate, fd, inheritable)
        os.close(duplicate)


def _is_socket(fd: int) -> bool:
    return stat.S_ISSOCK(os.fstat(fd).st_mode)


def _is_pollable(fd: int) -> bool:
    return _is_socket(fd) or stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd)


def _same_file(one: int, other: int) -> bool:
    return os.path.samestat(os.fstat(one), os.fstat(other))
