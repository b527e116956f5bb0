from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carpo_lsp.documents.document import Document
from carpo_lsp.documents.header import Header
from carpo_lsp.documents.positions import Position, Range


def document(text: str, language_id: str = "python") -> Document:
    return Document("untitled:x", language_id, 1, text)


def spans(tested: Document) -> list[tuple[int, int]]:
    return [(cell.start_line, cell.end_line) for cell in tested.cells()]


@pytest.mark.parametrize(
    ("language_id", "marker"),
    [
        ("python", "# %%"),
        ("python", "#%%"),
        ("python", "#   %%  title"),
        ("python", "#\t%%"),
        ("python", "# %%%% deeper"),
        ("python", "# In[3]:"),
        ("python", "# In[ ]:"),
        ("r", "# %%"),
        ("julia", "# %%"),
        ("shellscript", "# %%"),
        ("sh", "#%% x"),
        ("ruby", "# %%"),
        ("javascript", "// %%"),
        ("typescriptreact", "//%%"),
        ("java", "// %% x"),
        ("cpp", "// %%"),
        ("csharp", "// %%"),
        ("go", "// %%"),
        ("rust", "// %%"),
        ("scala", "// %%"),
        ("php", "# %%"),
        ("lua", "-- %%"),
        ("haskell", "--%%"),
        ("sql", "-- %%"),
        ("matlab", "% %%"),
        ("matlab", "%% Section"),
        ("octave", "# %%"),
        ("octave", "%%"),
        ("prolog", "% %%"),
        ("latex", "% %%"),
        ("lisp", "; %%"),
        ("scheme", ";; %%"),
        ("clojure", ";; %%"),
        ("fortran", "! %%"),
        ("vim", '" %%'),
        ("some-new-language", "# %%"),
        ("some-new-language", "// %%"),
        ("", "# %%"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_markers(language_id: str, marker: str, end: str) -> None:
    tested = document(end.join(["a", marker, "b"]), language_id)
    assert tested.has_markers
    assert spans(tested) == [(0, 1), (1, 3)]


@pytest.mark.parametrize(
    ("language_id", "line"),
    [
        ("python", "%%"),
        ("python", "# %%time"),
        ("python", "    # %%"),
        ("python", "x # %%"),
        ("python", "// %%"),
        ("python", "# In[3] more"),
        ("erlang", "%%% comment"),
        ("latex", "%% comment"),
        ("javascript", "# %%"),
        ("r", "# plain comment"),
        ("r", "# --------------"),
        ("r", "##############"),
        ("r", "x ----"),
        ("python", "# title ----"),
    ],
)
def test_no_markers(language_id: str, line: str) -> None:
    tested = document(f"a\n{line}\nb", language_id)
    assert not tested.has_markers
    assert spans(tested) == [(0, 3)]


@pytest.mark.parametrize(
    ("rest", "kind", "title", "options"),
    [
        ("", "code", "", {}),
        (" Load data", "code", "Load data", {}),
        (" [markdown]", "markdown", "", {}),
        (" [md] Head", "markdown", "Head", {}),
        (" Head [markdown]", "markdown", "Head", {}),
        (" [raw]", "raw", "", {}),
        (" [code] x", "code", "x", {}),
        (" See [1] and [v2]", "code", "See [1] and [v2]", {}),
        (' Plot tags=["a", "b"] name="x y"', "code", "Plot", {"tags": ["a", "b"], "name": "x y"}),
        (" eval=false n=3", "code", "", {"eval": False, "n": 3}),
        (' T {"a": {"b": 1}}', "code", "T", {"a": {"b": 1}}),
        (" x = 1", "code", "x = 1", {}),
        (" 50% of {all}", "code", "50% of {all}", {}),
        ("\x0ctitle", "code", "title", {}),
    ],
)
def test_marker_lines(rest: str, kind: str, title: str, options: dict[str, Any]) -> None:
    (cell,) = document(f"# %%{rest}\nx\n").cells()
    assert (cell.kind, cell.title, cell.options) == (kind, title, options)
    assert cell.language == {"code": "python", "markdown": "markdown", "raw": ""}[kind]
    assert cell.evaluate is (options.get("eval") is not False)


@pytest.mark.parametrize(
    ("text", "evaluate"),
    [
        ('# %% tags=["a", "skip-execution"]\nx\n', False),
        ("# %%\n#| tags: [skip-execution]\nx\n", False),
        ('# %% tags=["skip"]\nx\n', True),
        ("# %% tags=skip-execution\nx\n", True),  # no list, and so no tags to Jupyter
    ],
)
def test_a_tag_says_what_does_not_run_with_the_document(text: str, evaluate: bool) -> None:
    (cell,) = document(text).cells()
    assert cell.evaluate is evaluate


def test_another_language_in_a_marker() -> None:
    (cell,) = document('# %% language="R"\nx\n').cells()
    assert cell.language == "r"


def test_option_lines() -> None:
    text = "# %% T\n#| eval: false\n#| label: fig-é\n#|\n#| n: 2  # two\nx\n#| echo: false\n"
    (cell,) = document(text).cells()
    assert cell.options == {"eval": False, "label": "fig-é", "n": 2}
    assert not cell.evaluate
    assert (cell.title, cell.code_start, cell.code_end) == ("T", 1, 8)


def test_option_lines_follow_the_comment_marker() -> None:
    (cell,) = document("//| eval: false\nx", "javascript").cells()
    assert not cell.evaluate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [(0, 1, 0, 1)]),
        ("\n\n", [(0, 3, 0, 3)]),
        ("a\n", [(0, 2, 0, 2)]),
        ("# %%", [(0, 1, 1, 1)]),
        ("# %%\n# %%\n", [(0, 1, 1, 1), (1, 3, 2, 3)]),
        ("\n \x0c\n# %%\na", [(2, 4, 3, 4)]),  # a blank preamble is no cell
        ("import a\n\n# %%\nb\n", [(0, 2, 0, 2), (2, 5, 3, 5)]),
        ("# ---\n# jupyter: x\n# ---\n\n# %%\n", [(4, 6, 5, 6)]),
        ("# ---\n# ---\na\n# %%\n", [(0, 3, 2, 3), (3, 5, 4, 5)]),
        ("# ---\n# ---\na\n", [(0, 4, 2, 4)]),
        ("# ---\na\n", [(0, 3, 0, 3)]),  # a header nobody closed
    ],
)
def test_where_cells_begin_and_end(text: str, expected: list[tuple[int, int, int, int]]) -> None:
    found = [
        (cell.start_line, cell.end_line, cell.code_start, cell.code_end)
        for cell in document(text).cells()
    ]
    assert found == expected


def test_cell_at() -> None:
    tested = document("\n# %% a\nx\n# %% b\n")
    found = [tested.cell_at(line) for line in range(-1, 6)]
    assert [cell and cell.title for cell in found] == [None, None, "a", "a", "b", "b", None]
    assert [cell.index for cell in tested.cells()] == [0, 1]


def test_sections_of_r() -> None:
    text = "library(x)\n# Load ----\na\n## Fit ====\nb\n#### Plot ####\n# --- odd ---\n"
    tested = document(text, "r")
    assert tested.has_markers
    assert [cell.title for cell in tested.cells()] == ["", "Load", "Fit", "Plot"]
    assert spans(tested) == [(0, 1), (1, 3), (3, 5), (5, 8)]


def test_percent_markers_win_over_sections_of_r() -> None:
    tested = document("# Load ----\na\n# b\n", "r")
    assert [cell.title for cell in tested.cells()] == ["Load"]
    tested.apply([(Range(Position(2, 2), Position(2, 2)), "%% ")], 2)
    assert [cell.title for cell in tested.cells()] == ["", "b"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("# *é* a\n#b\n#\n", "*é* a\nb\n\n"),
        ('"""\n*a*\n\n"""\n\n', "*a*\n"),
        ("a\n", "a\n"),
        ("", ""),
    ],
)
def test_text_of_markdown_cells(body: str, text: str) -> None:
    tested = document("# %% [markdown]\n" + body)
    assert tested.code(tested.cells()[0]) == text


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("", None),
        ("# ---", None),
        ("# ---\nx\n# ---", None),
        ("# ---\n# jupyter: python3\n# ---", Header(3, kernel="python3")),
        (
            "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n# ---\n# jupyter:\n#   jupytext:\n"
            "#     text_representation:\n#       format_name: percent\n#   kernelspec:\n"
            "#     display_name: Python 3\n#     language: Python\n#     name: 'py 3'\n# ---\nx",
            Header(12, kernel="py 3", language="python"),
        ),
    ],
)
def test_script_headers(text: str, header: Header | None) -> None:
    assert document(text).header() == header


def insert(tested: Document, line: int, column: int, text: str) -> None:
    place = Position(line, column)
    tested.apply([(Range(place, place), text)], tested.version + 1)


def test_a_cell_keeps_its_key_while_its_marker_lives() -> None:
    tested = document("# %% a\n1\n# %% b\n2\n")
    a, b = (cell.key for cell in tested.cells())
    assert a != b
    insert(tested, 0, 0, "x = 1\n")
    insert(tested, 3, 6, " longer title")
    insert(tested, 1, 0, "# %% new\n\n")
    assert [(cell.title, cell.key) for cell in tested.cells() if cell.key in (a, b)] == [
        ("a", a),
        ("b longer title", b),
    ]
    assert len({cell.key for cell in tested.cells()}) == 4
    tested.apply([(None, tested.text().replace("x = 1", "y"))], 9)
    assert tested.cells()[2].key == a


LINE = st.sampled_from(
    [
        "# %%\n",
        "# %% t\r\n",
        "x\n",
        "\n",
        "# a ----\n",
        "# ---\n",
        "# k: v\n",
        "#| eval: false\n",
        "#",
    ]
)
LINES = st.lists(LINE, max_size=6).map("".join)
PLACE = st.builds(Position, st.integers(0, 8), st.integers(0, 5))


@given(
    LINES, st.lists(st.tuples(PLACE, PLACE, LINES), max_size=5), st.sampled_from(["python", "r"])
)
def test_edited_cells_are_the_cells_of_the_edited_text(
    text: str, edits: list[tuple[Position, Position, str]], language_id: str
) -> None:
    tested = document(text, language_id)
    for start, end, new in edits:
        before = tested.cells()
        assert len({cell.key for cell in before}) == len(before)
        tested.apply([(Range(start, end), new)], 2)
        fresh = document(tested.text(), language_id)
        assert tested.cells() == fresh.cells()
        assert tested.has_markers == fresh.has_markers
        for line in range(tested.line_count):
            expected = [c for c in fresh.cells() if c.start_line <= line < c.end_line]
            assert tested.cell_at(line) == (expected[0] if expected else None)
