"""What a cell showed last, for textDocument/hover on the cell's marker or last line."""

from __future__ import annotations

import base64
import logging
import time
from typing import TYPE_CHECKING, Final

from lsprotocol import types

from carpo_lsp.documents.uris import uri_of
from carpo_lsp.features import results, texts
from carpo_lsp.features.hints import state_words
from carpo_lsp.features.shown import shown

if TYPE_CHECKING:
    from carpo_lsp.documents.document import Document
    from carpo_lsp.documents.positions import Position
    from carpo_lsp.features.shown import Shown
    from carpo_lsp.kernels.events import Output
    from carpo_lsp.workspace.workspace import Workspace

log = logging.getLogger(__name__)

LIMIT: Final = 20_000
"""Characters of text in a hover."""

INLINE: Final = 75_000
"""Characters of pictures in a hover: VS Code cuts the whole at 100,000."""

SHOWS_IMAGES: Final = ("visual studio code", "vscodium", "code - oss", "code-server", "cursor")
"""How the names of clients begin that show pictures that are part of a text."""


def result_hover(
    workspace: Workspace, document: Document, position: Position
) -> types.Hover | None:
    """The outputs of the cell whose marker, fence or last line of code is at a position, or of the
    statement that was run and ends there; None where nothing was run or shown."""
    if not _may_be_at(workspace, document, position.line):
        return None
    for each in reversed(shown(workspace, document)):
        if _is_at(each, position.line):
            return _hover(workspace, document, each)
    return None


def _may_be_at(workspace: Workspace, document: Document, line: int) -> bool:
    """Whether it is worth to find all that is shown, which takes milliseconds where a thousand
    cells have been run; most hovers are inside code."""
    cell = document.cell_at(line)
    if cell is not None and cell.kind == "code":
        inside = cell.code_start <= line < cell.code_end
        if not inside or line == document.code_range(cell).end.line:
            return True
    records = workspace.frontend.transcript.records()
    places = (workspace.place(record.execution_id) for record in records)
    return any(
        place is not None
        and place.range is not None
        and place.range.end.line == line
        and place.uri == document.uri
        for place in places
    )


def _is_at(each: Shown, line: int) -> bool:
    cell = each.cell
    if line == each.range.end.line:
        return True
    marker = cell.start_line <= line < cell.code_start
    fence = cell.code_end <= line < cell.end_line
    return each.whole and (marker or fence)


def _hover(workspace: Workspace, document: Document, each: Shown) -> types.Hover | None:
    outputs = each.record.outputs[-results.MAX_OUTPUTS :]
    if not outputs:
        return None
    formats = tuple(workspace.client.declared("textDocument.hover.contentFormat") or ())
    head = state_words(each, time.monotonic())
    if formats[:1] == (types.MarkupKind.Markdown,):
        shows_images = workspace.client.name.lower().startswith(SHOWS_IMAGES)
        blocks = [_cut(texts.markdown(output)) for output in outputs]
        blocks += _pictures(document, outputs, INLINE if shows_images else 0)
        kind, glue = types.MarkupKind.Markdown, "\n\n"
    else:
        blocks = [texts.as_text(output) for output in outputs]
        kind, glue = types.MarkupKind.PlainText, "\n"
    blocks = _last(blocks)
    return types.Hover(types.MarkupContent(kind, glue.join([head, *blocks])))


def _cut(block: str) -> str:
    return texts.closed(texts.bounded(block, LIMIT))


def _last(blocks: list[str]) -> list[str]:
    """The last blocks that fit, at least one."""
    kept: list[str] = []
    size = 0
    for block in reversed([block for block in blocks if block]):
        size += len(block)
        if kept and size > LIMIT + INLINE:
            break
        kept.append(block)
    return kept[::-1]


def _pictures(document: Document, outputs: tuple[Output, ...], room: int) -> list[str]:
    """The pictures of outputs: in the text while there is room, else as links to files."""
    found: list[str] = []
    folder = results.folder_of(document.uri)
    for kind, body in filter(None, map(results.image_of, outputs)):
        data = f"data:{kind};base64,{base64.b64encode(body).decode()}"
        if len(data) <= room:
            room -= len(data)
            found.append(f"![picture]({data})")
        elif len(body) <= results.MAX_IMAGE:
            try:
                name = results.save_image(folder, kind, body)
            except OSError as error:
                log.warning("A picture cannot be saved: %s", error)
                continue
            found.append(f"[picture {name}]({uri_of(folder / name)})")
    return found
