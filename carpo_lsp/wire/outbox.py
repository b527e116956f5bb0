"""The one writer of a connection: never blocks, loses nothing while it is open, and reorders
nothing but what is to be ahead."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from typing import IO, TYPE_CHECKING, cast

import attrs

from carpo_lsp.deadlines import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

KIB = 1024
MIB = 1024 * KIB

# What one write hands to the operating system at most. Smaller frames are joined up to it.
_PIECE = 256 * KIB


@attrs.define
class _Extent:
    """Bytes that wait in the overflow file."""

    start: int
    length: int


class _Overflow:
    """A file without a name, made when it is first written. Its methods raise OSError."""

    def __init__(self, directory: str | None) -> None:
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._fd = -1
        self._end = 0

    def append(self, *parts: bytes) -> _Extent:
        if self._file is None:
            import tempfile  # a client is seldom so slow

            self._file = tempfile.TemporaryFile(buffering=0, dir=self._directory)
            self._fd = self._file.fileno()
        start = end = self._end
        for part in parts:
            view = memoryview(part)
            while view:
                written = os.pwrite(self._fd, view, end)
                view = view[written:]
                end += written
        # Moved only now: what a failed append has left behind it is written over.
        self._end = end
        return _Extent(start, end - start)

    def read(self, extent: _Extent, most: int) -> bytes:
        data = os.pread(self._fd, min(extent.length, most), extent.start)
        if not data:
            raise OSError("it ends early")
        return data

    def clear(self) -> None:
        if self._end:
            os.ftruncate(self._fd, 0)
            self._end = 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self._fd = -1
            self._end = 0


class Outbox(asyncio.Protocol):
    """Frames messages and writes them as fast as the client reads.

    It is the asyncio protocol of the writing side: give it to `connect_write_pipe`, or forward
    `connection_made`, `pause_writing`, `resume_writing` and `connection_lost` to it.

    What the client has not read waits in memory, up to `max_memory` bytes (one larger message is
    let through, and of what is ahead as much again), and beyond that in an overflow file in
    `directory`, which has no name and is gone with the process. When that file cannot be written,
    up to four times `max_memory` are held; then the connection is given up, since a client must
    not miss a message without knowing.

    `on_lost` is called once, when the client is gone.
    """

    def __init__(
        self,
        on_lost: Callable[[], None] | None = None,
        *,
        max_memory: int = 16 * MIB,
        high_water: int = 256 * KIB,
        directory: str | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_lost = on_lost
        self._max_memory = max_memory
        self._high_water = high_water
        self._overflow = _Overflow(directory)
        self._overflow_failed = False
        self._transport: asyncio.WriteTransport | None = None
        self._queue: deque[memoryview | _Extent] = deque()
        self._queued = 0
        self._spilled = 0
        self._begun = False
        """Whether some of the first in the queue has been written."""
        self._ahead = 0
        """How many wait at the head of the queue that were sent to be ahead, and are not begun."""
        self._paused = False
        self._pump_scheduled = False
        self._was_congested = False
        self._drain_callbacks: list[Callable[[], None]] = []
        self._open = True
        self._flushed = asyncio.Event()
        self._flushed.set()
        self._lost = asyncio.Event()

    @property
    def bytes_queued(self) -> int:
        """Bytes that wait in memory."""
        return self._queued

    @property
    def bytes_spilled(self) -> int:
        """Bytes that wait in the overflow file."""
        return self._spilled

    @property
    def congested(self) -> bool:
        """Whether the client reads slower than we write: a producer that can join, should."""
        return self._paused or self._spilled > 0 or self._queued > self._high_water

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, from the loop, each time the outbox stops being congested."""
        self._drain_callbacks.append(callback)

    def send(self, body: bytes, *, ahead: bool = False) -> None:
        """Queue one message, `ahead` of all that were not. After the end of the connection it goes
        nowhere."""
        if not self._open:
            return
        header = b"Content-Length: %d\r\n\r\n" % len(body)
        size = len(header) + len(body)
        most = 2 * self._max_memory if ahead else self._max_memory
        full = self._queued > 0 and self._queued + size > most
        if not (full and self._spill(header, body)):
            if full and self._queued + size > 4 * self._max_memory:
                self._give_up("the client does not read and the overflow file cannot be written")
                return
            # A copy: the bytes that orjson gives may take ten times their size in memory.
            frame = memoryview(header + body)
            if ahead:
                self._queue.insert(self._begun + self._ahead, frame)
                self._ahead += 1
            else:
                self._queue.append(frame)
            self._queued += size
        self._flushed.clear()
        self._was_congested = self._was_congested or self.congested
        # Written a tick later, so that what is sent in one tick goes out in one piece.
        if not self._pump_scheduled and not self._paused:
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)

    async def close(self, deadline: float = 0.5) -> None:
        """Write what the client reads within `deadline` seconds, then end the connection."""
        if self._open:
            self._open = False
            self._pump()
            with contextlib.suppress(TimeoutError):
                async with Deadline(deadline):
                    await self._flushed.wait()
        if self._transport is not None:
            if not self._flushed.is_set():
                log.warning("the client stopped reading; it misses the last messages")
                self._abort()
            elif not self._transport.is_closing():
                self._transport.close()
            await self._lost.wait()
        self._discard()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        # asyncio then holds one piece at most, and "paused" means that the client is behind.
        self._transport.set_write_buffer_limits(high=0)
        self._pump()

    def eof_received(self) -> bool:
        # A client may close its direction of our output's socket; we go on writing.
        return True

    def pause_writing(self) -> None:
        self._paused = True
        self._was_congested = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._open and exc is not None:
            log.info("the connection to the client is lost: %s", exc)
        self._open = False
        self._discard()
        self._pump()
        self._lost.set()
        if self._on_lost is not None:
            self._on_lost()

    def _pump(self) -> None:
        self._pump_scheduled = False
        if self._transport is None:
            return
        try:
            while self._queue and not self._paused and not self._transport.is_closing():
                self._transport.write(self._next_piece())
        except OSError as error:
            self._give_up(f"the overflow file cannot be read: {error}")
        if not self._queue and not self._paused:
            self._flushed.set()
        if self._was_congested and not self.congested:
            self._was_congested = False
            for callback in self._drain_callbacks:
                self._loop.call_soon(callback)

    def _next_piece(self) -> bytes:
        parts: list[bytes | memoryview] = []
        room = _PIECE
        while self._queue and room:
            head = self._queue[0]
            if not self._begun and self._ahead:
                self._ahead -= 1
            part: bytes | memoryview
            if isinstance(head, _Extent):
                part = self._overflow.read(head, room)
                self._spilled -= len(part)
                head.start += len(part)
                head.length -= len(part)
                finished = not head.length
            else:
                part = head[:room]
                self._queued -= len(part)
                self._queue[0] = head[len(part) :]
                finished = len(part) == len(head)
            self._begun = not finished
            if finished:
                self._queue.popleft()
            room -= len(part)
            parts.append(part)
        if not self._spilled:
            self._overflow.clear()
        return b"".join(parts)

    def _spill(self, header: bytes, body: bytes) -> bool:
        """Queue a message in the overflow file; whether that worked."""
        try:
            extent = self._overflow.append(header, body)
        except OSError as error:
            if not self._overflow_failed:
                self._overflow_failed = True
                log.error("cannot write the overflow file, messages stay in memory: %s", error)
            return False
        self._spilled += extent.length
        last = self._queue[-1]
        # Between two of them is room for what is to be ahead.
        if isinstance(last, _Extent) and last.length < _PIECE:
            last.length += extent.length
        else:
            self._queue.append(extent)
        return True

    def _give_up(self, reason: str) -> None:
        log.error("closing the connection: %s", reason)
        self._open = False
        self._discard()
        self._abort()

    def _abort(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()

    def _discard(self) -> None:
        self._queue.clear()
        self._queued = self._spilled = self._ahead = 0
        self._begun = False
        self._paused = False
        self._overflow.close()
