"""What documents showed before the server was started: read from the journal as they are opened."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import attrs

from carpo_lsp.kernels.events import OutputChanged, StateChanged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carpo_lsp.documents.cells import Cell
    from carpo_lsp.documents.document import Document
    from carpo_lsp.journal.journal import Journal
    from carpo_lsp.journal.lines import Entry
    from carpo_lsp.kernels.events import Output
    from carpo_lsp.kernels.transcript.transcript import Record
    from carpo_lsp.workspace.workspace import Workspace

log = logging.getLogger(__name__)

MOST: Final = 1000
"""Executions of a document that are taken up again; of more, the last ones."""


@attrs.frozen
class _Restored:
    """An execution of an earlier session and its record in this one."""

    entry: Entry
    record: Record
    order: int
    """Below zero: before everything that is run in this session."""

    @property
    def line(self) -> int:
        """Where its code stood."""
        place = self.entry.place
        return place.range.start.line if place is not None and place.range is not None else 0


class Restoring:
    """Gives documents back what they showed, once for each: later it is in memory.

    A document is shown without it until the disk has answered.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: set[str] = set()
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def open(self, document: Document) -> None:
        """A document was opened."""
        journal = self._workspace.frontend.journal
        owner = self._owner(document)
        if journal is None or not journal.policy.enabled or owner in self._known:
            return
        self._known.add(owner)
        task = asyncio.create_task(self._restore(journal, owner), name=f"restore {owner}")
        self._under_way[owner] = task
        task.add_done_callback(lambda _: self._under_way.pop(owner, None))

    def under_way(self, document: Document) -> asyncio.Task[None] | None:
        """What ends when a document shows what it did, if it does not yet."""
        return self._under_way.get(self._owner(document))

    def close(self) -> None:
        """The client is gone."""
        for task in self._under_way.values():
            task.cancel()

    def _owner(self, document: Document) -> str:
        notebook = self._workspace.documents.notebook_of(document.uri)
        return notebook.uri if notebook is not None else document.uri

    async def _restore(self, journal: Journal, owner: str) -> None:
        try:
            found = await journal.executions_of(owner, MOST)
        except OSError as error:
            log.warning("The journal of %s cannot be read: %s", owner, error)
            return
        if found:
            self._take(journal, owner, found)

    def _take(
        self, journal: Journal, owner: str, found: Sequence[tuple[Entry, list[Output]]]
    ) -> None:
        transcript = self._workspace.frontend.transcript
        # A client may number its executions from one in each session.
        found = [each for each in found if not transcript.used(each[0].execution_id)]
        records = transcript.restore(
            (entry.kernel.kernel_id, entry.execution_id, entry.code) for entry, _ in found
        )
        restored = []
        for order, (record, (entry, outputs)) in enumerate(
            zip(records, found, strict=True), -len(found)
        ):
            fill(record, entry, outputs)
            journal.remember(entry)
            restored.append(_Restored(entry, record, order))
            if entry.place is not None:
                self._workspace.remember(entry.execution_id, entry.place)
        documents = [each for each in self._workspace.documents if self._owner(each) == owner]
        self._give(documents, [each for each in restored if _of_cell(each)])
        for document in documents:
            self._workspace.on_restored(document.uri)

    def _give(self, documents: Sequence[Document], restored: Sequence[_Restored]) -> None:
        """Give cells the last run of the same code; of cells with the same code, each the last
        one of those that are nearest to it."""
        runs: dict[str, list[_Restored]] = {}
        for each in restored:
            runs.setdefault(each.entry.code, []).append(each)
        cells: dict[str, list[tuple[Document, Cell]]] = {}
        for document in documents:
            for cell in document.cells():
                if cell.kind == "code" and (code := document.code(cell)) in runs:
                    cells.setdefault(code, []).append((document, cell))
        for code, same in cells.items():
            for document, cell in same:
                chosen = runs[code][-1] if len(same) == 1 else _nearest(runs[code], document, cell)
                self._give_one(document, cell, chosen)

    def _give_one(self, document: Document, cell: Cell, chosen: _Restored) -> None:
        entry, workspace = chosen.entry, self._workspace
        if workspace.runs.get(document, cell) is not None:
            return  # it has been run meanwhile
        workspace.runs.add(document, cell, chosen.record, entry.code, order=chosen.order)
        if entry.place is not None and entry.place.uri != document.uri:
            # The cells of a notebook have other URIs in each session.
            workspace.remember(entry.execution_id, attrs.evolve(entry.place, uri=document.uri))


def fill(record: Record, entry: Entry, outputs: Sequence[Output]) -> None:
    """Bring a new record to what the journal tells of its execution."""
    ids = (record.kernel_id, record.execution_id)
    for output in outputs:
        record.apply(OutputChanged(*ids, "append", output))
    record.apply(
        StateChanged(
            *ids,
            entry.state,
            execution_count=entry.execution_count,
            error=entry.error,
            duration_ms=entry.duration_ms,
        )
    )


def _of_cell(each: _Restored) -> bool:
    return each.entry.place is not None and each.entry.place.cell is not None


def _nearest(runs: Sequence[_Restored], document: Document, cell: Cell) -> _Restored:
    def distance(each: _Restored) -> tuple[bool, int]:
        place = each.entry.place
        elsewhere = place is None or place.uri != document.uri
        return elsewhere, abs(each.line - cell.code_start)

    return min(reversed(runs), key=distance)
