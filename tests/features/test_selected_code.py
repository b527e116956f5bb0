"""Which code a place or a range means."""

from __future__ import annotations

import pytest

from carpo_lsp.documents.document import Document
from carpo_lsp.documents.positions import Position, Range
from carpo_lsp.errors import InvalidParams
from carpo_lsp.features.selected_code import code_in, language_at, main_language

TWO_LANGUAGES = """text
```{python}
x = 1
y = 2
```
between
```{r}
z <- 3
```
> ```{python}
> u = 4
> ```
"""
SCRIPT = "# %% a\nx = 1\n# %% [markdown]\n# prose\n# %%\ny = 2\n"


def document(text: str, language_id: str = "quarto") -> Document:
    return Document("untitled:x", language_id, 1, text)


@pytest.mark.parametrize(
    ("text", "language_id", "start", "end", "language", "code"),
    [
        (TWO_LANGUAGES, "quarto", (2, 0), (2, 5), "python", "x = 1"),
        (TWO_LANGUAGES, "quarto", (3, 4), (2, 0), "python", "x = 1\ny = "),
        (TWO_LANGUAGES, "quarto", (0, 0), (3, 5), "python", "\n\nx = 1\ny = 2"),
        (TWO_LANGUAGES, "quarto", (4, 0), (8, 3), "r", "\n\n\nz <- 3\n"),
        (TWO_LANGUAGES, "quarto", (3, 0), (12, 0), "python", "y = 2" + "\n" * 7 + "u = 4\n\n"),
        (SCRIPT, "python", (0, 0), (5, 5), "python", "\nx = 1\n\n\n\ny = 2"),
    ],
)
def test_only_the_code_of_one_language_where_it_is_in_the_range(
    text: str,
    language_id: str,
    start: tuple[int, int],
    end: tuple[int, int],
    language: str,
    code: str,
) -> None:
    found = code_in(document(text, language_id), Range(Position(*start), Position(*end)))
    assert found == (code, language)


def test_a_range_without_code() -> None:
    for start, end in ((0, 1), (4, 6), (5, 5)):
        with pytest.raises(InvalidParams, match="No code is in the range"):
            code_in(document(TWO_LANGUAGES), Range(Position(start, 0), Position(end, 3)))


def test_languages() -> None:
    tested = document(TWO_LANGUAGES)
    assert [language_at(tested, line) for line in (0, 2, 7, 10)] == [
        "python", "python", "r", "python",
    ]  # fmt: skip
    assert main_language(document("```{r}\n```\n")) == "r"
    assert main_language(document("", "python")) == "python"
