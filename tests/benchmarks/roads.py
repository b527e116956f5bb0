"""How long an execution and a completion take over each road to a kernel, and what a Jupyter Server
and a keeper keep of a kernel that nobody listens to: `python -m tests.benchmarks.roads`.

The servers are those of tests/install_servers. jupyter-kernel-client, whose environment theirs is,
asks the same server in the same run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil
import sshd
from jupyter_servers import JUPYTER, KINDS, TOKEN, Kind, serving

from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.events import Event, InputRequested, OutputChanged
from tests.benchmarks.lab import jupyter_folders

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROUNDS = 60
LINES = 100_000
SECONDS = 30
"""After which no more lines are expected."""

CLIENT = """
import json, statistics, sys, time
from jupyter_kernel_client import JupyterKernelClient
url, token, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
with JupyterKernelClient(server_url=url, token=token) as kernel:
    def once():
        began = time.perf_counter()
        kernel.execute("1+1")
        return 1000 * (time.perf_counter() - began)
    for _ in range(5):
        once()
    print(json.dumps(statistics.median(once() for _ in range(rounds))))
"""


async def median(ask: Callable[[], Awaitable[Any]]) -> float:
    """Milliseconds."""
    for _ in range(5):
        await ask()
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await ask()
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


async def latency(frontend: Frontend, kernel_id: str) -> tuple[float, float]:
    """Medians of an execution and of a completion."""

    async def execute() -> None:
        await frontend.execute_code(kernel_id, "1+1")

    async def complete() -> None:
        await frontend.get_completions(kernel_id, "enumer", 6)

    await frontend.execute_code(kernel_id, "%config Completer.use_jedi = False")
    return await median(execute), await median(complete)


async def theirs(url: str) -> float | None:
    """What jupyter-kernel-client takes; None where it starts no kernel."""
    python = JUPYTER.program.parent / "python"
    process = await asyncio.create_subprocess_exec(
        *(python, "-c", CLIENT, url.rstrip("/"), TOKEN, str(ROUNDS)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    return float(json.loads(out.splitlines()[-1])) if process.returncode == 0 else None


def tell(name: str, execute: float, complete: float | None = None) -> None:
    completes = f"   complete {complete:6.1f} ms" if complete is not None else ""
    print(f"{name:44} execute {execute:6.1f} ms{completes}", flush=True)


async def roads() -> None:
    async with Frontend() as owner:
        local = await owner.start_kernel(spec_name="python3")
        file = owner.get_kernel(local).connection_file
        assert file is not None
        tell("local", *await latency(owner, local))
        async with Frontend() as other:
            tell("attached", *await latency(other, await other.attach_kernel(file)))
        kept = await owner.start_kernel(spec_name="python3")
        await owner.manager.keep(kept, 0)
        tell("kept", *await latency(owner, kept))
        await owner.manager.keep(kept, None)
        await by_ssh(owner)
        for kind in KINDS:
            await through(owner, kind)


async def by_ssh(frontend: Frontend) -> None:
    if shutil.which("ssh") is None or sshd.sshd_program() is None:
        return
    path = os.environ["PATH"]
    with tempfile.TemporaryDirectory() as folder, sshd.running(Path(folder)) as server:
        os.environ["PATH"] = f"{server.bin}:{path}"
        try:
            there = await frontend.start_kernel(spec_name=f"ssh:{sshd.HOST}/python3")
            tell("ssh, to this machine", *await latency(frontend, there))
            await frontend.shutdown_kernel(there)
        finally:
            os.environ["PATH"] = path


async def through(frontend: Frontend, kind: Kind) -> None:
    """Through a server, by us and by jupyter-kernel-client, which completes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        async with serving(kind, Path(folder)) as server:
            frontend.manager.servers.name([server.named])
            there = await frontend.attach_server(kind.name, spec_name="python3")
            tell(kind.title, *await latency(frontend, there))
            await frontend.shutdown_kernel(there)
            taken = await theirs(server.url)
            if taken is not None:
                tell(f"{kind.title}, jupyter-kernel-client", taken)


CASE = """import pathlib, time
while not pathlib.Path({go!r}).exists(): time.sleep(0.01)
for i in range({lines}): print(i, flush=True)
pathlib.Path({done!r}).touch()
answer = input("who? ")
print(answer)"""
"""What a kernel does while no editor is there."""


class Listener:
    """Counts what a frontend is told of the case, and of whose execution it is."""

    def __init__(self, frontend: Frontend) -> None:
        self.lines = 0
        self.ids: set[str] = set()
        self.asked = asyncio.Event()
        self.read = asyncio.Event()
        frontend.subscribe(self._take)

    def _take(self, event: Event) -> None:
        if isinstance(event, InputRequested):
            self.asked.set()
        elif isinstance(event, OutputChanged) and event.output:
            self.ids.add(event.execution_id)
            self.lines += event.output.get("text", "").count("\n")
            if self.lines >= LINES:
                self.read.set()


async def nobody_listens(
    name: str,
    first: Frontend,
    kernel_id: str,
    holder: psutil.Process,
    again: Callable[[Frontend], Awaitable[str]],
) -> None:
    """Run the case while nobody is there, and tell what the next one finds. `holder` is the process
    that keeps the output, `again` gets the kernel for the next one."""
    with tempfile.TemporaryDirectory() as folder:
        go, done = Path(folder) / "go", Path(folder) / "done"
        code = CASE.format(go=str(go), done=str(done), lines=LINES)
        execution_id = first.execute_code(kernel_id, code).execution_id
        await first.manager.keep(kernel_id, 0)
        await first.close()
        before = holder.memory_info().rss
        go.touch()
        while not done.exists():  # noqa: ASYNC110 - nobody who could tell is connected
            await asyncio.sleep(0.05)
        after = holder.memory_info().rss
        print(f"{name}: {before / 1e6:.0f} MB at rest, {after / 1e6:.0f} MB with {LINES} lines")
        async with Frontend() as second:
            heard = Listener(second)
            began = time.perf_counter()
            kernel_id = await again(second)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SECONDS):
                    await heard.read.wait()
            took = time.perf_counter() - began
            print(f"{name}: {heard.lines} of {LINES} lines are there after {took:.1f} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SECONDS / 10):
                    await heard.asked.wait()
            print(f"{name}: the question is {'there' if heard.asked.is_set() else 'not there'}")
            same = heard.ids == {execution_id}
            print(f"{name}: the output is {'that of the execution' if same else 'of another'}")
            await second.manager.keep(kernel_id, None)
            await second.shutdown_kernel(kernel_id, force=True)


async def kept_by_a_server() -> None:
    """What keepAlive would be with a Jupyter Server that buffers, in place of a keeper."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        async with serving(JUPYTER, Path(folder)) as server:
            print(f"Jupyter Server: starts in {time.perf_counter() - began:.1f} s")
            first = Frontend()
            kernel_id = await first.attach_server(server.url, token=TOKEN)
            remote_id = first.get_kernel(kernel_id).remote_kernel_id
            assert remote_id is not None

            async def again(frontend: Frontend) -> str:
                return await frontend.attach_server(
                    server.url, token=TOKEN, remote_kernel_id=remote_id
                )

            await nobody_listens("Jupyter Server", first, kernel_id, server.process, again)


def is_keeper(arguments: list[str]) -> bool:
    """Whether a process that keeps a kernel of this run was started so."""
    ours = any(os.environ["XDG_STATE_HOME"] in each for each in arguments)
    return ours and "carpo_lsp.kernels.kept.keeper" in arguments


async def kept_by_a_keeper() -> None:
    """The same with what there is."""
    first = Frontend()
    kernel_id = await first.start_kernel(spec_name="python3")
    began = time.perf_counter()
    await first.manager.keep(kernel_id, 0)
    print(f"keeper: starts in {time.perf_counter() - began:.1f} s")
    entry = first.manager.registry.get(kernel_id)
    assert entry is not None
    (keeper,) = (
        each for each in psutil.process_iter(["cmdline"]) if is_keeper(each.info["cmdline"] or [])
    )

    async def again(frontend: Frontend) -> str:
        frontend.manager.take_up(entry)
        await frontend.wait_ready(kernel_id)
        return kernel_id

    await nobody_listens("keeper", first, kernel_id, keeper, again)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cb-") as own, jupyter_folders(Path(own)):
        asyncio.run(roads())
        asyncio.run(kept_by_a_server())
        asyncio.run(kept_by_a_keeper())
