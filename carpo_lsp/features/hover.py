"""textDocument/hover: what the kernel knows of the thing under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol import types

from carpo_lsp.features import queries
from carpo_lsp.features.asking import Asked, asked_at, inspected
from carpo_lsp.features.resolve import markup
from carpo_lsp.features.scan import name_at
from carpo_lsp.features.sync import place_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from carpo_lsp.workspace import Workspace

NAMED = ("python", "r")
"""Languages whose names we can tell; others' kernels get the code and find the name themselves."""


def hover(
    workspace: Workspace, params: types.HoverParams
) -> Awaitable[types.Hover | None] | types.Hover | None:
    """The live value under the cursor, or on a cell's marker or last line its last output.

    None when the kernel knows nothing, has not been started, or would not answer now.
    """
    place_of(workspace, params)
    asked = asked_at(workspace, params)
    if asked is None:
        return None
    word = name_at(asked.code, asked.cursor, asked.language)
    if word is None:
        return None
    return _ask(workspace, asked, *word)


async def _ask(
    workspace: Workspace, asked: Asked, name: str, start: int, end: int
) -> types.Hover | None:
    code, cursor = asked.code, asked.cursor
    if asked.language in NAMED:
        magic = "%" if asked.language == "python" and code[:start].endswith("%") else ""
        code = magic + name
        cursor = len(code)
    data = await inspected(workspace, asked.kernel_id, code, cursor)
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
