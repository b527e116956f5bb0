"""Notebooks (.ipynb) as documents to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nbformat as _nbformat

from carpo_lsp.cli.errors import UserError
from carpo_lsp.cli.sources import Source
from carpo_lsp.documents.languages import kernel_language
from carpo_lsp.notebooks import SourceCell

if TYPE_CHECKING:
    from pathlib import Path

# Its functions have no hints.
nbformat: Any = _nbformat


def source_of_notebook(path: Path, text: str) -> Source:
    """The cells of a notebook of any version, without their outputs. Raises `UserError`."""
    notebook = _parse(path, text)
    metadata = dict(notebook.metadata)
    spec = metadata.get("kernelspec", {})
    info = metadata.get("language_info", {})
    language = kernel_language(spec.get("language") or info.get("name") or "python")
    return Source(
        path=path,
        cells=tuple(_source_cell(cell, language) for cell in notebook.cells),
        kernel_name=spec.get("name"),
        metadata=metadata,
    )


def _parse(path: Path, text: str) -> Any:
    try:
        notebook = nbformat.convert(nbformat.reader.reads(text), 4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                # Old outputs are not used, so they need not be valid either.
                cell.outputs = []
        notebook = nbformat.validator.normalize(notebook)[1]
        nbformat.validate(notebook)
    except nbformat.reader.NotJSONError as error:
        raise UserError(f"{path}: not a notebook: it is not JSON") from error
    # What a JSON document that is no notebook makes of nbformat is anybody's guess.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"{path}: not a valid notebook: {reason}") from error
    return notebook


def _source_cell(cell: Any, language: str) -> SourceCell:
    tags = cell.metadata.get("tags", [])
    kept = {key: cell[key] for key in ("id", "metadata", "attachments") if key in cell}
    return SourceCell(
        kind=cell.cell_type,
        language=language,
        text=cell.source,
        title=str(cell.metadata.get("title", "")),
        evaluate="skip-execution" not in tags,
        may_fail="raises-exception" in tags,
        notebook=kept,
    )
