"""textDocument/completion from the live kernel."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp.errors import CarpoError
from carpo_lsp.features.excerpt import excerpt
from carpo_lsp.features.sync import place_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from lsprotocol import types

    from carpo_lsp import protocol
    from carpo_lsp.documents.positions import Position
    from carpo_lsp.workspace import Workspace

log = logging.getLogger(__name__)

TRIGGERS: Final = (".", "$", "@", ":", "%", "/")

TYPES: Final = "_jupyter_types_experimental"

KINDS: Final = {
    "class": 7,
    "dict key": 20,
    "function": 3,
    "instance": 6,
    "keyword": 14,
    "magic": 3,
    "module": 9,
    "param": 6,
    "path": 17,
    "property": 10,
    "statement": 6,
}
"""IPython's words for what a match is, and LSP's CompletionItemKind."""

Items = dict[str, Any]
"""A CompletionList as JSON: these are many objects, and the converter's work would be felt."""

LATER: Final[Items] = {"isIncomplete": True, "items": []}
"""Nothing yet; the client is to ask again with the next letter."""

NOTHING: Final[Items] = {"isIncomplete": False, "items": []}


def complete(workspace: Workspace, params: types.CompletionParams) -> Awaitable[Items] | Items:
    """What the document's kernel completes at a position.

    Starts the kernel when the settings allow it. The document is read before the first wait.
    """
    uri, position = place_of(workspace, params)
    document = workspace.documents.find(uri)
    if document is None:
        return NOTHING
    cell = document.cell_at(position.line)
    asked = excerpt(document, cell, position)
    if cell is None or asked is None:
        return NOTHING
    kernel_id = workspace.bound_kernel(document, cell.language)
    if kernel_id is None:
        if workspace.settings.kernel.start != "onUse":
            return NOTHING
        try:
            kernel_id = workspace.kernel_for(document, cell.language)
        except CarpoError as error:
            log.info("No completion: %s", error.message)
            return NOTHING

    async def ask() -> Items:
        budget = workspace.settings.completion.budget / 1000
        try:
            async with asyncio.timeout(budget):
                reply = await workspace.frontend.get_completions(
                    kernel_id, asked.code, asked.cursor
                )
        except TimeoutError:
            return LATER
        except CarpoError as error:
            log.info("No completion: %s", error.message)
            return LATER
        return items_of(reply, asked.position(reply.cursor_start), asked.position(reply.cursor_end))

    return ask()


def items_of(reply: protocol.CompleteResult, start: Position, end: Position) -> Items:
    """The reply as completion items, each a text edit over the range the kernel replaces."""
    if start.line != end.line:
        return NOTHING  # LSP's edits are of one line
    range_ = {
        "start": {"line": start.line, "character": start.character},
        "end": {"line": end.line, "character": end.character},
    }
    types = reply.metadata.get(TYPES)
    described = {
        str(entry.get("text")): entry
        for entry in (types if isinstance(types, list) else ())
        if isinstance(entry, dict)
    }
    return {
        "isIncomplete": False,
        "items": [
            _item(match, number, range_, described.get(match, {}))
            for number, match in enumerate(reply.matches)
        ],
    }


def _item(match: str, number: int, range_: dict[str, Any], entry: dict[str, Any]) -> Items:
    item: Items = {
        "label": match,
        "filterText": match,
        "sortText": f"{number:05}",
        "textEdit": {"range": range_, "newText": match},
    }
    kind = KINDS.get(str(entry.get("type")))
    if kind is not None:
        item["kind"] = kind
    if signature := entry.get("signature"):
        item["detail"] = str(signature)
    return item
