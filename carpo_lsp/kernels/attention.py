"""Who types does not wait behind the output of other kernels."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST: Final = 0.02
"""Seconds that output is left for one question, at most: it may be slow to be answered. For how
long it is left for several, `Channels` decides."""

LATELY: Final = 1.0
"""Seconds after a question in which the next one is likely."""


class Attention:
    """The questions under way to the kernels of one manager.

    Meanwhile the output of other kernels is left where it is. To read it and to send it on would
    take the processor from those who answer, and put more in the client's pipe before the answer.
    And for a while after a question output that comes fast is read in steps: to wake for each
    message takes a third more of the processor, of which the next question is to have its share.
    Kernels that are reached through a keeper, ssh or a Jupyter server are read as they come.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: dict[object, tuple[str, float]] = {}
        self._last = -LATELY

    @contextlib.contextmanager
    def on(self, kernel_id: str) -> Iterator[None]:
        """Somebody waits for an answer of this kernel."""
        question = object()
        self._last = self._clock()
        self._asked[question] = (kernel_id, self._last + LONGEST)
        try:
            yield
        finally:
            del self._asked[question]

    def beside(self, kernel_id: str) -> Beside:
        return Beside(self, kernel_id)

    def elsewhere(self, kernel_id: str) -> bool:
        """Whether another kernel has been asked just now."""
        if not self._asked:
            return False
        now = self._clock()
        return any(asked != kernel_id and now < end for asked, end in self._asked.values())

    @property
    def lately(self) -> bool:
        """Whether any kernel has been asked something lately."""
        return self._clock() - self._last < LATELY


class Beside(Struct, frozen=True):
    """How the output of a kernel is to be read, beside the questions to all."""

    attention: Attention
    kernel_id: str

    @property
    def waits(self) -> bool:
        return self.attention.elsewhere(self.kernel_id)

    @property
    def in_steps(self) -> bool:
        return self.attention.lately


ALONE: Final = Attention().beside("")
"""Where there are no questions."""
