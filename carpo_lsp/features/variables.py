"""workspace/symbol: the variables of the kernels, with type and short value."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from lsprotocol import types

from carpo_lsp.features import queries

if TYPE_CHECKING:
    from carpo_lsp.documents.document import Document
    from carpo_lsp.features.queries import Variable
    from carpo_lsp.kernels.state import KernelState
    from carpo_lsp.workspace.workspace import Workspace

KINDS: Final = {
    "class": types.SymbolKind.Class,
    "function": types.SymbolKind.Function,
    "variable": types.SymbolKind.Variable,
}

NAME: Final = re.compile(r"(?:[^\W\d][\w.]*|\.[\w.]+)")

ASSIGNMENT: Final = re.compile(
    rf"""^[ \t>]*(?:
        (?P<names>{NAME.pattern}(?:\s*,\s*{NAME.pattern})*)[ \t]*(?::[^=\n]*)?(?:<<?-|=(?!=))
      | (?:async[ \t]+)?(?:def|class)[ \t]+(?P<defined>\w+)
      | (?:for|with|import|from)\b[ \t]*(?P<bound>[^\n:]*)
      | [^\n#]*->>?[ \t]*(?P<right>{NAME.pattern})[ \t]*$
    )""",
    re.MULTILINE | re.VERBOSE,
)
"""How Python and R give names their values, seen from far."""


async def workspace_symbols(
    workspace: Workspace, params: types.WorkspaceSymbolParams
) -> list[types.SymbolInformation]:
    """The names in all kernels of open documents that fit a query.

    Of a busy kernel those it had when it was asked last. A query's letters must come in order.
    """
    kernels = [
        (state, documents)
        for state in workspace.frontend.manager.all()
        if (documents := _documents_of(workspace, state.kernel_id))
    ]
    places = [_assignments(documents) for _, documents in kernels]
    known = await asyncio.gather(*(_variables(workspace, state) for state, _ in kernels))
    wanted = re.compile(".*?".join(map(re.escape, params.query)), re.IGNORECASE)
    return [
        _symbol(variable, *where.get(variable.name, (documents[0].uri, 0)))
        for (_, documents), where, variables in zip(kernels, places, known, strict=True)
        for variable in variables
        if wanted.search(variable.name)
    ]


def _documents_of(workspace: Workspace, kernel_id: str) -> list[Document]:
    """The open documents whose code runs in a kernel."""
    return [
        document for document in workspace.documents if kernel_id in workspace.kernels_of(document)
    ]


async def _variables(workspace: Workspace, state: KernelState) -> list[Variable]:
    language = state.spec.language.lower()
    found = await queries.variables(workspace.frontend, state.kernel_id, language)
    if found is not None:
        workspace.live.variables[state.kernel_id] = found
    return workspace.live.variables.get(state.kernel_id, [])


def _symbol(variable: Variable, uri: str, line: int) -> types.SymbolInformation:
    about = f"{variable.type} = {variable.value}" if variable.value else variable.type
    place = types.Position(line, 0)
    return types.SymbolInformation(
        name=variable.name,
        kind=KINDS.get(variable.kind, types.SymbolKind.Variable),
        container_name=about,
        location=types.Location(uri=uri, range=types.Range(start=place, end=place)),
    )


def _assignments(documents: list[Document]) -> dict[str, tuple[str, int]]:
    """The document and line in which each name seems to be given its value, the last one wins."""
    found = {}
    for document in reversed(documents):
        text, line, before = document.text(), 0, 0
        for match in ASSIGNMENT.finditer(text):
            line += text.count("\n", before, match.start(match.lastgroup or 0))
            before = match.start(match.lastgroup or 0)
            for name in NAME.findall(match[match.lastgroup or 0]):
                found[name] = (document.uri, line)
    return found
