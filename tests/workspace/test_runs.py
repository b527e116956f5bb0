"""Which cells are stale, in notebooks of many cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carpo_lsp.documents.document import Document
from carpo_lsp.documents.store import NotebookCell
from carpo_lsp.kernels.transcript.shelf import Shelf
from carpo_lsp.kernels.transcript.spool import Spool
from carpo_lsp.kernels.transcript.transcript import Record
from carpo_lsp.workspace.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterator

CELLS = 300


class Counted(tuple[NotebookCell, ...]):
    """The cells of a notebook; tells how often they have been looked through."""

    __slots__ = ()
    times = 0

    def __iter__(self) -> Iterator[NotebookCell]:
        type(self).times += 1
        return super().__iter__()


@pytest.fixture
def documents() -> list[Document]:
    opened = [Document(f"c:{n}", "python", 1, "x") for n in range(CELLS)]
    for document in opened:
        document.embed("code")
    return opened


def run(runs: Runs, document: Document, code: str = "x") -> None:
    record = Record("k", "e", code, Shelf(Spool()))
    record.state = "ok"
    runs.add(document, document.cells()[0], record, code)


def states(runs: Runs, documents: list[Document], cells: Counted) -> list[str]:
    return [
        state
        for document in documents
        for state in runs.states(document, runs.newest_above(cells)[document.uri]).values()
    ]


def test_cells_are_stale_below_one_that_was_run_again(documents: list[Document]) -> None:
    runs = Runs()
    cells = Counted(NotebookCell(document.uri, "code", "python") for document in documents)
    for document in documents:
        run(runs, document)
    assert states(runs, documents, cells) == ["ok"] * CELLS
    run(runs, documents[10])
    assert states(runs, documents, cells) == ["ok"] * 11 + ["stale"] * (CELLS - 11)
    assert Counted.times == 2, "once for each change"
    runs.forget(documents[10], documents[10].cells()[0])
    assert states(runs, documents, cells) == ["ok"] * (CELLS - 1)
    run(runs, documents[0])
    assert "ok" not in states(runs, documents, cells)[1:]
    runs.close(documents[0].uri)
    assert states(runs, documents, cells) == ["ok"] * (CELLS - 2)
    runs.reopen(documents[0])
    assert states(runs, documents, cells)[1:] == ["stale"] * (CELLS - 2)
