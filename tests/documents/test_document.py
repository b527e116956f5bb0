from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carpo_lsp.documents.document import Document
from carpo_lsp.documents.positions import Encoding, Position, Range

UNIT = {
    Encoding.UTF8: ("utf-8", 1),
    Encoding.UTF16: ("utf-16-le", 2),
    Encoding.UTF32: ("utf-32-le", 4),
}
PIECE = st.sampled_from(["a", "é", "😀", "\x0c", "\u2028", "\r", "\n", "\r\n", "# %%\n"])
TEXT = st.lists(PIECE, max_size=12).map("".join)
POSITION = st.builds(Position, st.integers(-1, 8), st.integers(-1, 12))
CHANGE = st.tuples(st.none() | st.builds(Range, POSITION, POSITION), TEXT)


def document(text: str, encoding: Encoding = Encoding.UTF16) -> Document:
    return Document("file:///a.py", "python", 1, text, encoding)


def span(start: tuple[int, int], end: tuple[int, int]) -> Range:
    return Range(Position(*start), Position(*end))


def naive_lines(text: str) -> list[tuple[int, str]]:
    """Offset and text (without line end) of each line."""
    parts = re.split(r"(\r\n|\r|\n)", text)
    lines, offset = [], 0
    for i in range(0, len(parts), 2):
        lines.append((offset, parts[i]))
        offset += sum(map(len, parts[i : i + 2]))
    return lines


def naive_offset(text: str, position: Position, encoding: Encoding) -> int:
    lines = naive_lines(text)
    if position.line < 0:
        return 0
    if position.line >= len(lines):
        return len(text)
    start, line = lines[position.line]
    codec, size = UNIT[encoding]
    column = 0
    while (
        column < len(line) and len(line[: column + 1].encode(codec)) // size <= position.character
    ):
        column += 1
    return start + column


def naive_apply(text: str, change: tuple[Range | None, str], encoding: Encoding) -> str:
    range_, new = change
    if range_ is None:
        return new
    start, end = sorted(naive_offset(text, p, encoding) for p in (range_.start, range_.end))
    return text[:start] + new + text[end:]


@given(TEXT, st.lists(CHANGE, max_size=6), st.sampled_from(list(Encoding)))
def test_edits_do_what_they_do_to_a_plain_string(
    text: str, changes: list[tuple[Range | None, str]], encoding: Encoding
) -> None:
    tested = document(text, encoding)
    for version, change in enumerate(changes, start=2):
        tested.cells()  # so that the cells are kept up to date rather than made afresh
        tested.apply([change], version)
        text = naive_apply(text, change, encoding)
        assert tested.text() == text
        assert tested.version == version
        assert [tested.line(i) for i in range(tested.line_count)] == [
            line for _, line in naive_lines(text)
        ]
        assert tested.cells() == document(text, encoding).cells()


@given(TEXT, POSITION, POSITION, st.sampled_from(list(Encoding)))
def test_places_agree_with_a_plain_string(
    text: str, start: Position, end: Position, encoding: Encoding
) -> None:
    tested = document(text, encoding)
    first, last = sorted(naive_offset(text, p, encoding) for p in (start, end))
    assert tested.offset(start) == naive_offset(text, start, encoding)
    assert tested.text_in(Range(start, end)) == text[first:last]
    inside = tested.position(*tested.point(start))
    assert tested.offset(inside) == tested.offset(start)
    assert tested.position(*tested.point(inside)) == inside
    assert tested.position_at(tested.offset(start)) == inside


@pytest.mark.parametrize(
    ("before", "range_", "text", "after"),
    [
        ("", None, "a", "a"),
        ("", span((0, 0), (0, 0)), "a\n", "a\n"),
        ("a", span((5, 5), (9, 9)), "b", "ab"),
        ("abc", span((0, 2), (0, 1)), "x", "axc"),  # reversed
        ("abc", span((-3, -3), (0, 1)), "", "bc"),
        ("a\rb", span((1, 0), (1, 0)), "\n", "a\r\nb"),  # a lone \r and \n become one end
        ("a\rx\nb", span((1, 0), (1, 1)), "", "a\r\nb"),
        ("a\r\nb", span((0, 9), (0, 9)), "!", "a!\r\nb"),  # never between \r and \n
        ("a\r\nb", span((0, 1), (1, 0)), "", "ab"),
        ("a\nb", span((0, 1), (0, 1)), "\r", "a\r\nb"),
        ("a\x0cb", span((0, 2), (0, 3)), "c", "a\x0cc"),
        ("😀é", span((0, 1), (0, 2)), "", "é"),  # a cut through a pair takes the character
        ("a\n", span((1, 0), (1, 0)), "b", "a\nb"),
    ],
)
def test_edits_at_the_edges(before: str, range_: Range | None, text: str, after: str) -> None:
    tested = document(before)
    tested.apply([(range_, text)], 2)
    assert tested.text() == after
    assert tested.line_count == len(naive_lines(after))


def test_changes_of_one_notification_build_on_each_other() -> None:
    tested = document("ab")
    tested.apply([(span((0, 1), (0, 1)), "\n"), (span((1, 0), (1, 1)), "c")], 7)
    assert tested.text() == "a\nc"
    assert tested.version == 7


def test_an_empty_document_has_one_empty_line() -> None:
    tested = document("")
    assert (tested.line_count, tested.line(0), tested.end) == (1, "", Position(0, 0))
    assert tested.point(Position(4, 4)) == (0, 0)
    assert tested.range_of_lines(0, 1) == span((0, 0), (0, 0))


def test_lines_outside_are_empty() -> None:
    tested = document("a\nb")
    assert tested.line(-1) == tested.line(2) == ""
    assert tested.text_between(-2, 1) == "a\n"
    assert tested.text_between(1, 9) == "b"


def test_range_of_lines_leaves_the_last_line_end_out() -> None:
    tested = document("a\r\nb😀\r\nc")
    assert tested.range_of_lines(0, 2) == span((0, 0), (1, 3))
    assert tested.range_of_lines(2, 2) == span((2, 0), (2, 1))


def test_code_has_plain_line_ends_and_its_range_no_blank_lines_at_the_end() -> None:
    tested = document("x\r\n# %%\r\né😀.a\r\ny = 1\r\n\r\n# %%\r\n")
    cell = tested.cells()[1]
    assert tested.code(cell) == "é😀.a\ny = 1\n"
    assert tested.code_range(cell) == span((2, 0), (3, 5))
