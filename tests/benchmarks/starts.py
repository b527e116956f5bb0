"""Rows about starts: of the server, and of a kernel with the first code for it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import start_new_kernel

from tests.benchmarks import raw
from tests.benchmarks.lab import SERVERS, Lab, Watch
from tests.benchmarks.rows import OURS, Goal, Measure, Row, Subjects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BARE = Path(__file__).with_name("bare_server.py")

FIRST = "print('first')"

READING = 0.5
"""Seconds from the start of an editor to the first code that is run in it, at least."""


@contextlib.asynccontextmanager
async def spawn_to_initialize(lab: Lab) -> AsyncIterator[Subjects]:
    def measure(*command: str) -> Measure:
        async def once() -> list[float]:
            watch = Watch()
            async with lab.client(command) as client:
                await client.initialize(lab.folder)
                return [watch.ms]

        return once

    subjects = {
        OURS: measure(sys.executable, "-m", "carpo_lsp"),
        "bare pygls": measure(sys.executable, str(BARE)),
    }
    for name, program in SERVERS.items():
        if command := lab.program(program):
            subjects[name] = measure(command)
    yield subjects


@contextlib.asynccontextmanager
async def cold_run(lab: Lab) -> AsyncIterator[Subjects]:
    """From the first execute of a server, on a document that was just opened, to its output."""

    async def ours() -> list[float]:
        async with lab.server() as client:
            await asyncio.sleep(READING)
            uri = client.open((lab.folder / "fresh.py").as_uri(), f"# %%\n{FIRST}\n")
            watch = Watch()
            execution_id = await client.execute(uri, FIRST)
            await client.until_text(execution_id, "first")
            return [watch.ms]

    async def limit() -> list[float]:
        watch = Watch()
        with raw.started(lab.folder) as kernel:
            kernel.wait_ready()
            for message in kernel.outputs(kernel.execute(FIRST)):
                if message["msg_type"] == "stream":
                    return [watch.ms]
        raise AssertionError("the raw kernel has printed nothing")

    async def blocking() -> list[float]:
        watch = Watch()
        first = asyncio.get_running_loop().create_future()

        def on_output(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream" and not first.done():
                first.set_result(watch.ms)

        manager, client = start_new_kernel(
            kernel_name="python3", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        client.execute_interactive(FIRST, output_hook=on_output, timeout=60)
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        return [first.result()]

    yield {OURS: ours, "raw start": limit, "jupyter_client": blocking}


ROWS = (
    Row(
        "spawn to initialize result",
        "bare pygls",
        spawn_to_initialize,
        (Goal("p50", "times", 1.10),),
        rounds=15,
    ),
    Row("cold run to the first output", "raw start", cold_run, (Goal("p50", "times", 1.10),)),
)
