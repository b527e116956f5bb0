"""carpo.selectKernel with kernels that others have started: real ones, of jupyter_client alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import AsyncKernelManager
from support import DEADLINE, Events
from test_kernel_choice import answering

from carpo_lsp.features import results
from carpo_lsp.features.commands import COMMANDS
from carpo_lsp.features.hints import short_result, state_words
from carpo_lsp.features.shown import shown

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


async def test_one_kernel_for_two_documents(
    bench: Scripted, other: AsyncKernelManager, tmp_path: Path
) -> None:
    documents = [bench.open("1", (tmp_path / name).as_uri()) for name in ("a.py", "b.py")]
    frontend = bench.workspace.frontend
    for document, name in zip(documents, ("newest", ID[:5]), strict=True):
        await call(bench, "selectKernel", document.uri, name)
    (kernel,) = map(bench.workspace.with_documents, frontend.list_kernels())
    assert sorted(kernel.documents) == [document.uri for document in documents]
    events = Events(frontend)
    assert (await frontend.execute_code(kernel.kernel_id, "1")).state == "ok"
    ids = {getattr(event, "execution_id", "") for event in events.all}
    assert not [each for each in ids if each.startswith("external:")]


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


async def test_what_others_run_of_a_document_is_shown_in_it(
    bench: Scripted, other: AsyncKernelManager, tmp_path: Path
) -> None:
    """As when two editors have one document and one kernel."""
    document = bench.open("# %%\n1\n# %%\n6 * 7\n", (tmp_path / "a.py").as_uri())
    await call(bench, "selectKernel", document.uri, "newest")
    events = Events(bench.workspace.frontend)
    client = other.client()
    client.session.username = "ada"
    client.start_channels(hb=False)
    client.execute("6 * 7")
    client.execute("'in no document'")
    await events.until_text("in no document")
    client.stop_channels()
    (found,) = shown(bench.workspace, document)
    assert (found.cell.index, found.record.state, found.whole) == (1, "ok", True)
    short = client.session.session[:4]
    assert short_result(found, 0) == f"ada {short}: → 42"
    assert state_words(found, 0).endswith(f", by ada {short}")
    path = results.write(bench.workspace, document)
    assert path is not None
    assert f", by ada {short}" in path.read_text()
