"""The documents to run, read from files and cut into cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from carpo_lsp.cli.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from carpo_lsp.notebooks import SourceCell


class Source(Struct, frozen=True):
    """A document that is to be run."""

    path: Path
    cells: tuple[SourceCell, ...]
    kernel_name: str | None = None
    """The kernelspec the document asks for."""
    metadata: dict[str, Any] = field(default_factory=dict)
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
    from carpo_lsp.notebooks import cells_of

    document = Document(uri_of(path), "", 0, text)
    header = document.header()
    return Source(path, tuple(cells_of(document)), header.kernel if header else None)


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (at byte {error.start})") from error
