"""textDocument/hover: what the kernel knows of the thing under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol import types

from carpo_lsp.features import queries
from carpo_lsp.features.asking import Asked, asked_at, inspected
from carpo_lsp.features.resolve import markup
from carpo_lsp.features.result_hover import result_hover
from carpo_lsp.features.scan import expression_before, name_at
from carpo_lsp.features.sync import place_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from carpo_lsp.workspace.workspace import Workspace


def hover(
    workspace: Workspace, params: types.HoverParams
) -> Awaitable[types.Hover | None] | types.Hover | None:
    """The last output of a cell on its marker or last line, and the live value under the cursor.

    None when there is neither: nothing was shown, and the kernel knows nothing, has not been
    started, or would not answer now.
    """
    uri, position = place_of(workspace, params)
    document = workspace.documents.find(uri)
    result = None if document is None else result_hover(workspace, document, position)
    asked = asked_at(workspace, params)
    if asked is None:
        return result
    word = name_at(asked.code, asked.cursor, asked.language)
    if word is None:
        return result
    return _with_value(result, workspace, asked, *word)


async def _with_value(
    result: types.Hover | None,
    workspace: Workspace,
    asked: Asked,
    name: str,
    start: int,
    end: int,
) -> types.Hover | None:
    value = await _ask(workspace, asked, name, start, end)
    if result is None or value is None:
        return result or value
    above, below = result.contents, value.contents
    # Both come from here, in the one format the client prefers.
    assert isinstance(above, types.MarkupContent)
    assert isinstance(below, types.MarkupContent)
    rule = "\n\n---\n\n" if below.kind == types.MarkupKind.Markdown else "\n\n"
    contents = types.MarkupContent(below.kind, f"{above.value}{rule}{below.value}")
    return types.Hover(contents, value.range)


async def _ask(
    workspace: Workspace, asked: Asked, name: str, start: int, end: int
) -> types.Hover | None:
    expression = expression_before(asked.code, end, asked.language)
    data = await inspected(workspace, asked.kernel_id, expression, len(expression))
    contents = None
    if data is not None:
        contents = markup(workspace, data, asked.language, "textDocument.hover")
    if contents is None and asked.language == "r":
        # IRkernel's inspect says nothing of functions without a help page.
        called = await queries.signature(workspace.frontend, asked.kernel_id, "r", name)
        shown = {"text/plain": f"Signature: {called}"}
        contents = markup(workspace, shown, "r", "textDocument.hover") if called else None
    if contents is None:
        return None
    first, last = asked.excerpt.position(start), asked.excerpt.position(end)
    return types.Hover(
        contents=contents,
        range=types.Range(
            start=types.Position(first.line, first.character),
            end=types.Position(last.line, last.character),
        ),
    )
