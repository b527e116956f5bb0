"""What other clients of a kernel run, shown where a document has the same code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carpo_lsp import protocol
from carpo_lsp.journal.lines import Place
from carpo_lsp.kernels.events import StateChanged

if TYPE_CHECKING:
    from carpo_lsp.documents.cells import Cell
    from carpo_lsp.documents.document import Document
    from carpo_lsp.kernels.events import Event
    from carpo_lsp.workspace.workspace import Workspace


class Others:
    """Takes a cell that another client has run, be it in another editor, for one that was run here:
    in the kernel it was."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        workspace.frontend.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, StateChanged) and event.session is not None and event.code:
            for document in self._workspace.documents:
                cell = self._cell(document, event.kernel_id, event.code)
                if cell is not None:
                    self._show(document, cell, event.execution_id)
                    return

    def _cell(self, document: Document, kernel_id: str, code: str) -> Cell | None:
        """The first cell of a document that has some code and runs in a kernel."""
        workspace = self._workspace
        if kernel_id not in workspace.kernels_of(document):
            return None
        for cell in document.cells():
            if (
                cell.kind == "code"
                and document.code(cell).rstrip() == code.rstrip()  # not all send blank lines
                and workspace.bound_kernel(document, cell.language) == kernel_id
            ):
                return cell
        return None

    def _show(self, document: Document, cell: Cell, execution_id: str) -> None:
        workspace = self._workspace
        found = document.code_range(cell)
        notebook = workspace.documents.notebook_of(document.uri)
        place = Place(
            uri=document.uri,
            range=protocol.Range(
                protocol.Position(found.start.line, found.start.character),
                protocol.Position(found.end.line, found.end.character),
            ),
            lines=tuple(map(document.line, range(found.start.line, found.end.line + 1))),
            cell=cell.index,
            notebook=notebook.uri if notebook is not None else None,
        )
        workspace.remember(execution_id, place)
        record = workspace.frontend.record(execution_id)
        workspace.runs.add(document, cell, record, document.code(cell))
