"""Which code a place or a range means: the cell there, those above and below, what is selected."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from msgspec import Struct

from carpo_lsp.documents.cells import code_line, prefix_width
from carpo_lsp.documents.markdown import is_prose
from carpo_lsp.documents.positions import Position, Range
from carpo_lsp.errors import InvalidParams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carpo_lsp.documents.cells import Cell
    from carpo_lsp.documents.document import Document
    from carpo_lsp.workspace.workspace import Workspace


class Placed(Struct, frozen=True):
    """A cell and the document it is in: each cell of a notebook has a document of its own."""

    document: Document
    cell: Cell

    @property
    def is_code(self) -> bool:
        """Whether there is code in it to run."""
        return self.cell.kind == "code" and has_code(self.document, self.cell, self.cell.code_start)

    @property
    def runs(self) -> bool:
        """Whether it runs with the document: its options may say that it does not."""
        return self.cell.evaluate and self.is_code


class Piece(Struct, frozen=True):
    """Some code of one cell."""

    cell: Cell
    code: str
    range: Range
    whole: bool
    """Whether it is all the cell has."""


def main_language(document: Document) -> str:
    """The language of a document as a whole: its own, or that of its first code cell."""
    if is_prose(document.language, document.uri):
        code = (cell.language for cell in document.cells() if cell.kind == "code")
        return next(code, document.language)
    return document.language


def language_at(document: Document, line: int) -> str:
    """The language of the code cell that holds a line, else of the document as a whole."""
    cell = document.cell_at(line)
    return cell.language if cell is not None and cell.kind == "code" else main_language(document)


def code_cell_at(document: Document, line: int) -> Cell:
    """The code cell that holds a line. Raises `InvalidParams`."""
    cell = document.cell_at(line)
    if cell is None or cell.kind != "code":
        raise InvalidParams(f"No code cell is at line {line + 1}; choose a line inside one.")
    return cell


def code_in(document: Document, range_: Range) -> tuple[str, str]:
    r"""The code in a range, and its language: that of the first line of code.

    It has "\n" line ends and each line where it is in the range: what is no code in that language,
    such as markers, fences and prose, is left empty. Raises `InvalidParams` where there is no code.
    """
    (first, start), (last, end) = sorted((document.point(range_.start), document.point(range_.end)))
    language = None
    lines = []
    for number in range(first, last + 1):
        cell = document.cell_at(number)
        in_code = (
            cell is not None and cell.kind == "code" and (cell.code_start <= number < cell.code_end)
        )
        if cell is None or not in_code or language not in (None, cell.language):
            lines.append("")
            continue
        line = document.line(number)
        stop = end if number == last else len(line)
        line = line[max(prefix_width(cell, line), start if number == first else 0) : stop]
        if line.strip():
            language = cell.language
        lines.append(line)
    if language is None:
        raise InvalidParams("No code is in the range; give one that touches code in a cell.")
    return "\n".join(lines), language


def has_code(document: Document, cell: Cell, line: int) -> bool:
    """Whether a line or one after it in the cell is not blank."""
    lines = range(max(line, cell.code_start), cell.code_end)
    return any(code_line(cell, document.line(number)).strip() for number in lines)


def cells_of(workspace: Workspace, document: Document) -> Iterator[Placed]:
    """The cells of a document, or of the notebook of which it is a cell, in order."""
    notebook = workspace.documents.notebook_of(document.uri)
    if notebook is None:
        documents = [document]
    else:
        found = (workspace.documents.find(cell.uri) for cell in notebook.cells)
        documents = [each for each in found if each is not None]
    for each in documents:
        for cell in each.cells():
            yield Placed(each, cell)


def split_at(
    workspace: Workspace, document: Document, line: int
) -> tuple[list[Placed], list[Placed]]:
    """The cells above the one that holds a line, and that one with those below it.

    Between two cells, the first list ends with the upper and the second begins with the lower.
    """
    above: list[Placed] = []
    below: list[Placed] = []
    for placed in cells_of(workspace, document):
        here = placed.document is document and placed.cell.end_line > line
        (below if below or here else above).append(placed)
    return above, below


def next_code_cell(document: Document, line: int) -> Cell | None:
    """The first code cell at a line or below, making no more cells than it must."""
    while line < document.line_count:
        cell = document.cell_at(line)
        if cell is not None and cell.kind == "code":
            return cell
        line = line + 1 if cell is None else cell.end_line
    return None


def has_code_cell_above(document: Document, line: int) -> bool:
    """Whether a code cell holds a line before this one, making no more cells than it must."""
    line -= 1
    while line >= 0:
        cell = document.cell_at(line)
        if cell is not None and cell.kind == "code":
            return True
        line = line - 1 if cell is None else cell.start_line - 1
    return False


def first_code(document: Document, cell: Cell) -> Position:
    """Where the cursor belongs in a cell: the first line that is code and not an option."""
    for line in range(cell.code_start, cell.code_end):
        text = document.line(line)
        code = code_line(cell, text).lstrip()
        if code and not code.startswith(("#|", "//|", "--|")):
            return document.position(line, len(text) - len(code))
    return document.position(cell.code_start, 0)


def selects_code(document: Document, range_: Range) -> bool:
    """Whether a selection holds any code, looking at no more than it must."""
    if range_.start == range_.end:
        return False
    lines = range(document.point(range_.start)[0], document.point(range_.end)[0] + 1)
    return any(
        cell.kind == "code"
        and cell.code_start <= line < cell.code_end
        and bool(code_line(cell, document.line(line)).strip())
        for line in lines
        if (cell := document.cell_at(line)) is not None
    )


def pieces(document: Document, range_: Range) -> list[Piece]:
    """The code in a selection, cell by cell: markers, fences and prose between are left out."""
    found = []
    first, last = document.point(range_.start)[0], document.point(range_.end)[0]
    for cell in document.cells():
        if cell.end_line <= first or cell.start_line > last or cell.kind != "code":
            continue
        start = max(range_.start, document.position(cell.code_start, 0))
        # The line after the code is the next marker or the closing fence.
        end = min(range_.end, document.range_of_lines(cell.code_start, cell.code_end).end)
        if cell.code_start >= cell.code_end or start >= end:
            continue
        code = _without_indent(cell, code_in(document, _from_indent(document, start, end))[0])
        if code.strip():
            whole = code.strip() == document.code(cell).strip()
            found.append(Piece(cell, code, Range(start, end), whole))
    return found


def _from_indent(document: Document, start: Position, end: Position) -> Range:
    """A range of lines with the indent of its first one, which is often left unselected."""
    line, column = document.point(start)
    before = document.line(line)[:column]
    return Range(start if before.strip() else Position(start.line, 0), end)


def _without_indent(cell: Cell, code: str) -> str:
    """Code that stands by itself; in Python the indent of the block it is from is an error."""
    return (textwrap.dedent(code) if cell.language == "python" else code).rstrip()
