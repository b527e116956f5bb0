"""When a kept kernel that nobody uses is idle for so long that it is to be ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

ASKING: Final = 10.0
"""Seconds an idle kernel has to answer before it is ended; one that computes does not."""


class Idleness:
    """The time since a kernel has last done something for somebody.

    `ask` sends it a question and returns its id: a kernel that says nothing for so long may still
    compute. `minutes` is how long it may be idle; 0 for ever.
    """

    def __init__(self, minutes: float, ask: Callable[[], str]) -> None:
        self.minutes = minutes
        self._ask = ask
        self._since = time.monotonic()
        self._asked: tuple[str, float] | None = None

    def interrupt(self) -> None:
        """It does something, or somebody was there."""
        self._since = time.monotonic()

    def look(self, *, used: bool) -> None:
        """To be called now and then. `used`: it runs code, or somebody is there."""
        if used or not self.minutes:
            self._asked = None
            return
        now = time.monotonic()
        if self._asked is not None:
            if now >= self._asked[1]:  # it computes, whatever it said before
                self._asked = None
                self._since = now
        elif now - self._since >= self.minutes * 60:
            self._asked = self._ask(), now + ASKING

    def is_over(self, answered: str) -> bool:
        """Whether an answer is that of an idle kernel to our question, so that it is to end."""
        if self._asked is None or self._asked[0] != answered:
            return False
        self._asked = None
        return True
