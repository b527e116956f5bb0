from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nbformat
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from scripted import Scripted

QMD = """---
title: A
---

# Text

```{python}
#| label: x
one
```

```{r}
two
```

End.
"""


def read(path: Path) -> Any:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def notebooks_in(folder: Path) -> list[str]:
    """Names of notebooks, and of what is left of writing them."""
    return sorted(path.name for path in folder.iterdir() if ".ipynb" in path.name)


async def test_a_document_with_its_outputs_becomes_a_notebook(
    bench: Scripted, tmp_path: Path
) -> None:
    bench.run = lambda code: f"{code.strip()[-3:]} is done\n"
    document = bench.open(QMD, (tmp_path / "a.qmd").as_uri(), "quarto")
    await bench.call("runAll", document.uri)

    await bench.call("exportNotebook", document.uri)

    path = tmp_path / "a.ipynb"
    assert bench.messages[-1] == f"Wrote {path}"
    notebook = read(path)
    assert notebook.metadata.kernelspec.language == "python"
    assert notebook.metadata.language_info.name == "python"
    text, one, two, end = notebook.cells
    assert (text.cell_type, text.source) == ("markdown", "# Text")
    assert (one.cell_type, one.source) == ("code", "#| label: x\none")
    assert one.execution_count == 1
    assert one.outputs[0].text == "one is done\n"
    assert two.metadata.vscode.languageId == "r"
    assert two.outputs[0].text == "two is done\n"
    assert end.source == "End."


async def test_what_has_not_run_has_no_outputs(bench: Scripted, tmp_path: Path) -> None:
    bench.open(
        "# %% Title\none\n# %%\ntwo\n# %% [markdown]\n# text\n", (tmp_path / "a.py").as_uri()
    )
    await bench.call("exportNotebook")
    notebook = read(tmp_path / "a.ipynb")
    assert notebook.metadata.kernelspec.language == "python"
    assert [cell.cell_type for cell in notebook.cells] == ["code", "code", "markdown"]
    assert notebook.cells[0].metadata.title == "Title"
    assert notebook.cells[2].source == "text"
    assert all(cell.outputs == [] for cell in notebook.cells[:2])
    assert bench.kernels == []


async def test_a_language_without_a_kernel(bench: Scripted, tmp_path: Path) -> None:
    bench.open("x\n", (tmp_path / "a.x").as_uri(), "unheard")
    await bench.call("exportNotebook")
    notebook = read(tmp_path / "a.ipynb")
    assert notebook.metadata == {"language_info": {"name": "unheard"}}


async def test_a_notebook_that_is_there_is_kept(bench: Scripted, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("mine")
    document = bench.open("one\n", (tmp_path / "a.py").as_uri())
    await bench.call("exportNotebook", document.uri)
    await bench.call("exportNotebook", {"uri": document.uri})
    assert (tmp_path / "a.ipynb").read_text() == "mine"
    assert read(tmp_path / "a-1.ipynb") == read(tmp_path / "a-2.ipynb")

    await bench.call("exportNotebook", {"uri": document.uri, "overwrite": True})
    assert read(tmp_path / "a.ipynb").cells[0].source == "one"
    assert notebooks_in(tmp_path) == ["a-1.ipynb", "a-2.ipynb", "a.ipynb"]


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("untitled:Untitled-1", "The document has no file yet; save it first."),
        ("file:///w/nowhere/a.py", "The document has no file yet; save it first."),
    ],
)
async def test_a_document_without_a_file_has_no_place(bench: Scripted, uri: str, told: str) -> None:
    bench.open("one\n", uri)
    assert await bench.refused("exportNotebook", uri) == told


async def test_a_notebook_is_one_already(bench: Scripted) -> None:
    uri = "vscode-notebook-cell:/w/n.ipynb#1"
    cells = [(uri, "code", "python")]
    bench.workspace.documents.open_notebook("file:///w/n.ipynb", "jupyter-notebook", cells)
    bench.open("one", uri)
    assert "a notebook already" in await bench.refused("exportNotebook", uri)


async def test_a_folder_in_the_way_is_said(bench: Scripted, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").mkdir()
    document = bench.open("one\n", (tmp_path / "a.py").as_uri())
    told = await bench.refused("exportNotebook", {"uri": document.uri, "overwrite": True})
    assert told == f"{tmp_path / 'a.ipynb'} cannot be written: Is a directory."
    assert notebooks_in(tmp_path) == ["a.ipynb"]
