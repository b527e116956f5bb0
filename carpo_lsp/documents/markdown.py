"""Cells of prose: the fenced code of Markdown, MyST, Quarto and R Markdown, as CommonMark sees it.

Where the fences are is the business of `sections`; what they mean is told here.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import attrs

from carpo_lsp.documents.cells import Cell, code_line
from carpo_lsp.documents.header import front_matter
from carpo_lsp.documents.languages import comment_markers, is_known, kernel_language, suffix_of
from carpo_lsp.documents.options import chunk_options, marker_options, option_lines, yaml_scalar
from carpo_lsp.documents.sections import Sections

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from carpo_lsp.documents.header import Header
    from carpo_lsp.documents.sections import CodeFence

_CHUNK_NAMES = ("quarto", "qmd", "rmarkdown", "rmd", ".qmd", ".rmarkdown", ".rmd")
_PROSE_NAMES = ("markdown", "md", "myst", "pandoc", ".markdown", ".md")

# Fence words that no kernel runs: data, pictures, and the output of programs.
_NOT_CODE = frozenset(
    "asis cat comment console css csv diff dot embed html ini json json5 jsonc log markdown md "
    "mermaid none ojs output patch plain plaintext pycon rconsole rst svg tex text toml tsv txt "
    "verbatim xml yaml yml".split()
)

_CHUNK = re.compile(r"\{\s*([A-Za-z][\w+#.-]*)\s*(?:[\s,](.*))?\}$")
_WORD = re.compile(r"(?:\{\s*\.)?([A-Za-z][\w+#.-]*)(.*?)\}?$")
_MYST = re.compile(r"\{code-cell\}\s*([\w+#.-]*)")
_MYST_OPTION = re.compile(r":([\w-]+):(.*)")


def is_prose(language: str, uri: str) -> bool:
    """Whether a document's cells are fences."""
    names = (*_CHUNK_NAMES, *_PROSE_NAMES)
    return language in names or suffix_of(uri) in names


def has_chunks(language: str, uri: str) -> bool:
    """Whether only fences with braces run, as in Quarto and R Markdown."""
    return language in _CHUNK_NAMES or suffix_of(uri) in _CHUNK_NAMES


class MarkdownLayout:
    """A prose document's cells. They are made when asked for."""

    def __init__(self, lines: Sequence[str], *, chunks: bool) -> None:
        self._lines = lines
        self._chunks = chunks
        self._sections = Sections(lines, self._language)
        self._header: Header | None = None

    # --- what the document asks

    @property
    def has_markers(self) -> bool:
        return self._sections.has_code

    def edited(self, start: int, removed: Sequence[str], inserted: Sequence[str]) -> None:
        before = self._sections.header_end
        self._sections.edited(start, removed, inserted)
        if start < before or self._sections.header_end != before:
            self._header = None

    def cells(self) -> tuple[Cell, ...]:
        return tuple(map(self._cell, self._sections))

    def cell_at(self, line: int) -> Cell | None:
        found = self._sections.at(line)
        return None if found is None else self._cell(found)

    def header(self) -> Header | None:
        end = self._sections.header_end
        if end and self._header is None:
            self._header = front_matter(self._lines, end)
        return self._header

    # --- cells

    def _language(self, info: str) -> str | None:
        """The kernel language a fence's info string names, empty where that is the header's;
        None where the fence is not to run."""
        if match := _MYST.match(info):
            return kernel_language(match[1])
        chunk = _CHUNK.match(info)
        match = chunk if self._chunks else chunk or _WORD.match(info)
        if match is None or match[1].lower() in _NOT_CODE:
            return None
        language = kernel_language(match[1])
        if chunk and not self._chunks and not is_known(language):
            return None  # in plain Markdown `{note}` is a directive of MyST
        return language

    def _cell(self, found: CodeFence) -> Cell:
        fence = found.fence
        cell = Cell(
            index=found.index,
            kind="code",
            language=fence.language or self._header_language(),
            start_line=found.start,
            end_line=found.end,
            code_start=found.start + 1,
            code_end=found.end - fence.closed,
            prefix=fence.prefix,
            key=found.key,
        )
        options: dict[str, Any] = {}
        if _MYST.match(fence.info):
            cell, options = self._myst_options(cell)
        elif match := _CHUNK.match(fence.info):
            options = chunk_options(match[2] or "")
        elif match := _WORD.match(fence.info):
            options = marker_options(match[2])[2]
        options |= option_lines(self._code(cell), comment_markers(cell.language))
        title = str(options.get("label") or options.get("title") or "")
        # knitr's way to run another language in an R chunk.
        language = kernel_language(str(options.get("engine") or cell.language))
        return attrs.evolve(cell, options=options, title=title, language=language)

    def _header_language(self) -> str:
        header = self.header()
        return (header.language if header else None) or "python"

    def _code(self, cell: Cell) -> Iterator[str]:
        """The lines of a cell's code, one by one: it may be long, and its options are its head."""
        return (code_line(cell, self._lines[n]) for n in range(cell.code_start, cell.code_end))

    def _myst_options(self, cell: Cell) -> tuple[Cell, dict[str, Any]]:
        """MyST's options, `:key: value` lines or a YAML block, which are not part of the code."""
        options: dict[str, Any] = {}
        start = cell.code_start
        lines = self._code(cell)
        if next(lines, None) == "---":
            head = list(itertools.takewhile(lambda line: line != "---", lines))
            if start + len(head) + 1 < cell.code_end:
                start += len(head) + 2
                for line in head:
                    key, colon, value = line.partition(":")
                    if colon and key == key.strip():
                        options[key] = yaml_scalar(value)
        for line in self._code(attrs.evolve(cell, code_start=start)):
            match = _MYST_OPTION.match(line)
            if match is None:
                break
            options[match[1]] = yaml_scalar(match[2])
            start += 1
        return attrs.evolve(cell, code_start=start), options
