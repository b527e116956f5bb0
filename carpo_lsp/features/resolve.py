"""completionItem/resolve: what a completion is, from inspect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
from lsprotocol import types

from carpo_lsp.errors import KernelNotFound
from carpo_lsp.features import inspection
from carpo_lsp.features.asking import inspected
from carpo_lsp.features.scan import expression_before

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from carpo_lsp.workspace.live import Fetched
    from carpo_lsp.workspace.workspace import Workspace

DEADLINE: Final = 0.5
"""Seconds a kernel has: some clients show nothing of an item until it is resolved."""

WITHOUT: Final = frozenset({"path", "dict key", "keyword", "param"})
"""Kinds of completions there is nothing to say of."""


def resolve(
    workspace: Workspace, item: types.CompletionItem
) -> Awaitable[types.CompletionItem] | types.CompletionItem:
    """The item with its documentation, unchanged where there is none or the kernel is busy."""
    data = item.data if isinstance(item.data, dict) else {}
    fetched = workspace.live.find(data.get("list"))
    if fetched is None or item.documentation is not None:
        return item
    entry = next((entry for entry in fetched.entries if entry.match == item.label), None)
    if entry is None or entry.kind in WITHOUT or not _answers(workspace, fetched.kernel_id):
        return item
    return _documented(workspace, item, fetched)


def _answers(workspace: Workspace, kernel_id: str) -> bool:
    try:
        return workspace.frontend.answers(kernel_id)
    except KernelNotFound:
        return False


async def _documented(
    workspace: Workspace, item: types.CompletionItem, fetched: Fetched
) -> types.CompletionItem:
    line = fetched.head[fetched.head.rfind("\n") + 1 :] + item.label
    code = expression_before(line, len(line), fetched.language)
    if not code:
        return item
    data = await inspected(workspace, fetched.kernel_id, code, len(code), deadline=DEADLINE)
    if data is None:
        return item
    documentation = markup(
        workspace, data, fetched.language, "textDocument.completion.completionItem"
    )
    if documentation is None:
        return item
    detail = item.detail
    if detail is None and item.label_details is None:
        detail = inspection.signature_of(inspection.sections(data))
    return attrs.evolve(item, documentation=documentation, detail=detail)


def markup(
    workspace: Workspace, data: Mapping[str, object], language: str, where: str
) -> types.MarkupContent | None:
    """What an inspect reply says, as Markdown where the client takes it under a capability."""
    declared = workspace.client.declared
    formats = declared(f"{where}.documentationFormat") or declared(f"{where}.contentFormat") or ()
    if types.MarkupKind.Markdown in formats:
        text = inspection.to_markdown(data, language)
        kind = types.MarkupKind.Markdown
    else:
        text = inspection.to_plain(data)
        kind = types.MarkupKind.PlainText
    return types.MarkupContent(kind=kind, value=text) if text else None
