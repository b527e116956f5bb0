"""carpo.selectKernel and carpo/listKernelSpecs with a real Jupyter Server that is named."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from jupyter_servers import JUPYTER, TOKEN, serving
from lsprotocol import types
from support import Events

from carpo_lsp import protocol
from carpo_lsp.documents.uris import uri_of
from carpo_lsp.errors import InvalidParams
from carpo_lsp.features import configuration, definition, diagnostics, kernels
from carpo_lsp.features.commands import COMMANDS
from carpo_lsp.frontend import Frontend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jupyter_servers import Running
    from scripted import Scripted

    from carpo_lsp.documents.document import Document

pytestmark = [pytest.mark.needs_jupyter_server, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jupyter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with serving(JUPYTER, tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def document(bench: Scripted, jupyter: Running) -> AsyncIterator[Document]:
    """A document of a user who has named the server, and another that does not run."""
    named = {"gpu": {"url": jupyter.url, "token": TOKEN}, "off": {"url": "http://127.0.0.1:1/"}}
    bench.workspace.configured["configuration"] = {"servers": named}
    configuration.configure(bench.workspace)
    yield bench.open("1", "file:///p/a.py")
    await bench.workspace.frontend.close()


async def select(bench: Scripted, *arguments: object) -> None:
    outcome = COMMANDS["selectKernel"](bench.workspace, list(arguments))
    assert outcome is not None
    await outcome


def bound(bench: Scripted, document: Document) -> protocol.Kernel:
    kernel_id = bench.workspace.bound_kernel(document, "python")
    assert kernel_id is not None
    return bench.workspace.frontend.get_kernel(kernel_id)


async def test_a_kernelspec_by_name(bench: Scripted, document: Document) -> None:
    await select(bench, document.uri, "python3@gpu")
    kernel = bound(bench, document)
    assert (kernel.owned, kernel.display_name) == (True, "Python 3 on gpu")
    assert bench.messages[-1] == "a.py runs in Python 3 on gpu."
    workspace = bench.workspace
    wish = workspace.wish(document, "python")
    assert wish.chosen is not None
    assert (wish.chosen.server, wish.chosen.name) == ("gpu", "python3@gpu")
    assert wish.chosen.serves("python")


async def test_a_running_kernel_by_its_id(bench: Scripted, document: Document) -> None:
    async with Frontend() as other:
        server = bench.workspace.frontend.manager.servers.find("gpu")
        other.manager.servers.name([server])
        theirs = other.get_kernel(await other.attach_server("gpu"))
        await select(bench, document.uri, f"{theirs.remote_kernel_id}@gpu")
        kernel = bound(bench, document)
        assert (kernel.owned, kernel.remote_kernel_id) == (False, theirs.remote_kernel_id)
        second = bench.open("2", "file:///p/b.py")
        await select(bench, second.uri, f"{theirs.remote_kernel_id}@gpu")
        assert bound(bench, second).kernel_id == kernel.kernel_id


async def test_what_a_client_is_asked(bench: Scripted, document: Document) -> None:
    shown: list[str] = []

    def request(method: str, params: Any) -> Future[Any]:
        shown.extend(action.title for action in params.actions)
        future: Future[Any] = Future()
        future.set_result(next(each for each in params.actions if "@gpu" in each.title))
        return future

    def notify(method: str, params: Any) -> None:
        if method == types.WINDOW_SHOW_MESSAGE:
            bench.messages.append(params.message)

    bench.workspace.client.connect(notify, request)
    bench.declare(window={"showMessage": {}})
    async with Frontend() as other:
        other.manager.servers.name([bench.workspace.frontend.manager.servers.find("gpu")])
        theirs = other.get_kernel(await other.attach_server("gpu"))
        await select(bench, document.uri)
    assert "Python 3 on gpu [python3@gpu]" in shown
    assert f"Python 3 on gpu, running (idle, {theirs.remote_kernel_id})" in shown
    here = [title for title in shown if "started elsewhere" in title]
    assert all("pid None" not in title for title in here), "as what runs here it is not listed"
    assert not [title for title in shown if "Fake" in title], "it does not run Python"
    assert bound(bench, document).spec_name == "python3@gpu"
    assert any("127.0.0.1:1" in message for message in bench.messages), "that one is off"


async def test_what_there_is_when_nobody_can_be_asked(bench: Scripted, document: Document) -> None:
    with pytest.raises(InvalidParams, match="'python3@gpu' \\(Python 3 on gpu"):
        await select(bench, document.uri)
    with pytest.raises(InvalidParams, match="No kernel is named 'cobol@gpu'"):
        await select(bench, document.uri, "cobol@gpu")


async def test_the_list_of_kernelspecs(bench: Scripted, document: Document) -> None:
    answer = kernels.list_kernel_specs(bench.workspace, protocol.ListKernelSpecsParams())
    assert not isinstance(answer, protocol.ListKernelSpecsResult)
    found = {spec.name: spec for spec in (await answer).specs}
    assert "python3" in found
    remote = found["python3@gpu"]
    assert (remote.origin, remote.spec_path, remote.language) == (
        "server",
        "python3@gpu",
        "python",
    )
    params = protocol.StartKernelParams(spec_path=remote.spec_path)
    kernel = await kernels.start_kernel(bench.workspace, params)
    assert (kernel.owned, kernel.spec_name, kernel.language) == (True, "python3@gpu", "python")


async def test_a_traceback_and_a_definition_lead_to_the_file_here(
    bench: Scripted, document: Document, jupyter: Running, tmp_path: Path
) -> None:
    """The server's folder is called otherwise here, and a document's kernel works in it."""
    here, there = tmp_path / "here", jupyter.folder / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "module_of_a_test.py").write_text("def fail():\n    raise ValueError('bad')\n")
    named = {"url": jupyter.url, "token": TOKEN, "paths": {str(here): str(there)}}
    workspace = bench.workspace
    workspace.configured["configuration"] = {"servers": {"gpu": named}}
    configuration.configure(workspace)
    code = "import os, sys\nsys.path.insert(0, os.getcwd())\nimport module_of_a_test as m\nm.fail()"
    document = bench.open(code, uri_of(here / "a.py"))
    module = bench.open(
        (here / "module_of_a_test.py").read_text(), uri_of(here / "module_of_a_test.py")
    )
    await select(bench, document.uri, "python3@gpu")
    kernel = bound(bench, document)
    events = Events(workspace.frontend)
    execution_id, _ = workspace.run_cell(document, document.cells()[0])
    await events.until_state("error", execution_id)
    await events.until_status("idle", kernel.kernel_id)
    bench.declare(textDocument={"publishDiagnostics": {"relatedInformation": True}})
    (diagnostic,) = diagnostics.diagnostics_of(workspace, document)
    assert [each.location.uri for each in diagnostic.related_information or ()] == [module.uri]
    place = types.DefinitionParams(
        text_document=types.TextDocumentIdentifier(uri=document.uri),
        position=types.Position(line=3, character=3),
    )
    answer = definition.definition(workspace, place)
    assert answer is not None
    assert not isinstance(answer, types.Location)
    location = await answer
    assert location is not None
    assert (location.uri, location.range.start.line) == (module.uri, 0)
