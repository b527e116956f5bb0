"""The fences of a Markdown text, kept up to date at a cost that does not grow with the text.

The text is divided into sections of a few lines. Each starts at an anchor (see `fences.py`), so
that what is in it depends on its own lines and the one below them alone. An edit makes its section
unknown, and moves the starts of those below. Unknown ones are parsed when somebody asks for a line
in them or below, from the top and no further than that; the whole text starts as an unknown one.

A fence or a comment may be opened above other sections, and covers them until it is closed. They
keep what is known of them: it is as right as before when the block is closed again. A YAML header
covers the sections at the start of the text.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field, structs

from carpo_lsp.documents.fences import (
    CLOSES,
    FenceParser,
    Parsed,
    is_blank,
    opens_block,
)
from carpo_lsp.documents.header import ends_header, may_open_header
from carpo_lsp.documents.markers import MarkerIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from carpo_lsp.documents.fences import Fence, Found, Raw

SECTION: Final = 24
"""Lines of a section, less than twice as many where there are anchors enough."""

WINDOW: Final = 64
"""Lines that are parsed at first of an unknown section; more, where they hold no anchor."""

GROWTH: Final = 4

UNKNOWN: Final = -1


class CodeFence(Struct, frozen=True):
    """A fence that is a cell, the `index`-th of all, from `start` to `end`. See `Cell.key`."""

    index: int
    start: int
    end: int
    fence: Fence
    key: int


class Section(Struct):
    """All lines count from its own first one. `fences` is None when it is unknown."""

    fences: list[Found] | None = None
    keys: dict[int, int] = field(default_factory=dict)
    """Of each line that has been the first of a fence, whether it is that now or not."""
    covers: bool = False
    """Whether its last block, a fence or HTML, goes on in sections below."""
    count: int = UNKNOWN
    """How many of its fences are cells."""
    flat: bool = False
    """No fence and no HTML but in fences that start in the first column: see `_survives`."""

    def forget(self) -> None:
        self.fences, self.count, self.covers = None, UNKNOWN, False


class Sections:
    """`_starts`, `_sections`, `_counts` and `_covered` run in parallel.

    `_counts` has the cells of each section, none for one that is covered.
    """

    def __init__(self, lines: Sequence[str], language: Callable[[str], str | None]) -> None:
        self._lines = lines
        self._parser = FenceParser(language)
        self._next_key = itertools.count(1)
        self._starts = [0]
        self._sections = [Section()]
        self._counts = [UNKNOWN]
        self._covered = [False]
        self._ends = {kind: MarkerIndex(closes, lines) for kind, closes in CLOSES.items()}
        self._header_ends = MarkerIndex(ends_header, lines)
        self.header_end = 0
        """The line after the YAML header, 0 where there is none."""
        self._cover_header(0)

    # --- looking up

    def at(self, line: int) -> CodeFence | None:
        """The fence that holds a line, if it is a cell."""
        if not 0 <= line < len(self._lines):
            return None
        at = self._known_section_at(line)
        at = self._cover_of(at)
        if at < 0:
            return None  # in the header
        base, fences = self._starts[at], self._sections[at].fences or []
        number = bisect_right(fences, line - base, key=itemgetter(0)) - 1
        if number < 0 or fences[number][2].language is None:
            return None
        code = sum(fence.language is not None for _, _, fence in fences[:number])
        found = self._placed(at, number, sum(self._counts[:at]) + code)
        return found if line < found.end else None

    def __iter__(self) -> Iterator[CodeFence]:
        """All that are cells."""
        self._known_section_at(len(self._lines) - 1)
        index = 0
        for at, count in enumerate(self._counts):
            if count:
                for number, (_, _, fence) in enumerate(self._sections[at].fences or ()):
                    if fence.language is not None:
                        yield self._placed(at, number, index)
                        index += 1

    @property
    def has_code(self) -> bool:
        """Whether any fence is a cell; parses up to the first that is."""
        while UNKNOWN in self._counts:
            at = self._counts.index(UNKNOWN)
            if any(self._counts[:at]):
                return True
            self._settle(at)
        return any(self._counts)

    def _placed(self, at: int, number: int, index: int) -> CodeFence:
        base, section = self._starts[at], self._sections[at]
        fences = section.fences or []
        start, end, fence = fences[number]
        if self._goes_on(at, number):
            below = [*self._covered[at + 1 :], False].index(False)
            end = self._start_of(at + 1 + below) - base
        return CodeFence(index, base + start, base + end, fence, section.keys[start])

    def _goes_on(self, at: int, number: int) -> bool:
        """Whether a fence is the one that covers the sections below."""
        section = self._sections[at]
        fences = section.fences or []
        length = self._start_of(at + 1) - self._starts[at]
        return section.covers and number == len(fences) - 1 and fences[number][1] == length

    def _section_at(self, line: int) -> int:
        return bisect_right(self._starts, line) - 1

    def _known_section_at(self, line: int) -> int:
        """The section that holds a line, when it and all above are known."""
        while True:
            at = self._section_at(line)
            if UNKNOWN not in self._counts[: at + 1]:
                return at
            self._settle(self._counts.index(UNKNOWN))

    def _start_of(self, at: int) -> int:
        """The first line of a section, or the line after the text."""
        return self._starts[at] if at < len(self._starts) else len(self._lines)

    # --- edits

    def edited(self, start: int, removed: Sequence[str], inserted: Sequence[str]) -> None:
        """The lines `removed` at `start` have become `inserted`."""
        for index in (*self._ends.values(), self._header_ends):
            index.edited(start, removed, inserted)
        stop = start + len(removed)
        shift = len(inserted) - len(removed)
        first, last = self._section_at(start), self._section_at(max(start, stop - 1))
        if not self._survives(first, last, start, stop, removed, inserted):
            if self._covered[first]:
                self._reopen(first)
            elif first and start == self._starts[first] and not self._covered[first - 1]:
                first -= 1  # it ended where it did because of this line
            self._join(first, last)
            self._forget(first)
        base, section = self._starts[first], self._sections[first]
        _move(section, start - base, stop - base, shift)
        if shift:
            self._starts[first + 1 :] = [line + shift for line in self._starts[first + 1 :]]
        if self._start_of(first + 1) == base:
            self._splice(first, first + 1, {})
        if start < self.header_end:
            crossing = stop > self.header_end
            self._cover_header(UNKNOWN if crossing else self.header_end + shift)
        else:
            self._cover_header(self.header_end)

    def _survives(
        self,
        first: int,
        last: int,
        start: int,
        stop: int,
        removed: Sequence[str],
        inserted: Sequence[str],
    ) -> bool:
        """Whether the edit leaves all fences as they are, less their place."""
        if first < last:
            return False
        lines = [*removed, *inserted]
        section, base = self._sections[first], self._starts[first]
        if self._covered[first]:
            # All that matters to what covers it is whether a line closes that.
            if any(map(_may_close, lines)):
                return False
            section.forget()
            if start == base and first and self._covered[first - 1]:
                self._sections[first - 1].forget()
            return True
        if section.fences is None:
            return False
        start, stop = start - base, stop - base
        number = bisect_left(section.fences, start, key=itemgetter(0)) - 1
        if number >= 0:
            _, end, fence = section.fences[number]
            goes_on = section.covers and number == len(section.fences) - 1
            if fence.top and stop <= end - (fence.closed and not goes_on):
                return not any(map(_may_close, lines))
        # Lists, quotes, indents and blank lines cannot reach into or hide a fence in the first
        # column; an HTML block could, but there is none and none is made. Nor can they hide the
        # anchor below, if it is not for the last line that it is one.
        if not section.flat or start == 0 or any(map(opens_block, lines)):
            return False
        if first + 1 == len(self._starts):
            return True
        shift = len(inserted) - len(removed)
        end = self._starts[first + 1] + shift
        firm = is_blank(self._lines[end - 1]) or self._lines[end][0] in "#`~"
        return firm and base + stop + shift < end

    def _reopen(self, at: int) -> None:
        """Make the section unknown that covers this one."""
        at = self._cover_of(at)
        if at >= 0:
            self._forget(at)

    def _cover_of(self, at: int) -> int:
        """The section that covers this one, which is itself where it is not covered; -1 where the
        header does."""
        return at - [*self._covered[at::-1], False].index(False)

    def _forget(self, at: int) -> None:
        self._sections[at].forget()
        self._counts[at] = 0 if self._covered[at] else UNKNOWN

    def _cover_header(self, known_end: int) -> None:
        """Let the header cover its sections, where it does not end as it is known to."""
        end = 0
        if may_open_header(self._lines):
            end = next(self._header_ends.lines_from(1), UNKNOWN) + 1
        self.header_end = end
        if end == known_end:
            return
        self._uncover(0)
        self._divide(end)
        self._cover(0, bisect_left(self._starts, end))

    # --- parsing

    def _settle(self, at: int) -> None:
        """Parse some of an unknown section, of which all above are known."""
        self._uncover(at + 1)
        start = self._starts[at]
        window = WINDOW
        while True:
            end = self._start_of(at + 1)
            stop = min(start + window, end)
            whole = stop == len(self._lines)
            # The line below tells whether it is an anchor.
            parsed = self._parser.parse(self._lines, start, stop if whole else stop + 1)
            if whole:
                self._divide(stop)
                return self._take(at, stop, parsed)
            if parsed.anchors:
                anchor = parsed.anchors[-1]
                self._divide(anchor)
                return self._take(at, anchor, parsed)
            if parsed.raw is not None and parsed.raw.start < stop:
                return self._take_raw(at, parsed, parsed.raw)
            window = GROWTH * (stop - start)
            while self._start_of(at + 1) < start + window and at + 1 < len(self._starts):
                self._join(at, at + 1)
                self._uncover(at + 1)

    def _take(self, at: int, end: int, parsed: Parsed) -> None:
        """Divide what has been parsed, up to an anchor or the end of the text, into sections."""
        start, old = self._starts[at], self._sections[at]
        starts = [start]
        for anchor in parsed.anchors:
            if anchor - starts[-1] >= SECTION and end - anchor >= SECTION:
                starts.append(anchor)
        sections = {}
        for base, stop in zip(starts, [*starts[1:], end], strict=True):
            low = bisect_left(parsed.fences, base, key=itemgetter(0))
            inside = parsed.fences[low : bisect_left(parsed.fences, stop, key=itemgetter(0))]
            fences = [(first - base, last - base, fence) for first, last, fence in inside]
            keys = {
                line + start - base: key
                for line, key in old.keys.items()
                if base <= line + start < stop
            }
            for first, _, _ in fences:
                keys[first] = keys.get(first) or next(self._next_key)
            flat = _is_flat(self._lines, base, stop, inside)
            code = sum(fence.language is not None for _, _, fence in fences)
            sections[base] = Section(fences, keys, count=code, flat=flat)
        self._splice(at, at + 1, sections)

    def _take_raw(self, at: int, parsed: Parsed, raw: Raw) -> None:
        """Take a section whose last block ends with the first line below that closes it."""
        first = raw.start + raw.is_fence
        found = [
            next((n for n in self._ends[kind].lines_from(first) if raw.ends(self._lines[n])), None)
            for kind in raw.kinds
        ]
        last = min((line for line in found if line is not None), default=None)
        end = len(self._lines) if last is None else last + 1
        self._divide(end)
        stop = self._start_of(at + 1)
        fences = parsed.fences
        if raw.is_fence:
            fence = structs.replace(fences[-1][2], closed=last is not None)
            fences = [*fences[:-1], (raw.start, stop, fence)]
        self._take(at, stop, Parsed(fences, []))
        self._sections[at].covers = stop < end
        self._cover(at + 1, bisect_left(self._starts, end))

    # --- sections

    def _cover(self, first: int, last: int) -> None:
        """Cover the sections up to `last`, and none that follow on it."""
        if first < last:
            self._covered[first:last] = [True] * (last - first)
            self._counts[first:last] = [0] * (last - first)
            self._uncover(last)

    def _uncover(self, at: int) -> None:
        """Uncover the sections that follow on each other from this one on, if it is covered."""
        while at < len(self._covered) and self._covered[at]:
            if self._sections[at].covers:
                self._sections[at].forget()
            self._covered[at] = False
            self._counts[at] = self._sections[at].count
            at += 1

    def _divide(self, line: int) -> None:
        """Let a section start at a line; it and the one above are unknown, if there was none."""
        at = self._section_at(line)
        base = self._starts[at]
        if line == base or line == len(self._lines):
            return
        above, below = Section(), Section()
        for number, key in self._sections[at].keys.items():
            if base + number < line:
                above.keys[number] = key
            else:
                below.keys[base + number - line] = key
        covered = self._covered[at]
        self._splice(at, at + 1, {base: above, line: below})
        if covered:
            self._covered[at : at + 2] = [True, True]
            self._counts[at : at + 2] = [0, 0]

    def _join(self, first: int, last: int) -> None:
        """Make one unknown section of those from `first` to `last`."""
        if first == last:
            return
        base = self._starts[first]
        keys = {
            start - base + line: key
            for start, section in zip(
                self._starts[first : last + 1], self._sections[first : last + 1], strict=True
            )
            for line, key in section.keys.items()
        }
        covered = all(self._covered[first : last + 1])
        self._splice(first, last + 1, {base: Section(keys=keys)})
        self._covered[first] = covered

    def _splice(self, first: int, last: int, sections: dict[int, Section]) -> None:
        """Put sections, by their starts, in place of those up to `last`. None is covered."""
        self._starts[first:last] = sections
        self._sections[first:last] = sections.values()
        self._counts[first:last] = [section.count for section in sections.values()]
        self._covered[first:last] = [False] * len(sections)


def _may_close(line: str) -> bool:
    return any(closes(line) for closes in CLOSES.values())


def _move(section: Section, start: int, stop: int, shift: int) -> None:
    """Shift what is below an edit within a section, and drop what was on lines that are gone."""
    kept = stop + shift
    section.keys = {
        line if line < stop else line + shift: key
        for line, key in section.keys.items()
        if line < min(stop, kept) or line >= stop
    }
    section.fences = section.fences and [
        (
            first if first < stop else first + shift,
            end if end <= start else end + shift,
            fence,
        )
        for first, end, fence in section.fences
    ]


def _is_flat(lines: Sequence[str], start: int, stop: int, fences: Sequence[Found]) -> bool:
    if not all(fence.top and not fence.prefix for _, _, fence in fences):
        return False
    gaps = zip([start, *(f[1] for f in fences)], [*(f[0] for f in fences), stop], strict=True)
    return not any(opens_block(lines[number]) for gap in gaps for number in range(*gap))
