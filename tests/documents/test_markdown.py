from __future__ import annotations

from typing import Any

import pytest

from carpo_lsp.documents.cells import prefix_width
from carpo_lsp.documents.document import Document
from carpo_lsp.documents.header import Header
from carpo_lsp.documents.positions import Position, Range


def document(text: str, language_id: str = "markdown", uri: str = "untitled:x") -> Document:
    return Document(uri, language_id, 1, text)


def found(tested: Document) -> list[tuple[str, int, int, int, int]]:
    return [
        (cell.language, cell.start_line, cell.end_line, cell.code_start, cell.code_end)
        for cell in tested.cells()
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("text\n", []),
        ("```python\nx\n```\n", [("python", 0, 3, 1, 2)]),
        ("a\n\n~~~r\nx\ny\n~~~\nb", [("r", 2, 6, 3, 5)]),
        ("```py\n```", [("python", 0, 2, 1, 1)]),
        ("````js\n```\nx\n`````\n", [("javascript", 0, 4, 1, 3)]),  # a longer closing fence
        ("```py\n~~~\n```x\n```\n", [("python", 0, 4, 1, 3)]),
        ("   ```py\n   x\n   ```", [("python", 0, 3, 1, 2)]),
        ("    ```py\n    x\n    ```", []),  # indented code
        ("a ```py\nx\n```\n", []),
        ("```\nx\n```\n", []),
        ("```text\nx\n```\n```json\n{}\n```\n", []),
        ("```py\nx", [("python", 0, 2, 1, 2)]),  # never closed
        ("```py\nx\n", [("python", 0, 3, 1, 3)]),
        ("```py", [("python", 0, 1, 1, 1)]),
        ("- a\n  ```py\n  x\n  ```\n- b", [("python", 1, 4, 2, 3)]),
        ("1. ```py\n   x\n\ntext", [("python", 0, 3, 1, 3)]),  # closed by the list's end
        ("> ```py\n> x\n> ```\n", [("python", 0, 3, 1, 2)]),
        ("> ```py\n> x\ntext\n", [("python", 0, 2, 1, 2)]),  # closed by the quote's end
        ("<!--\n```py\nx\n```\n-->\n", []),
        ("<div>\n\n```py\nx\n```\n</div>\n", [("python", 2, 5, 3, 4)]),
        ("```py\r\nx\r\n```\r\n", [("python", 0, 3, 1, 2)]),
        ("```py\rx\r```\r", [("python", 0, 3, 1, 2)]),
        ("```py\nx\x0cy\u2028z\n```\n", [("python", 0, 3, 1, 2)]),
        ("---\na: |\n  ```py\n---\n```r\n```\n", [("r", 4, 6, 5, 5)]),
        ("---\n\n```r\n```\n---\n", [("r", 2, 4, 3, 3)]),  # a thematic break is no header
        ("---\n```r\n```\n", [("r", 1, 3, 2, 2)]),  # nor is what nobody closed
        ("```{.python .x}\nx\n```\n", [("python", 0, 3, 1, 2)]),
        ("```{python}\nx\n```\n", [("python", 0, 3, 1, 2)]),
        ("```{note}\nx\n```\n", []),
        ("```c++\n```\n```shell title=x\n```\n", [("c++", 0, 2, 1, 1), ("bash", 2, 4, 3, 3)]),
        ("```rust,no_run\n```\n", [("rust", 0, 2, 1, 1)]),
    ],
)
def test_fences_of_markdown(text: str, expected: list[tuple[str, int, int, int, int]]) -> None:
    tested = document(text)
    assert found(tested) == expected
    assert tested.has_markers == bool(expected)


@pytest.mark.parametrize(
    ("info", "language"),
    [
        ("{python}", "python"),
        ("{r}", "r"),
        ("{R, a}", "r"),
        ("{julia}", "julia"),
        ("{bash}", "bash"),
        ("{ python , a }", "python"),
        ("{r, engine='bash'}", "bash"),
        ("python", None),
        ("{.python}", None),
        ("{{python}}", None),
        ("{=html}", None),
        ("{mermaid}", None),
        ("{ojs}", None),
        ("", None),
    ],
)
def test_only_braces_run_in_quarto_and_r_markdown(info: str, language: str | None) -> None:
    cells = document(f"```{info}\nx\n```\n", "quarto").cells()
    assert [cell.language for cell in cells] == ([language] if language else [])


@pytest.mark.parametrize(
    ("language_id", "uri", "braces_only"),
    [
        ("markdown", "file:///a.md", False),
        ("md", "untitled:x", False),
        ("", "file:///a.md", False),
        ("unheard-of", "file:///a.md", False),
        ("quarto", "untitled:x", True),
        ("qmd", "untitled:x", True),
        ("rmd", "untitled:x", True),
        ("rmarkdown", "untitled:x", True),
        ("markdown", "file:///a.qmd", True),
        ("markdown", "file:///A.Rmd", True),
        ("markdown.pandoc", "untitled:x", False),
    ],
)
def test_which_documents_are_prose(language_id: str, uri: str, braces_only: bool) -> None:
    tested = document("```python\n```\n```{python}\n```\n", language_id, uri)
    assert len(tested.cells()) == (1 if braces_only else 2)


@pytest.mark.parametrize(
    ("info", "title", "options"),
    [
        ("{r}", "", {}),
        ("{r setup}", "setup", {"label": "setup"}),
        ("{r, a, eval=FALSE}", "a", {"label": "a", "eval": False}),
        ("{r a-b, eval = F}", "a-b", {"label": "a-b", "eval": False}),
        ("{r eval=T}", "", {"eval": True}),
        (
            '{r, fig.cap="a, }b", fig.dim=c(1, 2), n=3, w=.5}',
            "",
            {"fig.cap": "a, }b", "fig.dim": "c(1, 2)", "n": 3, "w": 0.5},
        ),
        ("{r, label='x'}", "x", {"label": "x"}),
    ],
)
def test_chunk_headers(info: str, title: str, options: dict[str, Any]) -> None:
    (cell,) = document(f"```{info}\nx\n```\n", "rmd").cells()
    assert (cell.title, cell.options) == (title, options)
    assert cell.evaluate is (options.get("eval") is not False)


def test_option_lines() -> None:
    text = (
        '```{python}\n#| label: fig-é\n#| eval: false\n#| tags: [a, "b, c"]\n'
        '#| cap: "x # y"\n#| none: ~\nx\n```\n'
    )
    (cell,) = document(text, "quarto").cells()
    assert cell.title == "fig-é"
    assert cell.options == {
        "label": "fig-é",
        "eval": False,
        "tags": ["a", "b, c"],
        "cap": "x # y",
        "none": None,
    }
    assert not cell.evaluate


@pytest.mark.parametrize(
    ("language", "line"),
    [("sql", "--| eval: false"), ("js", "//| eval: no"), ("octave", "%| eval: False")],
)
def test_option_lines_follow_the_comment_marker(language: str, line: str) -> None:
    (cell,) = document(f"```{{{language}}}\n{line}\n```\n", "quarto").cells()
    assert not cell.evaluate


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```py\n  x\n```", "  x"),
        ("  ```py\n    x\n y\n  ```", "  x\ny"),
        ("- ```py\n  x:\n    y\n  ```", "x:\n  y"),
        ("> ```py\n> x\n>\n>y\n> > z\n> ```", "x\n\ny\n> z"),
        ("> ```py\n> >>> x\n> ```", ">>> x"),
        ("```py\r\nx\r\n\r\ny\r\n```", "x\n\ny"),
    ],
)
def test_code_comes_without_what_stands_before_it(text: str, code: str) -> None:
    tested = document(text)
    (cell,) = tested.cells()
    assert tested.code(cell) == code
    lines = [tested.line(number) for number in range(cell.code_start, cell.code_end)]
    assert [line[prefix_width(cell, line) :] for line in lines] == code.split("\n")


@pytest.mark.parametrize(
    ("text", "language", "options", "code"),
    [
        ("```{code-cell} ipython3\nx\n```", "python", {}, "x"),
        ("```{code-cell} r\n:tags: [a, b]\n\nx\n```", "r", {"tags": ["a", "b"]}, "\nx"),
        ("```{code-cell}\n---\nk: v\nl: [1]\n---\nx\n```", "python", {"k": "v", "l": [1]}, "x"),
        ("---\nkernelspec:\n  language: julia\n---\n```{code-cell}\nx\n```", "julia", {}, "x"),
    ],
)
def test_myst(text: str, language: str, options: dict[str, Any], code: str) -> None:
    tested = document(text)
    (cell,) = tested.cells()
    assert (cell.language, cell.options, tested.code(cell)) == (language, options, code)


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("title: x", {}),
        ("jupyter: python3", {"kernel": "python3"}),
        ("jupyter: 'my kernel' # mine", {"kernel": "my kernel"}),
        (
            "jupyter: {kernelspec: {name: ir, language: R}}",
            {"kernel": "ir", "language": "r"},
        ),
        (
            "format:\n  html: default\njupyter:\n  jupytext:\n    a: b\n  kernelspec:\n"
            "    display_name: Julia\n    language: julia\n    name: julia-1.9",
            {"kernel": "julia-1.9", "language": "julia"},
        ),
        ("kernelspec:\n  name: python3\n", {"kernel": "python3"}),
        ("engine: knitr", {"engine": "knitr"}),
        ("knitr:\n  opts_chunk:\n    echo: false", {"engine": "knitr"}),
        ("- odd\n: stuff: [\n\t{", {}),
    ],
)
@pytest.mark.parametrize("end", ["---", "..."])
def test_front_matter(yaml: str, expected: dict[str, str], end: str) -> None:
    text = f"---\n{yaml}\n{end}\n\ntext"
    assert document(text).header() == Header(text.count("\n") - 1, **expected)


@pytest.mark.parametrize("text", ["", "text", "---\n", "---\n\na: b\n---\n", " ---\na: b\n---\n"])
def test_no_front_matter(text: str) -> None:
    assert document(text).header() is None


def test_between_fences_is_no_cell() -> None:
    tested = document("a\n```py\nx\n```\nb\n```text\ny\n```\n```r\n```")
    at = [tested.cell_at(line) for line in range(-1, 11)]
    assert [cell and cell.index for cell in at] == [
        None, None, 0, 0, 0, None, None, None, None, 1, 1, None,
    ]  # fmt: skip


def edit(tested: Document, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
    tested.apply([(Range(Position(*start), Position(*end)), text)], tested.version + 1)


def test_a_cell_keeps_its_key_while_its_fence_lives() -> None:
    tested = document("```py\n1\n```\n- x\n```r\n2\n```\n")
    first, second = tested.cells()
    edit(tested, (0, 5), (0, 5), "thon eval=false")
    edit(tested, (0, 0), (0, 0), "text\n\n")
    edit(tested, (5, 0), (5, 0), "```julia\n```\n")
    keys = {cell.language: cell.key for cell in tested.cells()}
    assert (keys["python"], keys["r"]) == (first.key, second.key)
    assert len(set(keys.values())) == 3


@pytest.mark.parametrize(
    ("text", "place", "new"),
    [
        ("---\na: b\n```py\nx\n```\ny\n", (5, 0), "---\n"),  # the header is closed now
        ("---\na: b\n```py\nx\n```\ny\n", (3, 0), "---\n"),
        ("---\na: b\n---\n```py\n```\n", (1, 0), "---\n```r\n```\n"),
        ("a\n---\n```py\n```\n---\n", (0, 0), "---\n"),
        ("---\na: b\n---\n  ```r\nx\n  ```\n", (2, 0), "x"),  # and open again
        ("\n  ```py\nx\n  ```\n", (0, 0), "- a"),  # the fence is in the list now
        ("```py\nx\n", (2, 0), "y\n\nz"),  # still in the fence nobody closed
        ("```py\nx\n", (2, 0), "```\n"),
        ("a\n<p>\n\n```py\n```\n", (1, 3), "b\nc"),
    ],
)
def test_edits_that_touch_fences(text: str, place: tuple[int, int], new: str) -> None:
    tested = document(text)
    tested.cells()
    edit(tested, place, place, new)
    fresh = document(tested.text())
    assert (tested.cells(), tested.header()) == (fresh.cells(), fresh.header())
