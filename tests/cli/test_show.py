from __future__ import annotations

import pytest

from carpo_lsp.cli.show import image_of, text_of, text_of_error, text_of_html, without_ansi


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"text/plain": "plain", "text/markdown": "*md*", "text/html": "<p>html"}, "plain"),
        ({"text/plain": "<IPython.core.display.Markdown object>", "text/markdown": "*md*"}, "*md*"),
        ({"text/html": "<p>html</p>"}, "html"),
        ({"application/json": {"ä": [1]}}, '{\n  "ä": [\n    1\n  ]\n}'),
        ({"text/x-mine": "mine"}, "mine"),
        ({"application/vnd.mine": "mine"}, None),
        ({}, None),
    ],
)
def test_text_of(data: dict[str, object], text: str | None) -> None:
    assert text_of(data) == text


def test_text_of_html_has_the_words_without_markup() -> None:
    html = """<style>p { color: red }</style><h1>Title</h1>
      <p>one &amp; <b>two</b><br>three</p>
      <table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"""
    assert text_of_html(html) == "Title\none & two\nthree\na b\n1 2"


def test_image_of_takes_the_best_that_can_be_read() -> None:
    assert image_of({"image/svg+xml": "<svg/>", "image/png": "AAEC"}) == (b"\0\1\2", ".png")
    assert image_of({"image/svg+xml": "<svg/>", "image/png": "A"}) == (b"<svg/>", ".svg")
    assert image_of({"text/plain": "x"}) is None


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"ename": "E", "evalue": "v", "traceback": ["a", "b"]}, "a\nb"),
        ({"ename": "E", "evalue": "v", "traceback": []}, "E: v"),
        ({"ename": "", "evalue": "v"}, "v"),
    ],
)
def test_text_of_error(error: dict[str, object], text: str) -> None:
    assert text_of_error(error) == text


def test_without_ansi() -> None:
    text = "\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x1b\\link\x1b]8;;\x07 \x1b(Bplain\rkept"
    assert without_ansi(text) == "red link plain\rkept"
