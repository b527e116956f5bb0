"""What holds for the cells of every text, in whatever language, however it was edited."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carpo_lsp.documents.document import Document
from carpo_lsp.documents.positions import Encoding, Position, Range

PIECE = st.sampled_from(
    [
        *("# %%\n", "# %% [markdown]\n", "```{python}\n", "```\n", "~~~r\n", "  ", "> ", "- "),
        *("---\n", "#| eval: false\n", "x = 1\n", "é😀\n", "\n", "\r", "\r\n", "```", "a", "\x0c"),
        "jupyter: r\n",
    ]
)
TEXT = st.lists(PIECE, max_size=15).map("".join)
PLACE = st.builds(Position, st.integers(-1, 20), st.integers(-1, 12))
EDITS = st.lists(st.tuples(st.builds(Range, PLACE, PLACE), TEXT), max_size=4)
LANGUAGES = {"python": "a.py", "r": "a.R", "markdown": "a.md", "quarto": "a.qmd", "rmd": "a.Rmd"}


def check(document: Document, *, tiled: bool) -> None:
    cells = document.cells()
    assert [cell.index for cell in cells] == list(range(len(cells)))
    assert len({cell.key for cell in cells}) == len(cells)
    end = 0
    for cell in cells:
        assert end <= cell.start_line <= cell.code_start <= cell.code_end <= cell.end_line
        # What is blank or a header before the first marker is no cell.
        assert not tiled or cell.index == 0 or cell.start_line == end
        end = cell.end_line
        inside = document.code_range(cell)
        assert document.position(*document.point(inside.start)) == inside.start
        assert document.position(*document.point(inside.end)) == inside.end
        assert inside.start <= inside.end
        assert "\r" not in document.code(cell).replace("\r\n", "")
    assert end <= document.line_count
    assert not tiled or not cells or end == document.line_count
    for line in range(-1, document.line_count + 1):
        holding = [cell for cell in cells if cell.start_line <= line < cell.end_line]
        assert document.cell_at(line) == (holding[0] if holding else None)


@given(TEXT, EDITS, st.sampled_from(sorted(LANGUAGES)), st.sampled_from(list(Encoding)))
def test_cells_lie_in_order_and_edits_leave_those_of_the_text(
    text: str, edits: list[tuple[Range, str]], language: str, encoding: Encoding
) -> None:
    uri = f"file:///{LANGUAGES[language]}"
    document = Document(uri, language, 1, text, encoding)
    tiled = language in ("python", "r")
    check(document, tiled=tiled)
    for version, edit in enumerate(edits, start=2):
        document.apply([edit], version)
        check(document, tiled=tiled)
        fresh = Document(uri, language, 1, document.text(), encoding)
        assert document.cells() == fresh.cells()
