"""Deadlines that count only the time in which this process could do something about them.

A process that is stopped, or whose machine sleeps, finds all its timers expired when it goes on,
before it has read a single answer that came meanwhile. None of that is the other side's fault.
Time is monotonic throughout: a clock that is set does not matter.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

SLICE: Final = 1.0
"""Seconds at a time that are counted, or not counted when the process slept in them."""

LATE: Final = 0.5
"""Seconds behind its time at which a timer tells of a sleep, and not of a busy machine."""


class Timer:
    """`call_later` by the time in which this process was awake.

    After a sleep there is a slice of time left, at least, for what waits to be read. Time during
    which `paused` says so is not counted either.
    """

    def __init__(
        self,
        seconds: float,
        callback: Callable[[], object],
        paused: Callable[[], bool] | None = None,
    ) -> None:
        self._callback = callback
        self._paused = paused
        self._loop = asyncio.get_running_loop()
        self._wait(seconds)

    def cancel(self) -> None:
        """Safe more than once, and when the time is over."""
        self._handle.cancel()

    def _wait(self, left: float) -> None:
        length = min(left, SLICE)
        due = self._loop.time() + length
        self._handle = self._loop.call_at(due, self._tick, left, length, due)

    def _tick(self, left: float, length: float, due: float) -> None:
        slept = self._loop.time() - due > LATE
        if not slept and not (self._paused is not None and self._paused()):
            left -= length
        if left > 0:
            self._wait(left)
        else:
            self._callback()


class Deadline:
    """`asyncio.timeout` with a `Timer`; None is without end. Raises `TimeoutError`."""

    def __init__(self, seconds: float | None, paused: Callable[[], bool] | None = None) -> None:
        self._seconds = seconds
        self._paused = paused
        self._scope = asyncio.timeout(None)
        self._timer: Timer | None = None

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        if self._seconds is not None:
            self._timer = Timer(self._seconds, self._expire, self._paused)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._scope.__aexit__(kind, error, traceback)

    def _expire(self) -> None:
        self._scope.reschedule(asyncio.get_running_loop().time())


class Stopwatch:
    """Sums the time between looks, of which a sleep counts as no more than `longest` seconds.

    To be looked at more often than that.
    """

    def __init__(self, longest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest = longest
        self._clock = clock
        self._last = clock()

    def lap(self) -> float:
        """Seconds since the last look that this process was awake."""
        now = self._clock()
        elapsed, self._last = now - self._last, now
        return min(elapsed, self._longest)
