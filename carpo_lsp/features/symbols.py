"""textDocument/documentSymbol: the cells, each with what has become of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lsprotocol.types import SymbolKind

from carpo_lsp.documents.cells import code_line
from carpo_lsp.features.selected_code import first_code

if TYPE_CHECKING:
    from lsprotocol import types

    from carpo_lsp.documents.cells import Cell
    from carpo_lsp.documents.document import Document
    from carpo_lsp.documents.positions import Range
    from carpo_lsp.workspace.workspace import Workspace

WIDTH: Final = 60
"""Characters of a name; titles are for the reader of a list."""

Symbol = dict[str, Any]
"""A DocumentSymbol or SymbolInformation as JSON: there may be thousands."""

WORDS: Final = {"error": "✗", "died": "✗ died", "waitingInput": "waits for input"}
"""How a state is said, where not by its name."""


def document_symbols(workspace: Workspace, params: types.DocumentSymbolParams) -> list[Symbol]:
    """The cells of a document that marks its cells, nothing for any other.

    The state is the detail of a symbol; clients without the hierarchical kind have it in the name.
    """
    document = workspace.documents.find(params.text_document.uri)
    if document is None or not document.has_markers:
        return []
    details = _details(workspace, document)
    path = "textDocument.documentSymbol.hierarchicalDocumentSymbolSupport"
    symbol = _nested if workspace.client.can(path) else _flat
    return [symbol(document, cell, details.get(cell.key, "")) for cell in document.cells()]


def _details(workspace: Workspace, document: Document) -> dict[int, str]:
    """What is said of the cells that have been run, by key."""
    states = workspace.runs.states(document)
    details = {}
    for cell, run in workspace.runs.of(document):
        state = states[cell.key]
        took = run.record.duration_ms
        if state == "ok":
            details[cell.key] = "✓" if took is None else f"✓ {took / 1000:.1f} s"
        else:
            details[cell.key] = WORDS.get(state, state)
    return details


def name_of(document: Document, cell: Cell) -> str:
    """A cell's title, else its first line of code or text, else its number."""
    line = code_line(cell, document.line(first_code(document, cell).line))
    name = (cell.title or line).strip()
    if len(name) > WIDTH:
        name = name[: WIDTH - 1] + "…"
    return name or f"Cell {cell.index + 1}"


def _nested(document: Document, cell: Cell, detail: str) -> Symbol:
    lines = document.range_of_lines(cell.start_line, cell.end_line)
    symbol = {
        "name": name_of(document, cell),
        "kind": _kind(cell),
        "range": _json(lines),
        "selectionRange": _json(document.range_of_lines(cell.start_line, cell.start_line + 1)),
    }
    return {**symbol, "detail": detail} if detail else symbol


def _flat(document: Document, cell: Cell, detail: str) -> Symbol:
    name = name_of(document, cell)
    lines = document.range_of_lines(cell.start_line, cell.end_line)
    return {
        "name": f"{name}  {detail}" if detail else name,
        "kind": _kind(cell),
        "location": {"uri": document.uri, "range": _json(lines)},
    }


def _kind(cell: Cell) -> int:
    kind = SymbolKind.Module if cell.kind == "code" else SymbolKind.String
    return int(kind)


def _json(range_: Range) -> dict[str, Any]:
    return {
        "start": {"line": range_.start.line, "character": range_.start.character},
        "end": {"line": range_.end.line, "character": range_.end.character},
    }
