from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carpo_lsp.documents import sections
from carpo_lsp.documents.document import Document
from carpo_lsp.documents.fences import FenceParser
from carpo_lsp.documents.positions import Position, Range

if TYPE_CHECKING:
    from carpo_lsp.documents.cells import Cell

LINES = [
    "```py", "```", "~~~r", "~~~", "````", " ```{r}", "    ```", "- ```py", "  ```", "  ```r",
    "> ```py", "> ```", "> x", "- x", "- x", "1. x", "2. x", "  x", "    x", "x", "x", "", "---",
    "...", "===", "k: v", "<div>", "</div>", "<!--", "-->", "<b>", "[a]: /b '", "[a]:", "'", "\tx",
    "\t```", "# h", "#tag", "<script>", "</script>", "- <pre>", "-", "*", "* * *", "> - x",
    "<![CDATA[", "]]>", "<?x", "?>", "<!DOCTYPE", "   - y", "<!-- x -->", "```{code-cell}",
]  # fmt: skip
KEYS = ["", "a", "`", "```", "\n", "- ", "<!--"]


@attrs.frozen
class Edit:
    """Lines from `start` to `start + lines` get another text, whole or from a column on."""

    start: int
    lines: int
    columns: tuple[int, int]
    text: str
    question: str


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, list[Edit]]:
    """A text of few kinds of lines, which so come in many orders, and edits of it."""
    kinds = draw(st.lists(st.sampled_from(LINES), min_size=2, max_size=9, unique=True))
    end = st.sampled_from(["\n"] * 8 + ["\r\n", "\r"])
    line = st.builds(str.__add__, st.sampled_from([*kinds, "", ""]), end)
    header = draw(st.sampled_from(["", "", "---\nk: v\n---\n", "---\nk: v\n"]))
    size = draw(st.integers(0, 40))  # lists of any size would be short
    text = header + draw(st.lists(line, min_size=size, max_size=size).map("".join))
    column = st.sampled_from([0, 0, 0, 2, 99])
    edit = st.builds(
        Edit,
        st.integers(0, text.count("\n") + 1),
        st.sampled_from([0, 0, 0, 1, 1, 2, 5, 30]),
        st.tuples(column, column),
        st.sampled_from(KEYS + kinds) | st.lists(line, max_size=3).map("".join),
        st.sampled_from(["no", "cells", "cell_at"]),
    )
    return text, draw(st.lists(edit, min_size=1, max_size=8))


def document(text: str) -> Document:
    return Document("untitled:x", "markdown", 1, text)


def apply(tested: Document, start: Position, end: Position, text: str) -> None:
    tested.apply([(Range(start, end), text)], tested.version + 1)


def parsed_at_once(text: str) -> tuple[Cell, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "WINDOW", 1_000_000)
        return document(text).cells()


@settings(max_examples=800, deadline=None)
@given(histories(), st.sampled_from([1, 2, 5]), st.sampled_from([1, 2, 5, 20]))
def test_edited_fences_are_those_of_the_edited_text_parsed_at_once(
    history: tuple[str, list[Edit]], section: int, window: int
) -> None:
    text, edits = history
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "SECTION", section)
        patch.setattr(sections, "WINDOW", window)
        tested = document(text)
        assert tested.cells() == parsed_at_once(text)
        for edit in edits:
            start = Position(edit.start, edit.columns[0])
            apply(tested, start, Position(edit.start + edit.lines, edit.columns[1]), edit.text)
            if edit.question == "no":
                continue
            expected = parsed_at_once(tested.text())
            if edit.question == "cell_at":
                line = min(edit.start, tested.line_count - 1)
                here = (c for c in expected if c.start_line <= line < c.end_line)
                assert tested.cell_at(line) == next(here, None)
            else:
                assert tested.has_markers == bool(expected)
                assert tested.cells() == expected
                assert len({cell.key for cell in tested.cells()}) == len(expected)
                assert tested.header() == document(tested.text()).header()
        assert tested.cells() == parsed_at_once(tested.text())


PLAIN = "text\n\n```python\nx\ny\n```\n\nmore\n- list\n\n"
IN_LISTS = "text\n\n- item\n  ```python\n  x\n  ```\n- other\n\n> quote\n\n"
ONE_LIST = "- item\n  ```python\n  x\n  ```\n\n  more\n- other\n"
COMMENTS = "<!-- no\n```\n-->\ntext\n\n```python\nx\n```\n\n<div>\nhtml\n</div>\n\n"
TILDES = "~~~python\nx\n~~~\n\ntext\n\n    indented\n\n"
REPEATED = 500


@pytest.fixture
def parsed_lines(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many lines each parse has taken."""
    counts: list[int] = []
    parse = FenceParser.parse

    def counted(self: FenceParser, lines: Any, start: int, stop: int) -> Any:
        counts.append(stop - start)
        return parse(self, lines, start, stop)

    monkeypatch.setattr(FenceParser, "parse", counted)
    return counts


@pytest.mark.parametrize("part", [PLAIN, IN_LISTS, ONE_LIST, COMMENTS, TILDES])
@pytest.mark.parametrize("head", ["", "---\ntitle: x\n---\n\n", "---\nno: end\n\n"])
@pytest.mark.parametrize("offset", range(0, 10, 3))
def test_a_keystroke_parses_a_few_lines(
    part: str, head: str, offset: int, parsed_lines: list[int]
) -> None:
    tested = document(head + part * REPEATED)
    tested.cells()
    middle = tested.line_count // 2 + offset
    place = Position(middle, 0)
    keys = [
        "a", "\n", " ", "-", "> ", "```", "~~~", "````", "<!--", "<div>", "    ", "# ", "---\n",
        "```py\nx\n```\n", "[a]: /b '",
    ]  # fmt: skip
    for text in keys:
        length = len(text.rpartition("\n")[2])
        after = Position(middle + text.count("\n"), length)
        for start, end, new in ((place, place, text), (place, after, "")):
            del parsed_lines[:]
            apply(tested, start, end, new)
            tested.cell_at(middle)
            # Some are parsed up to a fence first, which is then parsed by itself.
            assert sum(parsed_lines) < 400, text
        tested.cells()


def test_a_key_in_code_or_prose_parses_nothing(parsed_lines: list[int]) -> None:
    tested = document("---\na: b\n---\n" + PLAIN * 20 + "```py\n" + "x\n" * 1000 + "```\n")
    tested.cells()
    del parsed_lines[:]
    for line, text in (
        (4, "a"),
        (10, "b\n\n> q\n"),
        (120, "x = [\n]"),
        (700, "y\n"),
        (1, "c: d\n"),
    ):
        apply(tested, Position(line, 0), Position(line, 0), text)
    found = tested.cells()
    assert not parsed_lines
    assert found == document(tested.text()).cells()


def test_blocks_are_opened_and_closed_above_one_another() -> None:
    tested = document(PLAIN * 20)
    before = tested.cells()
    inner, outer = Position(2, 0), Position(0, 0)
    for place, opening in ((inner, "~~~py\n"), (outer, "<!--\n")):
        apply(tested, place, place, opening)
        assert tested.cells() == parsed_at_once(tested.text())
    for place in (outer, inner):
        apply(tested, place, Position(place.line + 1, 0), "")
        assert tested.cells() == parsed_at_once(tested.text())
    assert tested.cells() == before


def test_an_item_that_the_line_above_may_hide_is_parsed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sections, "SECTION", 1)
    tested = document("1. a\nb\nc\n2. d\n   ```py\n   x\n\ny\n")
    assert [cell.end_line for cell in tested.cells()] == [7]  # it ends with its item
    apply(tested, Position(1, 0), Position(1, 1), "")
    assert tested.cells() == parsed_at_once(tested.text())
    assert [cell.end_line for cell in tested.cells()] == [9]  # `2.` goes on with the paragraph


def test_a_fence_moves_into_the_list_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "SECTION", 1)
    tested = document("- a\n\n```py\n  x\n\ny\n")
    assert [cell.end_line for cell in tested.cells()] == [6 + 1]
    apply(tested, Position(2, 0), Position(2, 0), "  ")
    assert tested.cells() == parsed_at_once(tested.text())
    assert [cell.end_line for cell in tested.cells()] == [5]


def test_a_header_is_opened_and_closed(parsed_lines: list[int]) -> None:
    tested = document("---\nk: v\n" + PLAIN * REPEATED)
    first = [cell.start_line for cell in tested.cells()]
    keys = [cell.key for cell in tested.cells()]
    del parsed_lines[:]
    apply(tested, Position(2, 0), Position(2, 0), "---\n")
    assert tested.header() is not None
    assert sum(parsed_lines) < 400
    assert [cell.start_line for cell in tested.cells()] == [line + 1 for line in first]
    end = tested.end
    apply(tested, Position(2, 0), Position(3, 0), "")
    apply(tested, end, end, "\n---\n")
    assert tested.cells() == ()  # all is header
    apply(tested, Position(2, 0), Position(2, 0), "...\n")
    assert [cell.key for cell in tested.cells()] == keys


@pytest.mark.parametrize("opening", ["```", "~~~py", "<!--", "````"])
def test_cells_are_as_before_when_what_was_opened_above_them_is_closed(
    opening: str, parsed_lines: list[int]
) -> None:
    tested = document("text\n\n" + PLAIN * REPEATED)
    before = tested.cells()
    apply(tested, Position(0, 0), Position(0, 0), f"{opening}\n")
    assert tested.has_markers == bool(parsed_at_once(tested.text()))
    opened = tested.cells()
    assert opened == parsed_at_once(tested.text())
    assert len(opened) < len(before)
    apply(tested, Position(0, 0), Position(1, 0), "")
    assert [(cell, cell.key) for cell in tested.cells()] == [(cell, cell.key) for cell in before]
