"""The commands that run code of a document, as it is on the screen when they come."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import attrs
from lsprotocol import types

from carpo_lsp import protocol
from carpo_lsp.deadlines import Deadline
from carpo_lsp.documents.positions import Position, Range
from carpo_lsp.errors import (
    CarpoError,
    InvalidParams,
    KernelStartFailed,
    NoKernelForLanguage,
)
from carpo_lsp.features.arguments import resolve, resolve_document
from carpo_lsp.features.selected_code import (
    cells_of,
    code_cell_at,
    first_code,
    next_code_cell,
    pieces,
    split_at,
)
from carpo_lsp.features.statements import (
    Rows,
    around,
    blocks_of,
    by_asking,
    by_grammar,
    by_shape,
    near,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from carpo_lsp.documents.cells import Cell
    from carpo_lsp.documents.document import Document
    from carpo_lsp.features.selected_code import Placed
    from carpo_lsp.workspace.workspace import Workspace

log = logging.getLogger(__name__)

ASKING: Final = 1.0
"""Seconds a kernel has to tell where a statement ends; after that its shape decides."""


def run_cell(workspace: Workspace, arguments: list[Any]) -> None:
    """Run the cell at a place."""
    target = resolve(workspace, arguments)
    workspace.run_cell(target.document, code_cell_at(target.document, target.position.line))


def run_cell_and_advance(
    workspace: Workspace, arguments: list[Any]
) -> Coroutine[Any, Any, None] | None:
    """Run the cell at a place and put the cursor into the next one, where the client can."""
    target = resolve(workspace, arguments)
    document = target.document
    cell = code_cell_at(document, target.position.line)
    workspace.run_cell(document, cell)
    following = next_code_cell(document, cell.end_line)
    return None if following is None else _show(workspace, document, following)


async def _show(workspace: Workspace, document: Document, cell: Cell) -> None:
    place = first_code(document, cell)
    position = types.Position(place.line, place.character)
    selection = types.Range(position, position)
    await workspace.client.show_document(document.uri, take_focus=True, selection=selection)


def run_statement(workspace: Workspace, arguments: list[Any]) -> Coroutine[Any, Any, None] | None:
    """Run the statement at a place, or the next one below it in the cell."""
    target = resolve(workspace, arguments)
    document, line = target.document, target.position.line
    cell = code_cell_at(document, line)
    lines = document.code(cell).split("\n")
    row = max(0, line - cell.code_start)
    part = around(cell.language, lines, row)
    lines, row = lines[part.first : part.end], row - part.first
    first = cell.code_start + part.first
    cell = attrs.evolve(cell, code_start=first, code_end=first + len(lines))
    found = by_grammar(cell.language, lines, row)
    if found is not None:
        _run_rows(workspace, document, cell, lines, found)
        return None
    blocks = near(blocks_of(cell.language, lines), row)
    guess = by_shape(blocks, row)
    if guess is None:
        raise InvalidParams("No code is here or below in the cell; choose a line that is code.")
    kernel_id = workspace.kernel_for(document, cell.language)
    kernel = workspace.frontend.manager.get(kernel_id)
    # A question to a kernel that starts or computes would let later commands overtake this one.
    if not kernel.ready or (kernel.executions.busy and not kernel.has_subshells):
        _run_rows(workspace, document, cell, lines, guess)
        return None
    # What is run and where it stands are those of this moment, whatever is typed meanwhile.
    ends = {
        number: _range_of(document, cell, Rows(number, number + 1)).end
        for number in range(blocks[0].first, blocks[-1].end)
    }

    async def ask(code: str) -> str:
        return (await workspace.frontend.is_complete(kernel_id, code)).status

    async def ask_and_run() -> None:
        rows = None
        try:
            async with Deadline(ASKING):
                rows = await by_asking(blocks, lines, row, ask)
        except (TimeoutError, CarpoError) as error:
            log.info("The kernel does not tell where a statement ends: %s", error)
        rows = rows or guess
        code = "\n".join(lines[rows.first : rows.end])
        range_ = Range(Position(cell.code_start + rows.first, 0), ends[rows.end - 1])
        workspace.run(document, cell.language, code, _wire(range_))

    return ask_and_run()


def _run_rows(
    workspace: Workspace, document: Document, cell: Cell, lines: list[str], rows: Rows
) -> None:
    code = "\n".join(lines[rows.first : rows.end])
    range_ = _range_of(document, cell, rows)
    workspace.run(document, cell.language, code, _wire(range_))


def _range_of(document: Document, cell: Cell, rows: Rows) -> Range:
    return document.range_of_lines(cell.code_start + rows.first, cell.code_start + rows.end)


def run_selection(workspace: Workspace, arguments: list[Any]) -> None:
    """Run the code of a selection, piece by piece where it spans cells."""
    target = resolve(workspace, arguments)
    if target.range is None:
        raise InvalidParams(
            "Nothing is selected. Select some code and run the command from the code action menu, "
            "or give it a URI and a range, or a path and the first and the last line."
        )
    found = pieces(target.document, target.range)
    if not found:
        raise InvalidParams("No code is selected.")
    for piece in found:
        if piece.whole:
            workspace.run_cell(target.document, piece.cell)
        else:
            workspace.run(target.document, piece.cell.language, piece.code, _wire(piece.range))


def run_above(workspace: Workspace, arguments: list[Any]) -> None:
    """Run all code cells above the one at a place."""
    target = resolve(workspace, arguments)
    above, _ = split_at(workspace, target.document, target.position.line)
    _run_cells(workspace, above, "No code cell is above this place.")


def run_below(workspace: Workspace, arguments: list[Any]) -> None:
    """Run the code cell at a place and all below it."""
    target = resolve(workspace, arguments)
    _, below = split_at(workspace, target.document, target.position.line)
    _run_cells(workspace, below, "No code cell is at this place or below it.")


def run_all(workspace: Workspace, arguments: list[Any]) -> None:
    """Run all code cells of a document, in order."""
    document = resolve_document(workspace, arguments)
    _run_cells(workspace, cells_of(workspace, document), "The document has no code cells.")


async def restart_and_run_all(workspace: Workspace, document: Document) -> None:
    """Restart a document's kernels, then run all its code cells as they are by then."""
    manager = workspace.frontend.manager
    kernels = [manager.get(kernel_id) for kernel_id in workspace.kernels_of(document)]
    await asyncio.gather(*[kernel.restart() for kernel in kernels])
    if workspace.documents.find(document.uri) is document:
        _run_cells(workspace, cells_of(workspace, document), "The document has no code cells.")


def _run_cells(workspace: Workspace, cells: Iterable[Placed], otherwise: str) -> None:
    """Run those cells that run with the document.

    A language that has no kernel keeps only its own cells from running: pages that begin with the
    shell's commands to install something are many. Raises `InvalidParams` when no cell runs with
    the document, and what the languages lack in one error.
    """
    chosen = [placed for placed in cells if placed.runs]
    if not chosen:
        raise InvalidParams(otherwise)
    refused: dict[str, CarpoError] = {}
    for placed in chosen:
        if placed.cell.language not in refused:
            try:
                workspace.run_cell(placed.document, placed.cell)
            except (KernelStartFailed, NoKernelForLanguage) as error:
                refused[placed.cell.language] = error
    if refused:
        raise CarpoError("\n".join(error.advice for error in refused.values()))


def _wire(range_: Range) -> protocol.Range:
    return protocol.Range(
        protocol.Position(range_.start.line, range_.start.character),
        protocol.Position(range_.end.line, range_.end.character),
    )
