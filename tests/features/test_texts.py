from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from carpo_lsp.features import texts


def display(**data: Any) -> dict[str, Any]:
    names = {"html": "text/html", "markdown": "text/markdown", "plain": "text/plain"}
    names |= {"latex": "text/latex", "png": "image/png", "json": "application/json"}
    bundle = {names[name]: value for name, value in data.items()}
    return {"output_type": "display_data", "data": bundle, "metadata": {}}


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


@pytest.mark.parametrize(
    ("printed", "seen"),
    [
        ("plain\n", "plain\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("10%\r50%\r100%", "100%"),
        ("long line\rshort", "shortline"),
        ("long line\r\x1b[Kshort", "short"),
        ("long line\x1b[2K\rshort", "short"),
        ("one\r\ntwo\r\n", "one\ntwo\n"),
        ("ab\x08c", "ac"),
        ("a\nb\n\x1b[2Ac", "c\nb\n"),
        ("\x1b[31mred\rb", "bed"),
        ("bell\x07", "bell"),
    ],
)
def test_settled_shows_what_a_terminal_shows(printed: str, seen: str) -> None:
    assert texts.settled(printed) == seen


@given(st.text(alphabet="ab\r\n\x08\x1b[2AK", max_size=40))
def test_settled_leaves_no_control_characters(printed: str) -> None:
    assert not set(texts.settled(printed)) & set("\r\x08\x1b")


def test_bounded_keeps_beginning_and_end() -> None:
    text = texts.bounded("a" * 500 + "b" * 500, 100)
    assert text.startswith("a" * 50)
    assert text.endswith("b" * 50)
    assert "900 characters left out" in text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a  b\nc", "a b c"),
        ("x" * 50, "x" * 9 + "…"),
        ("x" * 10, "x" * 10),
        ("日本語日本語", "日本語日…"),
    ],
)
def test_clipped_is_one_line_of_some_columns(text: str, line: str) -> None:
    assert texts.clipped(text, 10) == line


@pytest.mark.parametrize(
    ("outputs", "line"),
    [
        ([], ""),
        ([stream("a\nb\n\n")], "b"),
        ([stream("printed"), display(plain="  a\n1 b")], "a 1 b"),
        ([display(plain="<Figure size 640x480>", png="aGk=")], "[png image]"),
        ([stream("warning", "stderr")], "warning"),
        ([display(plain="<html object>", html="<b>bold</b><script>x</script>")], "bold"),
        ([display(plain="<object at 0x1>")], "<object at 0x1>"),
        ([display(plain="<IPython.core.display.JSON object>", json={"ä": [1]})], '{"ä": [1]}'),
        ([stream("x"), {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}], "x"),
    ],
)
def test_summary_is_the_last_result_in_a_line(outputs: list[dict[str, Any]], line: str) -> None:
    assert texts.summary(tuple(outputs)) == line


@pytest.mark.parametrize(
    ("output", "markdown"),
    [
        (stream("a\n"), "```text\na\n```"),
        (stream("\n"), ""),
        (display(plain="[1] 2", html="2", markdown="2"), "```text\n[1] 2\n```"),
        (display(plain="<IPython.core.display.Markdown object>", markdown="*a*"), "*a*"),
        (display(markdown="```\nopen"), "```\nopen\n```"),
        (display(plain="<Figure>", png="aGk="), ""),
        (display(json={"a": [1]}), '```json\n{\n  "a": [\n    1\n  ]\n}\n```'),
        (display(plain="<JSON object>", json={"ä": 1}), '```json\n{\n  "ä": 1\n}\n```'),
        (stream("``` in text"), "````text\n``` in text\n````"),
        (
            display(
                plain="   a\n0  1",
                html="<table><tr><th></th><th>a</th></tr><tr><th>0</th><td>1</td></tr></table>",
            ),
            "|  | a |\n| --- | --- |\n| 0 | 1 |",
        ),
        (
            {
                "output_type": "error",
                "ename": "E",
                "evalue": "v",
                "traceback": ["\x1b[31mE\x1b[0m"],
            },
            "```pytb\nE\n```",
        ),
        (
            {"output_type": "error", "ename": "E", "evalue": "v", "traceback": []},
            "```pytb\nE: v\n```",
        ),
    ],
)
def test_markdown_takes_the_best_form(output: dict[str, Any], markdown: str) -> None:
    assert texts.markdown(output) == markdown


HOSTILE = [
    "[run me](command:workbench.action.terminal.new)",
    "[run me](command&#58;x)",
    "[run me]( command:x)",
    "[run me](<command:x>)",
    "[run me][a]\n\n[a]: command:x",
    "[a]\n\n[a]:\ncommand:x",
    "<command:x>",
    '<a href="command:x">run me</a>',
    "\\<img src=x onerror=alert(1)>",
    "![tracker](https://example.com/a.png)",
    "\\![tracker](https://example.com/a.png)",
    "[![a](https://a/b)](command:x)",
    "[x](file:///etc/passwd)",
    "[x](https://a/<b>)",
    "<!-- comment -->",
    "<script>\nalert(1)\n</script>",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_strangers_markdown_runs_and_fetches_nothing(text: str) -> None:
    check_harmless(texts.neutral(text))


@given(st.text(alphabet="[]()<>!\\:/ acommndhtps&#5;8\n`", max_size=60))
def test_no_markdown_of_a_stranger_has_html_images_or_local_links(text: str) -> None:
    check_harmless(texts.neutral(text))


def check_harmless(text: str) -> None:
    parser = MarkdownIt("commonmark")
    # The parser's own rules for links would hide what others follow.
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    pending = list(parser.parse(text))
    while pending:
        token = pending.pop()
        assert token.type not in ("html_block", "html_inline", "image")
        if token.type == "link_open":
            assert str(token.attrs["href"]).startswith(("https://", "http://"))
        pending += token.children or []


def test_a_link_to_the_web_stays() -> None:
    link = "[docs](https://docs.python.org/3/)"
    assert texts.neutral(link) == link


@pytest.mark.parametrize("line", ["vim: set ft=python:", "# vi: x", "ex: y", "Local Variables:"])
def test_no_editor_finds_settings_in_results(line: str) -> None:
    assert line.replace(":", "", 1).split(" ")[0] in texts.without_modelines(line)
    assert "\u200b:" in texts.without_modelines(line)
