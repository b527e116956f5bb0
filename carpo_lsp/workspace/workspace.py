"""What one client has open, and which kernel each document runs in."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
from lsprotocol.types import MessageType
from msgspec import Struct, structs

from carpo_lsp import protocol
from carpo_lsp.choice import Choices, Wish, choose
from carpo_lsp.documents.store import DocumentStore, path_of
from carpo_lsp.documents.uris import file_name, uri_of
from carpo_lsp.errors import KernelNotFound, KernelStartFailed
from carpo_lsp.journal.lines import Place
from carpo_lsp.kernels.events import StatusChanged
from carpo_lsp.kernels.manager import USUAL, StartOptions
from carpo_lsp.kernels.recent import Recent
from carpo_lsp.workspace.client import Client
from carpo_lsp.workspace.kept import Kept
from carpo_lsp.workspace.live import Live
from carpo_lsp.workspace.others import Others
from carpo_lsp.workspace.restoring import Restoring
from carpo_lsp.workspace.runs import Runs
from carpo_lsp.workspace.settings import Settings
from carpo_lsp.workspace.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from carpo_lsp.choice import Choice
    from carpo_lsp.documents.cells import Cell
    from carpo_lsp.documents.document import Document
    from carpo_lsp.documents.positions import Position
    from carpo_lsp.frontend import Frontend
    from carpo_lsp.kernels.events import Event
    from carpo_lsp.kernels.execution import ExecuteOptions
    from carpo_lsp.kernels.specs import Spec
    from carpo_lsp.kernels.transcript.transcript import Record

log = logging.getLogger(__name__)

PLACES: Final = 10_000
"""Executions whose place is remembered, those that have ended and those that still wait alike."""


class Sharing(Struct, frozen=True):
    """What documents must have in common to run in one kernel."""

    root: str
    language: str
    spec_key: str


class Workspace:
    """Documents, kernels and settings of one client."""

    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend
        self.documents: Final = DocumentStore()
        self.settings = Settings()
        self.configured: dict[str, object] = {}
        """What the client has told of its settings, by where: see features/configuration.py."""
        self.choices = Choices()
        self.trust = Trust()
        self.client = Client()
        self.folders: list[str] = []
        """URIs of the workspace folders, in the client's order."""
        self.last_place: tuple[str, Position] | None = None
        """Document and position of the client's last code action, hover or completion."""
        self.runs = Runs()
        self.on_edit: Callable[[str], None] = lambda uri: None
        """Called with the URI of a document that has been opened, edited or closed."""
        self.on_clear: Callable[[str], None] = lambda uri: None
        """Called with the URI of a document whose outputs have been cleared."""
        self.on_restored: Callable[[str], None] = lambda uri: None
        """Called with the URI of a document that shows again what it did in an earlier session."""
        self.on_settings: Callable[[], None] = lambda: None
        """Called when the settings say otherwise how results are shown."""
        self.live = Live()
        self.restoring = Restoring(self)
        self.kept = Kept(self)
        self.others = Others(self)
        self._shared: dict[Sharing, str] = {}
        self._unstartable: set[str] = set()
        self._places: Recent[str, Place] = Recent(PLACES)
        frontend.subscribe(self._on_event)

    # Kernels of documents

    def bound_kernel(self, document: Document, language: str) -> str | None:
        """The kernel a document's code in a language runs in, None before there is one."""
        kernel_id = self.documents.kernel_id(document.uri, language)
        return kernel_id if kernel_id is not None and self.exists(kernel_id) else None

    def may_start(self, document: Document) -> bool:
        """Whether a document's kernel may start without its user having asked for code to run: not
        when the last one did not come up, or every key would start another that does not."""
        start = self.settings.kernel.start
        if document.uri in self._unstartable:
            return False
        return start == "onUse" or (start == "auto" and self.project_of(document) in self.trust)

    def kernel_for(
        self,
        document: Document,
        language: str,
        options: StartOptions = USUAL,
    ) -> str:
        """The kernel for a document's code in a language; its start begins when there is none.

        Returns at once; code may be queued in it. The options are for a new kernel; with another
        kernel id than the bound one's, there will be one. Raises `NoKernelForLanguage`,
        `KernelStartFailed` when the kernelspec cannot be read, or `KernelExists`.
        """
        bound = self.bound_kernel(document, language)
        if bound is None and options.kernel_id is None:
            self.kept.take_up(document)  # another editor may have left it meanwhile
            bound = self.bound_kernel(document, language)
        if bound is not None and options.kernel_id in (None, bound):
            return bound
        choice = choose(self.frontend.manager.specs, self.wish(document, language))
        kernel_id = self.bind_to(document, language, choice.spec, options)
        self._say(document, choice)
        return kernel_id

    def bind_to(
        self,
        document: Document,
        language: str,
        spec: Spec,
        options: StartOptions = USUAL,
    ) -> str:
        """Bind a document's code in a language to a kernel of a kernelspec: the one it shares with
        others, else a new one, whose start begins. Raises `KernelExists`."""
        sharing = self._sharing(document, language, spec) if options.kernel_id is None else None
        chosen = self._shared.get(sharing) if sharing else None
        if chosen is None:
            options = structs.replace(options, cwd=options.cwd or self._folder_of(document))
            chosen = self.frontend.begin_kernel(spec, self.with_settings(options))
            if sharing:
                self._shared[sharing] = chosen
        self.documents.bind(document.uri, chosen, language)
        self._unstartable.discard(document.uri)
        return chosen

    def with_settings(self, options: StartOptions) -> StartOptions:
        """The options of a start, with what the user has set where they say nothing."""
        settings = self.settings.kernel
        keep = settings.keep_minutes if settings.keep_alive and not options.ends else None
        return structs.replace(
            options,
            timeout=options.timeout or settings.timeout,
            limits=options.limits or self.limits,
            keep=options.keep if options.keep is not None else keep,
        )

    @property
    def limits(self) -> protocol.Limits:
        """The limits that the user has set."""
        limits = self.settings.kernel.limits
        return protocol.Limits(
            memory_mb=limits.memory_mb or None,
            execution_seconds=limits.execution_seconds or None,
            idle_minutes=limits.idle_minutes or None,
        )

    def share(self, document: Document, language: str, spec: Spec, kernel_id: str) -> None:
        """Have documents that would share a document's kernel run in one that is there."""
        sharing = self._sharing(document, language, spec)
        if sharing is not None:
            self._shared.setdefault(sharing, kernel_id)

    def wish(self, document: Document, language: str) -> Wish:
        """What the choice of a kernel for a document's code in a language depends on."""
        header = document.header()
        specs = self.frontend.manager.specs
        return Wish(
            language=language,
            folder=Path(self._folder_of(document) or Path.cwd()),
            roots=self.root_paths,
            header=header.kernel if header is not None else None,
            setting=self.settings.kernel,
            chosen=self.choices.get(specs, self.project_of(document), language),
        )

    def project_of(self, document: Document) -> Path:
        """The folder that choices are remembered for: the workspace folder that holds the
        document, else the document's own."""
        notebook = self.documents.notebook_of(document.uri)
        root = path_of(self.root_of(notebook.uri if notebook else document.uri))
        return root or Path(self._folder_of(document) or Path.cwd())

    def _say(self, document: Document, choice: Choice) -> None:
        """Tell the user which kernel a document got. A client that knows of kernels shows it."""
        for note in choice.notes:
            self.client.show_once(note)
        if not self.client.wants_notifications:
            name = file_name(document.uri)
            message = f"{name} runs in {choice.spec.display_name}: {choice.reason}."
            self.client.show_message(message, MessageType.Info)

    def kernels_of(self, document: Document) -> set[str]:
        """The ids of all kernels a document is bound to."""
        notebook = self.documents.notebook_of(document.uri)
        uri = notebook.uri if notebook else document.uri
        return {
            state.kernel_id
            for state in self.frontend.manager.all()
            if uri in self.documents.documents_of(state.kernel_id)
        }

    def select_kernel(self, uri: str, kernel_id: str | None, language: str | None) -> None:
        """Bind a document (its code in one language, if given) to a kernel, or to none.

        Raises `KernelNotFound`.
        """
        if kernel_id is not None and not self.exists(kernel_id):
            raise KernelNotFound.of(kernel_id)
        self.documents.unbind(uri, language)
        if kernel_id is not None:
            self.documents.bind(uri, kernel_id, language)

    def with_documents(self, kernel: protocol.Kernel) -> protocol.Kernel:
        """A kernel as clients see it, with the documents that are bound to it."""
        return attrs.evolve(kernel, documents=self.documents.documents_of(kernel.kernel_id))

    def exists(self, kernel_id: str) -> bool:
        """Whether a kernel is there, be it dead."""
        try:
            self.frontend.manager.get(kernel_id)
        except KernelNotFound:
            return False
        return True

    def _sharing(self, document: Document, language: str, spec: Spec) -> Sharing | None:
        """What a document shares its kernel by; None when it is to have its own."""
        scope = self.settings.kernel.scope
        alone = scope == "document" or (
            scope == "auto"
            and (document.has_markers or self.documents.notebook_of(document.uri) is not None)
        )
        return None if alone else Sharing(self.root_of(document.uri), language, spec.key)

    @property
    def root_paths(self) -> tuple[Path, ...]:
        """The workspace folders that are on this machine."""
        return tuple(path for uri in self.folders if (path := path_of(uri)) is not None)

    def root_of(self, uri: str) -> str:
        """The innermost workspace folder that holds a document; empty when none does."""
        holding = [folder for folder in self.folders if uri.startswith(folder.rstrip("/") + "/")]
        return max(holding, key=len, default="")

    def _folder_of(self, document: Document) -> str | None:
        """Where a document's kernel works: beside the document, else in the workspace."""
        notebook = self.documents.notebook_of(document.uri)
        path = path_of(notebook.uri if notebook else document.uri)
        if path is not None and path.parent.is_dir():
            return str(path.parent)
        folder = path_of(self.folders[0]) if self.folders else None
        return str(folder) if folder is not None and folder.is_dir() else None

    # Executions of documents

    def run(
        self,
        document: Document,
        language: str,
        code: str,
        range_: protocol.Range | None,
        *,
        execution_id: str | None = None,
        options: ExecuteOptions | None = None,
        opened: Callable[[Record], None] | None = None,
        cell: Cell | None = None,
    ) -> tuple[str, str]:
        """Queue a document's code in its kernel; returns the execution's and the kernel's id.

        `opened` gets the execution's record before its first event; `cell` is the one whose whole
        code it is. Raises what `kernel_for` does,
        and `KernelStartFailed` where the user has set that no run starts a kernel.
        """
        execution_id = self.frontend.new_execution_id(execution_id)
        if self.settings.kernel.start == "never" and not self.bound_kernel(document, language):
            raise KernelStartFailed(
                "The document has no kernel, and by carpo.kernel.start a run starts none.",
                hint="start one with the command carpo.selectKernel",
            )
        self.trust.add(self.project_of(document))
        kernel_id = self.kernel_for(document, language)
        first, last = (range_.start.line, range_.end.line) if range_ is not None else (0, -1)
        lines = tuple(document.line(number) for number in range(first, last + 1))
        notebook = self.documents.notebook_of(document.uri)
        place = Place(
            uri=document.uri,
            range=range_,
            lines=lines,
            cell=cell.index if cell is not None else None,
            notebook=notebook.uri if notebook is not None else None,
        )

        def remember(record: Record) -> None:
            self.remember(record.execution_id, place)
            if opened is not None:
                opened(record)

        self.frontend.submit(
            kernel_id,
            code,
            execution_id=execution_id,
            options=options,
            opened=remember,
            place=place,
        )
        return execution_id, kernel_id

    def run_cell(
        self,
        document: Document,
        cell: Cell,
        *,
        execution_id: str | None = None,
        options: ExecuteOptions | None = None,
    ) -> tuple[str, str]:
        """Queue a cell as it is now; returns the execution's and the kernel's id."""
        code = document.code(cell)
        found = document.code_range(cell)
        range_ = protocol.Range(
            protocol.Position(found.start.line, found.start.character),
            protocol.Position(found.end.line, found.end.character),
        )

        def remember(record: Record) -> None:
            self.runs.add(document, cell, record, code)

        return self.run(
            document,
            cell.language,
            code,
            range_,
            execution_id=execution_id,
            options=options,
            opened=remember,
            cell=cell,
        )

    def remember(self, execution_id: str, place: Place) -> None:
        """The code of an execution stands there."""
        self._places[execution_id] = place

    def place(self, execution_id: str) -> Place | None:
        """Where the code of an execution stands, None for code that came without a document."""
        return self._places.get(execution_id)

    # Documents

    def find_document(self, uri_or_path: str) -> Document | None:
        """An open document by its URI, or by its path, absolute or relative to a folder."""
        document = self.documents.find(uri_or_path)
        if document is not None or "://" in uri_or_path:
            return document
        given = Path(uri_or_path).expanduser()
        candidates = [given, *(root / given for root in self.root_paths), Path.cwd() / given]
        for path in candidates:
            if path.is_absolute() and (found := self.documents.find_path(path)) is not None:
                return found
        ending = "/" + uri_or_path.lstrip("./")
        named = [open_ for open_ in self.documents if _path_text(open_.uri).endswith(ending)]
        return named[0] if len(named) == 1 else None

    def add_folder(self, uri: str) -> None:
        if uri not in self.folders:
            self.folders.append(uri)

    def add_root_path(self, path: str) -> None:
        self.add_folder(uri_of(path))

    def _on_event(self, event: Event) -> None:
        if isinstance(event, StatusChanged) and not self.exists(event.kernel_id):
            if event.status == "dead":
                self._unstartable.update(self.documents.documents_of(event.kernel_id))
            self.documents.unbind_kernel(event.kernel_id)
            self.live.forget_kernel(event.kernel_id)
            for sharing, kernel_id in list(self._shared.items()):
                if kernel_id == event.kernel_id:
                    del self._shared[sharing]


def _path_text(uri: str) -> str:
    path = path_of(uri)
    return str(path) if path is not None else ""
