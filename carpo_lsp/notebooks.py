"""Documents as notebooks (.ipynb, nbformat 4): their cells, the prose between, and the outputs."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from carpo_lsp.documents.languages import kernel_language
from carpo_lsp.kernels.environments import jupyter_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from carpo_lsp.documents.cells import Cell, CellKind
    from carpo_lsp.documents.document import Document
    from carpo_lsp.kernels.events import Output
    from carpo_lsp.kernels.transcript.transcript import Record
    from carpo_lsp.protocol import Kernel


class Executed(Struct, frozen=True):
    """What a notebook has of an execution besides its code."""

    execution_count: int | None
    outputs: Sequence[Output]


class SourceCell(Struct, frozen=True):
    """A cell of a document, of whatever format. `text` is what the kernel or the reader gets."""

    kind: CellKind
    language: str
    """The kernel language of a code cell."""
    text: str
    title: str = ""
    line: int | None = None
    """Where the cell begins, from 1; None in a notebook."""
    evaluate: bool = True
    may_fail: bool = False
    """Whether an error is expected of it."""
    notebook: dict[str, Any] = field(default_factory=dict)
    """What it has in a notebook besides: `id`, `metadata`, `attachments`."""

    @property
    def runs(self) -> bool:
        return self.kind == "code" and self.evaluate and self.text.strip() != ""

    @property
    def label(self) -> str:
        """A few words for people: the title, else the first line of the code."""
        lines = (line.strip() for line in self.text.splitlines())
        return self.title or next((line for line in lines if line and "#|" not in line), "")


def cells_of(document: Document) -> Iterator[SourceCell]:
    """The cells of a document, and the prose between them as markdown cells."""
    header = document.header()
    line = header.end_line if header else 0
    for cell in document.cells():
        yield from _prose(document, line, cell.start_line)
        yield _cell_of(document, cell)
        line = cell.end_line
    yield from _prose(document, line, document.line_count)


def _cell_of(document: Document, cell: Cell) -> SourceCell:
    tags = cell.tags
    metadata: dict[str, Any] = {"title": cell.title} if cell.title else {}
    return SourceCell(
        kind=cell.kind,
        language=cell.language,
        text=document.code(cell).rstrip("\n"),
        title=cell.title,
        line=cell.start_line + 1,
        evaluate=cell.evaluate,
        may_fail=cell.options.get("error") is True or "raises-exception" in tags,
        notebook={"metadata": {**metadata, "tags": tags} if tags else metadata},
    )


def _prose(document: Document, start: int, end: int) -> Iterator[SourceCell]:
    text = document.text_between(start, end).strip()
    if text:
        yield SourceCell("markdown", "markdown", text, line=start + 1)


def notebook_text(
    cells: Sequence[SourceCell],
    records: Mapping[int, Record | Executed],
    kernels: Sequence[Kernel],
    metadata: Mapping[str, Any],
) -> str:
    """A notebook of these cells with the outputs of what was run.

    `records` are by index of the cell; `kernels`, with their kernel info, in the order of the
    languages: the first one is the notebook's, and goes into its metadata.
    """
    import nbformat  # 0.2 s, and few need it

    v4: Any = nbformat.v4  # its functions have no hints
    metadata = dict(metadata)
    for kernel in kernels[:1]:
        info = (kernel.kernel_info or {}).get("language_info")
        metadata["kernelspec"] = {
            "name": jupyter_name(kernel.spec_name or kernel.language, kernel.spec_path),
            "display_name": kernel.display_name,
            "language": kernel.language,
        }
        metadata["language_info"] = info if isinstance(info, dict) else {"name": kernel.language}
    named = (
        metadata.get("language_info", {}).get("name"),
        *(each.language for each in kernels[:1]),
    )
    main = {kernel_language(name) for name in named if isinstance(name, str)}
    notebook = v4.new_notebook(
        cells=[_cell(v4, i, cell, records.get(i), main) for i, cell in enumerate(cells)],
        metadata=metadata,
    )
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call] # it has no hints
    return text + "\n"


def _cell(
    v4: Any, index: int, cell: SourceCell, record: Record | Executed | None, main: set[str]
) -> Any:
    # Ids that stay the same from run to run keep differences between two runs small.
    fields = {"id": f"cell-{index + 1}", "metadata": {}, **cell.notebook, "source": cell.text}
    if cell.kind == "markdown":
        return v4.new_markdown_cell(**fields)
    if cell.kind == "raw":
        return v4.new_raw_cell(**fields)
    if cell.language not in main:
        fields["metadata"] = {"vscode": {"languageId": cell.language}, **fields["metadata"]}
    return v4.new_code_cell(
        **fields,
        execution_count=record.execution_count if record else None,
        outputs=[_output(output) for output in record.outputs] if record else [],
    )


def _output(output: Output) -> Any:
    """An output as nbformat has it, with the text that was too long to be kept in memory."""
    from nbformat import from_dict

    fields = dict(output)
    if output["output_type"] == "stream":
        kept = fields.pop("metadata", {}).get("carpo", {}).get("path")
        if kept is not None:
            fields["text"] = Path(kept).read_text(encoding="utf-8")
    return from_dict(fields)  # type: ignore[no-untyped-call] # it has no hints


def write_whole(path: Path, text: str) -> None:
    """Write a file as a whole, or leave it as it was. Raises `OSError`."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _mode(path: Path) -> int:
    """The mode a file has, or would get."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
