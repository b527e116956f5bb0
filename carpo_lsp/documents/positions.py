"""Positions in a text: LSP's lines and encoded columns, and our code points.

A client counts columns in the encoding negotiated at `initialize`; kernels and Python strings count
unicode code points. Everything here is a pure function of one line or one text. What points outside
the text is moved to the nearest place inside; nothing raises.
"""

from __future__ import annotations

import re
from enum import StrEnum

from msgspec import Struct


class Encoding(StrEnum):
    """How a client counts columns: in bytes, in 16-bit units, or in code points."""

    UTF8 = "utf-8"
    UTF16 = "utf-16"
    UTF32 = "utf-32"


class Position(Struct, frozen=True, order=True):
    """A place between two characters: 0-based line, column in the negotiated encoding."""

    line: int
    character: int


class Range(Struct, frozen=True):
    """The text from `start` up to and without `end`."""

    start: Position
    end: Position


# LSP's line ends and no others: str.splitlines also breaks at form feeds and U+2028.
_LINE_END = re.compile(r"\r\n|\r|\n")


def split_lines(text: str) -> list[str]:
    """The lines of `text`, each with its line end; the last one has none and may be empty.

    Never empty, and joining the lines gives the text back.
    """
    if "\r" not in text:
        lines = text.split("\n")
        last = lines.pop()
        return [line + "\n" for line in lines] + [last]
    lines = []
    start = 0
    for match in _LINE_END.finditer(text):
        lines.append(text[start : match.end()])
        start = match.end()
    lines.append(text[start:])
    return lines


def without_line_end(line: str) -> str:
    """`line` less the line end `split_lines` left on it."""
    if line.endswith("\r\n"):
        return line[:-2]
    if line.endswith(("\n", "\r")):
        return line[:-1]
    return line


def to_code_points(line: str, column: int, encoding: Encoding) -> int:
    """The code point of `line` (without its line end) at `column` of `encoding`.

    A column inside a character means the start of that character, one past the end means the end.
    """
    if column <= 0:
        return 0
    if encoding is Encoding.UTF32 or line.isascii():
        return min(column, len(line))
    if encoding is Encoding.UTF8:
        data = line.encode("utf-8", "surrogatepass")
        if column >= len(data):
            return len(line)
        while data[column] & 0xC0 == 0x80:
            column -= 1
        return len(data[:column].decode("utf-8", "surrogatepass"))
    data = line.encode("utf-16-le", "surrogatepass")
    if 2 * column >= len(data):
        return len(line)
    # The high byte of a 16-bit unit tells whether it is the second (or first) half of a pair.
    if data[2 * column + 1] & 0xFC == 0xDC and data[2 * column - 1] & 0xFC == 0xD8:
        column -= 1
    return len(data[: 2 * column].decode("utf-16-le", "surrogatepass"))


def from_code_points(line: str, column: int, encoding: Encoding) -> int:
    """The column of `encoding` at code point `column` of `line`: undoes `to_code_points`."""
    column = max(0, min(column, len(line)))
    if encoding is Encoding.UTF32 or line.isascii():
        return column
    if encoding is Encoding.UTF8:
        return len(line[:column].encode("utf-8", "surrogatepass"))
    return len(line[:column].encode("utf-16-le", "surrogatepass")) // 2
