"""The piece of a cell that a question about the cursor's place is asked with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from carpo_lsp.documents.cells import prefix_width
from carpo_lsp.documents.positions import Position, from_code_points

if TYPE_CHECKING:
    from carpo_lsp.documents.cells import Cell
    from carpo_lsp.documents.document import Document
    from carpo_lsp.documents.positions import Encoding

CONTEXT: Final = 200
"""Lines that are sent at the most. A marked cell of at most so many lines is sent whole; of a
longer one, and of a plain file, what ends with the cursor's line."""

INSIDE: Final = (" ", "\t", ")", "]", "}")
"""How a line begins that is not the start of a statement."""


class Excerpt(Struct, frozen=True):
    """Some lines of a document as they were when the question was asked."""

    first_line: int
    lines: tuple[str, ...]
    prefixes: tuple[int, ...]
    """How many characters at the start of each line are not code."""
    cursor: int
    """The cursor's place in `code`, in code points: Jupyter's `cursor_pos`."""
    encoding: Encoding

    @property
    def code(self) -> str:
        return "\n".join(
            line[prefix:] for line, prefix in zip(self.lines, self.prefixes, strict=True)
        )

    def position(self, offset: int) -> Position:
        """The place in the document of a code point of `code`."""
        for number, (line, prefix) in enumerate(zip(self.lines, self.prefixes, strict=True)):
            length = len(line) - prefix
            if offset <= length or number == len(self.lines) - 1:
                column = prefix + max(0, min(offset, length))
                return Position(
                    self.first_line + number, from_code_points(line, column, self.encoding)
                )
            offset -= length + 1
        return Position(self.first_line, 0)


def excerpt(document: Document, cell: Cell | None, position: Position) -> Excerpt | None:
    """What to send of a cell with a question about a position in it.

    None where there is nothing to ask: outside code, and on a marker or a fence.
    """
    line, column = document.point(position)
    if cell is None or cell.kind != "code" or not cell.code_start <= line < cell.code_end:
        return None
    first, last = cell.code_start, cell.code_end
    if last - first > CONTEXT or not document.has_markers:
        first, last = _start(document, cell, line), line + 1
    lines = tuple(document.line(number) for number in range(first, last))
    prefixes = tuple(prefix_width(cell, text) for text in lines)
    before = sum(
        len(text) - prefix + 1
        for text, prefix in zip(lines[: line - first], prefixes, strict=False)
    )
    within = max(0, column - prefixes[line - first])
    return Excerpt(first, lines, prefixes, before + within, document.encoding)


def _start(document: Document, cell: Cell, line: int) -> int:
    """The first line to send: at most CONTEXT before the cursor, and not inside a block."""
    first = max(cell.code_start, line + 1 - CONTEXT)
    while first < line and (not document.line(first) or document.line(first)[0] in INSIDE):
        first += 1
    return first
