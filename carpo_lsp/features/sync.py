"""What the client tells of itself and its documents. All plain `def`: order is everything."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from lsprotocol import types

from carpo_lsp.documents.positions import Encoding, Position, Range
from carpo_lsp.documents.store import NotebookCell
from carpo_lsp.features.configuration import configure, section_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from carpo_lsp.documents.store import NotebookCellKind
    from carpo_lsp.workspace.workspace import Workspace

log = logging.getLogger(__name__)


def initialize(workspace: Workspace, params: types.InitializeParams, encoding: str) -> None:
    """Take what the client says it is, where it works, and what its user has set."""
    options = section_of(params.initialization_options)
    experimental = section_of(params.capabilities.experimental)
    client = workspace.client
    client.introduce(params.client_info.name if params.client_info else "", params.capabilities)
    client.wants_notifications = any(
        section.get("notifications") is True for section in (options, experimental)
    )
    workspace.documents.encoding = Encoding(encoding)
    for folder in params.workspace_folders or ():
        workspace.add_folder(folder.uri)
    if not workspace.folders and params.root_uri:
        workspace.add_folder(params.root_uri)
    elif not workspace.folders and params.root_path:
        workspace.add_root_path(params.root_path)
    workspace.configured["options"] = settings_of(params.initialization_options)
    configure(workspace)


def did_change_folders(workspace: Workspace, params: types.DidChangeWorkspaceFoldersParams) -> None:
    gone = {folder.uri for folder in params.event.removed}
    workspace.folders = [uri for uri in workspace.folders if uri not in gone]
    for folder in params.event.added:
        workspace.add_folder(folder.uri)
    configure(workspace)


def did_open(workspace: Workspace, params: types.DidOpenTextDocumentParams) -> None:
    _open(workspace, params.text_document)


def did_change(workspace: Workspace, params: types.DidChangeTextDocumentParams) -> None:
    changes = [(_range(change), change.text) for change in params.content_changes]
    identifier = params.text_document
    workspace.documents.change(identifier.uri, identifier.version, changes)
    workspace.on_edit(identifier.uri)


def did_close(workspace: Workspace, params: types.DidCloseTextDocumentParams) -> None:
    _close(workspace, params.text_document.uri)


def did_open_notebook(workspace: Workspace, params: types.DidOpenNotebookDocumentParams) -> None:
    notebook = params.notebook_document
    languages = {item.uri: item.language_id for item in params.cell_text_documents}
    cells = [_cell(cell, languages) for cell in notebook.cells]
    workspace.documents.open_notebook(notebook.uri, notebook.notebook_type, cells)
    for item in params.cell_text_documents:
        _open(workspace, item)


def did_change_notebook(
    workspace: Workspace, params: types.DidChangeNotebookDocumentParams
) -> None:
    cells = params.change.cells
    if cells is None:
        return
    if cells.structure is not None:
        opened = cells.structure.did_open or ()
        languages = {item.uri: item.language_id for item in opened}
        array = cells.structure.array
        workspace.documents.change_notebook(
            params.notebook_document.uri,
            array.start,
            array.delete_count,
            [_cell(cell, languages) for cell in array.cells or ()],
        )
        for item in opened:
            _open(workspace, item)
        for closed in cells.structure.did_close or ():
            _close(workspace, closed.uri)
    for cell in cells.data or ():
        workspace.documents.tag_cell(cell.document, _tags(cell))
    for content in cells.text_content or ():
        changes = [(_range(change), change.text) for change in content.changes]
        workspace.documents.change(content.document.uri, content.document.version, changes)
        workspace.on_edit(content.document.uri)


def did_close_notebook(workspace: Workspace, params: types.DidCloseNotebookDocumentParams) -> None:
    workspace.documents.close_notebook(params.notebook_document.uri)
    for cell in params.cell_text_documents:
        _close(workspace, cell.uri)


def place_of(workspace: Workspace, params: Any) -> tuple[str, Position]:
    """The place that a request with a text document and a position is about.

    It is remembered: commands that come without arguments mean it.
    """
    position = Position(params.position.line, params.position.character)
    workspace.last_place = (params.text_document.uri, position)
    return workspace.last_place


def _open(workspace: Workspace, item: types.TextDocumentItem) -> None:
    document = workspace.documents.open(item.uri, item.language_id, item.version, item.text)
    workspace.runs.reopen(document)
    workspace.kept.take_up(document)
    workspace.restoring.open(document)
    workspace.on_edit(item.uri)


def _close(workspace: Workspace, uri: str) -> None:
    workspace.documents.close(uri)
    workspace.runs.close(uri)
    workspace.live.forget_document(uri)
    workspace.on_edit(uri)


def _cell(cell: types.NotebookCell, languages: dict[str, str]) -> NotebookCell:
    kind: NotebookCellKind = "code" if cell.kind == types.NotebookCellKind.Code else "markdown"
    return NotebookCell(cell.document, kind, languages.get(cell.document, ""), _tags(cell))


# Where clients have a cell's tags: in its metadata, as in the file, or VS Code in that of its own
# metadata, older ones of it below `custom`.
_TAGS_IN: Final = ((), ("metadata",), ("custom", "metadata"))


def _tags(cell: types.NotebookCell) -> tuple[str, ...]:
    for path in _TAGS_IN:
        found: Any = cell.metadata
        for name in (*path, "tags"):
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, list):
            return tuple(tag for tag in found if isinstance(tag, str))
    return ()


def _range(change: types.TextDocumentContentChangeEvent) -> Range | None:
    if not isinstance(change, types.TextDocumentContentChangePartial):
        return None
    start, end = change.range.start, change.range.end
    return Range(Position(start.line, start.character), Position(end.line, end.character))


HANDLERS: Final[dict[str, Callable[..., None]]] = {
    types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: did_change_folders,
    types.TEXT_DOCUMENT_DID_OPEN: did_open,
    types.TEXT_DOCUMENT_DID_CHANGE: did_change,
    types.TEXT_DOCUMENT_DID_CLOSE: did_close,
    types.NOTEBOOK_DOCUMENT_DID_OPEN: did_open_notebook,
    types.NOTEBOOK_DOCUMENT_DID_CHANGE: did_change_notebook,
    types.NOTEBOOK_DOCUMENT_DID_CLOSE: did_close_notebook,
}
