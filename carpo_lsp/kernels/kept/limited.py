"""The limits of a kept kernel, which its keeper watches while no server does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from carpo_lsp.kernels.supervision.limits import INTERVAL, Limiter
from carpo_lsp.kernels.supervision.usage import is_stopped, memory
from carpo_lsp.protocol import Limits, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from carpo_lsp.kernels.supervision.limits import Step


class KeptLimits:
    """What a kernel is to be compared with: see `limits.Limited`, which this is.

    `limits` are those on the wire but for idle minutes, `running` tells the id and seconds of what
    runs and does not wait for a person.
    """

    def __init__(
        self, limits: dict[str, Any], pid: int, running: Callable[[], tuple[str, float] | None]
    ) -> None:
        self._pid = pid
        self._running = running
        self._next = 0.0
        self._limiter = Limiter(parse(Limits, limits), self)

    def look(self, *, served: bool) -> Iterator[Step]:
        """What is to be done, at most every so often. While the kernel is `served`, nothing is: the
        server does it; but the seconds count."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + INTERVAL
        least = self._limiter.least
        used = memory(self._pid, least) if least is not None and not served else None
        for step in self._limiter.look(used):
            if not served:
                yield step

    @property
    def running(self) -> tuple[str, float] | None:
        return self._running()

    @property
    def stopped(self) -> bool:
        return is_stopped(self._pid)

    @property
    def idle(self) -> bool:
        return self._running() is None
