"""What a document shows that was run before the server was started."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from lsprotocol import types
from scripted import Scripted, install_kernelspecs, scripted
from test_hints import HINTS, hints, lenses

from carpo_lsp import protocol
from carpo_lsp.documents.positions import Position, Range
from carpo_lsp.documents.store import NotebookCell
from carpo_lsp.features import kernels, results, sync
from carpo_lsp.features.diagnostics import diagnostics_of
from carpo_lsp.features.result_hover import result_hover
from carpo_lsp.journal.journal import Journal
from carpo_lsp.journal.pruning import Policy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from carpo_lsp.documents.document import Document

URI = "file:///w/a.py"
TEXT = "# %% One\na\n\n# %% Two\nb\n"

Start = "Callable[..., Awaitable[Scripted]]"


@pytest.fixture
async def start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Awaitable[Scripted]]]:
    """Starts a server in the place of the one before; their state is in one folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    install_kernelspecs(tmp_path, "python")
    last: list[Scripted] = []

    async def start(*, crash: bool = False) -> Scripted:
        if last:
            await end(last.pop(), crash=crash)
        bench = scripted()
        bench.workspace.frontend.journal = Journal()
        bench.declare(**HINTS)
        bench.run = lambda code: f"{code.strip()}!\n"
        last.append(bench)
        return bench

    yield start
    await end(last.pop())


async def end(bench: Scripted, *, crash: bool = False) -> None:
    """The server ends; after a crash the journal has nothing of that."""
    journal = bench.workspace.frontend.journal
    assert journal is not None
    if crash:
        await journal.close()
    bench.workspace.restoring.close()
    bench.workspace.client.close()
    await bench.workspace.frontend.close()


async def open_document(bench: Scripted, text: str = TEXT, uri: str = URI) -> Document:
    """Open a document as a client does, and wait for what it showed."""
    item = types.TextDocumentItem(uri, "python", 1, text)
    sync.did_open(bench.workspace, types.DidOpenTextDocumentParams(item))
    return await restored(bench, uri)


async def restored(bench: Scripted, uri: str) -> Document:
    document = bench.workspace.documents.get(uri)
    task = bench.workspace.restoring.under_way(document)
    if task is not None:
        await asyncio.wait([task])
    return document


async def run(bench: Scripted, document: Document, line: int) -> None:
    await bench.call("runCell", {"uri": document.uri, "line": line})


def labels(bench: Scripted, document: Document) -> list[str]:
    return [label for *_, label in hints(bench, document)]


async def outputs(bench: Scripted, **params: Any) -> list[protocol.ExecutionOutputs]:
    found = kernels.outputs(bench.workspace, protocol.OutputsParams(**params))
    result = found if isinstance(found, protocol.OutputsResult) else await found
    return list(result.executions)


async def test_everything_that_shows_results_shows_them_again(start: Any) -> None:
    bench = await start()
    document = await open_document(bench)
    await run(bench, document, 0)
    bench.kernels[0].run = lambda code: None
    await run(bench, document, 3)
    bench.kernels[0].fail("ValueError")
    await bench.settle()
    before = await outputs(bench, text_document=protocol.TextDocument(URI))
    shown = labels(bench, document)

    bench = await start()
    told: list[str] = []
    bench.workspace.on_restored = told.append
    document = await open_document(bench)
    assert told == [URI]
    assert labels(bench, document) == shown == ["→ a!", "✗ ValueError"]
    titles = [title for _, title in lenses(bench, document)]
    assert [title.endswith(", earlier") for title in titles if "In[" in title] == [True, True]
    hover = result_hover(bench.workspace, document, Position(1, 0))
    assert hover is not None
    assert "a!" in hover.contents.value
    assert ", earlier" in hover.contents.value
    (diagnostic,) = diagnostics_of(bench.workspace, document)
    assert diagnostic.message == "ValueError"
    path = results.write(bench.workspace, document)
    assert path is not None
    assert "a!" in path.read_text()
    assert await outputs(bench, text_document=protocol.TextDocument(URI)) == before
    (by_id,) = await outputs(bench, execution_id=before[0].execution_id)
    assert by_id == before[0]
    assert bench.kernels == [], "nothing has been started for it"


async def test_outputs_are_asked_for_at_once(start: Any) -> None:
    bench = await start()
    await run(bench, await open_document(bench), 0)
    bench = await start()
    item = types.TextDocumentItem(URI, "python", 1, TEXT)
    sync.did_open(bench.workspace, types.DidOpenTextDocumentParams(item))
    assert len(await outputs(bench, text_document=protocol.TextDocument(URI))) == 1


async def test_what_ran_when_the_server_was_killed(start: Any) -> None:
    bench = await start()
    document = await open_document(bench)
    bench.run = lambda code: None
    await run(bench, document, 0)
    await run(bench, document, 3)
    bench = await start(crash=True)
    document = await open_document(bench)
    assert labels(bench, document) == ["✗ the server ended", "✗ not run"]
    first, second = await outputs(bench, text_document=protocol.TextDocument(URI))
    assert (first.state, second.state) == ("died", "aborted")
    assert first.error is not None
    assert first.error.evalue.startswith("The server ended while this ran")


async def test_a_cell_that_was_edited_meanwhile_shows_nothing_and_one_edited_now_is_stale(
    start: Any,
) -> None:
    bench = await start()
    document = await open_document(bench)
    await run(bench, document, 0)
    await run(bench, document, 3)
    bench = await start()
    document = await open_document(bench, "# %% New\nn\n" + TEXT.replace("a\n", "changed\n"))
    assert hints(bench, document) == [(6, 1, "→ b!")]
    end_of_code = Position(6, 1)
    bench.workspace.documents.change(URI, 2, [(Range(end_of_code, end_of_code), " + 1")])
    assert labels(bench, document) == ["stale → b!"]


async def test_cells_with_the_same_code_get_each_their_own(start: Any) -> None:
    bench = await start()
    text = "# %%\nsame\n# %%\nother\n# %%\nsame\n"
    document = await open_document(bench, text)
    results_of_runs = iter("123")
    bench.run = lambda code: next(results_of_runs)
    for line in (4, 0, 4):
        await run(bench, document, line)
    bench = await start()
    assert labels(bench, await open_document(bench, text)) == ["→ 2", "→ 3"]


async def test_statements_are_shown_where_they_are_as_they_were(start: Any) -> None:
    bench = await start()
    text = "x = 1\ny = 2\nz = 3\n"
    document = await open_document(bench, text)
    for line in (0, 2):
        await bench.call("runStatement", {"uri": URI, "line": line})
    assert labels(bench, document) == ["→ x = 1!", "→ z = 3!"]
    bench = await start()
    document = await open_document(bench, text.replace("z = 3", "z = 4"))
    assert labels(bench, document) == ["→ x = 1!"]


async def test_what_was_cleared_stays_away(start: Any) -> None:
    bench = await start()
    document = await open_document(bench)
    await run(bench, document, 0)
    await run(bench, document, 3)
    await bench.call("clearOutput", {"uri": URI, "line": 0})
    bench = await start()
    document = await open_document(bench)
    assert labels(bench, document) == ["→ b!"]
    await bench.call("clearOutput", {"uri": URI, "line": 3})
    assert labels(bench, document) == []
    bench = await start()
    assert labels(bench, await open_document(bench)) == []


async def test_what_is_run_now_goes_before_and_makes_the_rest_stale(start: Any) -> None:
    bench = await start()
    document = await open_document(bench)
    await run(bench, document, 0)
    await run(bench, document, 3)
    bench = await start()
    item = types.TextDocumentItem(URI, "python", 1, TEXT)
    sync.did_open(bench.workspace, types.DidOpenTextDocumentParams(item))
    bench.run = lambda code: "new"
    document = bench.workspace.documents.get(URI)
    cell = document.cell_at(0)
    assert cell is not None
    bench.workspace.run_cell(document, cell)
    await restored(bench, URI)
    await bench.settle()
    assert labels(bench, document) == ["→ new", "stale → b!"]
    states = await outputs(bench, text_document=protocol.TextDocument(URI))
    assert [text["outputs"][0]["text"] for text in map(protocol.to_wire, states)] == [
        *("a!\n", "b!\n", "new"),
    ]


async def test_an_id_may_be_used_again(start: Any) -> None:
    for code in ("a", "b"):
        bench = await start()
        document = await open_document(bench)
        cell = document.cell_at(0 if code == "a" else 3)
        assert cell is not None
        bench.workspace.run_cell(document, cell, execution_id="1")
        await bench.settle()
        (found,) = await outputs(bench, execution_id="1")
        assert found.outputs[0]["text"] == f"{code}!\n"
    bench = await start()
    (found,) = await outputs(bench, execution_id="1")
    assert found.outputs[0]["text"] == "b!\n"


async def test_the_cells_of_a_notebook_have_other_uris_in_each_session(start: Any) -> None:
    notebook = "file:///w/n.ipynb"

    async def open_notebook(bench: Scripted, session: str) -> list[Document]:
        uris = [f"vscode-notebook-cell:/w/n.ipynb#{session}{number}" for number in (1, 2)]
        cells = [NotebookCell(uri, "code", "python") for uri in uris]
        bench.workspace.documents.open_notebook(notebook, "jupyter-notebook", cells)
        return [await open_document(bench, code, uri) for uri, code in zip(uris, "ab", strict=True)]

    bench = await start()
    for document in await open_notebook(bench, "X"):
        await run(bench, document, 0)
    bench = await start()
    documents = await open_notebook(bench, "Y")
    assert [labels(bench, document) for document in documents[:1]] == [["→ a!"]]
    found = await outputs(bench, text_document=protocol.TextDocument(documents[0].uri))
    assert [each.outputs[0]["text"] for each in found] == ["a!\n"]


async def test_nothing_is_shown_again_where_the_journal_is_off(start: Any) -> None:
    bench = await start()
    await run(bench, await open_document(bench), 0)
    (before,) = await outputs(bench, text_document=protocol.TextDocument(URI))
    bench = await start()
    bench.workspace.frontend.journal.policy = Policy(enabled=False)
    assert labels(bench, await open_document(bench)) == []
    message = ""
    try:
        await outputs(bench, execution_id=before.execution_id)
    except Exception as error:
        message = str(error)
    assert "execution" in message


async def test_a_document_is_restored_once(start: Any) -> None:
    bench = await start()
    await run(bench, await open_document(bench), 0)
    bench = await start()
    document = await open_document(bench)
    await run(bench, document, 0)
    identifier = types.TextDocumentIdentifier(URI)
    sync.did_close(bench.workspace, types.DidCloseTextDocumentParams(identifier))
    document = await open_document(bench)
    assert len(await outputs(bench, text_document=protocol.TextDocument(URI))) == 2
    assert labels(bench, document) == ["→ a!"]
