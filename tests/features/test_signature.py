"""Signatures: their parameters, the active one, and R's usages."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
from asked_kernel import Bench, bench
from lsprotocol import types
from lsprotocol.converters import get_converter

from carpo_lsp.features.scan import Call
from carpo_lsp.features.signature import active_parameter, parameters, signature_help, usages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LABEL = "f(self, a: dict[str, int] = {'x,y': (1, 2)}, /, b=f(1), *args, key=None, **kw) -> str"


@pytest.fixture
async def it() -> AsyncIterator[Bench]:
    it = await bench("kernel subshells")
    signature = "Signature: fé(𐍈, b=1, *, key=None)\nDocstring: Does."
    it.kernel.reply = lambda request: {"found": True, "data": {"text/plain": signature}}
    yield it
    await it.close()


def test_parameters() -> None:
    found = parameters(LABEL)
    assert [parameter.name for parameter in found] == ["self", "a", "b", "*args", "key", "**kw"]
    assert LABEL[found[1].start : found[1].end] == "a: dict[str, int] = {'x,y': (1, 2)}"
    assert [p.name for p in parameters('g(x, sep = " (", ..., na.rm = FALSE)')] == [
        "x",
        "sep",
        "...",
        "na.rm",
    ]
    assert parameters("f()") == []
    assert parameters("no call") == []
    assert [p.name for p in parameters("f(a, b")] == ["a", "b"]


@pytest.mark.parametrize(
    ("argument", "keyword", "active"),
    [(0, None, 0), (2, None, 2), (3, None, 3), (7, None, 3), (1, "key", 4), (1, "other", 5)],
)
def test_active_parameter(argument: int, keyword: str | None, active: int) -> None:
    assert active_parameter(parameters(LABEL), Call("f", argument, keyword)) == active


def test_usages_of_a_help_page() -> None:
    page = (
        "mean    package:base\n\nUsage:\n\n     mean(x, ...)\n     \n"
        "     ## Default S3 method:\n     mean(x, trim = 0,\n          na.rm = FALSE, ...)\n     \n"
        "Arguments:\n\n     mean(not this)\n"
    )
    expected = ["mean(x, ...)", "mean(x, trim = 0, na.rm = FALSE, ...)"]
    assert usages(page, "mean") == usages(page, "base::mean") == expected
    assert usages("no usage", "mean") == []


async def help_at_end(it: Bench, text: str) -> Any:
    result = signature_help(it.workspace, it.type(text))
    return await result if inspect.isawaitable(result) else result


async def test_help_for_the_call_at_the_cursor(it: Bench) -> None:
    found = await help_at_end(it, "x = 1\ny = mod.fé('(', ")
    assert it.kernel.questions[0].content["code"] == "mod.fé"
    assert found.signatures[0].label == "fé(𐍈, b=1, *, key=None)"
    assert found.signatures[0].documentation == "Does."
    assert [parameter.label for parameter in found.signatures[0].parameters] == [
        "𐍈",
        "b=1",
        "key=None",
    ]
    assert found.active_parameter == found.signatures[0].active_parameter == 1
    # A null would say that no parameter is active.
    assert get_converter().unstructure(found)["signatures"][0]["activeParameter"] == 1


async def test_label_offsets_are_utf_16(it: Bench) -> None:
    information = {
        "parameterInformation": {"labelOffsetSupport": True},
        "documentationFormat": ["markdown"],
    }
    it.declare(textDocument={"signatureHelp": {"signatureInformation": information}})
    found = await help_at_end(it, "fé(key=")
    labels = [parameter.label for parameter in found.signatures[0].parameters]
    assert labels == [(3, 5), (7, 10), (15, 23)]
    assert found.active_parameter == 2
    assert found.signatures[0].documentation.kind == types.MarkupKind.Markdown


async def test_nothing_is_asked_outside_calls(it: Bench) -> None:
    assert await help_at_end(it, "x = 1") is None
    assert it.kernel.questions == []


async def test_nothing_to_tell(it: Bench) -> None:
    it.kernel.reply = lambda request: {"found": False, "data": {}}
    assert await help_at_end(it, "f(") is None
