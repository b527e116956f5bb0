from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
from layouts import empty_home, make
from lsprotocol import types

from carpo_lsp.choice import Choices
from carpo_lsp.documents.uris import uri_of
from carpo_lsp.errors import NoKernelForLanguage
from carpo_lsp.features.completion import complete
from carpo_lsp.kernels.specs import SpecFinder
from carpo_lsp.workspace.settings import Kernel, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from scripted import Scripted

    from carpo_lsp.documents.document import Document

ASKS = {"window": {"showMessage": {}}}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_home(tmp_path, monkeypatch)


@pytest.fixture
def project(bench: Scripted, home: Path) -> Path:
    """The only folder of the workspace."""
    folder = home / "project"
    folder.mkdir()
    bench.workspace.folders = [uri_of(folder)]
    return folder


@pytest.fixture
def document(bench: Scripted, project: Path) -> Document:
    return bench.open("1", uri_of(project / "a.py"))


def spec_path(bench: Scripted, document: Document, language: str = "python") -> str:
    """Where the kernel of a document comes from."""
    kernel_id = bench.workspace.bound_kernel(document, language)
    assert kernel_id is not None
    return bench.workspace.frontend.manager.get(kernel_id).spec.path


def answering(bench: Scripted, part: str | None) -> list[list[str]]:
    """A client whose user chooses what has `part` in it; gives what it was shown."""
    shown: list[list[str]] = []

    def notify(method: str, params: Any) -> None:
        if method == types.WINDOW_SHOW_MESSAGE:
            bench.messages.append(params.message)

    def request(method: str, params: Any) -> Future[Any]:
        assert method == types.WINDOW_SHOW_MESSAGE_REQUEST
        shown.append([action.title for action in params.actions])
        chosen = [action for action in params.actions if part and part in action.title]
        future: Future[Any] = Future()
        future.set_result(chosen[0] if chosen else None)
        return future

    bench.workspace.client.connect(notify, request)
    bench.declare(**ASKS)
    return shown


# --- without asking


async def test_the_kernel_that_was_chosen_is_said_once(
    bench: Scripted, project: Path, document: Document
) -> None:
    found = make(project / ".venv")
    await bench.call("runCell")
    await bench.call("runCell")
    assert bench.messages == [f"a.py runs in Python 3.12 (.venv): found at {found}."]
    assert spec_path(bench, document) == str(found)


async def test_a_client_that_knows_of_kernels_needs_no_words(
    bench: Scripted, document: Document
) -> None:
    bench.workspace.client.wants_notifications = True
    await bench.call("runCell")
    assert bench.messages == []


async def test_completion_says_once_that_ipykernel_is_missing(
    bench: Scripted, project: Path, document: Document
) -> None:
    make(project / ".venv", kernel=False)
    bench.workspace.settings = Settings(kernel=Kernel(start="onUse"))
    params = types.CompletionParams(
        types.TextDocumentIdentifier(document.uri), types.Position(0, 1)
    )
    for _ in range(2):
        assert complete(bench.workspace, params) == {"isIncomplete": False, "items": []}
    (message,) = bench.messages
    assert "has no ipykernel; install it: " in message
    make(project / "packages" / ".venv", kernel=False)
    inner = bench.open("1", uri_of(project / "packages" / "b.py"))
    params.text_document.uri = inner.uri
    complete(bench.workspace, params)
    assert len(bench.messages) == 2


async def test_what_a_header_names_and_is_not_installed_is_said(
    bench: Scripted, project: Path
) -> None:
    header = "# ---\n# jupyter:\n#   kernelspec:\n#     name: gone\n# ---\n\n1\n"
    bench.open(header, uri_of(project / "a.py"))
    await bench.call("runCell", "a.py", 7)
    assert bench.messages[0] == (
        "The kernel 'gone', asked for by the document's header, is not installed."
    )


async def test_files_of_two_environments_do_not_share_a_kernel(
    bench: Scripted, project: Path
) -> None:
    for name in ("a", "b"):
        make(project / name / ".venv")
    documents = [bench.open("1", uri_of(project / name)) for name in ("a/1.py", "a/2.py", "b/1.py")]
    kernels = [bench.workspace.kernel_for(document, "python") for document in documents]
    assert kernels[0] == kernels[1] != kernels[2]


# --- by name


@pytest.mark.parametrize(
    "arguments",
    [
        ["scripted-python"],
        ["{uri}", "scripted-python"],
        ["a.py", "scripted-python"],
        [{"uri": "{uri}", "name": "scripted-python"}],
        [{"uri": "{uri}", "line": "0", "name": "scripted-python"}],
        [{"name": "scripted-python"}],
    ],
)
async def test_the_forms_of_the_arguments(
    bench: Scripted, document: Document, arguments: list[Any]
) -> None:
    def filled(value: Any) -> Any:
        return document.uri if value == "{uri}" else value

    given = [
        {key: filled(value) for key, value in each.items()}
        if isinstance(each, dict)
        else filled(each)
        for each in arguments
    ]
    await bench.call("selectKernel", *given)
    assert spec_path(bench, document).endswith("/scripted-python")
    assert bench.messages == ["a.py runs in python."]


async def test_an_environment_by_name_and_by_path(
    bench: Scripted, project: Path, document: Document, home: Path
) -> None:
    near, far = make(project / ".venv"), make(home / "elsewhere")
    await bench.call("selectKernel", str(far))
    assert spec_path(bench, document) == str(far)
    await bench.call("selectKernel", ".venv")
    assert spec_path(bench, document) == str(near)
    await bench.call("selectKernel", "~/elsewhere/bin/python")
    assert spec_path(bench, document) == str(far)


async def test_a_running_kernel_by_its_id(bench: Scripted, project: Path) -> None:
    first = bench.open("# %%\n1", uri_of(project / "1.py"))
    second = bench.open("# %%\n2", uri_of(project / "2.py"))
    kernel_id = bench.workspace.kernel_for(first, "python")
    await bench.call("selectKernel", second.uri, kernel_id)
    assert bench.workspace.bound_kernel(second, "python") == kernel_id
    assert len(bench.kernels) == 1


async def test_choosing_what_it_has_changes_nothing(bench: Scripted, document: Document) -> None:
    await bench.call("selectKernel", "scripted-python")
    await bench.call("selectKernel", "scripted-python")
    assert len(bench.kernels) == 1


async def test_each_language_of_a_document_has_its_own(bench: Scripted, project: Path) -> None:
    text = "```{python}\n1\n```\n\n```{r}\n2\n```\n"
    document = bench.open(text, uri_of(project / "a.qmd"), "quarto")
    await bench.call("selectKernel", {"uri": document.uri, "line": 5, "name": "scripted-r"})
    assert spec_path(bench, document, "r").endswith("/scripted-r")
    assert bench.workspace.bound_kernel(document, "python") is None


async def test_a_name_that_is_none(bench: Scripted, document: Document) -> None:
    assert "No kernel is named 'none'; there are: " in await bench.refused("selectKernel", "none")
    assert "not the name" in await bench.refused("selectKernel", {"name": 3})


async def test_an_environment_without_ipykernel_is_refused(
    bench: Scripted, project: Path, document: Document
) -> None:
    make(project / ".venv", kernel=False)
    with pytest.raises(NoKernelForLanguage):
        await bench.call("selectKernel", ".venv")
    assert bench.workspace.bound_kernel(document, "python") is None


# --- by asking


async def test_the_user_is_asked(bench: Scripted, project: Path, document: Document) -> None:
    found = make(project / ".venv")
    running = bench.workspace.kernel_for(document, "python")
    bench.messages.clear()
    shown = answering(bench, "scripted-python")
    await bench.call("selectKernel")
    (titles,) = shown
    assert titles[0].startswith("Python 3.12 (.venv), running (")
    assert "a.py" in titles[0]
    assert titles[1] == f"Python 3.12 (.venv) at {found}"
    assert "python [scripted-python]" in titles
    assert not any("scripted-r" in title for title in titles)
    assert bench.workspace.bound_kernel(document, "python") != running
    assert bench.messages == ["a.py runs in python."]


async def test_the_user_may_choose_nothing(bench: Scripted, document: Document) -> None:
    answering(bench, None)
    await bench.call("selectKernel")
    assert bench.workspace.bound_kernel(document, "python") is None
    assert bench.messages == []


async def test_a_client_that_cannot_ask_shows_the_names(
    bench: Scripted, project: Path, document: Document
) -> None:
    make(project / ".venv")
    message = await bench.refused("selectKernel")
    assert "'.venv'" in message
    assert "'scripted-python'" in message


# --- later


async def test_the_choice_counts_for_the_whole_project_and_the_next_session(
    bench: Scripted, project: Path, document: Document
) -> None:
    make(project / ".venv")
    await bench.call("selectKernel", "scripted-python")
    bench.messages.clear()
    other = bench.open("# %%\n1", uri_of(project / "deep" / "b.py"))
    await bench.call("runCell", other.uri, {"line": 0, "character": 0})
    assert spec_path(bench, other).endswith("/scripted-python")
    assert bench.messages == ["b.py runs in python: chosen before."]
    remembered = Choices().get(SpecFinder(), project, "python")
    assert remembered is not None
    assert remembered.name == "scripted-python"
