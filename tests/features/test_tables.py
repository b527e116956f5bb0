from __future__ import annotations

import pytest

from carpo_lsp.features.tables import MAX_ROWS, tables_to_markdown

PANDAS = """<div>
<style scoped>.dataframe tbody tr th { vertical-align: top; }</style>
<table border="1" class="dataframe">
  <thead><tr style="text-align: right;"><th></th><th>a</th><th>b|c</th></tr></thead>
  <tbody><tr><th>0</th><td>1</td><td>x</td></tr><tr><th>1</th><td>2</td><td>NaN</td></tr></tbody>
</table><p>2 rows by 2 columns</p>
</div>"""

MULTI = """<table><thead>
<tr><th></th><th colspan="2">x</th></tr><tr><th></th><th>a</th><th>b</th></tr>
</thead><tbody><tr><th>0</th><td>1</td><td>2</td></tr></tbody></table>"""

R = """<table class="dataframe">
<caption>A data.frame: 1 by 2</caption>
<thead>
\t<tr><th scope=col>a</th><th scope=col>b</th></tr>
\t<tr><th scope=col>&lt;int&gt;</th><th scope=col>&lt;chr&gt;</th></tr>
</thead>
<tbody>
\t<tr><td>1</td><td>x</td></tr>
</tbody>
</table>
"""


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        (
            PANDAS,
            "|  | a | b\\|c |\n| --- | --- | --- |\n| 0 | 1 | x |\n| 1 | 2 | NaN |"
            "\n\n2 rows by 2 columns",
        ),
        (MULTI, "|  | x a | b |\n| --- | --- | --- |\n| 0 | 1 | 2 |"),
        (
            R,
            "A data.frame: 1 by 2\n\n| a <int> | b <chr> |\n| --- | --- |\n| 1 | x |",
        ),
        ("<table><tr><td>1<td>2<tr><td>3", "|  |  |\n| --- | --- |\n| 1 | 2 |\n| 3 |  |"),
        (
            "<table><tr><td>a<table><tr><td>b</td></tr></table></td></tr></table>",
            "|  |\n| --- |\n| ab |",
        ),
        ("<table></table>", ""),
        ("no table", ""),
    ],
)
def test_tables_become_markdown(html: str, markdown: str) -> None:
    assert tables_to_markdown(html) == markdown


def test_a_long_table_is_cut() -> None:
    rows = "".join(f"<tr><td>{number}</td></tr>" for number in range(MAX_ROWS + 7))
    assert tables_to_markdown(f"<table>{rows}</table>").endswith("… 7 more rows")
