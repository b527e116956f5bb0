"""Two servers of ours and a real `jupyter console` on one kernel at once."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from jupyter_client.manager import AsyncKernelManager
from lsp_clients import Wire
from plugin_components import program
from support import DEADLINE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from screen import Screen

ID = "3f0c9a52-8d53-4b0e-a6f4-3b2f6a1c7d10"

pytestmark = pytest.mark.needs_tmux


@pytest.fixture
async def kernel(runtime_dir: Path) -> AsyncIterator[AsyncKernelManager]:
    """A kernel that was started by jupyter_client alone."""
    os.mkdir(runtime_dir, 0o700)
    manager = AsyncKernelManager(
        kernel_name="python3", connection_file=str(runtime_dir / f"kernel-{ID}.json")
    )
    await manager.start_kernel()
    client = manager.client()
    client.start_channels(hb=False)
    await client.wait_for_ready(timeout=DEADLINE)
    client.stop_channels()
    yield manager
    await manager.shutdown_kernel(now=True)


@pytest.fixture
async def clients(kernel: object, project: Path) -> AsyncIterator[tuple[Wire, Wire]]:
    """Clients of two servers."""
    first, second = await Wire.spawn(), await Wire.spawn()
    for client in (first, second):
        await client.initialize(project)
    yield first, second
    for client in (first, second):
        await client.close()


async def test_three_clients_of_one_kernel(
    kernel: AsyncKernelManager, clients: tuple[Wire, Wire], terminal: Callable[..., Screen]
) -> None:
    for client in clients:
        attached = await client.request("carpo/attachKernel", {"connectionFile": ID[:6]})
        assert (attached["kernelId"], attached["owned"]) == (ID, False), "one id in all servers"
    console = terminal([program("jupyter-console"), "--existing", kernel.connection_file])
    console.until(r"^In \[\d+\]:")

    # What one has, all have; and all see what the others show, with whose it is.
    console.type("shared = 'from ' + 'the console'; print('printed', 'there')")
    console.keys("Enter")
    console.until(r"^printed there")
    for client in clients:
        note = await client.until(
            lambda method, params: (
                method == "carpo/output"
                and (params.get("output") or {}).get("text") == "printed there\n"
            )
        )
        assert note["executionId"].startswith("external:")
        state = await client.until_state(note["executionId"], "ok")
        assert state["session"]["id"]
        assert await client.evaluate(ID, "shared") == "'from the console'"

    # A question goes to who has asked for it.
    first, second = clients
    asks = await first.execute(ID, "answer = input('asked by the first? ')")
    await first.until_prompt(asks)
    assert not second.named("carpo/inputRequest")
    await first.request("carpo/stdin", {"kernelId": ID, "value": "yes"})
    await first.until_done(asks)
    assert await second.evaluate(ID, "answer") == "'yes'"

    for client in clients:
        found = await client.request(
            "carpo/complete", {"kernelId": ID, "code": "shar", "cursorPos": 4}
        )
        assert "shared" in found["matches"]

    # Who leaves takes nothing along.
    await second.request("carpo/shutdownKernel", {"kernelId": ID})
    console.type("shared + ', still'")
    console.keys("Enter")
    console.until(re.escape("'from the console, still'"))
    assert await first.evaluate(ID, "shared") == "'from the console'"
    assert await kernel.is_alive()
    for client in clients:
        client.check_everything()


async def test_the_console_on_a_kernel_of_ours(
    runtime_dir: Path, project: Path, terminal: Callable[..., Screen]
) -> None:
    client = await Wire.spawn()
    await client.initialize(project)
    kernel = await client.start(specName="python3")
    console = terminal([program("jupyter-console"), "--existing", kernel["connectionFile"]])
    console.until(r"^In \[\d+\]:")
    console.type("shared = 6 * 7; print('printed', 'there')")
    console.keys("Enter")
    console.until(r"^printed there")
    assert await client.evaluate(kernel["kernelId"], "shared") == "42"
    await client.close()
