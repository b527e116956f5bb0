"""What comes from kernels makes no viewer of Markdown run, fetch or open anything but the web."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsprotocol import types
from markdown_it import MarkdownIt

from carpo_lsp.features import inspection, texts
from carpo_lsp.workspace.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

VIEWER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

HOSTILE = (
    "[x](command:evil)",
    "[x](<command:evil>)",
    "[x]( command:evil 'title')",
    "[x](COMMAND:evil)",
    "[x](vscode://evil/do?it=1)",
    "[x](javascript:evil())",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](file:///etc/passwd)",
    "[x](&#99;ommand:evil)",
    "[x](\\command:evil)",
    "[x](https://a/) [y](command:evil)",
    "[[x](command:a)](command:b)",
    "[![x](http://evil/pixel.png)](command:evil)",
    "![x](http://evil/pixel.png)",
    "![x][1]\n\n[1]: http://evil/pixel.png",
    "[x][1]\n\n[1]: command:evil",
    "[x]\n\n[x]:\ncommand:evil",
    "> [x]: command:evil\n\n[x]",
    "<command:evil>",
    "<vscode://evil>",
    "<a href='command:evil'>x</a>",
    "<img src=x onerror=evil()>",
    "<script>evil()</script>",
    "<!-- -->\n<iframe src='data:text/html,x'>",
    "<?x ?><![CDATA[x]]>",
    "```\n[x](command:evil)",
    "````\n```\n[x](command:evil)\n````\n[x](command:evil)",
    "\x1b]8;;command:evil\x07x\x1b]8;;\x07",
    "| a |\n| - |\n| [x](command:evil) |",
    "\\[x](command:evil)",
    "\\\\[x](command:evil)",
    "[x]\x00(command:evil)",
    "[x]\r(command:evil)",
    "[x](http://a\n(command:evil))",
)

PIECES = st.sampled_from(
    "[ ] ( ) < > ! \\ : ` ~ ``` | \n \r \x00 & &#93; &lpar; command:evil http://a https://b/"
    " x 1 [1]: /a <a> <!-- --> ]( ]: \x1b \x9b".split(" ")
)
ANY = st.lists(PIECES, max_size=14).map("".join) | st.sampled_from(HOSTILE)


def tokens(markdown: str) -> Iterator[Token]:
    for token in VIEWER.parse(markdown):
        yield token
        yield from token.children or ()


def check(markdown: str) -> None:
    for token in tokens(markdown):
        assert token.type not in ("html_inline", "html_block", "image"), markdown
        if token.type == "link_open":
            href = str(token.attrs["href"])
            assert href.startswith(("http://", "https://")), markdown


def display(**data: str) -> dict[str, Any]:
    mimes = {f"text/{kind}": value for kind, value in data.items()}
    return {"output_type": "display_data", "data": mimes, "metadata": {}}


@settings(max_examples=300)
@given(ANY, ANY)
def test_outputs_as_markdown(one: str, other: str) -> None:
    table = f"<table><tr><th>{one}</th></tr><tr><td>{other}</td></tr></table>{one}"
    error = {"output_type": "error", "ename": one, "evalue": other, "traceback": [one, other]}
    for output in (
        display(markdown=one + other),
        display(html=table),
        display(html=one),
        display(latex=one),
        display(plain=f"{one}\n{other}"),
        {"output_type": "stream", "name": "stdout", "text": one + other},
        error,
        {**error, "traceback": []},
    ):
        check(f"before\n\n{texts.markdown(output)}\n\nafter")


@settings(max_examples=300)
@given(ANY, ANY)
def test_help_as_markdown(one: str, other: str) -> None:
    titled = f"Signature: {one}\nType: {other}\nString form: {one}\nFile: {other}\nDocstring: {one}"
    for data in (
        {"text/markdown": one + other},
        {"text/plain": f"{one}\n{other}"},
        {"text/plain": titled},
        {"text/html": one},
    ):
        check(inspection.to_markdown(data, "python") or "")


@pytest.mark.parametrize("text", HOSTILE)
def test_messages_have_no_links(text: str) -> None:
    shown: list[Any] = []
    client = Client()
    client.connect(lambda method, params: shown.append(params), lambda method, params: None)  # type: ignore[arg-type,return-value] # nobody asks
    client.show_message(f"The running code asks: {text}")
    (params,) = shown
    assert isinstance(params, types.ShowMessageParams)
    assert "](" not in params.message
