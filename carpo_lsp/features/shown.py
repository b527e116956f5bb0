"""What has been run in a document, and where its code stands now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from carpo_lsp.documents.positions import Position, Range
from carpo_lsp.documents.uris import file_name

if TYPE_CHECKING:
    from carpo_lsp.documents.cells import Cell
    from carpo_lsp.documents.document import Document
    from carpo_lsp.kernels.transcript.transcript import Record
    from carpo_lsp.workspace.runs import CellState
    from carpo_lsp.workspace.workspace import Workspace

MAX_PIECES: Final = 100
"""Statements and selections whose results are shown; of more, the last ones."""


class Shown(Struct, frozen=True):
    """An execution whose code is in the document: the last run of a cell, or of a piece of one."""

    record: Record
    state: CellState
    cell: Cell
    whole: bool
    """Whether it ran the cell, and not a statement or selection in it."""
    range: Range
    """Where its code is now, to the end of the last line that is not blank."""

    edited: bool = False
    """Whether the code is not the one that was run, so that lines of errors are not its lines."""


def shown(workspace: Workspace, document: Document) -> list[Shown]:
    """The executions to show in a document, in the order of their code.

    A statement or selection is shown until its text is edited or run again, be it by itself or
    with its cell.
    """
    notebook = workspace.documents.notebook_of(document.uri)
    above = workspace.runs.newest_above(notebook.cells) if notebook is not None else {}
    states = workspace.runs.states(document, above.get(document.uri, {}))
    cells = {}
    found: list[Shown] = []
    for cell, run in workspace.runs.of(document):
        cells[run.record.execution_id] = cell
        found.append(
            Shown(
                run.record,
                states[cell.key],
                cell,
                True,
                document.code_range(cell),
                document.code(cell) != run.code,
            )
        )
    found += _pieces(workspace, document, cells)
    return sorted(found, key=lambda each: (each.range.end.line, each.range.end.character))


def _pieces(workspace: Workspace, document: Document, cells: dict[str, Cell]) -> list[Shown]:
    """The runs of statements and selections, newest first."""
    pieces: list[Shown] = []
    taken: list[tuple[int, int]] = []
    for record in reversed(workspace.frontend.transcript.records()):
        if len(taken) - len(cells) > MAX_PIECES:
            break
        if (cell := cells.get(record.execution_id)) is not None:
            taken.append((cell.start_line, cell.end_line - 1))
            continue
        place = workspace.place(record.execution_id)
        if place is None or place.uri != document.uri or place.range is None:
            continue
        start, end = place.range.start, place.range.end
        if any(start.line <= last and first <= end.line for first, last in taken):
            continue
        range_ = Range(Position(start.line, start.character), Position(end.line, end.character))
        here = document.cell_at(start.line)
        if here is not None and here.kind == "code":
            taken.append((start.line, end.line))
            lines = (document.line(number) for number in range(start.line, end.line + 1))
            if tuple(lines) == place.lines:
                pieces.append(Shown(record, record.state, here, False, range_))
    return pieces


def find_execution(workspace: Workspace, execution_id: str) -> tuple[Document, Shown] | None:
    """An execution and the open document that shows it."""
    place = workspace.place(execution_id)
    document = workspace.documents.find(place.uri) if place is not None else None
    if document is None:
        return None
    for each in shown(workspace, document):
        if each.record.execution_id == execution_id:
            return document, each
    return None


def number_of(workspace: Workspace, document: Document, cell: Cell) -> int | None:
    """A cell's number in its document, or in the notebook its document is a cell of; from 1.

    None for what is a whole file.
    """
    notebook = workspace.documents.notebook_of(document.uri)
    if notebook is not None:
        return 1 + [each.uri for each in notebook.cells].index(document.uri)
    return cell.index + 1 if document.has_markers else None


def name_of(workspace: Workspace, document: Document, cell: Cell) -> str:
    """What to call a cell: its number, title and file, or the file where that is one cell."""
    file = file_name(document.uri)
    number = number_of(workspace, document, cell)
    if number is None:
        return file
    title = f" ({cell.title})" if cell.title else ""
    return f"cell {number}{title} of {file}"
