"""Notebooks as their clients tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lsprotocol import types
from lsprotocol.converters import get_converter
from recorder import Recorder

from carpo_lsp import protocol
from carpo_lsp.errors import DocumentNotOpen
from carpo_lsp.features import kernels
from carpo_lsp.features.sync import HANDLERS
from carpo_lsp.present import Presenter

if TYPE_CHECKING:
    from scripted import Scripted

NOTEBOOK = "file:///w/n.ipynb"
CELLS = [f"vscode-notebook-cell:/w/n.ipynb#{number}" for number in range(3)]


def tell(bench: Scripted, method: str, params: dict[str, Any]) -> None:
    """Send a notification as it is on the wire."""
    kind: Any = types.METHOD_TO_TYPES[method][2]
    HANDLERS[method](bench.workspace, get_converter().structure(params, kind))


def open_notebook(bench: Scripted, metadata: list[Any]) -> None:
    """A notebook with a cell for each metadata, whose code is its number."""
    cells = [
        {"kind": 2, "document": uri, "metadata": about}
        for uri, about in zip(CELLS, metadata, strict=True)
    ]
    documents = [
        {"uri": uri, "languageId": "python", "version": 1, "text": str(number)}
        for number, uri in enumerate(CELLS)
    ]
    notebook = {"uri": NOTEBOOK, "notebookType": "jupyter-notebook", "version": 1, "cells": cells}
    params = {"notebookDocument": notebook, "cellTextDocuments": documents}
    tell(bench, types.NOTEBOOK_DOCUMENT_DID_OPEN, params)


def change_cells(bench: Scripted, **cells: Any) -> None:
    params = {
        "notebookDocument": {"uri": NOTEBOOK, "version": 2},
        "change": {"cells": cells},
    }
    tell(bench, types.NOTEBOOK_DOCUMENT_DID_CHANGE, params)


@pytest.mark.parametrize(
    ("metadata", "runs"),
    [
        ({"tags": ["a", "skip-execution"]}, False),
        ({"id": "x", "metadata": {"tags": ["skip-execution"]}}, False),
        ({"custom": {"metadata": {"tags": ["skip-execution"]}}}, False),
        ({"custom": {"tags": ["skip-execution"]}}, True),
        ({"tags": ["a", 1]}, True),
        ({"tags": "skip-execution"}, True),
        ({"metadata": None}, True),
        (None, True),
    ],
)
async def test_a_tag_keeps_a_cell_from_running_with_the_others(
    bench: Scripted, metadata: Any, runs: bool
) -> None:
    open_notebook(bench, [{}, metadata, {}])
    middle = ["1"] if runs else []
    await bench.call("runAll", {"uri": CELLS[0], "line": 0})
    await bench.call("runAbove", {"uri": CELLS[2], "line": 0})
    await bench.call("runBelow", {"uri": CELLS[1], "line": 0})
    assert bench.codes == ["0", *middle, "2", "0", *middle, *middle, "2"]
    await bench.call("runCell", {"uri": CELLS[1], "line": 0})
    assert bench.codes[-1] == "1"


async def test_tags_come_and_go(bench: Scripted) -> None:
    open_notebook(bench, [{}, {}, {}])
    tagged = {"kind": 2, "document": CELLS[1], "metadata": {"tags": ["skip-execution"]}}
    change_cells(bench, data=[tagged, {**tagged, "document": "cell:unknown"}])
    await bench.call("runAll", {"uri": CELLS[0], "line": 0})
    assert bench.codes == ["0", "2"]
    change_cells(bench, data=[{**tagged, "metadata": {}}])
    await bench.call("runAll", {"uri": CELLS[0], "line": 0})
    assert bench.codes == ["0", "2", "0", "1", "2"]


async def test_a_cell_is_stale_when_one_above_it_runs_again(bench: Scripted) -> None:
    bench.run = lambda code: code
    open_notebook(bench, [{}, {}, {}])
    presenter = Presenter(bench.workspace)
    recorder = Recorder(bench)
    bench.workspace.frontend.subscribe(presenter.on_event)

    def results() -> dict[str, str]:
        """What is shown now, by document."""
        published = recorder.of(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        return {each.uri: each.diagnostics[0].message for each in published}

    try:
        await bench.call("runAll", {"uri": CELLS[0], "line": 0})
        fresh = dict(zip(CELLS, ("→ 0", "→ 1", "→ 2"), strict=True))
        await recorder.until(lambda: results() == fresh)
        await bench.call("runCell", {"uri": CELLS[1], "line": 0})
        await recorder.until(lambda: results() == {**fresh, CELLS[2]: "stale → 2"})
        await bench.call("runBelow", {"uri": CELLS[2], "line": 0})
        await recorder.until(lambda: results() == fresh)
    finally:
        presenter.close()


async def test_a_cell_that_moves_takes_its_tags_along(bench: Scripted) -> None:
    tagged = {"kind": 2, "document": CELLS[0], "metadata": {"tags": ["skip-execution"]}}
    open_notebook(bench, [tagged["metadata"], {}, {}])
    change_cells(bench, structure={"array": {"start": 0, "deleteCount": 1, "cells": []}})
    change_cells(bench, structure={"array": {"start": 2, "deleteCount": 0, "cells": [tagged]}})
    await bench.call("runAll", {"uri": CELLS[1], "line": 0})
    assert bench.codes == ["1", "2"]


async def test_requests_may_name_the_notebook_itself(bench: Scripted) -> None:
    open_notebook(bench, [{}, {}, {}])
    workspace, document = bench.workspace, protocol.TextDocument(uri=NOTEBOOK)
    await bench.call("runAll", {"uri": CELLS[0], "line": 0})
    (kernel,) = kernels.list_kernels(workspace, protocol.ListKernelsParams()).kernels
    assert kernel.documents == (NOTEBOOK,)
    held = kernels.outputs(workspace, protocol.OutputsParams(text_document=document))
    assert isinstance(held, protocol.OutputsResult)
    assert len(held.executions) == 3
    executed = kernels.execute(
        workspace, protocol.ExecuteParams(text_document=document, code="more")
    )
    assert executed.kernel_id == kernel.kernel_id
    unbind = protocol.SelectKernelParams(text_document=document, kernel_id=None)
    kernels.select_kernel(workspace, unbind)
    (kernel,) = kernels.list_kernels(workspace, protocol.ListKernelsParams()).kernels
    assert kernel.documents == ()
    place = protocol.ExecuteParams(text_document=document, position=protocol.Position(0, 0))
    with pytest.raises(DocumentNotOpen):
        kernels.execute(workspace, place)
