"""The commands that run code, in an editor that knows nothing but LSP and a real kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nbformat
import pytest
import pytest_asyncio
from lsp_clients import TERMINAL, Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = """\
# %% First
print("first")
# %%
x = [1,
     2]

def f():

    return x
print("second", len(f()))
# %% [markdown]
# Text
# %%
print("third")
"""

CAPABILITIES = {
    "textDocument": {
        "codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": [""]}}},
        "documentSymbol": {"hierarchicalDocumentSymbolSupport": True},
    },
    "window": {"showDocument": {"support": True}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def editor(
    tmp_path_factory: pytest.TempPathFactory, fake_kernels: object
) -> AsyncIterator[Wire]:
    client = await Wire.spawn()
    await client.initialize(tmp_path_factory.mktemp("workspace"), capabilities=CAPABILITIES)
    yield client
    await client.close()
    client.check_everything()
    assert client.stray == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def document(editor: Wire, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A document that all tests share, and its kernel."""
    path = tmp_path_factory.mktemp("document") / "doc.py"
    path.write_text(TEXT)
    editor.open(path.as_uri(), TEXT)
    await editor.command("runCell", path.as_uri(), 1)
    await done(editor, 0)
    return path


async def done(editor: Wire, after: int, count: int = 1) -> list[str]:
    """What the executions that began after a notification have printed, once `count` are done."""

    def ended() -> list[str]:
        return [
            params["executionId"]
            for method, params in editor.notes[after:]
            if method == "carpo/executionState" and params["state"] in TERMINAL
        ]

    await editor.until(lambda *_: len(ended()) >= count, after=after)
    return [editor.text(execution_id).strip() for execution_id in ended()]


@pytest.mark.parametrize(
    ("command", "arguments", "printed"),
    [
        ("runCell", [2], ["first"]),
        ("runCellAndAdvance", [2], ["first"]),
        ("runBelow", [3], ["second 2", "third"]),
        ("runAbove", [14], ["first", "second 2"]),
        ("runStatement", [5], [""]),
        ("runStatement", [10], ["second 2"]),
        ("runSelection", [10, 14], ["second 2", "third"]),
        ("runAll", [], ["first", "second 2", "third"]),
        ("restartAndRunAll", [], ["first", "second 2", "third"]),
    ],
)
async def test_runs(
    editor: Wire, document: Path, command: str, arguments: list[Any], printed: list[str]
) -> None:
    before = len(editor.notes)
    assert await editor.command(command, str(document), *arguments) is None
    # What a restart ends is none of these: nothing ran before it.
    assert await done(editor, before, len(printed)) == printed


async def test_advancing_shows_the_next_cell(editor: Wire, document: Path) -> None:
    before = len(editor.notes)
    await editor.command("runCellAndAdvance", document.as_uri(), {"line": 5, "character": 0})
    shown = await editor.until(lambda method, _: method == "window/showDocument", after=before)
    position = {"line": 13, "character": 0}
    assert shown == {
        "uri": document.as_uri(),
        "external": False,
        "takeFocus": True,
        "selection": {"start": position, "end": position},
    }
    await done(editor, before)


async def test_an_action_runs_without_arguments_of_the_user(editor: Wire, document: Path) -> None:
    position = {"line": 13, "character": 0}
    params = {
        "textDocument": {"uri": document.as_uri()},
        "range": {"start": position, "end": position},
        "context": {"diagnostics": [], "only": ["carpo.run.cell"]},
    }
    (action,) = await editor.request("textDocument/codeAction", params)
    assert (action["kind"], action["isPreferred"]) == ("carpo.run.cell", True)
    before = len(editor.notes)
    await editor.request("workspace/executeCommand", action["command"])
    assert await done(editor, before) == ["third"]
    # And now the place is known to commands that come without one.
    before = len(editor.notes)
    await editor.command("runStatement")
    assert await done(editor, before) == ["third"]


async def test_symbols_tell_the_state(editor: Wire, document: Path) -> None:
    before = len(editor.notes)
    await editor.command("runAll", document.as_uri())
    await done(editor, before, 3)
    params = {"textDocument": {"uri": document.as_uri()}}
    symbols = await editor.request("textDocument/documentSymbol", params)
    assert [symbol["name"] for symbol in symbols] == [
        *("First", "x = [1,", "Text", 'print("third")')
    ]
    assert [symbol.get("detail", "")[:1] for symbol in symbols] == ["✓", "✓", "", "✓"]


async def test_interrupts(editor: Wire, document: Path, tmp_path: Path) -> None:
    uri = editor.open(document.as_uri(), "print('on')\nimport time; time.sleep(60)\n")
    before = len(editor.notes)
    await editor.command("runCell", uri)
    await editor.until(
        lambda method, params: method == "carpo/output" and params["output"].get("text"),
        after=before,
    )
    await editor.command("interrupt")
    assert await done(editor, before) == ["on"]


async def test_answers(editor: Wire, document: Path) -> None:
    uri = editor.open(document.as_uri(), "print(input('? '))\n")
    before = len(editor.notes)
    await editor.command("runCell", uri)
    await editor.until(lambda method, _: method == "carpo/inputRequest", after=before)
    await editor.command("answer", "yes")
    assert await done(editor, before) == ["yes"]


async def test_exports(editor: Wire, document: Path) -> None:
    uri = editor.open(document.as_uri(), TEXT)
    before = len(editor.notes)
    await editor.command("runAll", uri)
    await done(editor, before, 3)
    await editor.command("exportNotebook", uri)
    await editor.until_message(f"Wrote {document.with_suffix('.ipynb')}")
    notebook = nbformat.read(document.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(notebook)
    assert [cell.outputs[0].text for cell in notebook.cells if cell.cell_type == "code"] == [
        *("first\n", "second 2\n", "third\n")
    ]
    assert notebook.metadata.language_info.name == "python"
    assert notebook.metadata.language_info.file_extension == ".py"


async def test_restarts_and_shuts_down(editor: Wire, document: Path) -> None:
    (kernel_id,) = await editor.kernels()
    before = len(editor.notes)
    await editor.command("restartKernel", document.as_uri())
    await editor.until_status(kernel_id, "idle", after=before)
    await editor.command("shutdownKernel", document.as_uri())
    await editor.until_status(kernel_id, "stopped", after=before)
    assert await editor.kernels() == {}
