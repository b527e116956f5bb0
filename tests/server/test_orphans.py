"""A server that is killed leaves nothing behind, whatever kernels it has."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from lsp_clients import all_gone, below
from support import names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from lsp_clients import Wire

LIMIT = 5.0
"""Seconds in which everything of a killed server is gone."""

IN_A_SESSION = """
import subprocess
print(subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
"""

CHILDREN = {
    "python3": [IN_A_SESSION],
    "stubborn": ["spawn-child", "spawn-child session"],
    # These shells leave, so the child is nobody's, but in the kernel's group.
    "ir": ["cat(system('sleep 600 > /dev/null & echo $!', intern = TRUE))"],
    # Its bash is in a session of its own, and gives every job a group.
    "bash": ["sleep 600 & echo $!"],
}
"""Code that starts a child and prints its process id, by kernelspec."""

TO_FILES = {
    "carpo": {
        "notifications": True,
        "output": {"maxPushBytes": 1},
        "journal": {"enabled": False},
    }
}
"""Options by which all output goes to files, and none of them stays."""


@pytest.fixture
def own_tmp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files of the servers of a test; its path is short."""
    with tempfile.TemporaryDirectory(prefix="ct-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture
def bash(fake_kernels: dict[str, str]) -> Iterator[None]:
    folder = Path(fake_kernels["fake"]).parent.parent / "bash"
    argv = [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]
    folder.mkdir()
    file = folder / "kernel.json"
    file.write_text(json.dumps({"argv": argv, "display_name": "Bash", "language": "bash"}))
    yield
    file.unlink()
    folder.rmdir()


def ours(folder: Path) -> list[str]:
    """What is not a kernel's own, such as R's, which removes it only when it ends by itself."""
    return [name for name in names(folder) if name.startswith("carpo-")]


@pytest.mark.parametrize(
    "spec",
    [
        "python3",
        "stubborn",
        pytest.param("ir", marks=pytest.mark.needs_r),
        "bash",
    ],
)
@pytest.mark.usefixtures("bash")
async def test_a_killed_server(
    spawn: Callable[..., Awaitable[Wire]], runtime_dir: Path, own_tmp: Path, spec: str
) -> None:
    client = await spawn()
    await client.initialize(options=TO_FILES)
    kernel = (await client.start(specName=spec))["kernelId"]
    pids = [int((await client.evaluate(kernel, code)).split()[-1]) for code in CHILDREN[spec]]
    children = [psutil.Process(pid) for pid in pids]
    assert len(names(runtime_dir)) == 1
    assert len(ours(own_tmp)) == 2, "a folder for the kernel and one for its output"
    processes = {*below(client.process.pid), *children}
    assert len(processes) >= 3 + len(children), "the server, its watchdog, the kernel"
    client.process.kill()
    await all_gone(processes, LIMIT)
    assert names(runtime_dir) == ours(own_tmp) == []


async def test_what_a_crash_has_left_is_removed_by_the_next_server(
    spawn: Callable[..., Awaitable[Wire]], runtime_dir: Path, own_tmp: Path
) -> None:
    client = await spawn()
    await client.initialize(options=TO_FILES)
    first = await client.start(specName="fake")
    await client.run(first["kernelId"], "stream stdout to a file")
    processes = below(client.process.pid)
    # All at once, as when a machine goes down.
    for process in processes:
        process.suspend()
    for process in processes:
        process.kill()
    await all_gone(processes, LIMIT)
    assert len(ours(own_tmp)) == 2
    assert names(runtime_dir) == [Path(first["connectionFile"]).name]

    client = await spawn()
    await client.initialize()
    second = await client.start(specName="fake")
    await client.request("carpo/shutdownKernel", {"kernelId": second["kernelId"]})
    assert names(runtime_dir) == ours(own_tmp) == []
