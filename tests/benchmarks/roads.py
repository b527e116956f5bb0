"""How long an execution and a completion take over each road to a kernel, and what a Jupyter Server
keeps of a kernel that nobody listens to: `python -m tests.benchmarks.roads`.

The servers are those of tests/install_servers. jupyter-kernel-client, whose environment theirs is,
asks the same server in the same run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from jupyter_servers import JUPYTER, TOKEN, serving

from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.events import Event, InputRequested, OutputChanged

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


async def theirs(url: str) -> float:
    python = JUPYTER.program.parent / "python"
    process = await asyncio.create_subprocess_exec(
        python, "-c", CLIENT, url.rstrip("/"), TOKEN, str(ROUNDS), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return float(json.loads(out.splitlines()[-1]))


async def roads() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with serving(JUPYTER, Path(folder)) as server, Frontend() as owner:
            local = await owner.start_kernel(spec_name="python3")
            file = owner.get_kernel(local).connection_file
            assert file is not None
            rows = [("local", *await latency(owner, local))]
            async with Frontend() as other:
                attached = await other.attach_kernel(file)
                rows.append(("attached", *await latency(other, attached)))
            remote = await owner.attach_server(server.url, token=TOKEN)
            rows.append(("Jupyter Server", *await latency(owner, remote)))
            for name, execute, complete in rows:
                print(f"{name:24} execute {execute:6.1f} ms   complete {complete:6.1f} ms")
            print(f"{'jupyter-kernel-client':24} execute {await theirs(server.url):6.1f} ms")


async def kept_by_a_server() -> None:
    """What keepAlive would be with a Jupyter Server that buffers, in place of a keeper."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        async with serving(JUPYTER, Path(folder)) as server:
            print(f"server starts in {time.perf_counter() - began:.1f} s")
            before = server.process.memory_info().rss
            print(f"server takes {before / 1e6:.0f} MB at rest")
            first = Frontend()
            kernel = await first.attach_server(server.url, token=TOKEN)
            go, done = Path(folder) / "go", Path(folder) / "done"
            code = f"""import pathlib, time
while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)
for i in range({LINES}): print(i, flush=True)
pathlib.Path({str(done)!r}).touch()
answer = input("who? ")
print(answer)"""
            first.execute_code(kernel, code)
            remote_id = first.get_kernel(kernel).remote_kernel_id
            assert remote_id is not None
            await first.manager.keep(kernel, 0)
            await first.close()
            go.touch()
            while not done.exists():  # noqa: ASYNC110 - nobody who could tell is connected
                await asyncio.sleep(0.05)
            after = server.process.memory_info().rss
            print(f"server takes {after / 1e6:.0f} MB with {LINES} lines that nobody has read")
            second = Frontend()
            lines = 0
            asked, read = False, asyncio.Event()

            def take(event: Event) -> None:
                nonlocal lines, asked
                asked = asked or isinstance(event, InputRequested)
                if isinstance(event, OutputChanged) and event.output:
                    lines += event.output.get("text", "").count("\n")
                    if lines >= LINES:
                        read.set()

            second.subscribe(take)
            began = time.perf_counter()
            again = await second.attach_server(server.url, token=TOKEN, remote_kernel_id=remote_id)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SECONDS):
                    await read.wait()
            took = time.perf_counter() - began
            print(f"{lines} of {LINES} lines are there after {took:.1f} s")
            print(f"the question it asks is {'there' if asked else 'not there'}")
            await second.shutdown_kernel(again, force=True)
            await second.close()


if __name__ == "__main__":
    asyncio.run(roads())
    asyncio.run(kept_by_a_server())
