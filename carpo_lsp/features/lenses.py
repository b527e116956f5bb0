"""textDocument/codeLens: what to do with a cell and how it is, above the cell."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from carpo_lsp.features.hints import state_words
from carpo_lsp.features.selected_code import Placed, cells_of
from carpo_lsp.features.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lsprotocol import types

    from carpo_lsp.documents.cells import Cell
    from carpo_lsp.documents.document import Document
    from carpo_lsp.workspace.workspace import Workspace

Lens = dict[str, Any]
"""A CodeLens as JSON: there may be thousands."""


def code_lenses(workspace: Workspace, params: types.CodeLensParams) -> list[Lens] | None:
    """`▶ Run cell`, `Run above` and the state of the last run on the first line of each cell."""
    document = workspace.documents.find(params.text_document.uri)
    if document is None:
        return None
    now = time.monotonic()
    states = {
        each.cell.index: state_words(each, now) for each in shown(workspace, document) if each.whole
    }
    return list(_lenses(workspace, document, states))


def _lenses(workspace: Workspace, document: Document, states: dict[int, str]) -> Iterator[Lens]:
    is_cell = workspace.documents.notebook_of(document.uri) is not None or document.has_markers
    run = "▶ Run cell" if is_cell else "▶ Run file"
    above = _runs_above(workspace, document)  # whether there is a cell that "Run above" would run
    for cell in document.cells():
        if cell.kind != "code":
            continue
        yield _lens(document, cell, run, "carpo.runCell")
        if above:
            yield _lens(document, cell, "Run above", "carpo.runAbove")
        if (state := states.get(cell.index)) is not None:
            yield _lens(document, cell, state, "carpo.showOutput")
        above = above or Placed(document, cell).runs


def _runs_above(workspace: Workspace, document: Document) -> bool:
    """Whether a cell runs that is above all of a document: in a notebook it may be the last."""
    for placed in cells_of(workspace, document):
        if placed.document is document:
            return False
        if placed.runs:
            return True
    return False


def _lens(document: Document, cell: Cell, title: str, command: str) -> Lens:
    line = cell.start_line
    place = {"line": line, "character": 0}
    argument = {"uri": document.uri, "line": line, "version": document.version}
    return {
        "range": {"start": place, "end": place},
        "command": {"title": title, "command": command, "arguments": [argument]},
    }
