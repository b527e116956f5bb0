"""Hover, from a kernel that says what the test wants."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
from asked_kernel import URI, Bench, bench
from lsprotocol import types

from carpo_lsp.documents.positions import Encoding
from carpo_lsp.features.hover import hover

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def it() -> AsyncIterator[Bench]:
    it = await bench()
    it.kernel.reply = lambda request: {"found": True, "data": {"text/plain": "A \x1b[1mthing."}}
    yield it
    await it.close()


async def at(it: Bench, line: int, character: int) -> Any:
    result = hover(it.workspace, it.at(line, character))
    return await result if inspect.isawaitable(result) else result


async def test_a_word(it: Bench) -> None:
    it.type("'𐍈'; os.path.join('a')")
    shown = await at(it, 0, 12)
    assert it.kernel.questions[0].content == {"code": "os.path", "cursor_pos": 7, "detail_level": 0}
    assert shown.contents == types.MarkupContent(types.MarkupKind.PlainText, "A thing.")
    assert shown.range == types.Range(types.Position(0, 9), types.Position(0, 13))


@pytest.mark.parametrize(
    ("encoding", "start"), [(Encoding.UTF8, 8), (Encoding.UTF16, 6), (Encoding.UTF32, 5)]
)
async def test_the_range_follows_the_encoding(it: Bench, encoding: Encoding, start: int) -> None:
    it.workspace.documents.encoding = encoding
    it.workspace.documents.open(URI, "python", 1, "'𐍈'; name")
    shown = await at(it, 0, start + 1)
    assert shown.range == types.Range(types.Position(0, start), types.Position(0, start + 4))


async def test_markdown_where_it_is_preferred(it: Bench) -> None:
    it.declare(textDocument={"hover": {"contentFormat": ["markdown", "plaintext"]}})
    it.type("name")
    shown = await at(it, 0, 0)
    assert shown.contents == types.MarkupContent(
        types.MarkupKind.Markdown, "```text\nA thing.\n```"
    )


async def test_magics_keep_their_sign(it: Bench) -> None:
    it.type("%timeit x")
    await at(it, 0, 3)
    assert it.kernel.questions[0].content["code"] == "%timeit"


async def test_null(it: Bench) -> None:
    it.type("x = 'a string'  # and words\nf().attribute")
    assert await at(it, 0, 7) is None
    assert await at(it, 0, 20) is None
    assert await at(it, 1, 5) is None
    assert it.kernel.questions == []
    it.kernel.reply = lambda request: {"found": False, "data": {}}
    assert await at(it, 0, 0) is None
    it.kernel.reply = lambda request: {"found": True, "data": None}
    assert await at(it, 0, 0) is None


async def test_a_busy_kernel_is_not_asked(it: Bench) -> None:
    it.type("name")
    await it.run()
    assert await at(it, 0, 0) is None
    assert it.kernel.questions == []


async def test_no_kernel_is_started(it: Bench) -> None:
    it.workspace.documents.open("file:///w/b.py", "python", 1, "name")
    params = types.HoverParams(types.TextDocumentIdentifier("file:///w/b.py"), types.Position(0, 0))
    assert hover(it.workspace, params) is None
    assert len(it.workspace.frontend.manager.all()) == 1
