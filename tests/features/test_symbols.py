from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lsprotocol import types

from carpo_lsp.features.symbols import document_symbols

if TYPE_CHECKING:
    from scripted import Scripted

URI = "file:///w/a.py"
CELLS = "# %% Load data\none\n# %%\n#| label: x\n\n  two = 2\n# %% [markdown]\n# Text\n# %%\n"


def ask(bench: Scripted, *, nested: bool = True) -> list[dict[str, Any]]:
    symbols = {"documentSymbol": {"hierarchicalDocumentSymbolSupport": nested}}
    bench.declare(textDocument=symbols)
    params = types.DocumentSymbolParams(types.TextDocumentIdentifier(URI))
    return document_symbols(bench.workspace, params)


async def test_cells_by_title_or_first_line(bench: Scripted) -> None:
    bench.open(CELLS, URI)
    symbols = ask(bench)
    assert [symbol["name"] for symbol in symbols] == ["Load data", "two = 2", "Text", "Cell 4"]
    assert [symbol["kind"] for symbol in symbols] == [2, 2, 15, 2]
    assert all("detail" not in symbol for symbol in symbols)
    assert symbols[1]["range"] == {
        "start": {"line": 2, "character": 0},
        "end": {"line": 5, "character": 9},
    }
    assert symbols[1]["selectionRange"] == {
        "start": {"line": 2, "character": 0},
        "end": {"line": 2, "character": 4},
    }


async def test_flat_where_nesting_is_not_declared(bench: Scripted) -> None:
    bench.open(CELLS, URI)
    bench.run = lambda code: None
    await bench.call("runCell", URI, 2)
    first, second, *_ = ask(bench, nested=False)
    assert first["name"] == "Load data  running"
    assert first["location"]["uri"] == URI
    assert second == {
        "name": "two = 2",
        "kind": 2,
        "location": {
            "uri": URI,
            "range": {"start": {"line": 2, "character": 0}, "end": {"line": 5, "character": 9}},
        },
    }
    bench.kernels[0].finish()


async def test_the_state_is_the_detail(bench: Scripted) -> None:
    document = bench.open(CELLS, URI)
    bench.run = lambda code: None
    await bench.call("runAll", URI)
    assert [symbol.get("detail") for symbol in ask(bench)] == ["running", "queued", None, None]
    (kernel,) = bench.kernels
    kernel.ask("?")
    assert ask(bench)[0]["detail"] == "waits for input"
    kernel.finish()
    await bench.settle()
    kernel.finish()
    done = ask(bench)[0]["detail"]
    assert done.startswith("✓ ")
    assert done.endswith(" s")
    kernel.run = lambda code: ""
    document.apply([(None, CELLS.replace("one", "changed"))], 2)
    assert ask(bench)[0]["detail"] == "stale"


async def test_an_error_is_marked(bench: Scripted) -> None:
    bench.open(CELLS, URI)
    bench.run = lambda code: None
    await bench.call("runCell", URI, 2)
    bench.kernels[0].fail("ValueError")
    await bench.settle()
    assert ask(bench)[0]["detail"] == "✗"


async def test_a_long_name_is_cut(bench: Scripted) -> None:
    bench.open("# %% " + "x" * 100 + "\n", URI)
    (symbol,) = ask(bench)
    assert symbol["name"] == "x" * 59 + "…"


@pytest.mark.parametrize("text", ["one\n", ""])
async def test_a_document_without_marked_cells_has_none(bench: Scripted, text: str) -> None:
    assert ask(bench) == []
    bench.open(text, URI)
    assert ask(bench) == []
