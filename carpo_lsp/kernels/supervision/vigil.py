"""Kernels that hang: that do not answer though somebody waits, and do not compute either.

A kernel that computes may be deaf as long as it likes; so may one that has never answered a
heartbeat, and one whose heartbeat is never answered while code runs, for it may just wait for a
download. A process that is stopped is told by the system.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from carpo_lsp.kernels.events import Cause

LOOK: Final = 3.0
"""Seconds between two looks at a kernel."""

SLEPT: Final = 4 * LOOK
"""Seconds between two looks that tell of a sleep of this process."""

MISSED: Final = 3
"""Heartbeats in a row that a kernel misses when it hangs."""

CALM: Final = 3
"""Looks that pass without a heartbeat after one that was answered."""

IDLING: Final = 0.05
"""Share of a core that a process may use and not be called computing."""


class Watched(Protocol):
    """What is looked at, and who is told."""

    @property
    def waited_for(self) -> bool:
        """Whether code runs or a question waits; not while the kernel waits for a person."""

    @property
    def works(self) -> bool:
        """Whether code runs."""

    @property
    def stopped(self) -> bool:
        """Whether the system lets its process do nothing."""

    @property
    def cpu_seconds(self) -> float | None:
        """What its processes have used of processors; None when they are not to be seen."""

    @property
    def pid(self) -> int | None: ...

    async def beat(self) -> bool | None:
        """Whether it answers a heartbeat soon; None where it has none."""

    def warn(self, reason: str, cause: Cause) -> None:
        """Tell the user."""


class Vigil:
    """Watches one kernel. An episode of hanging is told once, and so is its end."""

    def __init__(self, kernel: Watched, clock: Callable[[], float] = time.monotonic) -> None:
        self._kernel = kernel
        self._clock = clock
        self._last = clock()
        self._untried = MISSED
        self._has_heart = False
        self._beats_at_work = False
        self._calm = 0
        self._missed = 0
        self._stopped = 0
        self._spent = 0.0
        self._told = False

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            await self.look()

    async def look(self) -> None:
        """Look at the kernel now."""
        before, self._last = self._last, self._clock()
        if self._last - before > SLEPT:
            # Whoever is to answer may have slept as well, and get up a little later.
            self._missed = self._stopped = 0
            return
        self._stopped = self._stopped + 1 if self._kernel.stopped else 0
        if self._stopped == 0:
            await self._look_at_heart()
        hangs = self._stopped > 1 or self._missed >= MISSED
        if hangs and not self._told:
            self._told = True
            self._kernel.warn(self._what_is_wrong(), "unresponsive")
        elif self._told and self._stopped == self._missed == 0:
            self._told = False
            self._kernel.warn("The kernel is at work again.", "responsive")

    async def _look_at_heart(self) -> None:
        kernel = self._kernel
        if not (kernel.waited_for or self._told or self._untried):
            return
        if self._calm and not self._told:
            self._calm -= 1
            return
        self._untried = max(self._untried - 1, 0)
        worked = kernel.works
        answered = await kernel.beat()
        if answered:
            self._untried = 0
            self._calm = CALM
            self._has_heart = True
            self._beats_at_work = self._beats_at_work or (worked and kernel.works)
            self._missed = 0
        elif not self._has_heart or (worked and not self._beats_at_work) or self._computes():
            self._missed = 0
        else:
            self._missed += 1

    def _computes(self) -> bool:
        """Whether its processes have used a processor since they were last asked, or never were."""
        spent, before = self._kernel.cpu_seconds or 0.0, self._spent
        self._spent = spent
        return spent - before > IDLING * LOOK

    def _what_is_wrong(self) -> str:
        if self._stopped:
            return (
                "The kernel's process is stopped. It goes on when it gets the signal SIGCONT: "
                f"kill -CONT {self._kernel.pid}"
            )
        return (
            "The kernel does not answer, and does not compute either. "
            "It is left alone; interrupt or restart it."
        )
