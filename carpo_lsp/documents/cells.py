"""Cells: the runs of lines of a document that are executed together.

How a document is cut into cells is the business of its layout: `script` for programs,
`markdown` for prose with fences, `WholeLayout` here for the cells of a notebook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

from carpo_lsp.documents.positions import without_line_end

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carpo_lsp.documents.header import Header

CellKind = Literal["code", "markdown", "raw"]


@attrs.frozen
class Cell:
    """A cell of one version of a document. All lines are 0-based, all ranges half-open.

    `start_line` to `end_line` is the whole cell with its marker or fences, `code_start` to
    `code_end` what is between them. `language` is a kernel language ("python", "r", "c++").
    `prefix` is what stands before the code on each of its lines (a comment marker, a quote or a
    list's indent); `code_line` takes it off. `key` names the cell as long as its marker lives,
    across edits that move it; it takes no part in comparisons. 0 is the cell without a marker.
    """

    index: int
    kind: CellKind
    language: str
    start_line: int
    end_line: int
    code_start: int
    code_end: int
    title: str = ""
    options: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    prefix: str = ""
    key: int = attrs.field(default=0, eq=False)

    @property
    def tags(self) -> list[str]:
        """Its tags, as Jupyter calls them: `tags=["a"]` on the marker, `#| tags: [a]` below it,
        or the metadata of a notebook's cell."""
        tags = self.options.get("tags")
        return [str(tag) for tag in tags] if isinstance(tags, list) else []

    @property
    def evaluate(self) -> bool:
        """Whether to run the cell with the document: its options may say `eval: false`, or its
        tags `skip-execution`."""
        return self.options.get("eval") is not False and "skip-execution" not in self.tags


class Layout(Protocol):
    """How one document is cut into cells. It reads the document's list of lines, as it is now."""

    @property
    def has_markers(self) -> bool:
        """Whether the text marks its cells, by marker lines or fences."""
        ...

    def edited(self, start: int, removed: Sequence[str], inserted: Sequence[str]) -> None:
        """The lines `removed` at `start` have become `inserted`; costs no more than these."""
        ...

    def cells(self) -> tuple[Cell, ...]: ...

    def cell_at(self, line: int) -> Cell | None:
        """The cell that holds `line`, without building the others."""
        ...

    def header(self) -> Header | None: ...


class WholeLayout:
    """A notebook's cell document: all of it is one cell."""

    has_markers = False

    def __init__(
        self, lines: Sequence[str], kind: CellKind, language: str, tags: Sequence[str] = ()
    ) -> None:
        self._lines = lines
        self._kind = kind
        self._language = language
        self._options = {"tags": list(tags)} if tags else {}

    def edited(self, start: int, removed: Sequence[str], inserted: Sequence[str]) -> None:
        """Nothing is remembered between edits."""

    def cells(self) -> tuple[Cell, ...]:
        end = len(self._lines)
        return (Cell(0, self._kind, self._language, 0, end, 0, end, options=self._options),)

    def cell_at(self, line: int) -> Cell | None:
        return self.cells()[0] if 0 <= line < len(self._lines) else None

    def header(self) -> Header | None:
        return None


def prefix_width(cell: Cell, line: str) -> int:
    """How many characters of `line` stand before the code of `cell`."""
    if not cell.prefix:
        return 0
    if cell.kind != "code":
        if not line.startswith(cell.prefix):
            return 0
        width = len(cell.prefix)
        return width + 1 if line[width : width + 1] == " " else width
    quotes = cell.prefix.count(">")
    for width, character in enumerate(line[: len(cell.prefix)]):
        if character == ">" and quotes:
            quotes -= 1
        elif character not in " \t":
            return width
    return min(len(cell.prefix), len(line))


def code_line(cell: Cell, line: str) -> str:
    """The code on one line of `cell`: `line` without its prefix and line end."""
    line = without_line_end(line)
    return line[prefix_width(cell, line) :]
