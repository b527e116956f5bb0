"""Cells of programs: `# %%` markers in any language, RStudio's sections, else the whole file."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from carpo_lsp.documents.cells import Cell
from carpo_lsp.documents.header import Header, script_header
from carpo_lsp.documents.languages import comment_markers, kernel_language
from carpo_lsp.documents.markers import MarkerIndex
from carpo_lsp.documents.options import marker_options, option_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carpo_lsp.documents.cells import CellKind
    from carpo_lsp.documents.markers import Marker

_DOCSTRING_QUOTES = ('"""', "'''")


def marker_pattern(language: str) -> re.Pattern[str]:
    """What a line that starts a cell looks like in `language`; group 1 is the text after `%%`."""
    heads = []
    for marker in comment_markers(language):
        # `%%%` is an ordinary comment where `%` starts one.
        gap = "[ \t]+" if marker == "%" else "[ \t]*"
        heads.append(re.escape(marker) + gap)
    if language in ("matlab", "octave"):
        heads.append("")  # their own sections start with a bare `%%`
    head = "|".join(heads)
    return re.compile(rf"(?:{head})(?:%%+(?=\s|$)(.*)|In\[[\d ]*\]:?\s*$)", re.DOTALL)


class ScriptLayout:
    """A program's cells. Edits touch the marker index only; cells are made when asked for."""

    def __init__(self, lines: Sequence[str], language: str) -> None:
        self._lines = lines
        self._language = language
        self._comments = comment_markers(language)
        self._pattern = marker_pattern(language)
        self._percent = MarkerIndex(self._is_percent_marker, lines)
        self._sections = MarkerIndex(_is_section, lines) if language == "r" else None

    def _is_percent_marker(self, line: str) -> bool:
        # Most lines hold neither, and `in` is quicker than a pattern.
        return ("%%" in line or "In[" in line) and self._pattern.match(line) is not None

    @property
    def _markers(self) -> MarkerIndex:
        if self._sections is None or len(self._percent):
            return self._percent
        return self._sections

    @property
    def has_markers(self) -> bool:
        return len(self._markers) > 0

    def edited(self, start: int, removed: Sequence[str], inserted: Sequence[str]) -> None:
        self._percent.edited(start, removed, inserted)
        if self._sections is not None:
            self._sections.edited(start, removed, inserted)

    def cells(self) -> tuple[Cell, ...]:
        first = self._preamble()
        cells = [] if first is None else [first]
        ends = itertools.chain((line for line, _ in self._markers), (len(self._lines),))
        next(ends)  # that is where the first one starts
        for marker, end in zip(self._markers, ends, strict=False):
            cells.append(self._marked(marker, end, len(cells)))
        return tuple(cells)

    def cell_at(self, line: int) -> Cell | None:
        if not 0 <= line < len(self._lines):
            return None
        markers = self._markers
        count = markers.count_before(line + 1)
        first = self._preamble()
        if count == 0:
            return first
        end = markers[count].line if count < len(markers) else len(self._lines)
        return self._marked(markers[count - 1], end, count - 1 if first is None else count)

    def header(self) -> Header | None:
        return script_header(self._lines, self._comments)

    def _preamble(self) -> Cell | None:
        """The cell before the first marker, or of the whole file; None if it would be blank."""
        header = self.header()
        code_start = header.end_line if header else 0
        end = next(self._markers.lines_from(0), None)
        if end is None:
            end = len(self._lines)
        else:
            code_start = min(code_start, end)
            if not any(self._lines[i].strip() for i in range(code_start, end)):
                return None
        options = self._option_lines(code_start, end)
        return Cell(0, "code", self._language, 0, end, code_start, end, "", options)

    def _marked(self, marker: Marker, end: int, index: int) -> Cell:
        """The cell of a marker, which is the `index`-th of all."""
        start = marker.line
        code = (start + 1, end, "")
        kind: CellKind = "code"
        language = self._language
        options: dict[str, Any] = {}
        if self._markers is self._sections:
            title = _section_title(self._lines[start])
        else:
            match = self._pattern.match(self._lines[start])
            title, cell_type, options = marker_options((match and match[1]) or "")
            if cell_type == "markdown":
                kind, language = "markdown", "markdown"
            elif cell_type == "raw":
                kind, language = "raw", ""
            elif "language" in options:
                language = kernel_language(str(options["language"]))
        if kind == "code":
            options |= self._option_lines(start + 1, end)
        else:
            code = self._prose(start + 1, end)
        return Cell(
            index=index,
            kind=kind,
            language=language,
            start_line=start,
            end_line=end,
            code_start=code[0],
            code_end=code[1],
            title=title,
            options=options,
            prefix=code[2],
            key=marker.key,
        )

    def _option_lines(self, start: int, end: int) -> dict[str, Any]:
        return option_lines((self._lines[i] for i in range(start, end)), self._comments)

    def _prose(self, start: int, end: int) -> tuple[int, int, str]:
        """Where the text of a markdown cell is, and the comment marker before each of its lines."""
        last = end - 1
        while last > start and not self._lines[last].strip():
            last -= 1
        quotes = self._lines[start].strip() if start < end else ""
        if quotes in _DOCSTRING_QUOTES and last > start and self._lines[last].strip() == quotes:
            return start + 1, last, ""
        for marker in self._comments:
            if start < end and self._lines[start].startswith(marker):
                return start, end, marker
        return start, end, ""


def _section_title(line: str) -> str:
    """The title of RStudio's `# Load data ----`: a comment that ends in four of -, = or #."""
    line = line.rstrip()
    if not line.startswith("#") or line[-4:] not in ("----", "====", "####"):
        return ""
    title = line.strip(" \t#-=")
    # A line of dashes is decoration.
    return title if any(map(str.isalnum, title)) else ""


def _is_section(line: str) -> bool:
    return line.startswith("#") and _section_title(line) != ""
