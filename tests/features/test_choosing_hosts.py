"""carpo.selectKernel with hosts that are named, which are reached by ssh: a real server, here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sshd
from lsprotocol import types
from sshd import HOST, STRANGER, Sshd
from support import Events

from carpo_lsp import protocol
from carpo_lsp.documents.uris import uri_of
from carpo_lsp.errors import InvalidParams
from carpo_lsp.features import configuration, diagnostics, kernels
from carpo_lsp.features.commands import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path

    from scripted import Scripted

pytestmark = [pytest.mark.needs_sshd, pytest.mark.usefixtures("ssh")]

STARTS = f"ssh:{HOST}/python3"


def name(bench: Scripted, hosts: dict[str, object]) -> None:
    bench.workspace.configured["configuration"] = {"hosts": hosts}
    configuration.configure(bench.workspace)


async def select(bench: Scripted, *arguments: object) -> None:
    outcome = COMMANDS["selectKernel"](bench.workspace, list(arguments))
    assert outcome is not None
    await outcome


async def test_what_there_is_on_the_hosts(bench: Scripted, ssh_server: Sshd) -> None:
    name(bench, {HOST: {}, STRANGER: {}})
    document = bench.open("1", "file:///p/a.py")
    with sshd.kernel(ssh_server):
        with pytest.raises(InvalidParams) as asked:
            await select(bench, document.uri)
        assert f"'{STARTS}' (Python 3" in asked.value.message
        (running,) = (
            each.split("'")[1] for each in asked.value.message.split("; ") if "running, " in each
        )
        assert running.startswith(f"ssh:{HOST}/")
        await select(bench, document.uri, running)
        kernel_id = bench.workspace.bound_kernel(document, "python")
        assert kernel_id is not None
        assert not bench.workspace.frontend.get_kernel(kernel_id).owned
        second = bench.open("2", "file:///p/b.py")
        await select(bench, second.uri, f"ssh:{HOST}")
        assert bench.workspace.bound_kernel(second, "python") == kernel_id
        await bench.workspace.frontend.shutdown_kernel(kernel_id)
    assert any("ssh cannot reach stranger" in message for message in bench.messages)
    answer = kernels.list_kernel_specs(bench.workspace, protocol.ListKernelSpecsParams())
    assert not isinstance(answer, protocol.ListKernelSpecsResult)
    assert STARTS in {spec.name for spec in (await answer).specs}


async def test_a_traceback_leads_to_the_file_here(bench: Scripted, tmp_path: Path) -> None:
    """The host's folder is called otherwise here, and a document's kernel works in it."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "module_of_a_test.py").write_text("def fail():\n    raise ValueError('bad')\n")
    name(bench, {HOST: {"paths": {str(here): str(there)}}})
    code = "import os, sys\nsys.path.insert(0, os.getcwd())\nimport module_of_a_test as m\nm.fail()"
    document = bench.open(code, uri_of(here / "a.py"))
    file = here / "module_of_a_test.py"
    module = bench.open(file.read_text(), uri_of(file))
    await select(bench, document.uri, STARTS)
    events = Events(bench.workspace.frontend)
    execution_id, _ = bench.workspace.run_cell(document, document.cells()[0])
    await events.until_state("error", execution_id)
    bench.declare(textDocument={"publishDiagnostics": {"relatedInformation": True}})
    (diagnostic,) = diagnostics.diagnostics_of(bench.workspace, document)
    assert isinstance(diagnostic, types.Diagnostic)
    assert [each.location.uri for each in diagnostic.related_information or ()] == [module.uri]
