from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
from layouts import empty_home
from lsprotocol import types

from carpo_lsp.documents.uris import uri_of
from carpo_lsp.features.configuration import did_change_configuration, initialized
from carpo_lsp.features.sync import did_change_folders, initialize

if TYPE_CHECKING:
    from pathlib import Path

    from scripted import Scripted

ASKED = types.ClientCapabilities(workspace=types.WorkspaceClientCapabilities(configuration=True))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = empty_home(tmp_path, monkeypatch) / "project"
    folder.mkdir()
    return folder


def start(
    bench: Scripted,
    folder: Path,
    options: Any = None,
    capabilities: types.ClientCapabilities | None = None,
) -> None:
    bench.workspace.folders.clear()
    params = types.InitializeParams(
        capabilities=capabilities or types.ClientCapabilities(),
        root_uri=uri_of(folder),
        initialization_options=options,
    )
    initialize(bench.workspace, params, "utf-16")


def configured(bench: Scripted, values: Any) -> list[str]:
    """A client with these settings, and the sections it is asked for."""
    asked: list[str] = []

    def notify(method: str, params: Any) -> None:
        bench.messages.append(params.message)

    def request(method: str, params: Any) -> Future[Any]:
        assert method == types.WORKSPACE_CONFIGURATION
        asked.extend(item.section for item in params.items)
        future: Future[Any] = Future()
        future.set_result([values])
        return future

    bench.workspace.client.connect(notify, request)
    return asked


async def change(bench: Scripted, settings: Any) -> None:
    params = types.DidChangeConfigurationParams(settings=settings)
    waiting = did_change_configuration(bench.workspace, params)
    if waiting is not None:
        await waiting


async def test_each_source_goes_before_the_ones_below(bench: Scripted, project: Path) -> None:
    (project / "carpo.toml").write_text('[kernel]\nname = "ir"\ntimeout = 1\nscope = "document"\n')
    options = {"carpo": {"kernel": {"timeout": 2, "scope": "workspace", "start": "onRun"}}}
    asked = configured(bench, {"kernel": {"timeout": 3, "scope": "auto"}})
    start(bench, project, options, ASKED)
    kernel = bench.workspace.settings.kernel
    assert (kernel.name, kernel.timeout, kernel.scope, kernel.start) == (
        "ir",
        2,
        "workspace",
        "onRun",
    )
    await initialized(bench.workspace, types.InitializedParams())
    assert asked == ["carpo"]
    assert bench.workspace.settings.kernel.timeout == 3
    await change(bench, {"carpo": {"kernel": {"timeout": 4}}})
    kernel = bench.workspace.settings.kernel
    assert (kernel.name, kernel.timeout, kernel.scope, kernel.start) == (
        "ir",
        4,
        "workspace",
        "onRun",
    )
    assert bench.messages == []


async def test_a_client_that_cannot_be_asked_is_not(bench: Scripted, project: Path) -> None:
    asked = configured(bench, {"kernel": {"timeout": 3}})
    start(bench, project)
    await initialized(bench.workspace, types.InitializedParams())
    await change(bench, None)
    assert asked == []


@pytest.mark.parametrize("settings", [None, {}, {"carpo": None}, []])
async def test_a_change_without_settings_is_a_wish_to_be_asked(
    bench: Scripted, project: Path, settings: Any
) -> None:
    asked = configured(bench, {"kernel": {"timeout": 3}})
    start(bench, project, None, ASKED)
    await change(bench, settings)
    assert asked == ["carpo"]
    assert bench.workspace.settings.kernel.timeout == 3


@pytest.mark.parametrize("values", [None, "", []])
async def test_a_client_without_settings_changes_nothing(
    bench: Scripted, project: Path, values: Any
) -> None:
    configured(bench, values)
    start(bench, project, {"carpo": {"kernel": {"timeout": 5}}}, ASKED)
    await initialized(bench.workspace, types.InitializedParams())
    assert bench.workspace.settings.kernel.timeout == 5
    assert bench.messages == []


async def test_each_mistake_is_said_once(bench: Scripted, project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.carpo.kernel]\npython = "/evil"\n')
    configured(bench, None)
    start(bench, project, {"carpo": {"kernel": {"scope": 1}}})
    await change(bench, {"carpo": {"kernel": {"timeout": -1}}})
    await change(bench, {"carpo": {"kernel": {"timeout": -1}}})
    assert [message.partition(": expected")[0] for message in bench.messages] == [
        "carpo settings: pyproject.toml: kernel.python: a project cannot set this; "
        "set it in the editor.",
        "carpo settings: carpo.kernel.scope",
        "carpo settings: carpo.kernel.timeout",
    ]
    assert bench.workspace.settings.kernel.python == ""


@pytest.mark.parametrize("options", ["fast", ["fast"], {"carpo": "fast"}])
async def test_settings_that_are_no_object_are_said(
    bench: Scripted, project: Path, options: Any
) -> None:
    configured(bench, None)
    start(bench, project, options)
    await change(bench, options)
    assert bench.messages == ["carpo settings: carpo: expected an object; it is left out."]


async def test_another_folder_brings_its_own_file(bench: Scripted, project: Path) -> None:
    (project / "carpo.toml").write_text("[kernel]\ntimeout = 9\n")
    start(bench, project.parent)
    assert bench.workspace.settings.kernel.timeout == 60
    event = types.WorkspaceFoldersChangeEvent(
        added=[types.WorkspaceFolder(uri_of(project), "project")],
        removed=[types.WorkspaceFolder(uri_of(project.parent), "home")],
    )
    did_change_folders(bench.workspace, types.DidChangeWorkspaceFoldersParams(event))
    assert bench.workspace.settings.kernel.timeout == 9


async def test_the_limit_of_outputs_reaches_the_kernels(bench: Scripted, project: Path) -> None:
    start(bench, project, {"carpo": {"output": {"maxPushBytes": 1000}}})
    assert bench.workspace.frontend.output_limit == 1000
