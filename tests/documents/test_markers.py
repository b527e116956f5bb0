from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carpo_lsp.documents.markers import MarkerIndex

LINE = st.sampled_from(["#", "#", "x"])
EDIT = st.tuples(st.integers(0, 9_999), st.integers(0, 3_000), st.lists(LINE, max_size=8))


def is_marker(line: str) -> bool:
    return line == "#"


@given(
    st.lists(LINE, max_size=5),
    st.integers(0, 4),
    st.lists(EDIT, max_size=6),
    st.lists(st.integers(0, 9_999), max_size=3),
)
def test_edited_markers_are_those_of_the_edited_lines(
    few: list[str],
    many: int,
    edits: list[tuple[int, int, list[str]]],
    places: list[int],
) -> None:
    lines = few + ["#", "x"] * 600 * many
    index = MarkerIndex(is_marker, lines)
    for start, count, inserted in edits:
        start %= len(lines) + 1
        removed = lines[start : start + count]
        lines[start : start + count] = inserted
        index.edited(start, removed, inserted)
        expected = [number for number, line in enumerate(lines) if line == "#"]
        markers = list(index)
        assert [marker.line for marker in markers] == expected
        assert len({marker.key for marker in markers}) == len(index) == len(expected)
        for place in (0, start, start + count, *places, len(lines)):
            assert index.count_before(place) == sum(line < place for line in expected)
            assert list(index.lines_from(place)) == [line for line in expected if line >= place]
        for number in {0, len(expected) // 2, len(expected) - 1} & set(range(len(expected))):
            assert index[number] == markers[number]


def test_a_marker_keeps_its_key() -> None:
    lines = ["#", "x"] * 2_000
    index = MarkerIndex(is_marker, lines)
    before = {marker.line: marker.key for marker in index}
    index.edited(1, ["x"], ["y", "#", "z"])
    index.edited(3_000, ["#"], ["#"])
    after = {marker.line: marker.key for marker in index}
    assert {line + 2 if line > 1 else line: key for line, key in before.items()}.items() <= (
        after.items()
    )


@pytest.mark.parametrize("index", [-1, 2])
def test_no_such_marker(index: int) -> None:
    with pytest.raises(IndexError):
        MarkerIndex(is_marker, ["#", "x", "#"])[index]
