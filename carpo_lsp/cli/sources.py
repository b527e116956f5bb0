"""The documents to run: read from files and cut into cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from carpo_lsp.cli.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from carpo_lsp.documents.cells import Cell, CellKind
    from carpo_lsp.documents.document import Document


@attrs.frozen
class SourceCell:
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
    notebook: dict[str, Any] = attrs.field(factory=dict)
    """What it has in a notebook besides: `id`, `metadata`, `attachments`."""

    @property
    def runs(self) -> bool:
        return self.kind == "code" and self.evaluate and self.text.strip() != ""

    @property
    def label(self) -> str:
        """A few words for people: the title, else the first line of the code."""
        lines = (line.strip() for line in self.text.splitlines())
        return self.title or next((line for line in lines if line and "#|" not in line), "")


@attrs.frozen
class Source:
    """A document that is to be run."""

    path: Path
    cells: tuple[SourceCell, ...]
    kernel_name: str | None = None
    """The kernelspec the document asks for."""
    metadata: dict[str, Any] = attrs.field(factory=dict)
    """The notebook metadata to go out with."""

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the cells that run, in the order of their first cells."""
        return tuple(dict.fromkeys(cell.language for cell in self.cells if cell.runs))


def read_source(path: Path) -> Source:
    """Read a document or notebook. Raises `UserError`."""
    text = _read_text(path)
    if path.suffix.lower() == ".ipynb":
        from carpo_lsp.cli.notebook import source_of_notebook

        return source_of_notebook(path, text)
    from carpo_lsp.documents.document import Document
    from carpo_lsp.documents.uris import uri_of

    document = Document(uri_of(path), "", 0, text)
    header = document.header()
    return Source(path, tuple(_cells_of(document)), header.kernel if header else None)


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (at byte {error.start})") from error


def _cells_of(document: Document) -> Iterator[SourceCell]:
    """The cells, and the prose between them as markdown cells."""
    header = document.header()
    line = header.end_line if header else 0
    for cell in document.cells():
        yield from _prose(document, line, cell.start_line)
        yield _cell_of(document, cell)
        line = cell.end_line
    yield from _prose(document, line, document.line_count)


def _cell_of(document: Document, cell: Cell) -> SourceCell:
    tags = cell.options.get("tags")
    tags = [str(tag) for tag in tags] if isinstance(tags, list) else []
    metadata: dict[str, Any] = {"title": cell.title} if cell.title else {}
    return SourceCell(
        kind=cell.kind,
        language=cell.language,
        text=document.code(cell).rstrip("\n"),
        title=cell.title,
        line=cell.start_line + 1,
        evaluate=cell.evaluate and "skip-execution" not in tags,
        may_fail=cell.options.get("error") is True or "raises-exception" in tags,
        notebook={"metadata": {**metadata, "tags": tags} if tags else metadata},
    )


def _prose(document: Document, start: int, end: int) -> Iterator[SourceCell]:
    text = document.text_between(start, end).strip()
    if text:
        yield SourceCell("markdown", "markdown", text, line=start + 1)
