"""Which lines of a text match a pattern: their sorted numbers, kept up to date edit by edit."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BLOCK: Final = 256
"""Markers in a block at first; one that grows to twice as many is divided."""


class Marker(NamedTuple):
    """A line that is a marker. Its key is its own for as long as the line is one."""

    line: int
    key: int


class MarkerIndex:
    """The lines that are markers, in order.

    A marker keeps its key while other lines change and while its own text is edited. They are kept
    in blocks, whose markers count their lines from where the block starts, so that an edit touches
    one block and moves the starts of the others.
    """

    def __init__(self, is_marker: Callable[[str], bool], lines: Sequence[str]) -> None:
        self.is_marker = is_marker
        self._next_key = itertools.count(1)
        self._starts = [0]
        self._blocks = [[Marker(n, next(self._next_key)) for n in self._find(lines, 0)]]
        self._divide(0)

    # --- looking up

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def __getitem__(self, index: int) -> Marker:
        """Raises `IndexError`, also for negative numbers."""
        if index >= 0:
            for start, block in zip(self._starts, self._blocks, strict=True):
                if index < len(block):
                    return Marker(block[index].line + start, block[index].key)
                index -= len(block)
        raise IndexError

    def __iter__(self) -> Iterator[Marker]:
        for start, block in zip(self._starts, self._blocks, strict=True):
            for line, key in block:
                yield Marker(line + start, key)

    def count_before(self, line: int) -> int:
        """How many markers are above a line."""
        at = self._block_at(line)
        here = bisect_left(self._blocks[at], (line - self._starts[at],))
        return sum(map(len, self._blocks[:at])) + here

    def lines_from(self, line: int) -> Iterator[int]:
        """The numbers of the markers at a line and below it."""
        at = self._block_at(line)
        first = bisect_left(self._blocks[at], (line - self._starts[at],))
        for number, start in enumerate(self._starts[at:], at):
            for marker in self._blocks[number][first:]:
                yield marker.line + start
            first = 0

    # --- edits

    def edited(self, start: int, removed: Sequence[str], inserted: Sequence[str]) -> None:
        """The lines `removed` at `start` have become `inserted`: look there, shift the rest."""
        at, last = self._block_at(start), self._block_at(start + len(removed))
        if last > at:
            self._join(at, last)
        base, block = self._starts[at], self._blocks[at]
        start -= base
        low = bisect_left(block, (start,))
        high = bisect_left(block, (start + len(removed),))
        found = self._find(inserted, start)
        keys = [key for _, key in block[low:high]]
        if len(found) != len(keys):
            keys = [next(self._next_key) for _ in found]
        block[low:high] = map(Marker, found, keys)
        if shift := len(inserted) - len(removed):
            below = low + len(found)
            block[below:] = [Marker(line + shift, key) for line, key in block[below:]]
            self._starts[at + 1 :] = [each + shift for each in self._starts[at + 1 :]]
        self._divide(at)

    def _find(self, lines: Sequence[str], start: int) -> list[int]:
        return [number for number, line in enumerate(lines, start) if self.is_marker(line)]

    def _block_at(self, line: int) -> int:
        return max(0, bisect_right(self._starts, line) - 1)

    def _join(self, first: int, last: int) -> None:
        """Make one block of those from `first` to `last`."""
        for start, block in zip(
            self._starts[first + 1 : last + 1], self._blocks[first + 1 : last + 1], strict=True
        ):
            offset = start - self._starts[first]
            self._blocks[first] += [Marker(line + offset, key) for line, key in block]
        del self._starts[first + 1 : last + 1], self._blocks[first + 1 : last + 1]

    def _divide(self, at: int) -> None:
        """Divide a block that has become too large."""
        block = self._blocks[at]
        if len(block) <= 2 * BLOCK:
            return
        parts = [block[first : first + BLOCK] for first in range(0, len(block), BLOCK)]
        offsets = [0, *(part[0].line for part in parts[1:])]
        self._starts[at : at + 1] = [self._starts[at] + offset for offset in offsets]
        self._blocks[at : at + 1] = [
            [Marker(line - offset, key) for line, key in part]
            for part, offset in zip(parts, offsets, strict=True)
        ]
