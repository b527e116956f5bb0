"""carpo.exportNotebook: a document with its outputs as a Jupyter notebook beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsprotocol import types

from carpo_lsp.choice import choose
from carpo_lsp.documents.uris import path_of
from carpo_lsp.errors import CarpoError, InvalidParams
from carpo_lsp.features.arguments import option, resolve_document
from carpo_lsp.kernels.environments import jupyter_name
from carpo_lsp.notebooks import cells_of, notebook_text, write_whole

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator, Sequence
    from pathlib import Path

    from carpo_lsp.documents.document import Document
    from carpo_lsp.kernels.transcript.transcript import Record
    from carpo_lsp.notebooks import SourceCell
    from carpo_lsp.protocol import Kernel
    from carpo_lsp.workspace.workspace import Workspace


def export_notebook(workspace: Workspace, arguments: list[Any]) -> Coroutine[Any, Any, None]:
    """Write a document's cells and what they have shown to `<stem>.ipynb` in its folder.

    A notebook that is there already is left alone and another name is taken, unless an argument
    has `overwrite: true`.
    """
    document = resolve_document(workspace, arguments)
    if workspace.documents.notebook_of(document.uri) is not None:
        raise InvalidParams("The document is a notebook already; save it in the editor.")
    source = path_of(document.uri)
    if source is None or not source.parent.is_dir():
        raise InvalidParams("The document has no file yet; save it first.")
    cells = list(cells_of(document))
    ran = {cell.start_line + 1: run.record for cell, run in workspace.runs.of(document)}
    records = {
        index: ran[cell.line]
        for index, cell in enumerate(cells)
        if cell.kind == "code" and cell.line in ran
    }
    path = source.with_suffix(".ipynb")
    if option(arguments, "overwrite") is not True:
        path = next(each for each in _names(path) if not each.exists())
    languages = dict.fromkeys(cell.language for cell in cells if cell.kind == "code")
    kernels = list(_kernels(workspace, document, languages))
    metadata = {} if kernels else _planned(workspace, document, languages)
    return _write(workspace, path, cells, records, kernels, metadata)


async def _write(
    workspace: Workspace,
    path: Path,
    cells: Sequence[SourceCell],
    records: dict[int, Record],
    kernels: Sequence[Kernel],
    metadata: dict[str, Any],
) -> None:
    """The work, which takes too long for the answer to the command to wait for it."""
    try:
        write_whole(path, notebook_text(cells, records, kernels, metadata))
    except OSError as error:
        raise InvalidParams(f"{path} cannot be written: {error.strerror}.") from error
    workspace.client.show_message(f"Wrote {path}", types.MessageType.Info)


def _names(path: Path) -> Iterator[Path]:
    """A path, then others that differ from it by a number."""
    yield path
    number = 1
    while True:
        yield path.with_stem(f"{path.stem}-{number}")
        number += 1


def _kernels(
    workspace: Workspace, document: Document, languages: Iterable[str]
) -> Iterator[Kernel]:
    """The document's kernels with their info, in the order of its languages."""
    for language in languages:
        kernel_id = workspace.bound_kernel(document, language)
        if kernel_id is not None:
            yield workspace.frontend.manager.get(kernel_id).snapshot(info=True)


def _planned(workspace: Workspace, document: Document, languages: Iterable[str]) -> dict[str, Any]:
    """The notebook's metadata for a document that has not been run: the kernel it would get."""
    for language in languages:
        try:
            wish = workspace.wish(document, language)
            spec = choose(workspace.frontend.manager.specs, wish).spec
        except CarpoError:  # a notebook without a kernel lets its reader choose one
            return {"language_info": {"name": language}}
        name = jupyter_name(spec.name, spec.path)
        named = {"name": name, "display_name": spec.display_name, "language": language}
        return {"kernelspec": named, "language_info": {"name": language}}
    return {}
