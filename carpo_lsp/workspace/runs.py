"""Which execution ran a cell last, and what has become of the cell since."""

from __future__ import annotations

import math
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from carpo_lsp.documents.cells import Cell
    from carpo_lsp.documents.document import Document
    from carpo_lsp.documents.store import NotebookCell
    from carpo_lsp.kernels.events import ExecutionState
    from carpo_lsp.kernels.transcript.transcript import Record

CellState = Literal["queued", "running", "waitingInput", "ok", "error", "aborted", "died", "stale"]


class Run(Struct, frozen=True):
    """A cell's last run."""

    record: Record
    code: str
    """What was run, to be compared with what the cell says now."""
    language: str
    order: int
    """Counts the runs of all cells; below zero are those of earlier sessions."""


class Runs:
    """The last run of each cell, by document and the cell's key.

    The key follows a cell through edits; a document that is opened anew finds the runs of cells
    whose code it still has.
    """

    def __init__(self) -> None:
        self._runs: dict[str, dict[int, Run]] = {}
        self._closed: dict[str, list[Run]] = {}
        self._order = count()
        self._newest: tuple[Sequence[NotebookCell], Mapping[str, Mapping[str, float]]] | None = None

    def add(
        self,
        document: Document,
        cell: Cell,
        record: Record,
        code: str,
        *,
        order: int | None = None,
    ) -> None:
        """A cell's code has been queued. `order` is below zero for a run of an earlier session."""
        self._newest = None
        run = Run(record, code, cell.language, next(self._order) if order is None else order)
        self._runs.setdefault(document.uri, {})[cell.key] = run

    def get(self, document: Document, cell: Cell) -> Run | None:
        return self._runs.get(document.uri, {}).get(cell.key)

    def of(self, document: Document) -> Iterator[tuple[Cell, Run]]:
        """The cells of a document that have been run, in the order of the document."""
        runs = self._runs.get(document.uri)
        if runs:
            for cell in document.cells():
                if (run := runs.get(cell.key)) is not None:
                    yield cell, run

    def have_outputs(self, document: Document) -> bool:
        """Whether any cell of a document has shown anything, without looking at the cells."""
        return any(bool(run.record.outputs) for run in self._runs.get(document.uri, {}).values())

    def uri_of(self, execution_id: str) -> str | None:
        """The document in which an execution is a cell's last run."""
        for uri, runs in self._runs.items():
            if any(run.record.execution_id == execution_id for run in runs.values()):
                return uri
        return None

    def states(
        self, document: Document, above: Mapping[str, float] = MappingProxyType({})
    ) -> dict[int, CellState]:
        """The state of each cell that has been run, by key.

        A cell is stale when its code has changed since its run, or when a cell of its language
        above it has been run after it. `above` are the newest runs above in a notebook, by
        language: see `newest_above`.
        """
        states: dict[int, CellState] = {}
        latest = dict(above)
        for cell, run in self.of(document):
            newest = latest.get(run.language, -math.inf)
            latest[run.language] = max(newest, run.order)
            state: ExecutionState = run.record.state
            finished = state in ("ok", "error")
            changed = document.code(cell) != run.code
            states[cell.key] = "stale" if finished and (changed or newest > run.order) else state
        return states

    def newest_above(self, cells: Sequence[NotebookCell]) -> Mapping[str, Mapping[str, float]]:
        """The order of the newest run in each language above each cell of a notebook, by its URI.

        All cells are looked at together, once until something changes: each is asked for alone.
        """
        if self._newest is not None and self._newest[0] is cells:
            return self._newest[1]
        above: dict[str, dict[str, float]] = {}
        latest: dict[str, float] = {}
        for cell in cells:
            above[cell.uri] = latest
            if runs := self._runs.get(cell.uri):
                latest = dict(latest)
                for run in runs.values():
                    latest[run.language] = max(latest.get(run.language, -math.inf), run.order)
        self._newest = cells, above
        return above

    def forget(self, document: Document, cell: Cell) -> None:
        """Drop a cell's run: its output has been cleared."""
        self._newest = None
        self._runs.get(document.uri, {}).pop(cell.key, None)

    def close(self, uri: str) -> None:
        """The document is closed; its runs wait for it to be opened again."""
        if runs := self._runs.pop(uri, None):
            self._newest = None
            self._closed[uri] = list(runs.values())

    def reopen(self, document: Document) -> None:
        """Give the cells of an opened document the runs of the same code, if there are any."""
        closed = {run.code: run for run in self._closed.pop(document.uri, ())}
        if closed:
            self._newest = None
            found = ((cell.key, closed.get(document.code(cell))) for cell in document.cells())
            self._runs[document.uri] = {key: run for key, run in found if run is not None}
