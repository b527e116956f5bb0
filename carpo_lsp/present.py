"""Results for clients without code of ours: kept up to date as kernels work and users type."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from carpo_lsp.features import notices, prompts, results
from carpo_lsp.features.diagnostics import Diagnostics
from carpo_lsp.features.hints import style
from carpo_lsp.features.progress import Progress
from carpo_lsp.features.supervision import Supervision
from carpo_lsp.kernels.events import (
    TERMINAL,
    InputRequested,
    OutputChanged,
    StateChanged,
    StatusChanged,
)

if TYPE_CHECKING:
    from carpo_lsp.kernels.events import Event
    from carpo_lsp.workspace.workspace import Workspace

log = logging.getLogger(__name__)

SOON: Final = 0.05
"""Seconds after a change of state when it is shown: quick cells change it thrice."""

INTERVAL: Final = 0.3
"""Seconds between two refreshes at the least, while something runs or waits to run."""

WRITING: Final = 1.0
"""Seconds between two writings of a results file while something runs."""

TICK: Final = 1.0
"""Seconds between two refreshes of the time that something has run."""


DRAWING: Final = 2.0
"""Seconds after the first refresh of hints in which a client asks for them, if it draws any."""


class Presenter:
    """Refreshes hints, lenses, diagnostics and the results file of documents that were touched.

    Whatever happens in between is seen in one refresh: a flood of output costs a look at a
    dictionary for each message and a few refreshes a second.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._diagnostics = Diagnostics(workspace)
        self._progress = Progress(workspace)
        self._supervision = Supervision(workspace)
        self._touched: set[str] = set()
        self._edited: set[str] = set()
        self._rerun: set[str] = set()
        """Notebooks in which cells have been run since the last refresh."""
        self._seen: set[str] = set()
        """Documents that have been looked at since they were opened."""
        self._unwritten: set[str] = set()
        self._running: dict[str, str] = {}
        self._unended: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._drawing: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._last_refresh = 0.0
        self._last_writing = 0.0
        self._write_now = False

    def on_event(self, event: Event) -> None:
        """Take an event; to be subscribed to a Frontend."""
        match event:
            case OutputChanged():
                self._progress.on_output(event)
                if (place := self._workspace.place(event.execution_id)) is not None:
                    self._touch(place.uri, INTERVAL)
            case StateChanged():
                if (place := self._workspace.place(event.execution_id)) is not None:
                    self._on_state(event, place.uri)
            case InputRequested():
                self._progress.on_input(event)
                prompts.on_input(self._workspace, event)
            case StatusChanged():
                self._supervision.on_status(event)

    def on_edit(self, uri: str) -> None:
        """A document was opened, edited or closed. Clients then ask for hints and lenses by
        themselves; diagnostics are looked at when there are any, or may be again."""
        if self._workspace.documents.find(uri) is None:
            self._seen.discard(uri)
            self._diagnostics.refresh(uri)
        elif uri not in self._seen or self._diagnostics.has(uri):
            self._seen.add(uri)
            self._edited.add(uri)
            self._refresh_within(SOON)

    def on_clear(self, uri: str) -> None:
        """The outputs of a document were cleared."""
        self._write_now = True
        self._touch(uri, SOON)

    def on_settings(self) -> None:
        """Results are to be shown in another way: take them from where they are, hints as well."""
        documents = [document.uri for document in self._workspace.documents]
        if documents:
            self._edited.update(documents)
            self._workspace.client.refresh_hints()
            self._refresh_within(SOON)

    def cancel_progress(self, token: int | str) -> None:
        """The user has cancelled a progress display."""
        self._progress.cancel(token)

    def close(self) -> None:
        """The client is gone; what has not been written is."""
        if self._drawing is not None:
            self._drawing.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._write()

    def _on_state(self, event: StateChanged, uri: str) -> None:
        done = event.state in TERMINAL
        self._progress.on_state(event, done=done)
        if done:
            self._running.pop(event.execution_id, None)
            self._unended.discard(event.execution_id)
            self._write_now = True
            notices.on_end(self._workspace, event)
        elif event.state == "running":
            self._running[event.execution_id] = uri
        elif event.state == "queued":
            self._unended.add(event.execution_id)
            if (notebook := self._workspace.documents.notebook_of(uri)) is not None:
                self._rerun.add(notebook.uri)
        if done and not self._unended:
            self._touch(uri, 0.0, pause=SOON)  # somebody waits for it, and nothing else comes
        else:
            self._touch(uri, SOON)

    def _touch(self, uri: str, delay: float, pause: float = INTERVAL) -> None:
        self._touched.add(uri)
        self._unwritten.add(uri)
        self._refresh_within(delay, pause)

    def _refresh_within(self, delay: float, pause: float = INTERVAL) -> None:
        """Refresh what was touched within `delay` seconds, but not before `pause` is over."""
        loop = asyncio.get_running_loop()
        due = max(loop.time() + delay, self._last_refresh + pause)
        if self._timer is None or due < self._due:
            self._schedule(due)

    def _schedule(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = asyncio.get_running_loop().call_at(due, self._refresh)

    def _refresh(self) -> None:
        self._timer = None
        now = self._last_refresh = asyncio.get_running_loop().time()
        self._touched.update(self._running.values())
        touched, self._touched = self._touched, set()
        edited, self._edited = self._edited, set()
        edited |= self._may_be_stale()
        for uri in touched | edited:
            self._diagnostics.refresh(uri)
        if touched and style(self._workspace) == "hint":
            self._workspace.client.refresh_hints()
            if self._drawing is None:
                loop = asyncio.get_running_loop()
                self._drawing = loop.call_later(DRAWING, self._without_hints)
        if touched:
            self._workspace.client.refresh_lenses()
        if self._unwritten and (self._write_now or now - self._last_writing >= WRITING):
            self._write()
        if self._running:
            self._schedule(now + TICK)
        elif self._unwritten:
            self._schedule(self._last_writing + WRITING)

    def _without_hints(self) -> None:
        """Take a client that has not asked for hints for one whose user has switched them off."""
        client = self._workspace.client
        if client.draws_hints is None:
            client.draws_hints = False
            self.on_settings()

    def _may_be_stale(self) -> set[str]:
        """The cells with diagnostics of notebooks in which something has been run."""
        rerun, self._rerun = self._rerun, set()
        return {
            cell.uri
            for uri in rerun
            if (notebook := self._workspace.documents.notebook_of(uri)) is not None
            for cell in notebook.cells
            if self._diagnostics.has(cell.uri)
        }

    def _write(self) -> None:
        unwritten, self._unwritten = self._unwritten, set()
        self._write_now = False
        for uri in unwritten:
            document = self._workspace.documents.find(uri)
            if document is None:
                continue
            try:
                results.write(self._workspace, document)
            except OSError as error:
                log.warning("The results of %s cannot be written: %s", uri, error)
        if unwritten:
            self._last_writing = asyncio.get_running_loop().time()
