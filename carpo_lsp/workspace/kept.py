"""The kept kernels of one client's documents: which go on, and which are taken up again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol.types import MessageType

from carpo_lsp.documents.uris import file_name, path_of
from carpo_lsp.journal.lines import Place
from carpo_lsp.kernels.events import ExecutionResumed

if TYPE_CHECKING:
    from carpo_lsp.documents.document import Document
    from carpo_lsp.kernels.events import Event
    from carpo_lsp.kernels.kept.registry import Entry
    from carpo_lsp.workspace.workspace import Workspace


class Kept:
    """Notes in the registry which documents a kept kernel serves, and finds it again by them."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._manager = workspace.frontend.manager
        self._manager.registry.sweep()
        self._manager.bound = workspace.documents.bindings_of
        workspace.documents.on_binding = self._on_binding
        workspace.frontend.subscribe(self._on_event)

    async def keep(self, kernel_id: str, minutes: float | None = None, *, keep: bool) -> None:
        """Have a kernel go on when the server ends, until it has been idle for so many minutes
        (0: for ever; None: what the user has set); or no longer. Raises `CarpoError`."""
        if minutes is None:
            minutes = self._workspace.settings.kernel.keep_minutes
        await self._manager.keep(kernel_id, minutes if keep else None)

    def take_up(self, document: Document) -> None:
        """Bind a document to the kept kernels that it was bound to, be it by another server."""
        documents = self._workspace.documents
        owner = documents.owner(document.uri)
        for entry in tuple(self._manager.registry.entries()):
            for uri, language in entry.documents:
                bound = documents.kernel_id(owner, language)
                if _same(uri, owner) and (bound is None or not self._workspace.exists(bound)):
                    self._take(entry, document, language)

    def use(self, entry: Entry) -> None:
        """Begin to use a kept kernel, if this server does not yet."""
        self._manager.take_up(entry, self._workspace.limits)

    def _take(self, entry: Entry, document: Document, language: str | None) -> None:
        workspace = self._workspace
        new = not workspace.exists(entry.kernel_id)
        self.use(entry)
        workspace.documents.bind(document.uri, entry.kernel_id, language)
        workspace.share(document, language or entry.spec.language, entry.spec, entry.kernel_id)
        if new and not workspace.client.wants_notifications:
            name = file_name(document.uri)
            message = (
                f"{name} goes on in the {entry.spec.display_name} kernel that was kept for it."
            )
            workspace.client.show_message(message, MessageType.Info)

    def _on_binding(self, uri: str, language: str | None, kernel_id: str, bound: bool) -> None:
        if self._workspace.exists(kernel_id) and self._manager.get(kernel_id).kept:
            self._manager.registry.note(kernel_id, uri, language, bound=bound)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ExecutionResumed):
            place = Place.from_wire(event.place)
            if place is not None:
                self._resume(event, place)

    def _resume(self, event: ExecutionResumed, place: Place) -> None:
        """Show what goes on where its code stands now."""
        workspace = self._workspace
        workspace.remember(event.execution_id, place)
        document = workspace.documents.find(place.uri)
        if document is None or place.cell is None:
            return
        same = [each for each in document.cells() if document.code(each) == event.code]
        if same and place.range is not None:
            line = place.range.start.line
            cell = min(same, key=lambda each: abs(each.code_start - line))
            record = workspace.frontend.record(event.execution_id)
            workspace.runs.add(document, cell, record, event.code)


def _same(uri: str, other: str) -> bool:
    """Whether two URIs name one document, however the clients spell them."""
    return uri == other or (path_of(uri) is not None and path_of(uri) == path_of(other))
