"""The full results of a document as a Markdown file with its pictures beside it.

It stands in the user's state folder, one folder per document, for its user's eyes only. What
comes from kernels can make no editor run anything: see `texts`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import os
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import platformdirs
from lsprotocol import types

from carpo_lsp.documents.uris import file_name, uri_of
from carpo_lsp.errors import InvalidParams
from carpo_lsp.features import texts
from carpo_lsp.features.arguments import resolve, resolve_document
from carpo_lsp.features.hints import state_words
from carpo_lsp.features.selected_code import cells_of
from carpo_lsp.features.shown import number_of, shown

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator

    from carpo_lsp.documents.document import Document
    from carpo_lsp.features.shown import Shown
    from carpo_lsp.kernels.events import Output
    from carpo_lsp.workspace.workspace import Workspace

FILE: Final = "results.md"

MAX_OUTPUTS: Final = 200
"""Outputs of one execution that are written; of more, the last ones."""

MAX_TEXT: Final = 5 * 1024 * 1024
"""Characters of the file."""

MAX_IMAGE: Final = 20 * 1024 * 1024
"""Bytes of one picture."""

MAX_IMAGES: Final = 100
"""Pictures beside one file."""


def folder_of(uri: str) -> Path:
    """Where a document's results are, whether there are any or not: a name to recognise and a
    hash to tell apart."""
    name = re.sub(r"[^\w.-]+", "-", file_name(uri))[-60:].strip("-.")
    digest = hashlib.sha256(uri.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return platformdirs.user_state_path("carpo-lsp") / "results" / f"{name or 'untitled'}-{digest}"


def write(workspace: Workspace, document: Document) -> Path | None:
    """Write a document's results (a notebook's, for one of its cells) and return the file.

    None when there are none; a file of earlier ones then goes. Raises `OSError`.
    """
    notebook = workspace.documents.notebook_of(document.uri)
    uri = notebook.uri if notebook is not None else document.uri
    documents = dict.fromkeys(placed.document for placed in cells_of(workspace, document))
    folder = folder_of(uri)
    pictures: set[str] = set()
    now = time.monotonic()
    runs = [(part, each) for part in documents for each in shown(workspace, part)]
    sections = [
        "\n\n".join(
            _section(part, each, number_of(workspace, part, each.cell), folder, pictures, now)
        )
        for part, each in runs
        if each.state != "queued"
    ]
    if not any(each.record.outputs for _, each in runs):
        _remove(folder)
        return None
    name = file_name(uri)
    text = f"# Results of {texts.neutral(name)}\n\n" + "\n\n".join(sections) + "\n"
    _make(folder)
    _replace(folder / FILE, texts.without_modelines(texts.bounded(text, MAX_TEXT)).encode())
    for file in folder.iterdir():
        if file.name != FILE and file.name not in pictures:
            file.unlink(missing_ok=True)
    return folder / FILE


def _section(
    document: Document,
    each: Shown,
    number: int | None,
    folder: Path,
    pictures: set[str],
    now: float,
) -> Iterator[str]:
    title = f" ({texts.neutral(each.cell.title)})" if each.cell.title else ""
    first, last = each.range.start.line + 1, each.range.end.line + 1
    lines = f"line {first}" if first == last else f"lines {first} to {last}"
    if each.whole and number is not None:
        name = f"Cell {number}{title}, {lines}"
    else:
        name = lines.capitalize()
    yield f"## {name}: {state_words(each, now)}"
    outputs = each.record.outputs
    if len(outputs) > MAX_OUTPUTS:
        yield f"… {len(outputs) - MAX_OUTPUTS} outputs left out …"
    for output in outputs[-MAX_OUTPUTS:]:
        for block in (texts.markdown(output), _whole(output), _picture(output, folder, pictures)):
            if block:
                yield block


def _whole(output: Output) -> str:
    """Where all of an output is that was too big to hold."""
    pointer = (output.get("metadata") or {}).get("carpo")
    path = pointer.get("path") if isinstance(pointer, dict) else None
    return f"The whole output: [{Path(path).name}]({uri_of(path)})" if path else ""


def _picture(output: Output, folder: Path, pictures: set[str]) -> str:
    """A link to the picture of an output, which is saved; empty when it has none."""
    if len(pictures) >= MAX_IMAGES or (found := image_of(output)) is None:
        return ""
    kind, body = found
    if len(body) > MAX_IMAGE:
        return f"A picture of {len(body)} bytes is left out."
    name = save_image(folder, kind, body)
    pictures.add(name)
    return f"![{name}]({name})"


def image_of(output: Output) -> tuple[str, bytes] | None:
    """The picture an output shows, as its MIME type and bytes."""
    data = output.get("data") or {}
    for kind in texts.IMAGES:
        value = data.get(kind)
        if isinstance(value, str):
            if kind == "image/svg+xml":
                return kind, value.encode()
            with contextlib.suppress(binascii.Error, ValueError):
                return kind, base64.b64decode(value)
    return None


def save_image(folder: Path, kind: str, body: bytes) -> str:
    """Save a picture in a folder of results and return its name, which is made of what is in it.

    Raises `OSError`.
    """
    name = f"{hashlib.sha256(body).hexdigest()[:16]}.{texts.IMAGES[kind]}"
    if not (folder / name).exists():
        _make(folder)
        _replace(folder / name, body)
    return name


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.parent.chmod(0o700)


def _replace(path: Path, body: bytes) -> None:
    """Write a file (mode 0600) so that a reader sees all of it or all of the one before."""
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(body)
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def _remove(folder: Path) -> None:
    if (folder / FILE).exists():
        for file in folder.iterdir():
            file.unlink(missing_ok=True)
        folder.rmdir()


# Commands


def show_output(workspace: Workspace, arguments: list[Any]) -> Coroutine[Any, Any, None] | None:
    """Show the file with a document's full results beside it, or say where the file is."""
    document = resolve_document(workspace, arguments)
    restored = workspace.restoring.under_way(document)
    if restored is None:
        return _show_results(workspace, document)

    async def later() -> None:
        await asyncio.wait([restored])
        shown = _show_results(workspace, document)
        if shown is not None:
            await shown

    return later()


def _show_results(workspace: Workspace, document: Document) -> Coroutine[Any, Any, None] | None:
    try:
        path = write(workspace, document)
    except OSError as error:
        raise InvalidParams(f"The results cannot be written: {error}.") from error
    if path is None:
        raise InvalidParams("The document has no results yet; run a cell first.")
    return _show(workspace, path)


async def _show(workspace: Workspace, path: Path) -> None:
    client = workspace.client
    if not await client.show_document(uri_of(path), take_focus=False):
        client.show_message(f"The results are in {path}", types.MessageType.Info)


def clear_output(workspace: Workspace, arguments: list[Any]) -> None:
    """Clear the outputs of the cell at a place; with a document alone, of all its cells."""
    document = resolve_document(workspace, arguments)
    try:
        target = resolve(workspace, arguments)
    except InvalidParams:
        cells = None
    else:
        at = document.cell_at(target.position.line)
        cells = None if at is None else {at.index}
    _forget(workspace, document, shown(workspace, document), cells)
    workspace.on_clear(document.uri)


def _forget(
    workspace: Workspace, document: Document, runs: Iterable[Shown], cells: set[int] | None
) -> None:
    for each in runs:
        if each.record.done and (cells is None or each.cell.index in cells):
            workspace.frontend.forget(each.record.execution_id)
            if each.whole:
                workspace.runs.forget(document, each.cell)
