from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carpo_lsp.documents.positions import (
    Encoding,
    Position,
    from_code_points,
    split_lines,
    to_code_points,
    without_line_end,
)

UNIT = {
    Encoding.UTF8: ("utf-8", 1),
    Encoding.UTF16: ("utf-16-le", 2),
    Encoding.UTF32: ("utf-32-le", 4),
}
ANY_TEXT = st.text(st.sampled_from("aé😀\u2028\x0c\x0b\x85\t\r\n") | st.characters(codec="utf-8"))
ONE_LINE = ANY_TEXT.map(lambda text: re.sub(r"[\r\n]", "", text))
ENCODINGS = st.sampled_from(list(Encoding))


def width(text: str, encoding: Encoding) -> int:
    codec, size = UNIT[encoding]
    return len(text.encode(codec)) // size


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("a\n", ["a\n", ""]),
        ("a\nb", ["a\n", "b"]),
        ("a\r\nb\rc\nd", ["a\r\n", "b\r", "c\n", "d"]),
        ("\r\r\n\n\r", ["\r", "\r\n", "\n", "\r", ""]),
        ("a\x0cb\x0bc\x85d\u2028e\u2029f\x1cg", ["a\x0cb\x0bc\x85d\u2028e\u2029f\x1cg"]),
        ("a\x0cb\r", ["a\x0cb\r", ""]),
    ],
)
def test_only_lsp_line_ends_break_lines(text: str, lines: list[str]) -> None:
    assert split_lines(text) == lines


@given(ANY_TEXT)
def test_lines_join_to_the_text_and_only_the_last_has_no_end(text: str) -> None:
    lines = split_lines(text)
    assert "".join(lines) == text
    assert all(line.endswith(("\n", "\r")) for line in lines[:-1])
    assert not re.search(r"[\r\n]", "".join(without_line_end(line) for line in lines))


@pytest.mark.parametrize(
    ("line", "encoding", "column", "expected"),
    [
        ("", Encoding.UTF16, 0, 0),
        ("", Encoding.UTF8, 7, 0),
        ("abc", Encoding.UTF16, 2, 2),
        ("abc", Encoding.UTF8, 99, 3),
        ("abc", Encoding.UTF32, -1, 0),
        ("aéb", Encoding.UTF8, 1, 1),
        ("aéb", Encoding.UTF8, 2, 1),  # inside é
        ("aéb", Encoding.UTF8, 3, 2),
        ("aéb", Encoding.UTF16, 2, 2),
        ("a😀b", Encoding.UTF16, 1, 1),
        ("a😀b", Encoding.UTF16, 2, 1),  # between the surrogates
        ("a😀b", Encoding.UTF16, 3, 2),
        ("a😀b", Encoding.UTF16, 4, 3),
        ("a😀b", Encoding.UTF16, 99, 3),
        ("a😀b", Encoding.UTF8, 4, 1),
        ("a😀b", Encoding.UTF8, 5, 2),
        ("a😀b", Encoding.UTF32, 2, 2),
        ("😀😀", Encoding.UTF16, 2, 1),
        ("é\x0cé", Encoding.UTF16, 2, 2),
    ],
)
def test_columns_become_code_points(
    line: str, encoding: Encoding, column: int, expected: int
) -> None:
    assert to_code_points(line, column, encoding) == expected


@given(ONE_LINE, ENCODINGS, st.data())
def test_a_code_point_survives_the_round_trip(
    line: str, encoding: Encoding, data: st.DataObject
) -> None:
    point = data.draw(st.integers(0, len(line)))
    column = from_code_points(line, point, encoding)
    assert column == width(line[:point], encoding)
    assert to_code_points(line, column, encoding) == point


@given(ONE_LINE, ENCODINGS, st.integers(-3, 60))
def test_any_column_lands_on_the_start_of_its_character(
    line: str, encoding: Encoding, column: int
) -> None:
    point = to_code_points(line, column, encoding)
    starts = [width(line[:i], encoding) for i in range(len(line) + 1)]
    assert starts[point] == max((s for s in starts if s <= column), default=0)


@given(ONE_LINE, ENCODINGS, st.integers(-5, 60))
def test_code_points_outside_the_line_are_clamped(
    line: str, encoding: Encoding, point: int
) -> None:
    inside = max(0, min(point, len(line)))
    assert from_code_points(line, point, encoding) == width(line[:inside], encoding)


@pytest.mark.parametrize("encoding", Encoding)
def test_lone_surrogates_do_not_raise(encoding: Encoding) -> None:
    line = "a\ud83db\ude00"
    for column in range(12):
        assert 0 <= to_code_points(line, column, encoding) <= len(line)
    assert from_code_points(line, 4, encoding) >= 4


def test_positions_are_ordered() -> None:
    assert Position(0, 9) < Position(1, 0) < Position(1, 1)
