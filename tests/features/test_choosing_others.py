"""carpo.selectKernel with kernels that others have started: real ones, of jupyter_client alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import AsyncKernelManager
from support import DEADLINE
from test_kernel_choice import answering

from carpo_lsp.features.commands import COMMANDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from scripted import Scripted

ID = "3f0c9a52-8d53-4b0e-a6f4-3b2f6a1c7d10"


@pytest.fixture
async def other(runtime_dir: Path) -> AsyncIterator[AsyncKernelManager]:
    runtime_dir.mkdir(mode=0o700)  # noqa: ASYNC240 - nothing else is under way
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


async def call(bench: Scripted, name: str, *arguments: Any) -> None:
    """Run a command to its end; the kernel it is about is no script."""
    waiting = COMMANDS[name](bench.workspace, list(arguments))
    assert waiting is not None
    await waiting


async def test_by_its_names(bench: Scripted, other: AsyncKernelManager, tmp_path: Path) -> None:
    document = bench.open("1", (tmp_path / "a.py").as_uri())
    frontend = bench.workspace.frontend
    for name in ("newest", ID[:5], str(other.connection_file)):
        await call(bench, "selectKernel", document.uri, name)
        kernel_id = bench.workspace.bound_kernel(document, "python")
        assert kernel_id is not None
        kernel = frontend.get_kernel(kernel_id)
        assert (kernel.connection_file, kernel.owned) == (other.connection_file, False)
        assert bench.messages[-1] == "a.py runs in ipython, which others have started."
        await call(bench, "shutdownKernel", document.uri)
        assert "goes on for those who started it" in bench.messages[-1]
    assert await other.is_alive()
    await call(bench, "selectKernel", document.uri, "newest")
    await call(bench, "shutdownKernel", {"uri": document.uri, "force": True})
    assert not await other.is_alive()


async def test_from_the_list(bench: Scripted, other: AsyncKernelManager, tmp_path: Path) -> None:
    document = bench.open("1", (tmp_path / "a.py").as_uri())
    # Others of this machine are listed as well: those of other tests.
    pid: Any = other.provisioner and other.provisioner.pid
    shown = answering(bench, f"pid {pid})")
    await call(bench, "selectKernel", document.uri)
    (title,) = (title for title in shown[0] if f"pid {pid})" in title)
    assert "started elsewhere" in title
    kernel_id = bench.workspace.bound_kernel(document, "python")
    assert kernel_id == ID
