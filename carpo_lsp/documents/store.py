"""The open documents and notebooks, and which kernel each is bound to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from msgspec import Struct, structs

from carpo_lsp.documents.document import Document
from carpo_lsp.documents.positions import Encoding
from carpo_lsp.documents.uris import path_of, uri_of
from carpo_lsp.errors import DocumentNotOpen

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    from carpo_lsp.documents.document import Change

__all__ = ["DocumentStore", "Notebook", "NotebookCell", "path_of", "uri_of"]


NotebookCellKind = Literal["code", "markdown"]


class NotebookCell(NamedTuple):
    """A cell of a notebook: its document, and what kind and kernel language the client says."""

    uri: str
    kind: NotebookCellKind
    language: str
    tags: tuple[str, ...] = ()


# What a `NotebookCell` is made of.
CellFacts: TypeAlias = (
    "tuple[str, NotebookCellKind, str] | tuple[str, NotebookCellKind, str, tuple[str, ...]]"
)


class Notebook(Struct, frozen=True):
    """An open notebook as it is now. `type` is the client's ("jupyter-notebook")."""

    uri: str
    type: str
    cells: tuple[NotebookCell, ...]


class DocumentStore:
    """Documents by URI, notebooks by URI, and bindings by URI and language.

    A binding outlives its document: a kernel goes on when its buffer is closed, and the document
    finds it again when it is reopened.
    """

    def __init__(self, encoding: Encoding = Encoding.UTF16) -> None:
        """`encoding` is what the client negotiated; `initialize` sets it before any document."""
        self.encoding = encoding
        self._documents: dict[str, Document] = {}
        self._notebooks: dict[str, Notebook] = {}
        self._cells: dict[str, tuple[str, NotebookCell]] = {}
        self._bindings: dict[tuple[str, str | None], str] = {}
        self.on_binding: Callable[[str, str | None, str, bool], None] = lambda *_: None
        """Called with a URI, a language, a kernel, and whether they have been bound or unbound; a
        kernel that is gone is not told of."""

    # --- documents

    def open(self, uri: str, language_id: str, version: int, text: str) -> Document:
        """Add a document; one that is open already is replaced."""
        document = Document(uri, language_id, version, text, self.encoding)
        if uri in self._cells:
            cell = self._cells[uri][1]
            document.embed(cell.kind, cell.tags)
        elif uri.startswith("vscode-notebook-cell:"):
            document.embed("code")  # its notebook may be opened after it
        self._documents[uri] = document
        return document

    def change(self, uri: str, version: int, changes: Iterable[Change]) -> Document:
        """Apply the changes to an open document, or raise `DocumentNotOpen`."""
        document = self.get(uri)
        document.apply(changes, version)
        return document

    def close(self, uri: str) -> None:
        """Forget the document; its bindings stay. Closing what is not open does nothing."""
        self._documents.pop(uri, None)

    def get(self, uri: str) -> Document:
        """The open document, or raise `DocumentNotOpen`."""
        if uri not in self._documents:
            raise DocumentNotOpen.of(uri)
        return self._documents[uri]

    def get_main(self, uri: str) -> Document:
        """The open document, or for the URI of a notebook itself its first code cell.

        Raises `DocumentNotOpen`, also for a notebook without an open code cell.
        """
        if uri not in self._documents and uri in self._notebooks:
            for cell in self._notebooks[uri].cells:
                if cell.kind == "code" and cell.uri in self._documents:
                    return self._documents[cell.uri]
        return self.get(uri)

    def all_of(self, uri: str) -> list[Document]:
        """The open document, or for the URI of a notebook itself its open cells in order.

        Raises `DocumentNotOpen`.
        """
        if uri in self._documents or uri not in self._notebooks:
            return [self.get(uri)]
        found = (self._documents.get(cell.uri) for cell in self._notebooks[uri].cells)
        return [document for document in found if document is not None]

    def find(self, uri: str) -> Document | None:
        return self._documents.get(uri)

    def find_path(self, path: str | os.PathLike[str]) -> Document | None:
        """The open document of a file, however the client spells its URI."""
        wanted = path_of(uri_of(path))
        for uri, document in self._documents.items():
            if path_of(uri) == wanted:
                return document
        return None

    def __iter__(self) -> Iterator[Document]:
        return iter(tuple(self._documents.values()))

    def __len__(self) -> int:
        return len(self._documents)

    def __contains__(self, uri: object) -> bool:
        return uri in self._documents

    # --- notebooks

    def open_notebook(self, uri: str, type: str, cells: Iterable[CellFacts]) -> Notebook:
        """Add a notebook with its cells in order; their documents may be opened before or after."""
        self.close_notebook(uri)
        notebook = Notebook(uri, type, ())
        self._notebooks[uri] = notebook
        return self.change_notebook(uri, 0, 0, cells)

    def change_notebook(
        self,
        uri: str,
        start: int,
        delete_count: int,
        cells: Iterable[CellFacts] = (),
    ) -> Notebook:
        """Put `cells` in place of some; a cell that moves may be in both. Raises `DocumentNotOpen`.

        The documents of cells that are gone stay open until the client closes them.
        """
        notebook = self.notebook(uri)
        before = notebook.cells
        start = max(0, min(start, len(before)))
        stop = start + max(0, delete_count)
        added = tuple(NotebookCell(*cell) for cell in cells)
        notebook = structs.replace(notebook, cells=before[:start] + added + before[stop:])
        self._notebooks[uri] = notebook
        for cell in before[start:stop]:
            self._cells.pop(cell.uri, None)
        for cell in added:
            self._cells[cell.uri] = (uri, cell)
            if document := self._documents.get(cell.uri):
                document.embed(cell.kind, cell.tags)
        return notebook

    def tag_cell(self, uri: str, tags: tuple[str, ...]) -> None:
        """A notebook's cell has other tags now. One that is in no notebook is passed over."""
        if uri in self._cells:
            cell = self._cells[uri][1]
            owner = self.notebook(self._cells[uri][0])
            index = owner.cells.index(cell)
            self.change_notebook(owner.uri, index, 1, [cell._replace(tags=tags)])

    def close_notebook(self, uri: str) -> None:
        """Forget the notebook; its bindings and its cells' documents stay."""
        if notebook := self._notebooks.pop(uri, None):
            for cell in notebook.cells:
                self._cells.pop(cell.uri, None)

    def notebook(self, uri: str) -> Notebook:
        """The open notebook, or raise `DocumentNotOpen`."""
        if uri not in self._notebooks:
            raise DocumentNotOpen.of(uri)
        return self._notebooks[uri]

    def notebook_of(self, uri: str) -> Notebook | None:
        """The notebook a cell's document belongs to, or that has the URI itself."""
        return self._notebooks.get(self.owner(uri))

    def owner(self, uri: str) -> str:
        """What a binding is kept for: the notebook of a cell, else the document itself."""
        return self._cells[uri][0] if uri in self._cells else uri

    # --- bindings

    def bind(self, uri: str, kernel_id: str, language: str | None = None) -> None:
        """Run `uri` (its cells in `language`, if given) on this kernel from now on."""
        key = self.owner(uri), language
        before = self._bindings.get(key)
        self._bindings[key] = kernel_id
        if before is not None and before != kernel_id:
            self.on_binding(*key, before, False)
        self.on_binding(*key, kernel_id, True)

    def unbind(self, uri: str, language: str | None = None) -> None:
        """Drop the binding of `language`; without a language, every binding of the document."""
        owner = self.owner(uri)
        for key in list(self._bindings):
            if key[0] == owner and language in (None, key[1]):
                self.on_binding(*key, self._bindings.pop(key), False)

    def unbind_kernel(self, kernel_id: str) -> None:
        """Drop every binding to a kernel that is gone for good."""
        for key, bound in list(self._bindings.items()):
            if bound == kernel_id:
                del self._bindings[key]

    def kernel_id(self, uri: str, language: str | None = None) -> str | None:
        """The kernel bound to the document and language, else to the document for all languages."""
        owner = self.owner(uri)
        return self._bindings.get((owner, language)) or self._bindings.get((owner, None))

    def bindings_of(self, kernel_id: str) -> tuple[tuple[str, str | None], ...]:
        """The URIs bound to a kernel, as `documents_of` has them, each with the language."""
        return tuple(key for key, bound in self._bindings.items() if bound == kernel_id)

    def documents_of(self, kernel_id: str) -> tuple[str, ...]:
        """The URIs bound to a kernel, open or not; a notebook's own instead of its cells'."""
        uris = (uri for (uri, _), bound in self._bindings.items() if bound == kernel_id)
        return tuple(dict.fromkeys(uris))
