from __future__ import annotations

import base64
import shutil
import stat
from typing import TYPE_CHECKING, Any

import pytest
from lsprotocol import types

from carpo_lsp.documents.positions import Position
from carpo_lsp.documents.uris import path_of
from carpo_lsp.features import results
from carpo_lsp.features.result_hover import result_hover
from carpo_lsp.kernels.events import OutputChanged

if TYPE_CHECKING:
    from pathlib import Path

    from scripted import Scripted

    from carpo_lsp.documents.document import Document

TEXT = "# %% One\na\n\n# %% Two\nb\n"
PNG = base64.b64encode(b"\x89PNG picture").decode()
MARKDOWN = {"textDocument": {"hover": {"contentFormat": ["markdown", "plaintext"]}}}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


async def run(bench: Scripted, document: Document, line: int, *outputs: dict[str, Any]) -> None:
    """Run the cell at a line to its end; what it shows are `outputs`."""
    cell = document.cell_at(line)
    assert cell is not None
    execution_id, kernel_id = bench.workspace.run_cell(document, cell)
    await bench.settle()
    for output in outputs:
        event = OutputChanged(kernel_id, execution_id, "append", output)
        bench.workspace.frontend.transcript.apply(event)


def display(**data: str) -> dict[str, Any]:
    kinds = {"png": "image/png", "plain": "text/plain", "markdown": "text/markdown"}
    bundle = {kinds[name]: value for name, value in data.items()}
    return {"output_type": "display_data", "data": bundle, "metadata": {}}


def block(folder: Path) -> None:
    folder.write_text("a file where the folder should be")


def pages(folder: Path) -> list[Path]:
    return list(folder.rglob("*.md"))


def read(path: Path | None) -> str:
    assert path is not None
    return path.read_text()


async def test_the_file_has_the_cells_that_ran_with_their_outputs(bench: Scripted) -> None:
    bench.run = lambda code: f"printed {code.strip()}\r\x1b[31mPrinted\n"
    document = bench.open(TEXT)
    await run(bench, document, 4)
    text = read(results.write(bench.workspace, document))
    assert text.startswith("# Results of a.py\n\n## Cell 2 (Two), line 5: ✓ In[1] ")
    assert text.endswith("\n\n```text\nPrinted b\n```\n")
    await run(bench, document, 0)
    text = read(results.write(bench.workspace, document))
    assert text.index("## Cell 1 (One), line 2: ✓ In[2]") < text.index("line 5: stale In[1]")


async def test_statements_are_among_the_results(bench: Scripted) -> None:
    bench.run = lambda code: code
    document = bench.open(TEXT + "c\n")
    await bench.call("runSelection", document.uri, {"start": pos(4, 0), "end": pos(4, 1)})
    assert "## Line 5: ✓ In[1]" in read(results.write(bench.workspace, document))


async def test_there_is_no_file_before_there_is_a_result(bench: Scripted, state: Path) -> None:
    document = bench.open(TEXT)
    assert results.write(bench.workspace, document) is None
    await run(bench, document, 0)
    assert results.write(bench.workspace, document) is None
    assert pages(state) == []


async def test_pictures_are_files_beside_it_while_they_are_shown(bench: Scripted) -> None:
    document = bench.open(TEXT)
    await run(bench, document, 0, display(png=PNG, plain="<Figure>"))
    path = results.write(bench.workspace, document)
    assert path is not None
    [picture] = [file for file in path.parent.iterdir() if file != path]
    assert picture.read_bytes() == b"\x89PNG picture"
    assert f"![{picture.name}]({picture.name})" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(picture.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await run(bench, document, 0, display(plain="1"))
    results.write(bench.workspace, document)
    assert list(path.parent.iterdir()) == [path]


async def test_the_file_of_a_notebook_tells_its_cells_apart(bench: Scripted) -> None:
    uris = [f"vscode-notebook-cell:/w/my%20n.ipynb#{number}" for number in range(2)]
    documents = [bench.open("x\n", uri) for uri in uris]
    cells = [(uri, "code", "python") for uri in uris]
    bench.workspace.documents.open_notebook("file:///w/my%20n.ipynb", "jupyter-notebook", cells)
    bench.run = lambda code: "shown"
    for document in documents:
        await run(bench, document, 0)
    text = read(results.write(bench.workspace, documents[0]))
    assert text.startswith("# Results of my n.ipynb\n\n## Cell 1, line 1: ✓ In[1]")
    assert "\n## Cell 2, line 1: ✓ In[2]" in text


async def test_documents_of_one_name_have_files_of_their_own(bench: Scripted) -> None:
    one, two = results.folder_of("file:///w/a.py"), results.folder_of("file:///v/a.py")
    assert one != two
    assert one.name.startswith("a.py-")
    assert results.folder_of("file:///w/my%20%C3%BC.py").name.startswith("my-ü.py-")
    assert "/" not in results.folder_of("untitled:../../x y").name


async def test_no_kernel_gets_links_or_settings_into_the_file(bench: Scripted) -> None:
    bench.run = lambda code: "vim: set x:\n"
    document = bench.open("# %% [a](command:b)\na\n")
    await run(bench, document, 0, display(markdown="[x](command:y) <script>z</script>"))
    text = read(results.write(bench.workspace, document))
    assert "](command" not in text
    assert "<script" not in text
    assert "vim:" not in text


# Commands


async def test_the_file_is_shown_beside_the_document(bench: Scripted) -> None:
    bench.run = lambda code: code
    bench.declare(window={"showDocument": {"support": True}})
    document = bench.open(TEXT)
    await run(bench, document, 0)
    await bench.call("showOutput", {"uri": document.uri, "line": 0})
    [shown] = bench.shown
    assert shown.take_focus is False
    assert "Cell 1 (One)" in read(path_of(shown.uri))
    assert bench.messages[1:] == []


async def test_a_client_that_shows_no_documents_is_told_the_path(bench: Scripted) -> None:
    bench.run = lambda code: code
    document = bench.open(TEXT)
    await run(bench, document, 0)
    await bench.call("showOutput", {"uri": document.uri})
    assert str(results.folder_of(document.uri) / "results.md") in bench.messages[-1]


async def test_without_results_the_user_is_told_what_to_do(bench: Scripted) -> None:
    document = bench.open(TEXT)
    assert "run a cell" in await bench.refused("showOutput", {"uri": document.uri})


async def test_a_full_disk_is_told(bench: Scripted, state: Path) -> None:
    bench.run = lambda code: code
    document = bench.open(TEXT)
    await run(bench, document, 0)
    shutil.rmtree(state)
    block(state)
    assert "cannot be written" in await bench.refused("showOutput", {"uri": document.uri})


async def test_outputs_are_cleared_of_a_cell_or_of_all(bench: Scripted) -> None:
    bench.run = lambda code: code
    cleared: list[str] = []
    bench.workspace.on_clear = cleared.append
    document = bench.open(TEXT)
    await run(bench, document, 0)
    await run(bench, document, 4)
    path = results.write(bench.workspace, document)
    assert path is not None
    await bench.call("clearOutput", {"uri": document.uri, "line": 1})
    assert "Cell 1" not in read(results.write(bench.workspace, document))
    await bench.call("clearOutput", {"uri": document.uri})
    assert results.write(bench.workspace, document) is None
    assert not path.parent.exists()
    assert cleared == [document.uri] * 2


# Hover


async def hover(bench: Scripted, document: Document, line: int) -> str | None:
    found = result_hover(bench.workspace, document, Position(line, 0))
    if found is None:
        return None
    assert isinstance(found.contents, types.MarkupContent)
    return found.contents.value


async def test_the_marker_and_the_last_line_show_the_output(bench: Scripted) -> None:
    bench.run = lambda code: f"printed {code}"
    bench.declare(**MARKDOWN)
    document = bench.open("# %% One\na\nb\n\n# %% Two\nc\n")
    assert await hover(bench, document, 0) is None
    await run(bench, document, 0)
    for line in (0, 2):
        text = await hover(bench, document, line)
        assert text is not None
        assert text.startswith("✓ In[1] ")
        assert text.endswith("\n\n```text\nprinted a\nb\n```")
    assert await hover(bench, document, 1) is None
    assert await hover(bench, document, 4) is None


async def test_both_fences_show_the_output(bench: Scripted) -> None:
    bench.run = lambda code: "shown"
    document = bench.open("```python\na\nb\n```\n", "file:///w/a.md", "markdown")
    await run(bench, document, 0)
    shown = [await hover(bench, document, line) is not None for line in range(4)]
    assert shown == [True, False, True, True]


async def test_a_client_without_markdown_gets_plain_text(bench: Scripted) -> None:
    bench.run = lambda code: "shown"
    document = bench.open(TEXT)
    await run(bench, document, 0)
    text = await hover(bench, document, 0)
    assert text is not None
    assert text.endswith("\nshown")


@pytest.mark.parametrize(
    ("name", "picture", "start"),
    [
        ("Visual Studio Code", PNG, "![picture](data:image/png;base64,"),
        ("Visual Studio Code", base64.b64encode(bytes(80_000)).decode(), "[picture "),
        ("Neovim", PNG, "[picture "),
    ],
)
async def test_pictures_are_in_the_hover_where_they_fit(
    bench: Scripted, name: str, picture: str, start: str
) -> None:
    bench.workspace.client.name = name
    bench.declare(**MARKDOWN)
    document = bench.open(TEXT)
    await run(bench, document, 0, display(png=picture, plain="<Figure>"))
    text = await hover(bench, document, 0)
    assert text is not None
    link = text.split("\n\n")[-1]
    assert link.startswith(start)
    if start == "[picture ":
        file = path_of(link[link.index("(") + 1 : -1])
        assert file is not None
        assert file.read_bytes() == base64.b64decode(picture)


async def test_a_hover_is_bounded(bench: Scripted) -> None:
    bench.run = lambda code: "line\n" * 100_000
    bench.declare(**MARKDOWN)
    document = bench.open(TEXT)
    await run(bench, document, 0)
    text = await hover(bench, document, 0)
    assert text is not None
    assert len(text) < 100_000
    assert text.count("```") == 2


def pos(line: int, character: int) -> dict[str, int]:
    return {"line": line, "character": character}
