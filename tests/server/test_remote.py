"""carpo/attachKernel with a real Jupyter Server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from jupyter_servers import JUPYTER, TOKEN, free_port, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from jupyter_servers import Running
    from lsp_clients import Wire

    Spawn = Callable[..., Awaitable[Wire]]

pytestmark = [pytest.mark.needs_jupyter_server, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jupyter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with serving(JUPYTER, tmp_path_factory.mktemp("jupyter")) as running:
        yield running


async def test_code_runs_on_a_server(server: Wire, jupyter: Running) -> None:
    url = f"{jupyter.url}lab/tree/a.ipynb?token={TOKEN}"
    kernel = await server.request("carpo/attachKernel", {"serverUrl": url})
    assert kernel["serverUrl"] == jupyter.url
    assert kernel["remoteKernelId"] != kernel["kernelId"]
    assert (kernel["owned"], kernel["pid"], kernel["language"]) == (True, None, "python")
    assert await server.evaluate(kernel["kernelId"], "1+1") == "2"
    other = await server.request(
        "carpo/attachKernel",
        {"serverUrl": jupyter.url, "remoteKernelId": kernel["remoteKernelId"]},
    )
    assert other["owned"] is False
    await server.request("carpo/shutdownKernel", {"kernelId": other["kernelId"]})
    await server.request("carpo/shutdownKernel", {"kernelId": kernel["kernelId"]})


async def test_what_cannot_be_reached(server: Wire, jupyter: Running) -> None:
    for url, text in (
        (f"http://127.0.0.1:{free_port()}/", "No Jupyter server can be reached"),
        ("ftp://example.org/", "begins with http:// or https://"),
        ("gpu", "No Jupyter server is named 'gpu'"),
        (f"{jupyter.url}?token=wrong", "refuses access"),
        (f"{jupyter.url}nowhere/", "no Jupyter server"),
    ):
        error = await server.fail("carpo/attachKernel", {"serverUrl": url})
        assert (error.code, error.data["name"]) == (1012, "ServerFailed"), error.message
        assert text in error.message
        assert "wrong" not in error.message


@pytest.mark.asyncio(loop_scope="function")
async def test_a_kernel_under_which_the_server_is_killed(
    spawn: Spawn, jupyter: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it runs goes on, and what it prints is there for the next server that uses it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    first = await spawn()
    await first.initialize()
    kernel = await first.request("carpo/attachKernel", {"serverUrl": jupyter.url, "token": TOKEN})
    remote = {"serverUrl": jupyter.url, "token": TOKEN, "remoteKernelId": kernel["remoteKernelId"]}
    go = tmp_path / "go"
    code = "import pathlib, time\nprint('begun', flush=True)\n"
    code += f"while not pathlib.Path({str(go)!r}).exists():\n    time.sleep(0.01)\n"
    code += "for i in range(3000):\n    print(i, flush=True)\nx = 'done'"
    execution_id = await first.execute(kernel["kernelId"], code)
    await first.until_text(execution_id, "begun")
    first.process.kill()
    await first.process.wait()

    second = await spawn()
    await second.initialize()
    attached = await second.request("carpo/attachKernel", remote)
    waiting = await second.execute(attached["kernelId"], "print(x)")
    go.touch()
    await second.until_done(waiting)
    assert second.text(waiting) == "done\n"
    (external,) = {
        params["executionId"]
        for params in second.named("carpo/executionState")
        if params["executionId"].startswith("external:")
    }
    assert second.text(external) == "".join(f"{i}\n" for i in range(3000))
    assert second.states(external)[-1] == "ok"
    await second.request("carpo/shutdownKernel", {"kernelId": attached["kernelId"], "force": True})
