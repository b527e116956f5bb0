"""What the server declares that it can, before any of it is loaded: see service.py."""

from __future__ import annotations

from typing import Any, Final

from lsprotocol import types

from carpo_lsp.features import action_kinds

REQUESTS: Final[dict[str, Any]] = {
    types.TEXT_DOCUMENT_COMPLETION: types.CompletionOptions(
        trigger_characters=(".", "$", "@", ":", "%", "/"), resolve_provider=True
    ),
    types.COMPLETION_ITEM_RESOLVE: None,
    types.TEXT_DOCUMENT_HOVER: types.HoverOptions(),
    types.TEXT_DOCUMENT_SIGNATURE_HELP: types.SignatureHelpOptions(trigger_characters=("(", ",")),
    types.TEXT_DOCUMENT_DEFINITION: types.DefinitionOptions(),
    types.WORKSPACE_SYMBOL: types.WorkspaceSymbolOptions(),
    types.TEXT_DOCUMENT_INLAY_HINT: types.InlayHintOptions(),
    types.TEXT_DOCUMENT_CODE_LENS: types.CodeLensOptions(),
    types.TEXT_DOCUMENT_CODE_ACTION: types.CodeActionOptions(
        code_action_kinds=list(action_kinds.KINDS), resolve_provider=False
    ),
    types.TEXT_DOCUMENT_DOCUMENT_SYMBOL: types.DocumentSymbolOptions(label="Cells"),
}
"""The requests of LSP that are answered, and the options that are declared."""

NOTIFICATIONS: Final = (
    types.INITIALIZED,
    types.WORKSPACE_DID_CHANGE_CONFIGURATION,
    types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS,
    types.TEXT_DOCUMENT_DID_OPEN,
    types.TEXT_DOCUMENT_DID_CHANGE,
    types.TEXT_DOCUMENT_DID_CLOSE,
    types.NOTEBOOK_DOCUMENT_DID_OPEN,
    types.NOTEBOOK_DOCUMENT_DID_CHANGE,
    types.NOTEBOOK_DOCUMENT_DID_CLOSE,
    types.WINDOW_WORK_DONE_PROGRESS_CANCEL,
)
"""Those of LSP that are listened to."""

COMMANDS: Final = (
    "runCell",
    "runCellAndAdvance",
    "runStatement",
    "runSelection",
    "runAbove",
    "runBelow",
    "runAll",
    "restartAndRunAll",
    "interrupt",
    "restartKernel",
    "shutdownKernel",
    "keepKernel",
    "selectKernel",
    "answer",
    "showOutput",
    "clearOutput",
    "exportNotebook",
)
"""The commands by their names without `carpo.`."""

NOTEBOOKS: Final = types.NotebookDocumentSyncOptions(
    notebook_selector=[
        types.NotebookDocumentFilterWithNotebook(
            notebook="jupyter-notebook", cells=[types.NotebookCellLanguage(language="*")]
        )
    ]
)
