"""Cells of prose: the fenced code of Markdown, MyST, Quarto and R Markdown, as CommonMark sees it.

Parsing is put off until cells are asked for, and most edits are shown not to need it
(`_survives`): then the fences below the edit only move. After others, only the text around the
edit is parsed, from an anchor to an anchor (see `fences.py`): a parse from the last anchor above
finds what a parse of all would find, and once it comes to an anchor below, it would go on from
there as the last parse did.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left, bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import attrs

from carpo_lsp.documents.cells import Cell, code_line
from carpo_lsp.documents.fences import Fence, find_fences
from carpo_lsp.documents.header import Header, front_matter, may_open_header
from carpo_lsp.documents.languages import comment_markers, is_known, kernel_language, suffix_of
from carpo_lsp.documents.options import chunk_options, marker_options, option_lines, yaml_scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carpo_lsp.documents.fences import Found

_CHUNK_NAMES = ("quarto", "qmd", "rmarkdown", "rmd", ".qmd", ".rmarkdown", ".rmd")
_PROSE_NAMES = ("markdown", "md", "myst", "pandoc", ".markdown", ".md")

# Fence words that no kernel runs: data, pictures, and the output of programs.
_NOT_CODE = frozenset(
    "asis cat comment console css csv diff dot embed html ini json json5 jsonc log markdown md "
    "mermaid none ojs output patch plain plaintext pycon rconsole rst svg tex text toml tsv txt "
    "verbatim xml yaml yml".split()
)

_CHUNK = re.compile(r"\{\s*([A-Za-z][\w+#.-]*)\s*(?:[\s,](.*))?\}$")
_WORD = re.compile(r"(?:\{\s*\.)?([A-Za-z][\w+#.-]*)(.*?)\}?$")
_MYST = re.compile(r"\{code-cell\}\s*([\w+#.-]*)")
_MYST_OPTION = re.compile(r":([\w-]+):(.*)")

# A line that opens or closes a fence in whatever lists and quotes it stands, and one that could
# open an HTML block, in which fences mean nothing.
_FENCE_LINE = re.compile(r"[ \t>*+\-0-9.)]*(?:```|~~~)")
_FENCE_OR_HTML_LINE = re.compile(r"[ \t>*+\-0-9.)]*(?:```|~~~|<)")

# How many lines below an edit are parsed at first, and how many times more if no anchor is there.
_WINDOW = 200
_WINDOW_GROWTH = 4


def is_prose(language: str, uri: str) -> bool:
    """Whether a document's cells are fences."""
    names = (*_CHUNK_NAMES, *_PROSE_NAMES)
    return language in names or suffix_of(uri) in names


def has_chunks(language: str, uri: str) -> bool:
    """Whether only fences with braces run, as in Quarto and R Markdown."""
    return language in _CHUNK_NAMES or suffix_of(uri) in _CHUNK_NAMES


class MarkdownLayout:
    """A prose document's cells. `_starts`, `_ends` and `_fences` run in parallel, in order."""

    def __init__(self, lines: Sequence[str], *, chunks: bool) -> None:
        self._lines = lines
        self._chunks = chunks
        self._next_key = itertools.count(1)
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._fences: list[Fence] = []
        self._keys: list[int] = []
        # The fences that are cells, by their place in the lists above.
        self._code: list[int] = []
        self._header: Header | None = None
        # Where the last parse can be taken up, in order; not all anchors there are.
        self._anchors: list[int] = []
        # The lines, from and up to, outside which nothing has changed since the last parse.
        self._changed: tuple[int, int] | None = (0, len(lines))
        # No fence and no HTML but in fences that start in the first column: see `_survives`.
        self._flat = False
        self._may_open_header = False

    # --- what the document asks

    @property
    def has_markers(self) -> bool:
        self._parse()
        return bool(self._code)

    def cells(self) -> tuple[Cell, ...]:
        self._parse()
        return tuple(self._cell(index) for index in range(len(self._code)))

    def cell_at(self, line: int) -> Cell | None:
        self._parse()
        i = bisect_right(self._starts, line) - 1
        if i < 0 or line >= self._ends[i] or self._fences[i].language is None:
            return None
        return self._cell(bisect_left(self._code, i))

    def header(self) -> Header | None:
        self._parse()
        return self._header

    # --- edits

    def edited(self, start: int, removed: Sequence[str], inserted: Sequence[str]) -> None:
        stop = start + len(removed)
        first = bisect_left(self._starts, start)
        shift = len(inserted) - len(removed)
        if self._changed:
            self._changed = min(self._changed[0], start), max(self._changed[1], stop) + shift
        elif not self._survives(first, start, stop, removed, inserted):
            self._changed = start, stop + shift
        above, below = bisect_left(self._anchors, start), bisect_left(self._anchors, stop)
        if shift or above < below:
            self._anchors[above:] = [line + shift for line in self._anchors[below:]]
        if first and self._ends[first - 1] > start:
            self._ends[first - 1] += shift
        if shift:
            self._move(first, start, stop, len(inserted))

    def _survives(
        self, first: int, start: int, stop: int, removed: Sequence[str], inserted: Sequence[str]
    ) -> bool:
        """Whether the edit leaves all fences as they are, less their place. `first` is the next."""
        if not self._header_survives(start):
            return False
        if first and self._fences[first - 1].top:
            code_end = self._ends[first - 1] - self._fences[first - 1].closed
            if stop <= code_end:
                # In code outside lists and quotes, only a line that closes the fence matters.
                return not any(map(_FENCE_LINE.match, inserted))
        # Lists, quotes, indents and blank lines cannot reach into or hide a fence in the first
        # column; an HTML block could, but there is none and none is made.
        lines = itertools.chain(removed, inserted)
        return self._flat and not any(map(_FENCE_OR_HTML_LINE.match, lines))

    def _header_survives(self, start: int) -> bool:
        """Whether the header, or that there is none, is unchanged if all lines before `start` are.

        A block without an end may get one anywhere, a closed one changes only within.
        """
        if self._may_open_header or may_open_header(self._lines):
            return self._header is not None and start >= self._header.end_line
        return True

    def _move(self, first: int, start: int, stop: int, inserted: int) -> None:
        """Shift the fences below the edit; one within keeps its line and key if that is left."""
        last = bisect_left(self._starts, stop)
        kept = bisect_left(self._starts, start + inserted, first, last)
        shift = inserted - (stop - start)
        self._starts[kept:] = [line + shift for line in self._starts[last:]]
        self._ends[kept:] = [line + shift for line in self._ends[last:]]
        del self._fences[kept:last]
        del self._keys[kept:last]

    # --- parsing

    def _parse(self) -> None:
        if self._changed is None:
            return
        start, stop = self._changed
        if not self._header_survives(start):
            self._may_open_header = may_open_header(self._lines)
            self._header = front_matter(self._lines)
            self._anchors = []
        body = self._header.end_line if self._header else 0
        above = bisect_left(self._anchors, start)
        below = bisect_left(self._anchors, stop)
        start = self._anchors[above - 1] if above else body
        known = set(self._anchors[below:])
        window = _WINDOW if known else len(self._lines)
        while True:
            end = min(stop + window, len(self._lines))
            fences, anchors = find_fences(self._lines, start, end, self._language)
            met = next((line for line in anchors if line in known), None)
            if met is not None or end == len(self._lines):
                break
            window *= _WINDOW_GROWTH
        stop = len(self._lines) if met is None else met
        fences = fences[: bisect_left(fences, stop, key=itemgetter(0))]
        self._anchors = [
            *self._anchors[: bisect_left(self._anchors, start)],
            *anchors[: bisect_left(anchors, stop)],
            *self._anchors[bisect_left(self._anchors, stop) :],
        ]
        # A new header takes in what was known above the body.
        self._replace(start if above else 0, stop, fences)
        # Once false, it is so until all is parsed again: to parse around edits is cheap too.
        whole = start == body and stop == len(self._lines)
        self._flat = (self._flat or whole) and self._is_flat(start, stop, fences)
        self._code = [i for i, fence in enumerate(self._fences) if fence.language is not None]
        self._changed = None

    def _replace(self, start: int, stop: int, fences: Sequence[Found]) -> None:
        """Put the fences found between two lines in place of those that were known there."""
        first, last = bisect_left(self._starts, start), bisect_left(self._starts, stop)
        keys = dict(zip(self._starts[first:last], self._keys[first:last], strict=True))
        self._starts[first:last] = [line for line, _, _ in fences]
        self._ends[first:last] = [end for _, end, _ in fences]
        self._fences[first:last] = [fence for _, _, fence in fences]
        self._keys[first:last] = [keys.get(line) or next(self._next_key) for line, _, _ in fences]

    def _is_flat(self, start: int, stop: int, fences: Sequence[Found]) -> bool:
        if not all(fence.top and not fence.prefix for _, _, fence in fences):
            return False
        gaps = zip([start, *(f[1] for f in fences)], [*(f[0] for f in fences), stop], strict=True)
        return not any(
            _FENCE_OR_HTML_LINE.match(self._lines[number]) for gap in gaps for number in range(*gap)
        )

    def _language(self, info: str) -> str | None:
        """The kernel language a fence's info string names; None where the fence is not to run."""
        if match := _MYST.match(info):
            header_language = self._header.language if self._header else None
            return kernel_language(match[1]) or header_language or "python"
        chunk = _CHUNK.match(info)
        match = chunk if self._chunks else chunk or _WORD.match(info)
        if match is None or match[1].lower() in _NOT_CODE:
            return None
        language = kernel_language(match[1])
        if chunk and not self._chunks and not is_known(language):
            return None  # in plain Markdown `{note}` is a directive of MyST
        return language

    # --- cells

    def _cell(self, index: int) -> Cell:
        i = self._code[index]
        fence = self._fences[i]
        cell = Cell(
            index=index,
            kind="code",
            language=fence.language or "",
            start_line=self._starts[i],
            end_line=self._ends[i],
            code_start=self._starts[i] + 1,
            code_end=self._ends[i] - fence.closed,
            prefix=fence.prefix,
            key=self._keys[i],
        )
        options: dict[str, Any] = {}
        if _MYST.match(fence.info):
            cell, options = self._myst_options(cell)
        elif match := _CHUNK.match(fence.info):
            options = chunk_options(match[2] or "")
        elif match := _WORD.match(fence.info):
            options = marker_options(match[2])[2]
        code = (code_line(cell, self._lines[n]) for n in range(cell.code_start, cell.code_end))
        options |= option_lines(code, comment_markers(cell.language))
        title = str(options.get("label") or options.get("title") or "")
        # knitr's way to run another language in an R chunk.
        language = kernel_language(str(options.get("engine") or cell.language))
        return attrs.evolve(cell, options=options, title=title, language=language)

    def _myst_options(self, cell: Cell) -> tuple[Cell, dict[str, Any]]:
        """MyST's options, `:key: value` lines or a YAML block, which are not part of the code."""
        options: dict[str, Any] = {}
        lines = [code_line(cell, line) for line in self._lines[cell.code_start : cell.code_end]]
        count = 0
        if lines and lines[0] == "---" and "---" in lines[1:]:
            count = lines.index("---", 1) + 1
            for line in lines[1 : count - 1]:
                key, colon, value = line.partition(":")
                if colon and key == key.strip():
                    options[key] = yaml_scalar(value)
        while count < len(lines) and (match := _MYST_OPTION.match(lines[count])):
            options[match[1]] = yaml_scalar(match[2])
            count += 1
        return attrs.evolve(cell, code_start=cell.code_start + count), options
