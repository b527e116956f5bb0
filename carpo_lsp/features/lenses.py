"""textDocument/codeLens: what to do with a cell and how it is, above the cell."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from carpo_lsp.features.hints import state_words
from carpo_lsp.features.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carpo_lsp.documents.cells import Cell
    from carpo_lsp.documents.document import Document
    from carpo_lsp.workspace import Workspace


def code_lenses(workspace: Workspace, params: types.CodeLensParams) -> list[types.CodeLens] | None:
    """`▶ Run cell`, `Run above` and the state of the last run on the first line of each cell."""
    document = workspace.documents.find(params.text_document.uri)
    if document is None:
        return None
    now = time.monotonic()
    states = {
        each.cell.index: state_words(each, now) for each in shown(workspace, document) if each.whole
    }
    return [
        _lens(document, cell, title, command)
        for cell in document.cells()
        if cell.kind == "code"
        for title, command in _titles(document, cell, states.get(cell.index))
    ]


def _titles(document: Document, cell: Cell, state: str | None) -> Iterator[tuple[str, str]]:
    yield "▶ Run cell" if document.has_markers else "▶ Run file", "carpo.runCell"
    if cell.index > 0:
        yield "Run above", "carpo.runAbove"
    if state is not None:
        yield state, "carpo.showOutput"


def _lens(document: Document, cell: Cell, title: str, command: str) -> types.CodeLens:
    place = types.Position(cell.start_line, 0)
    argument: dict[str, Any] = {
        "uri": document.uri,
        "line": cell.start_line,
        "version": document.version,
    }
    return types.CodeLens(
        range=types.Range(place, place),
        command=types.Command(title=title, command=command, arguments=[argument]),
    )
