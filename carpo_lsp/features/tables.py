"""HTML tables, as data frames are sent, as Markdown tables."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

MAX_ROWS: Final = 200
"""Rows of a table that are shown."""

MAX_COLUMNS: Final = 50
"""Columns of a table that are shown."""


def tables_to_markdown(html: str) -> str:
    """All tables of a piece of HTML with the text around them; empty when no table has a cell."""
    reader = _Reader()
    # HTMLParser gives up at a marked section that it does not know; HTML has none.
    reader.feed(html.replace("<![", "&lt;!["))
    reader.close()
    reader.end_table()
    return "\n\n".join(reader.blocks) if reader.found else ""


class _Reader(HTMLParser):
    """Collects text and tables; tables inside tables become part of their cell's text."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[str] = []
        self.found = False
        self._rows: list[list[str]] = []
        self._heads = 0
        self._text: list[str] = []
        self._span = 1
        self._depth = 0
        self._hidden = 0
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "script"):
            self._hidden += 1
        elif tag == "table":
            self._depth += 1
            if self._depth == 1:
                self._flush()
        elif self._depth != 1:
            return
        elif tag == "tr":
            self._end_cell()
            self._rows.append([])
        elif tag in ("td", "th"):
            self._end_cell()
            if not self._rows:
                self._rows.append([])
            if tag == "th" and len(self._rows[-1]) == 0 and len(self._rows) == self._heads + 1:
                self._heads += 1
            elif tag == "td" and self._heads == len(self._rows):
                self._heads -= 1  # a heading of the row, not a row of headings
            self._text = []
            self._span = min(MAX_COLUMNS, _number(dict(attrs).get("colspan")))
            self._in_cell = True
        elif tag == "br":
            self._text.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script"):
            self._hidden = max(0, self._hidden - 1)
        elif tag in ("td", "th") and self._depth == 1:
            self._end_cell()
        elif tag == "caption" and self._depth == 1:
            self._flush()
        elif tag == "table":
            self._depth = max(0, self._depth - 1)
            if self._depth == 0:
                self.end_table()
        elif tag in ("p", "div") and self._depth == 0:
            self._flush()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._text.append(data)

    def end_table(self) -> None:
        """The table's end, or that of the HTML."""
        self._end_cell()
        rows = [row for row in self._rows if row]
        if rows:
            self.found = True
            self.blocks.append(_table(rows, self._heads))
        self._rows, self._heads = [], 0
        self._flush()

    def _end_cell(self) -> None:
        if self._in_cell:
            self._rows[-1] += [" ".join("".join(self._text).split())] + [""] * (self._span - 1)
            self._text = []
        self._in_cell = False

    def _flush(self) -> None:
        """Text outside cells is a paragraph."""
        if not self._in_cell:
            if paragraph := " ".join("".join(self._text).split()):
                self.blocks.append(paragraph)
            self._text = []


def _table(rows: list[list[str]], heads: int) -> str:
    """Rows as a Markdown table; several rows of headings become one."""
    width = min(MAX_COLUMNS, max(map(len, rows)))
    rows = [(row + [""] * width)[:width] for row in rows]
    head = [" ".join(filter(None, column)) for column in zip(*rows[:heads], strict=True)]
    body = rows[heads:]
    left_out = len(body) - MAX_ROWS
    lines = [_row(head or [""] * width), "|" + " --- |" * width, *map(_row, body[:MAX_ROWS])]
    if left_out > 0:
        lines.append(f"\n… {left_out} more rows")
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return (
        "| " + " | ".join(cell.replace("\\", "\\\\").replace("|", "\\|") for cell in cells) + " |"
    )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and int(text) else 1
