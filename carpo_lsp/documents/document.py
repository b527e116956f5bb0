"""An open text document: its lines, its edits, its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from carpo_lsp.documents.cells import WholeLayout, code_line
from carpo_lsp.documents.languages import document_language
from carpo_lsp.documents.markdown import MarkdownLayout, has_chunks, is_prose
from carpo_lsp.documents.positions import (
    Encoding,
    Position,
    Range,
    from_code_points,
    split_lines,
    to_code_points,
    without_line_end,
)
from carpo_lsp.documents.script import ScriptLayout

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from carpo_lsp.documents.cells import Cell, CellKind, Layout
    from carpo_lsp.documents.header import Header

# The text of a range (None: of the whole document) becomes another.
Change: TypeAlias = "tuple[Range | None, str]"


class Document:
    """A text as the client shows it, with the version the client gave it.

    Positions and ranges are in the client's `encoding`; a "point" is a line and a code point in it.
    Whatever lies outside the text is moved to the nearest place inside. An edit costs what it
    changes, not what the document holds.
    """

    def __init__(
        self,
        uri: str,
        language_id: str,
        version: int,
        text: str,
        encoding: Encoding = Encoding.UTF16,
    ) -> None:
        self.uri = uri
        self.language_id = language_id
        self.language = document_language(language_id, uri)
        self.version = version
        self.encoding = encoding
        self._cell_kind: CellKind | None = None
        self._cell_tags: Sequence[str] = ()
        self._lines = split_lines(text)
        self._text: str | None = text
        self._layout: Layout | None = None
        self._cells: tuple[Cell, ...] | None = None

    # --- text

    @property
    def line_count(self) -> int:
        """At least 1: the last line is the one without a line end, and may be empty."""
        return len(self._lines)

    def line(self, number: int) -> str:
        """A line without its line end; "" outside the document."""
        return without_line_end(self._lines[number]) if 0 <= number < len(self._lines) else ""

    def text(self) -> str:
        """All of it, as the client has it."""
        if self._text is None:
            self._text = "".join(self._lines)
        return self._text

    def text_between(self, start_line: int, end_line: int) -> str:
        """The text of a half-open range of lines, with their line ends."""
        return "".join(self._lines[max(0, start_line) : max(0, end_line)])

    def text_in(self, range_: Range) -> str:
        (line, column), (end_line, end_column) = self._points(range_)
        if line == end_line:
            return self._lines[line][column:end_column]
        middle = self.text_between(line + 1, end_line)
        return self._lines[line][column:] + middle + self._lines[end_line][:end_column]

    # --- places

    def point(self, position: Position) -> tuple[int, int]:
        """The line and the code point in it that `position` means."""
        if position.line < 0:
            return 0, 0
        if position.line >= len(self._lines):
            return len(self._lines) - 1, len(self._lines[-1])
        line = without_line_end(self._lines[position.line])
        return position.line, to_code_points(line, position.character, self.encoding)

    def position(self, line: int, column: int) -> Position:
        """The position of a code point in a line: the inverse of `point`."""
        if line < 0:
            return Position(0, 0)
        if line >= len(self._lines):
            line, column = len(self._lines) - 1, len(self._lines[-1])
        text = without_line_end(self._lines[line])
        return Position(line, from_code_points(text, column, self.encoding))

    def offset(self, position: Position) -> int:
        """The code point of the whole text that `position` means; costs a pass over the lines."""
        line, column = self.point(position)
        return sum(map(len, self._lines[:line])) + column

    def position_at(self, offset: int) -> Position:
        """The position of a code point of the whole text: the inverse of `offset`."""
        for number, line in enumerate(self._lines):
            if offset < len(line):
                return self.position(number, offset)
            offset -= len(line)
        return self.end

    @property
    def end(self) -> Position:
        return self.position(len(self._lines), 0)

    def range_of_lines(self, start_line: int, end_line: int) -> Range:
        """From the start of a line to the last character of the line before `end_line`."""
        last = max(start_line, end_line - 1)
        start = self.position(start_line, 0)
        return Range(start, max(start, self.position(last, len(self.line(last)))))

    def _points(self, range_: Range) -> tuple[tuple[int, int], tuple[int, int]]:
        start, end = self.point(range_.start), self.point(range_.end)
        return (start, end) if start <= end else (end, start)

    # --- edits

    def apply(self, changes: Iterable[Change], version: int) -> None:
        """Make the changes one after another. None of them can fail."""
        for range_, text in changes:
            if range_ is None:
                self._replace(0, len(self._lines), split_lines(text))
                continue
            (line, column), (end_line, end_column) = self._points(range_)
            head = self._lines[line][:column]
            tail = self._lines[end_line][end_column:]
            stop = end_line + 1
            if not head and line and (text + tail).startswith("\n"):
                # "\r" at the end of the line before and "\n" are one line end now.
                if self._lines[line - 1].endswith("\r"):
                    line -= 1
                    head = self._lines[line]
            lines = split_lines(head + text + tail)
            if stop < len(self._lines):
                lines.pop()  # what follows `tail`'s line end is there already
            self._replace(line, stop, lines)
        self.version = version

    def _replace(self, start: int, stop: int, lines: list[str]) -> None:
        """Put `lines` in place of those from `start` to `stop`."""
        # What did not change is no edit: a client that sends whole texts moves no cell but those
        # it changed, and line ends that were split do not touch the line after.
        removed = self._lines[start:stop]
        same = 0
        shorter = min(len(removed), len(lines))
        while same < shorter and removed[same] == lines[same]:
            same += 1
        shorter -= same
        end = 0
        while end < shorter and removed[-1 - end] == lines[-1 - end]:
            end += 1
        start += same
        removed = removed[same : len(removed) - end]
        lines = lines[same : len(lines) - end]
        if not removed and not lines:
            return
        self._lines[start : start + len(removed)] = lines
        self._text = self._cells = None
        if self._layout:
            self._layout.edited(start, removed, lines)

    # --- cells

    def embed(self, kind: CellKind, tags: Sequence[str] = ()) -> None:
        """Make this the document of a notebook's cell: one cell of `kind`, whatever its text."""
        self._cell_kind, self._cell_tags = kind, tags
        self._layout = self._cells = None

    @property
    def has_markers(self) -> bool:
        """Whether the text marks its cells; without markers the whole program is one cell."""
        return self._cut().has_markers

    def cells(self) -> tuple[Cell, ...]:
        """All cells of this version, in order."""
        if self._cells is None:
            self._cells = self._cut().cells()
        return self._cells

    def cell_at(self, line: int) -> Cell | None:
        """The cell that holds `line`, None between cells; does not make the others."""
        return self._cut().cell_at(line)

    def header(self) -> Header | None:
        """What the YAML header at the start asks for; None if there is no header."""
        return self._cut().header()

    def code(self, cell: Cell) -> str:
        r"""What the kernel is to run: the cell's code with "\n" line ends, prefixes taken off."""
        lines = self._lines[cell.code_start : cell.code_end]
        text = "".join(lines)
        if cell.prefix or "\r" in text:
            return "\n".join(code_line(cell, line) for line in lines)
        # Every cell's code is compared with what was run whenever results are shown.
        return text[:-1] if lines and lines[-1].endswith("\n") else text

    def code_range(self, cell: Cell) -> Range:
        """From the first line of the cell's code to the end of its last line that is not blank."""
        last = cell.code_end
        while last > cell.code_start + 1 and not self.line(last - 1).strip():
            last -= 1
        return self.range_of_lines(cell.code_start, last)

    def _cut(self) -> Layout:
        """The layout, made when first asked for: many documents are opened and never run."""
        if self._layout is None:
            if self._cell_kind:
                self._layout = WholeLayout(
                    self._lines, self._cell_kind, self.language, self._cell_tags
                )
            elif is_prose(self.language, self.uri):
                chunks = has_chunks(self.language, self.uri)
                self._layout = MarkdownLayout(self._lines, chunks=chunks)
            else:
                self._layout = ScriptLayout(self._lines, self.language)
        return self._layout
