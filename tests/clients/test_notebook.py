"""A notebook in VS Code, the one editor here that has notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from editor_clients import VSCODE, Editor

if TYPE_CHECKING:
    from pathlib import Path

CELLS = ("value = 41", "value + 1", "1 / 0")


async def test_cells_of_a_notebook(tmp_path: Path) -> None:
    notebook = (tmp_path / "notes.ipynb").as_uri()
    uris = [f"vscode-notebook-cell:{notebook.removeprefix('file:')}#{n}" for n in range(3)]
    editor = await Editor.spawn()
    assert isinstance(editor, Editor)
    try:
        await editor.begin(VSCODE, tmp_path)
        cells = [{"kind": 2, "document": uri} for uri in uris]
        editor.notify(
            "notebookDocument/didOpen",
            {
                "notebookDocument": {
                    "uri": notebook,
                    "notebookType": "jupyter-notebook",
                    "version": 1,
                    "cells": cells,
                },
                "cellTextDocuments": list(map(item, uris, CELLS)),
            },
        )
        await editor.act(uris[0], 0, "carpo.run.all", "Run all cells")
        assert await editor.until_result(uris[1], "→ 42") == 0
        error = await editor.until_error(uris[2], "ZeroDivisionError")
        assert error["range"]["start"] == {"line": 0, "character": 0}

        # A cell that is deleted takes its error along, as does a notebook that is closed.
        change = {"start": 2, "deleteCount": 1, "cells": []}
        structure = {"array": change, "didClose": [{"uri": uris[2]}]}
        editor.notify(
            "notebookDocument/didChange",
            {
                "notebookDocument": {"uri": notebook, "version": 2},
                "change": {"cells": {"structure": structure}},
            },
        )
        await editor.until(lambda *_: editor.diagnostics(uris[2]) == [])
        editor.notify(
            "notebookDocument/didClose",
            {
                "notebookDocument": {"uri": notebook},
                "cellTextDocuments": [{"uri": uri} for uri in uris[:2]],
            },
        )
        await editor.request("shutdown")
        editor.notify("exit")
    finally:
        await editor.close()
    assert editor.undeclared == []


def item(uri: str, text: str) -> dict[str, Any]:
    return {"uri": uri, "languageId": "python", "version": 1, "text": text}
