from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from lsprotocol import types
from lsprotocol.converters import get_converter

from carpo_lsp.features.hints import COLUMNS, duration, inlay_hints
from carpo_lsp.features.lenses import code_lenses
from carpo_lsp.features.shown import name_of

if TYPE_CHECKING:
    from scripted import Scripted

    from carpo_lsp.documents.document import Document

TEXT = "# %% One\na\n\n# %% Two\nb\n"
HINTS: dict[str, Any] = {"workspace": {"inlayHint": {"refreshSupport": True}}}


def hints(bench: Scripted, document: Document, last: int = 100) -> list[tuple[int, int, str]]:
    """Line, character and label of each hint."""
    range_ = types.Range(types.Position(0, 0), types.Position(last, 0))
    identifier = types.TextDocumentIdentifier(document.uri)
    found = inlay_hints(bench.workspace, types.InlayHintParams(identifier, range_))
    return [(hint.position.line, hint.position.character, str(hint.label)) for hint in found or []]


def lenses(bench: Scripted, document: Document) -> list[tuple[int, str]]:
    """Line and title of each lens."""
    params = types.CodeLensParams(types.TextDocumentIdentifier(document.uri))
    found = code_lenses(bench.workspace, params) or []
    return [(lens["range"]["start"]["line"], lens["command"]["title"]) for lens in found]


async def run(bench: Scripted, document: Document, line: int) -> None:
    await bench.call("runCell", {"uri": document.uri, "line": line})


async def test_a_short_result_stands_at_the_end_of_the_code(bench: Scripted) -> None:
    bench.declare(**HINTS)
    bench.run = lambda code: f"1\n{code.strip()}{code.strip()}\n"
    document = bench.open("# %% One\na = '😀'\n\n\n# %% Two\nb\n")
    assert hints(bench, document) == []
    await run(bench, document, 0)
    assert hints(bench, document) == [(1, 8, "→ a = '😀'a = '😀'")]
    assert hints(bench, document, 0) == []


async def test_the_states_of_a_cell(bench: Scripted) -> None:
    bench.declare(**HINTS)
    bench.run = lambda code: None
    document = bench.open(TEXT)
    await run(bench, document, 0)
    await run(bench, document, 4)
    assert [label for *_, label in hints(bench, document)] == ["⏳ running", "⏳ queued"]
    bench.kernels[0].ask("\x1b[1mname?\x1b[0m ")
    assert hints(bench, document)[0][2] == "⏳ name?"
    await bench.call("answer", "x")
    for prompt, password in (("secret?", True), (" ", False)):
        bench.kernels[0].ask(prompt, password=password)
        assert hints(bench, document)[0][2] == "⏳ waits for input"
        await bench.call("answer", "x")
    bench.kernels[0].finish()
    await bench.settle()
    assert hints(bench, document)[0][2] == "✓"
    bench.kernels[0].finish(status="error", ename="E", evalue="v\nw", traceback=[])
    assert hints(bench, document)[1][2] == "✗ E: v"
    await run(bench, document, 0)
    bench.kernels[0].finish("new")
    assert [label for *_, label in hints(bench, document)] == ["→ new", "stale ✗ E: v"]


async def test_an_edited_cell_is_stale(bench: Scripted) -> None:
    bench.declare(**HINTS)
    bench.run = lambda code: "1"
    document = bench.open(TEXT)
    await run(bench, document, 0)
    document.apply([(None, TEXT.replace("a\n", "aa\n"))], 2)
    assert hints(bench, document) == [(1, 2, "stale → 1")]
    assert "stale In[1]" in [title for _, title in lenses(bench, document)]


async def test_a_statement_has_its_result_until_its_text_is_edited(bench: Scripted) -> None:
    bench.declare(**HINTS)
    bench.run = lambda code: code
    document = bench.open("x\ny\nz\n")
    selection = {"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 1}}
    await bench.call("runSelection", document.uri, selection)
    assert hints(bench, document) == [(1, 1, "→ y")]
    document.apply([(None, "x\nyy\nz\n")], 2)
    assert hints(bench, document) == []


async def test_a_cell_that_is_run_takes_the_place_of_its_statements(bench: Scripted) -> None:
    bench.declare(**HINTS)
    bench.run = lambda code: code
    document = bench.open("x\ny\n")
    selection = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 1}}
    await bench.call("runSelection", document.uri, selection)
    await run(bench, document, 0)
    assert hints(bench, document) == [(1, 1, "→ y")]


@pytest.mark.parametrize("result", ["x" * 100, "日本語" * 30, "a\tb " * 30])
async def test_a_label_is_one_line_of_forty_columns(bench: Scripted, result: str) -> None:
    bench.declare(**HINTS)
    bench.run = lambda code: result
    document = bench.open("a\n")
    await run(bench, document, 0)
    [(_, _, label)] = hints(bench, document)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in label)
    assert len(label) + wide <= COLUMNS
    assert label.endswith("…")


@pytest.mark.parametrize(
    ("show", "declared", "count"),
    [
        ("auto", HINTS, 1),
        ("auto", {}, 0),
        ("hint", {}, 1),
        ("diagnostic", HINTS, 0),
        ("off", HINTS, 0),
    ],
)
async def test_the_setting_and_the_client_decide(
    bench: Scripted, show: str, declared: dict[str, Any], count: int
) -> None:
    from carpo_lsp.workspace import settings

    bench.declare(**declared)
    layer = settings.Layer({"results": {"show": show}})
    bench.workspace.settings, problems = settings.read(layer)
    document = bench.open("a\n")
    await run(bench, document, 0)
    assert (len(hints(bench, document)), problems) == (count, [])


async def test_a_tooltip_where_it_is_declared(bench: Scripted) -> None:
    bench.run = lambda code: "one\ntwo\n"
    document = bench.open("a\n")
    await run(bench, document, 0)
    for properties, tooltip in (([], None), (["tooltip"], "one\ntwo")):
        bench.declare(
            **HINTS, textDocument={"inlayHint": {"resolveSupport": {"properties": properties}}}
        )
        range_ = types.Range(types.Position(0, 0), types.Position(9, 0))
        identifier = types.TextDocumentIdentifier(document.uri)
        [hint] = inlay_hints(bench.workspace, types.InlayHintParams(identifier, range_)) or []
        assert hint.tooltip == tooltip


async def test_lenses_run_cells_and_tell_how_they_are(bench: Scripted) -> None:
    document = bench.open("a\n# %% [markdown]\n# text\n# %% Two\nb\n")
    assert lenses(bench, document) == [(0, "▶ Run cell"), (3, "▶ Run cell"), (3, "Run above")]
    bench.run = lambda code: None
    await run(bench, document, 3)
    assert (3, "⏳ running") in lenses(bench, document)
    bench.kernels[0].finish(status="error", ename="E", evalue="", traceback=[])
    await bench.settle()
    [title] = [title for _, title in lenses(bench, document) if "In[" in title]
    assert title.startswith("✗ error In[1] ")


async def test_cells_of_a_notebook_are_no_files(bench: Scripted) -> None:
    uris = [f"vscode-notebook-cell:/w/n.ipynb#{number}" for number in range(3)]
    documents = [bench.open("x\n", uri) for uri in uris]
    cells = [(uris[0], "markup", "markdown"), *((uri, "code", "python") for uri in uris[1:])]
    bench.workspace.documents.open_notebook("file:///w/n.ipynb", "jupyter-notebook", cells)
    assert lenses(bench, documents[1]) == [(0, "▶ Run cell")]
    assert lenses(bench, documents[2]) == [(0, "▶ Run cell"), (0, "Run above")]
    [cell] = documents[2].cells()
    assert name_of(bench.workspace, documents[2], cell) == "cell 3 of n.ipynb"


async def test_each_lens_has_its_command_with_its_place(bench: Scripted) -> None:
    document = bench.open("# %%\na\n")
    params = types.CodeLensParams(types.TextDocumentIdentifier(document.uri))
    [found] = code_lenses(bench.workspace, params) or []
    lens = get_converter().structure(found, types.CodeLens)
    assert lens.range == types.Range(types.Position(0, 0), types.Position(0, 0))
    assert lens.command is not None
    assert lens.command.command == "carpo.runCell"
    [argument] = lens.command.arguments or ()
    assert argument == {"uri": document.uri, "line": 0, "version": 1}


@pytest.mark.parametrize(
    "above",
    [
        "# %% [markdown]\n# text\n",
        "# %% eval=false\na\n",
        "# %%\n\n",
        '# %% tags=["skip-execution"]\na\n',
    ],
)
async def test_run_above_is_offered_where_something_would_run(bench: Scripted, above: str) -> None:
    document = bench.open(f"{above}# %%\nb\n# %%\nc\n")
    titles = [title for _, title in lenses(bench, document)]
    assert titles[-3:] == ["▶ Run cell", "▶ Run cell", "Run above"]
    assert titles.count("Run above") == 1


async def test_prose_without_code_has_no_lenses(bench: Scripted) -> None:
    document = bench.open("# Title\n\n```json\n{}\n```\n", "file:///w/a.md", "markdown")
    assert lenses(bench, document) == []


def test_a_document_that_is_not_open_has_nothing(bench: Scripted) -> None:
    identifier = types.TextDocumentIdentifier("file:///w/none.py")
    assert code_lenses(bench.workspace, types.CodeLensParams(identifier)) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0123, "12 ms"),
        (1.25, "1.2 s"),
        (3, "3 s"),
        (12.3, "12 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words
