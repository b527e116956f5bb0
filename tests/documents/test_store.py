from __future__ import annotations

from pathlib import Path

import pytest

from carpo_lsp.documents.positions import Encoding, Position, Range
from carpo_lsp.documents.store import DocumentStore, NotebookCell, path_of, uri_of
from carpo_lsp.documents.uris import file_name
from carpo_lsp.errors import DocumentNotOpen

URI = "file:///a.py"


def test_open_change_close() -> None:
    store = DocumentStore(Encoding.UTF8)
    document = store.open(URI, "python", 1, "é")
    assert store.get(URI) is store.find(URI) is document
    assert list(store) == [document]
    assert len(store) == 1
    assert URI in store
    store.change(URI, 2, [(Range(Position(0, 2), Position(0, 2)), "!")])
    assert (document.text(), document.version) == ("é!", 2)
    store.close(URI)
    store.close(URI)
    assert store.find(URI) is None
    with pytest.raises(DocumentNotOpen):
        store.get(URI)
    with pytest.raises(DocumentNotOpen):
        store.change(URI, 3, [])


def test_a_document_is_found_by_its_path(tmp_path: Path) -> None:
    store = DocumentStore()
    store.open("untitled:1", "python", 1, "")
    document = store.open("file:///d%C3%ae/A%20b.py", "python", 1, "")
    assert store.find_path("/dî/A b.py") is document
    assert store.find_path(tmp_path) is None


def test_bindings_outlive_their_documents() -> None:
    store = DocumentStore()
    store.open(URI, "python", 1, "")
    store.bind(URI, "k1")
    store.close(URI)
    store.open(URI, "python", 1, "")
    assert store.kernel_id(URI) == "k1"
    assert store.kernel_id("file:///other.py") is None


def test_bindings_by_language() -> None:
    store = DocumentStore()
    store.bind(URI, "py", "python")
    store.bind(URI, "r", "r")
    store.bind("file:///b.py", "py")
    assert store.kernel_id(URI) is None
    assert store.kernel_id(URI, "python") == "py"
    assert store.kernel_id(URI, "julia") is None
    assert store.kernel_id("file:///b.py", "python") == "py"
    assert store.documents_of("py") == (URI, "file:///b.py")
    store.bind(URI, "all")
    assert store.kernel_id(URI, "julia") == "all"
    assert store.kernel_id(URI, "r") == "r"
    store.unbind(URI, "r")
    assert store.kernel_id(URI, "r") == "all"
    store.unbind(URI)
    assert store.kernel_id(URI, "python") is None
    assert store.documents_of("py") == ("file:///b.py",)
    store.unbind_kernel("py")
    assert store.documents_of("py") == ()


def test_a_document_bound_twice_to_a_kernel_is_named_once() -> None:
    store = DocumentStore()
    store.bind(URI, "k", "python")
    store.bind(URI, "k")
    assert store.documents_of("k") == (URI,)


def cell(n: int) -> NotebookCell:
    return NotebookCell(f"vscode-notebook-cell:/n.ipynb#{n}", "code", "python")


@pytest.mark.parametrize("documents_first", [False, True])
def test_notebooks(documents_first: bool) -> None:
    store = DocumentStore()
    notebook = "file:///n.ipynb"
    text = cell(2)._replace(uri="cell:2", kind="markdown")

    def open_documents() -> None:
        store.open(cell(1).uri, "python", 1, "a\n# %%\nb\n")
        store.open(text.uri, "markdown", 1, "# T\n```python\n```\n")

    if documents_first:
        open_documents()
    store.open_notebook(notebook, "jupyter-notebook", [(*cell(1),), text])
    if not documents_first:
        open_documents()
    assert store.notebook(notebook).cells == (cell(1), text)
    (code,) = store.get(cell(1).uri).cells()
    assert (code.kind, code.language, code.code_start, code.code_end) == ("code", "python", 0, 4)
    assert store.get(cell(1).uri).cell_at(3) == code
    assert store.get(cell(1).uri).cell_at(4) is None
    assert not store.get(cell(1).uri).has_markers
    assert store.get(cell(1).uri).header() is None
    (prose,) = store.get(text.uri).cells()
    assert (prose.kind, prose.code_end) == ("markdown", 4)

    store.bind(text.uri, "k")
    assert store.kernel_id(cell(1).uri, "python") == store.kernel_id(notebook) == "k"
    assert store.documents_of("k") == (notebook,)

    store.change_notebook(notebook, 1, 0, [cell(3)])
    store.change_notebook(notebook, 0, 1)
    assert store.notebook(notebook).cells == (cell(3), text)
    assert store.notebook_of(cell(1).uri) is None
    found = store.notebook_of(cell(3).uri)
    assert found is store.notebook_of(notebook) is store.notebook(notebook)

    store.close_notebook(notebook)
    store.close_notebook(notebook)
    assert store.notebook_of(cell(3).uri) is None
    assert store.kernel_id(notebook) == "k"
    with pytest.raises(DocumentNotOpen):
        store.change_notebook(notebook, 0, 0)


def test_a_notebook_stands_for_its_cells() -> None:
    store = DocumentStore()
    store.open_notebook("n", "jupyter-notebook", [cell(1)._replace(kind="markdown"), cell(2)])
    with pytest.raises(DocumentNotOpen):
        store.get_main("n")
    assert store.all_of("n") == []
    prose, code = (store.open(cell(number).uri, "python", 1, "x") for number in (1, 2))
    assert store.get_main("n") is store.get_main(cell(2).uri) is code
    assert store.get_main(cell(1).uri) is prose
    assert store.all_of("n") == [prose, code]
    assert store.all_of(cell(1).uri) == [prose]
    for ask in (store.get, store.get_main, store.all_of):
        with pytest.raises(DocumentNotOpen):
            ask("file:///none")


def test_a_nonsense_splice_is_clamped() -> None:
    store = DocumentStore()
    store.open_notebook("n", "jupyter-notebook", [cell(1)])
    store.change_notebook("n", 9, 9, [cell(2)])
    assert store.change_notebook("n", -1, -1, [cell(3)]).cells == (cell(3), cell(1), cell(2))


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a/b.py", "/a/b.py"),
        ("file:///a%20b/%C3%A9.py", "/a b/é.py"),
        ("file:///a/é.py", "/a/é.py"),
        ("file:///a/x%23y%3Fz%25.py", "/a/x#y?z%.py"),
        ("file:///a/x#y.py", "/a/x#y.py"),
        ("file://localhost/a.py", "/a.py"),
        ("FILE:///a.py", "/a.py"),
        ("file:/a.py", "/a.py"),
        ("/a.py", "/a.py"),
        ("file://elsewhere/a.py", None),
        ("file:a.py", None),
        ("untitled:Untitled-1", None),
        ("vscode-notebook-cell:/a/n.ipynb#W0", None),
        ("vscode-remote://host/a.py", None),
        ("", None),
    ],
)
def test_paths_of_uris(uri: str, path: str | None) -> None:
    assert path_of(uri) == (path and Path(path))


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("file:///a%20b/my%20%C3%BC%23%25.py", "my ü#%.py"),
        ("/a/b.py", "b.py"),
        ("file:///a/%FF%0A.py", "\ufffd\ufffd.py"),
        ("untitled:Untitled-1", "untitled:Untitled-1"),
        ("vscode-notebook-cell:/a/my%20n.ipynb#W0sZmlsZQ%3D%3D", "my n.ipynb"),
        ("vscode-remote://host/a/b%20c.py", "b c.py"),
        ("", ""),
    ],
)
def test_what_people_call_a_document(uri: str, name: str) -> None:
    assert file_name(uri) == name


@pytest.mark.parametrize("path", ["/a b/é😀.py", "/x#y?z%20.py", "/\udcff.py", "/"])
def test_uris_of_paths_lead_back(path: str) -> None:
    assert uri_of(path).startswith("file:///")
    assert uri_of(path).isascii()
    assert path_of(uri_of(path)) == Path(path)


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert path_of(uri_of("a.py")) == tmp_path / "a.py"
