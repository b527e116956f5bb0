"""Where a script's cells begin: the sorted numbers of its marker lines, kept up to date."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class MarkerIndex:
    """The lines that are markers. `lines` is sorted; `keys` name the markers, in the same order.

    A marker keeps its key while other lines change and while its own text is edited.
    """

    def __init__(self, is_marker: Callable[[str], bool], lines: Sequence[str]) -> None:
        self._is_marker = is_marker
        self._next_key = itertools.count(1)
        self.lines = [number for number, line in enumerate(lines) if is_marker(line)]
        self.keys = [next(self._next_key) for _ in self.lines]

    def edited(self, start: int, removed: Sequence[str], inserted: Sequence[str]) -> None:
        """The lines `removed` at `start` have become `inserted`: look there, shift the rest."""
        low = bisect_left(self.lines, start)
        high = bisect_left(self.lines, start + len(removed))
        found = [start + i for i, line in enumerate(inserted) if self._is_marker(line)]
        if len(found) != high - low:
            self.keys[low:high] = [next(self._next_key) for _ in found]
        if shift := len(inserted) - len(removed):
            found += [number + shift for number in self.lines[high:]]
            high = len(self.lines)
        self.lines[low:high] = found
