"""Questions about the thing at a place, to a kernel that runs already and would answer now."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from carpo_lsp.deadlines import Deadline
from carpo_lsp.errors import CarpoError
from carpo_lsp.features.excerpt import excerpt
from carpo_lsp.features.sync import place_of

if TYPE_CHECKING:
    from typing import Any

    from carpo_lsp.documents.document import Document
    from carpo_lsp.documents.positions import Position
    from carpo_lsp.features.excerpt import Excerpt
    from carpo_lsp.workspace.workspace import Workspace

log = logging.getLogger(__name__)

DEADLINE: Final = 1.0
"""Seconds a kernel has to explain what somebody looks at."""


class Asked(Struct, frozen=True):
    """A place in code, as it was when the client asked, and the kernel that knows of it."""

    document: Document
    position: Position
    language: str
    kernel_id: str
    excerpt: Excerpt

    @property
    def code(self) -> str:
        return self.excerpt.code

    @property
    def cursor(self) -> int:
        return self.excerpt.cursor


def asked_at(workspace: Workspace, params: Any) -> Asked | None:
    """What a request with a text document and a position is about.

    None outside code, and where no kernel would answer now. Never starts one.
    """
    uri, position = place_of(workspace, params)
    document = workspace.documents.find(uri)
    if document is None:
        return None
    cell = document.cell_at(position.line)
    asked = excerpt(document, cell, position)
    if cell is None or asked is None:
        return None
    kernel_id = workspace.bound_kernel(document, cell.language)
    if kernel_id is None or not workspace.frontend.answers(kernel_id):
        return None
    return Asked(document, position, cell.language, kernel_id, asked)


async def inspected(
    workspace: Workspace,
    kernel_id: str,
    code: str,
    cursor: int,
    *,
    detail: int = 0,
    deadline: float = DEADLINE,
) -> dict[str, Any] | None:
    """The data of what a kernel knows; None when it knows nothing, or does not say in time."""
    try:
        async with Deadline(deadline):
            reply = await workspace.frontend.inspect(kernel_id, code, cursor, detail)
    except TimeoutError:
        return None
    except CarpoError as error:
        log.info("Nothing to show: %s", error.message)
        return None
    return reply.data if reply.found else None
