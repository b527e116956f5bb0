"""textDocument/definition of what lives in the kernel: where it was written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lsprotocol import types
from msgspec import structs

from carpo_lsp.documents.uris import uri_of
from carpo_lsp.features import inspection, queries
from carpo_lsp.features.asking import Asked, asked_at, inspected
from carpo_lsp.features.queries import Source
from carpo_lsp.features.scan import name_at
from carpo_lsp.files import read_text

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from carpo_lsp.documents.document import Document
    from carpo_lsp.workspace.workspace import Workspace

MAX_FILE: Final = 5_000_000
"""Characters of a file that is searched for a source."""


def definition(
    workspace: Workspace, params: types.DefinitionParams
) -> Awaitable[types.Location | None] | types.Location | None:
    """Where the thing under the cursor was defined: in a cell, or in a file.

    None when that is not known, or the kernel would not answer now.
    """
    asked = asked_at(workspace, params)
    if asked is None:
        return None
    word = name_at(asked.code, asked.cursor, asked.language)
    return None if word is None else _ask(workspace, asked, word[0])


async def _ask(workspace: Workspace, asked: Asked, name: str) -> types.Location | None:
    source = await queries.definition(
        workspace.frontend, asked.kernel_id, asked.language, name
    ) or await _from_inspect(workspace, asked, name)
    if source is None:
        return None
    in_cells = _in_cells(workspace, asked.kernel_id, source)
    if in_cells is not None or not workspace.exists(asked.kernel_id):
        return in_cells
    here = workspace.frontend.local_path(asked.kernel_id, source.file)
    return _in_file(workspace, structs.replace(source, file=here))


async def _from_inspect(workspace: Workspace, asked: Asked, name: str) -> Source | None:
    """File and source as inspect tells them: a subshell answers that while code runs."""
    data = await inspected(workspace, asked.kernel_id, name, len(name), detail=1)
    titled = {part.title: part.text for part in inspection.sections(data or {})}
    if "File" not in titled:
        return None
    return _placed(titled["File"].strip(), titled.get("Source", "").strip("\n"))


def _placed(file: str, text: str) -> Source:
    """A source with its line, which only the file itself can tell."""
    path = Path(file).expanduser()
    line = _line_of(text, _read(path)) if text else None
    return Source(str(path), line or 0, text)


def _in_cells(workspace: Workspace, kernel_id: str, source: Source) -> types.Location | None:
    """The line of a cell's last run whose code has the source in it."""
    if not source.text.strip():
        return None
    for document in workspace.documents:
        if kernel_id not in workspace.kernels_of(document):
            continue
        for cell, run in workspace.runs.of(document):
            line = _line_of(source.text, run.code)
            if run.record.kernel_id != kernel_id or line is None:
                continue
            first = source.text.strip("\n").split("\n")[0].strip()
            now = document.code(cell).split("\n")
            if line >= len(now) or first not in now[line]:
                # The cell has been edited since; its first line that looks the same will do.
                same = (number for number, text in enumerate(now) if first in text)
                line = next(same, 0)
            return _location(document.uri, document, cell.code_start + line)
    return None


def _in_file(workspace: Workspace, source: Source) -> types.Location | None:
    path = Path(source.file)
    if not source.file or not path.is_absolute() or not path.is_file():
        return None
    document = workspace.documents.find_path(path)
    return _location(document.uri if document else uri_of(path), document, source.line)


def _line_of(source: str, text: str) -> int | None:
    """The line of `text` at which `source` begins, whatever their blanks at the ends."""
    wanted = [line.rstrip() for line in source.strip("\n").split("\n")]
    pattern = r"[ \t]*\n".join(map(re.escape, [wanted[0].lstrip(), *wanted[1:]]))
    match = re.search(pattern, text)
    return text.count("\n", 0, match.start()) if match else None


def _read(path: Path) -> str:
    try:
        return read_text(path, MAX_FILE, "replace")
    except OSError:
        return ""


def _location(uri: str, document: Document | None, line: int) -> types.Location:
    character = 0
    if document is not None:
        text = document.line(line)
        character = document.position(line, len(text) - len(text.lstrip())).character
    place = types.Position(line, character)
    return types.Location(uri=uri, range=types.Range(start=place, end=place))
