"""Two Python kernels and one of R behind one server, driven by pytest-lsp as editors would."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator  # noqa: TC003 - pytest-lsp evaluates the hints
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import psutil
import pytest
import pytest_asyncio
import pytest_lsp
from lsp_clients import OPTIONS, SERVER, LspClient, all_gone, below
from lsprotocol import types
from pytest_lsp import ClientServerConfig, client_capabilities

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.needs_r,
]

ONE = "file:///work space/one.py"
TWO = "file:///work space/two.py"
THREE = "file:///work space/three.R"

TEXTS = {
    ONE: ("python", "# %%\nshared = 'one'\nalpha_of_one = 1\n# %%\nalpha_\n"),
    TWO: ("python", "# %%\nshared = 'two'\nalpha_of_two = 2\n# %%\nalpha_\n"),
    THREE: ("r", "# %%\nshared <- 'three'\nalpha_of_three <- 3\n# %%\nalpha_\n"),
}


@attrs.define
class Config(ClientServerConfig):
    """As it is, but with the environment of the test and not that of the import."""

    async def start(self, devtools: str | None = None) -> Any:
        self.server_env = dict(os.environ)
        return await super().start(devtools)


@pytest_lsp.fixture(config=Config(server_command=SERVER, client_factory=LspClient), scope="module")
async def client(lsp_client: LspClient, fake_kernels: Any) -> AsyncIterator[None]:
    await lsp_client.initialize_session(
        types.InitializeParams(
            capabilities=client_capabilities("visual_studio_code"),
            initialization_options=OPTIONS,
        )
    )
    for uri, (language, text) in TEXTS.items():
        item = types.TextDocumentItem(uri=uri, language_id=language, version=1, text=text)
        lsp_client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))
    yield
    lsp_client.check_everything()
    await lsp_client.shutdown_session()


@pytest_asyncio.fixture(loop_scope="module")
async def kernels(client: LspClient) -> dict[str, Any]:
    """The kernel of each document, alive."""
    return {uri: await client.carpo("startKernel", textDocument={"uri": uri}) for uri in TEXTS}


async def run_cell(client: LspClient, uri: str, line: int) -> Any:
    result = await client.carpo(
        "execute", textDocument={"uri": uri}, position={"line": line, "character": 0}
    )
    return await client.until_done(result["executionId"])


async def shown(client: LspClient, uri: str, code: str) -> str:
    """What code prints in the kernel of a document."""
    result = await client.carpo("execute", textDocument={"uri": uri}, code=code)
    await client.until_done(result["executionId"])
    return client.text(result["executionId"]).strip()


async def labels(client: LspClient, uri: str) -> list[str]:
    result = await client.text_document_completion_async(
        types.CompletionParams(
            text_document=types.TextDocumentIdentifier(uri=uri),
            position=types.Position(line=4, character=6),
        )
    )
    assert isinstance(result, types.CompletionList)
    return [item.label for item in result.items]


async def test_variables_of_one_name_live_apart(client: LspClient, kernels: Any) -> None:
    ends = await asyncio.gather(*[run_cell(client, uri, 1) for uri in TEXTS])
    assert [end["state"] for end in ends] == ["ok", "ok", "ok"]
    assert [end["textDocument"]["uri"] for end in ends] == list(TEXTS)
    assert len({end["kernelId"] for end in ends}) == 3
    assert await asyncio.gather(
        shown(client, ONE, "print(shared)"),
        shown(client, TWO, "print(shared)"),
        shown(client, THREE, "cat(shared)"),
    ) == ["one", "two", "three"]


async def test_each_document_completes_from_its_own_kernel(client: LspClient, kernels: Any) -> None:
    await asyncio.gather(*[run_cell(client, uri, 1) for uri in TEXTS])
    assert await labels(client, ONE) == ["alpha_of_one"]
    assert await labels(client, TWO) == ["alpha_of_two"]
    assert await labels(client, THREE) == ["alpha_of_three"]


async def test_executions_interleave(client: LspClient, kernels: Any) -> None:
    """Many executions at once: each kernel runs its own in order, and none waits for another."""
    codes = {
        ONE: "print('one', {})",
        TWO: "print('two', {})",
        THREE: "cat('three {}\\n')",
    }
    ids: dict[str, list[str]] = {uri: [] for uri in TEXTS}
    for number in range(10):
        for uri, code in codes.items():
            result = await client.carpo(
                "execute", textDocument={"uri": uri}, code=code.format(number)
            )
            ids[uri].append(result["executionId"])
    for uri, name in zip(TEXTS, ("one", "two", "three"), strict=True):
        ends = [await client.until_done(execution_id) for execution_id in ids[uri]]
        assert {end["kernelId"] for end in ends} == {kernels[uri]["kernelId"]}
        assert [end["executionCount"] for end in ends] == list(
            range(ends[0]["executionCount"], ends[0]["executionCount"] + 10)
        )
        texts = [client.text(execution_id).strip() for execution_id in ids[uri]]
        assert texts == [f"{name} {number}" for number in range(10)]


async def test_one_waits_for_input_while_the_others_run(client: LspClient, kernels: Any) -> None:
    asking = await client.carpo(
        "execute", textDocument={"uri": ONE}, code="print('hello', input('Who? '))"
    )
    prompt = await client.until_prompt(asking["executionId"])
    assert prompt == {
        "kernelId": kernels[ONE]["kernelId"],
        "executionId": asking["executionId"],
        "textDocument": {"uri": ONE},
        "prompt": "Who? ",
        "password": False,
    }
    assert await shown(client, TWO, "print('running')") == "running"
    assert await shown(client, THREE, "cat('running')") == "running"
    assert "ok" not in client.states(asking["executionId"])
    await client.carpo("stdin", kernelId=asking["kernelId"], value="Ada")
    await client.until_done(asking["executionId"])
    assert client.text(asking["executionId"]) == "hello Ada\n"
    assert client.states(asking["executionId"]) == [
        "queued",
        "running",
        "waitingInput",
        "running",
        "ok",
    ]


async def test_connection_files_are_private_and_named_with_the_kernel(kernels: Any) -> None:
    for kernel in kernels.values():
        assert str(UUID(kernel["kernelId"])) == kernel["kernelId"]
        assert kernel["kernelId"] in kernel["connectionFile"].rpartition("/")[2]
        assert mode(kernel["connectionFile"]) == 0o600
    assert len({kernel["connectionFile"] for kernel in kernels.values()}) == 3


async def test_no_two_channels_share_an_address(kernels: Any) -> None:
    infos = [connection_info(kernel["connectionFile"]) for kernel in kernels.values()]
    assert all(info["transport"] == "ipc" or info["ip"] == "127.0.0.1" for info in infos)
    addresses = {
        (info["ip"] if info["transport"] == "ipc" else "", info[f"{channel}_port"])
        for info in infos
        for channel in ("shell", "iopub", "stdin", "control", "hb")
    }
    assert len(addresses) == 15
    assert len({info["key"] for info in infos}) == 3


def mode(path: str) -> int:
    return Path(path).stat().st_mode & 0o777


def connection_info(path: str) -> Any:
    return json.loads(Path(path).read_text())


async def test_no_two_kernels_share_a_process(kernels: Any) -> None:
    pids = [kernel["pid"] for kernel in kernels.values()]
    assert len(set(pids)) == 3
    assert all(psutil.pid_exists(pid) for pid in pids)


async def test_an_interrupt_hits_one_kernel(client: LspClient, kernels: Any) -> None:
    sleeping = await client.carpo(
        "execute",
        textDocument={"uri": ONE},
        code="print('in', flush=True)\nimport time\ntime.sleep(600)",
    )
    other = await client.carpo("execute", textDocument={"uri": TWO}, code="input('wait')")
    await client.until_text(sleeping["executionId"], "in\n")
    await client.until_prompt(other["executionId"])
    await client.carpo("interrupt", kernelId=sleeping["kernelId"])
    end = await client.until_done(sleeping["executionId"])
    assert (end["state"], end["error"]["ename"]) == ("error", "KeyboardInterrupt")
    assert client.states(other["executionId"])[-1] == "waitingInput"
    await client.carpo("stdin", kernelId=other["kernelId"], value="")
    assert (await client.until_done(other["executionId"]))["state"] == "ok"


async def test_a_crash_leaves_the_others_alone(client: LspClient, kernels: Any) -> None:
    await asyncio.gather(*[run_cell(client, uri, 1) for uri in TEXTS])
    survivor = await client.carpo("execute", textDocument={"uri": TWO}, code="print(input('?'))")
    await client.until_prompt(survivor["executionId"])
    waiting = await client.carpo(
        "execute", textDocument={"uri": ONE}, code="input('the kernel ends here')"
    )
    queued = await client.carpo("execute", textDocument={"uri": ONE}, code="1")
    await client.until_prompt(waiting["executionId"])
    processes = below(kernels[ONE]["pid"])

    os.kill(kernels[ONE]["pid"], signal.SIGKILL)

    status = await client.until_status(kernels[ONE]["kernelId"], "dead")
    assert status["exitCode"] == -signal.SIGKILL
    assert "SIGKILL" in status["reason"]
    assert status["kernel"]["documents"] == [ONE]
    for ended in (waiting, queued):
        end = await client.until_done(ended["executionId"])
        assert (end["state"], end["error"]["ename"]) == ("died", "KernelDied")
    await all_gone(processes, 5)
    await client.carpo("stdin", kernelId=survivor["kernelId"], value="still here")
    await client.until_done(survivor["executionId"])
    assert client.text(survivor["executionId"]) == "still here\n"
    assert await shown(client, TWO, "print(shared)") == "two"
    assert await shown(client, THREE, "cat(shared)") == "three"

    back = await client.carpo("restartKernel", kernelId=kernels[ONE]["kernelId"])
    assert back["kernelId"] == kernels[ONE]["kernelId"]
    assert back["pid"] != kernels[ONE]["pid"]
    assert await shown(client, ONE, "print('shared' in globals())") == "False"
    assert await shown(client, TWO, "print(shared)") == "two"
