"""textDocument/codeAction: what can be run at a place, each with its complete command.

Editors ask with every move of the cursor, so nothing is parsed and no kernel is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lsprotocol import types
from msgspec import Struct

from carpo_lsp.documents.markdown import is_prose
from carpo_lsp.documents.positions import Position, Range
from carpo_lsp.features.action_kinds import (
    ANSWER,
    CLEAR,
    INTERRUPT,
    RESTART,
    RUN_ABOVE,
    RUN_ALL,
    RUN_AND_ADVANCE,
    RUN_BELOW,
    RUN_CELL,
    RUN_SELECTION,
    RUN_STATEMENT,
    SELECT,
    SHOW,
)
from carpo_lsp.features.selected_code import (
    has_code,
    has_code_cell_above,
    next_code_cell,
    selects_code,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carpo_lsp.documents.cells import Cell
    from carpo_lsp.documents.document import Document
    from carpo_lsp.kernels.state import KernelState
    from carpo_lsp.workspace.workspace import Workspace

SELECTS_ITS_CURSOR: Final = frozenset({"helix"})
"""Clients, by name, whose cursor is a selection of one character."""

SHOWN: Final = 40
"""Characters of an answer that its title shows."""


class Action(Struct, frozen=True):
    """Something that can be done at a place."""

    title: str
    kind: str
    command: str
    argument: dict[str, Any]


def code_actions(
    workspace: Workspace, params: types.CodeActionParams
) -> list[types.CodeAction | types.Command]:
    """What makes sense at a place, the likeliest first and preferred."""
    start, end = params.range.start, params.range.end
    range_ = Range(Position(start.line, start.character), Position(end.line, end.character))
    workspace.last_place = (params.text_document.uri, range_.start)
    document = workspace.documents.find(params.text_document.uri)
    if document is None:
        return []
    wanted = params.context.only
    found = [
        action
        for action in _actions(workspace, document, _selected(workspace, document, range_))
        if wanted is None or any(_is_below(action.kind, kind) for kind in wanted)
    ]
    literals = workspace.client.declared("textDocument.codeAction.codeActionLiteralSupport")
    if literals is None:
        return [_command(action) for action in found]
    return [
        types.CodeAction(
            title=action.title,
            kind=action.kind,
            command=_command(action),
            is_preferred=True if action is found[0] else None,
        )
        for action in found
    ]


def _actions(workspace: Workspace, document: Document, range_: Range) -> Iterator[Action]:
    """All actions for a selection, or for a cursor where it is empty."""
    uri, version, line = document.uri, document.version, range_.start.line
    here = {"uri": uri, "position": _json(range_.start), "version": version}
    kernels = _kernels(workspace, document)
    for kernel in kernels:
        # A password would have to be written into the document, and be seen in the menu.
        if kernel.executions.waits_for_input and not kernel.executions.waits_for_password:
            yield _answer(document, range_, kernel)
    if selects_code(document, range_):
        selection = {"start": _json(range_.start), "end": _json(range_.end)}
        argument = {"uri": uri, "range": selection, "version": version}
        yield Action("Run selection", RUN_SELECTION, "carpo.runSelection", argument)
    cell = document.cell_at(line)
    busy = any(kernel.executions.busy for kernel in kernels)
    interrupt = Action("Interrupt the kernel", INTERRUPT, "carpo.interrupt", here)
    if cell is None and is_prose(document.language, document.uri):
        if busy:
            yield interrupt
        return  # outside a fence: text is mostly edited by those who run nothing
    if cell is not None and cell.kind == "code":
        above, below = _neighbours(workspace, document, cell.start_line, cell.end_line)
        yield from _cell_actions(workspace, document, cell, here, above=above, below=below)
    else:
        above, below = _neighbours(workspace, document, line, line)
        if not above and not below and not kernels:
            return  # prose that has nothing to do with kernels
    if above or below:
        yield Action("Run all cells", RUN_ALL, "carpo.runAll", here)
    if busy:
        yield interrupt
    if workspace.runs.have_outputs(document):
        yield Action("Show output", SHOW, "carpo.showOutput", here)
    if kernels:
        yield Action("Restart the kernel", RESTART, "carpo.restartKernel", here)
    yield Action("Select a kernel", SELECT, "carpo.selectKernel", here)


def _cell_actions(
    workspace: Workspace,
    document: Document,
    cell: Cell,
    here: dict[str, Any],
    *,
    above: bool,
    below: bool,
) -> Iterator[Action]:
    """What can be done in a code cell; whether there are others above and below it is told."""
    yield Action("Run cell", RUN_CELL, "carpo.runCell", here)
    if workspace.client.shows_documents and next_code_cell(document, cell.end_line):
        yield Action("Run cell and advance", RUN_AND_ADVANCE, "carpo.runCellAndAdvance", here)
    if has_code(document, cell, here["position"]["line"]):
        yield Action("Run statement", RUN_STATEMENT, "carpo.runStatement", here)
    if above:
        yield Action("Run cells above", RUN_ABOVE, "carpo.runAbove", here)
    if below:
        yield Action("Run this cell and all below", RUN_BELOW, "carpo.runBelow", here)
    run = workspace.runs.get(document, cell)
    if run is not None and run.record.outputs:
        yield Action("Clear the output of the cell", CLEAR, "carpo.clearOutput", here)


def _neighbours(
    workspace: Workspace, document: Document, start: int, end: int
) -> tuple[bool, bool]:
    """Whether there are code cells above a line and from another on, in a notebook or a text."""
    notebook = workspace.documents.notebook_of(document.uri)
    if notebook is None:
        below = next_code_cell(document, end) is not None
        return has_code_cell_above(document, start), below
    uris = [cell.uri for cell in notebook.cells if cell.kind == "code" or cell.uri == document.uri]
    index = uris.index(document.uri)
    return index > 0, index < len(uris) - 1


def _answer(document: Document, range_: Range, kernel: KernelState) -> Action:
    """The selected text or the line of the cursor as the answer to a prompt."""
    if range_.start == range_.end:
        text, what = document.line(range_.start.line).strip(), "this line"
    else:
        text, what = document.text_in(range_).strip("\r\n"), "the selection"
    shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    title = f'Send {what} as input: "{shown}"'
    argument = {"uri": document.uri, "kernelId": kernel.kernel_id, "value": text}
    return Action(title, ANSWER, "carpo.answer", argument)


def _selected(workspace: Workspace, document: Document, range_: Range) -> Range:
    """The selection, or the cursor where that is what the client's selection of it means."""
    single = len(document.text_in(range_).replace("\r\n", "\n")) <= 1
    if single and workspace.client.name.lower() in SELECTS_ITS_CURSOR:
        return Range(range_.start, range_.start)
    return range_


def _kernels(workspace: Workspace, document: Document) -> list[KernelState]:
    bound = workspace.kernels_of(document)
    return [kernel for kernel in workspace.frontend.manager.all() if kernel.kernel_id in bound]


def _is_below(kind: str, wanted: str) -> bool:
    """Whether a kind is `wanted` or one of those below it; everything is below the empty kind."""
    return not wanted or kind == wanted or kind.startswith(wanted + ".")


def _command(action: Action) -> types.Command:
    return types.Command(title=action.title, command=action.command, arguments=[action.argument])


def _json(position: Position) -> dict[str, int]:
    return {"line": position.line, "character": position.character}
