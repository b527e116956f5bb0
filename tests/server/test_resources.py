"""What kernels take of the machine, in the list of them and in the choice among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from lsp_clients import Wire

    Spawn = Callable[..., Awaitable[Wire]]

BUSY = """\
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
began = time.monotonic()
while time.monotonic() - began < 1.0: pass
"""


async def test_list_kernels_measures_the_process_tree(spawn: Spawn, tmp_path: Path) -> None:
    client = await spawn()
    await client.initialize(tmp_path)
    kernel_id = (await client.start(specName="python3"))["kernelId"]
    first = (await client.kernels())[kernel_id]["resources"]
    assert first["rssBytes"] > 20 * 2**20
    await client.run(kernel_id, BUSY)
    busy = (await client.kernels())[kernel_id]["resources"]
    assert busy["rssBytes"] > first["rssBytes"], "with the child's"
    assert busy["cpuPercent"] > 5, "of the last moments, in which two processes were busy"


@pytest.mark.parametrize("asks", [True, False])
async def test_the_choice_of_a_kernel_tells_them(spawn: Spawn, tmp_path: Path, asks: bool) -> None:
    client = await spawn()
    capabilities = {"window": {"showMessage": {}}} if asks else {}
    await client.initialize(tmp_path, options={}, capabilities=capabilities)
    uri = client.open((tmp_path / "a.fake").as_uri(), "result 1\n", "fake")
    await client.command("runCell", {"uri": uri, "line": 0})
    await client.until_message("runs in fake")
    client.post(
        "workspace/executeCommand", {"command": "carpo.selectKernel", "arguments": [{"uri": uri}]}
    )
    method = "window/showMessageRequest" if asks else "window/showMessage"
    told = await client.until(
        lambda name, params: name == method and "% CPU" in str(params),
    )
    text = str(told["actions"][0]["title"] if asks else told["message"])
    assert " MB, " in text
    assert "fake, running (" in text
