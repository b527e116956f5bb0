"""Limits that a user has set on a kernel: memory, seconds of an execution, idle minutes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

from carpo_lsp.deadlines import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from carpo_lsp.protocol import Limits

INTERVAL: Final = 1.0
"""Seconds between looks at a kernel that has limits."""

WARN: Final = 0.8
KILL: Final = 1.2
"""Shares of the memory limit at which to warn and to kill; at the limit itself, an interrupt."""


class Step(NamedTuple):
    """What is to be done about a kernel."""

    act: Literal["warn", "interrupt", "kill", "retire"]
    reason: str = ""
    """To be told to the user; an interrupt has its own warning. `kill` ends the kernel's processes
    at once, which is then told as its death; `retire` shuts the kernel down."""


class Limited(Protocol):
    """What a limit is watched on."""

    @property
    def running(self) -> tuple[str, float] | None:
        """Id and seconds of the running execution; None while none runs or it waits for input."""

    @property
    def stopped(self) -> bool:
        """Whether the system lets its process do nothing."""

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits to run."""


class Limiter:
    """Watches one kernel, for whoever looks every `INTERVAL` seconds and does what that gives.

    Each step comes once: again only after things got better, for another execution, or when whoever
    looks could not do it and has asked for no more of that look. Seconds are
    those in which this process and the kernel's were awake and did not wait for a person.
    """

    def __init__(
        self, limits: Limits, kernel: Limited, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._kernel = kernel
        self._stopwatch = Stopwatch(2 * INTERVAL, clock)
        self._memory_step = 0.0
        self._timed = ""
        self._seconds = 0.0
        self._interrupted = False
        self._idle: float | None = None

    @property
    def least(self) -> float | None:
        """Bytes from which on the use of memory matters; None where it does not."""
        limit = self._limits.memory_mb
        return WARN * limit * 1024**2 if limit is not None else None

    def look(self, used: int | None) -> Iterator[Step]:
        """Compare the kernel with its limits now: what is to be done, in order. `used` are the
        bytes resident in its processes, None when unknown, see `usage.memory`."""
        elapsed = self._stopwatch.lap()
        if self._kernel.stopped:
            elapsed = 0.0
        yield from self._look_at_memory(used)
        yield from self._look_at_execution(elapsed)
        yield from self._look_at_idleness(elapsed)

    def _look_at_memory(self, used: int | None) -> Iterator[Step]:
        limit = self._limits.memory_mb
        if limit is None or used is None:
            return
        used_mb = used / 1024**2
        step = max((step for step in (WARN, 1.0, KILL) if used_mb >= limit * step), default=0.0)
        if step > self._memory_step:
            uses = f"The kernel uses {used_mb:.0f} MB of the {limit:g} MB it may use"
            if step == KILL:
                yield Step("kill", f"{uses}; it was killed.")
            elif step == 1.0:
                runs = self._kernel.running is not None
                yield Step("warn", f"{uses}{'; what it runs is interrupted' if runs else ''}.")
                yield Step("interrupt")
            else:
                yield Step("warn", f"{uses}.")
        self._memory_step = step

    def _look_at_execution(self, elapsed: float) -> Iterator[Step]:
        limit = self._limits.execution_seconds
        running = self._kernel.running
        if limit is None or running is None:
            return
        execution_id, seconds = running
        if execution_id != self._timed:
            self._timed, self._seconds = execution_id, min(seconds, elapsed)
            self._interrupted = False
        else:
            self._seconds += elapsed
        if self._seconds >= limit and not self._interrupted:
            yield Step("interrupt")
            self._interrupted = True
            yield Step("warn", f"An execution was interrupted after its limit of {limit:g} s.")

    def _look_at_idleness(self, elapsed: float) -> Iterator[Step]:
        limit = self._limits.idle_minutes
        if limit is None:
            return
        if not self._kernel.idle:
            self._idle = None
            return
        self._idle = 0.0 if self._idle is None else self._idle + elapsed
        if self._idle >= limit * 60:
            yield Step("retire", f"The kernel was shut down after {limit:g} idle minutes.")
