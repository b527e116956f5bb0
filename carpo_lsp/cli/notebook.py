"""Notebooks (.ipynb): read as documents to run, written with what came out."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat as _nbformat

from carpo_lsp.cli.errors import UserError
from carpo_lsp.cli.sources import Source, SourceCell
from carpo_lsp.documents.languages import kernel_language

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carpo_lsp.kernels.events import Output
    from carpo_lsp.kernels.transcript import Record
    from carpo_lsp.protocol import Kernel


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


def write_notebook(
    path: Path,
    source: Source,
    records: Mapping[int, Record],
    kernels: Sequence[Kernel],
) -> None:
    """Write a notebook with the outputs of what was run. Raises `UserError`.

    `records` are by index of the cell; `kernels`, with their kernel info, in the order of the
    document's languages: the first one is the notebook's.
    """
    main = kernels[0].language if kernels else ""
    cells = [
        _cell(index, cell, records.get(index), main) for index, cell in enumerate(source.cells)
    ]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=_metadata(source, kernels))
    _replace(path, nbformat.writes(notebook))


def _metadata(source: Source, kernels: Sequence[Kernel]) -> dict[str, Any]:
    metadata = dict(source.metadata)
    for kernel in kernels[:1]:
        metadata["kernelspec"] = {
            "name": kernel.spec_name,
            "display_name": kernel.display_name,
            "language": kernel.language,
        }
        info = (kernel.kernel_info or {}).get("language_info")
        metadata["language_info"] = info if isinstance(info, dict) else {"name": kernel.language}
    return metadata


def _cell(index: int, cell: SourceCell, record: Record | None, main: str) -> Any:
    # Ids that stay the same from run to run keep differences between two runs small.
    fields = {"id": f"cell-{index + 1}", **cell.notebook, "source": cell.text}
    if cell.kind == "markdown":
        return nbformat.v4.new_markdown_cell(**fields)
    if cell.kind == "raw":
        return nbformat.v4.new_raw_cell(**fields)
    if cell.language != kernel_language(main):
        fields["metadata"] = {"vscode": {"languageId": cell.language}, **fields["metadata"]}
    return nbformat.v4.new_code_cell(
        **fields,
        execution_count=record.execution_count if record else None,
        outputs=[_output(output) for output in record.outputs] if record else [],
    )


def _output(output: Output) -> Any:
    """An output as nbformat has it, with the text that was too long to be kept in memory."""
    fields = dict(output)
    if output["output_type"] == "stream":
        kept = fields.pop("metadata", {}).get("carpo", {}).get("path")
        if kept is not None:
            fields["text"] = Path(kept).read_text(encoding="utf-8")
    return nbformat.from_dict(fields)


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole, or leave it as it was."""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text + "\n")
            os.chmod(temporary, _mode(path))
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def _mode(path: Path) -> int:
    """The mode a file has, or would get."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
