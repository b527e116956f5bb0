"""Rows about code that runs: the shortest there is, by us and by other clients of kernels."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_client.blocking.client import BlockingKernelClient
from lsp_clients import TERMINAL

from tests.benchmarks import raw
from tests.benchmarks.lab import Client, Lab, timed
from tests.benchmarks.rows import OURS, Goal, Measure, Row, Subjects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

CODE = "1+1"

TIMES = 20
"""Executions in a round."""

KERNEL_CLIENT = Path(__file__).with_name("kernel_client.py")


@contextlib.asynccontextmanager
async def execute(lab: Lab) -> AsyncIterator[Subjects]:
    async with lab.kernel() as (client, kernel), contextlib.AsyncExitStack() as stack:
        file = kernel["connectionFile"]
        subjects = {
            OURS: _ours(client, kernel["kernelId"]),
            "raw": _raw(stack.enter_context(raw.attached(file))),
            "jupyter_client": _blocking(stack.enter_context(blocking_client(file))),
        }
        if lab.program("jupyter-server"):  # comes with it
            there = await stack.enter_async_context(_script(str(lab.peers), str(KERNEL_CLIENT)))
            if there is not None:
                subjects["jupyter-kernel-client"] = there
        yield subjects


def _ours(client: Client, kernel_id: str) -> Measure:
    async def measure() -> list[float]:
        times: list[float] = []
        for _ in range(TIMES):
            with timed(times):
                execution_id = await client.execute(kernel_id, CODE)
                await client.until_state(execution_id, *TERMINAL)
            client.notes.clear()
        return times

    return measure


def _raw(kernel: raw.RawKernel) -> Measure:
    async def measure() -> list[float]:
        times: list[float] = []
        kernel.drain()
        for _ in range(TIMES):
            with timed(times):
                kernel.run(CODE)
        return times

    return measure


@contextlib.contextmanager
def blocking_client(file: str) -> Iterator[BlockingKernelClient]:
    client = BlockingKernelClient(connection_file=file)
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)
        yield client
    finally:
        client.stop_channels()


def _blocking(client: BlockingKernelClient) -> Measure:
    async def measure() -> list[float]:
        times: list[float] = []
        for _ in range(TIMES):
            with timed(times):
                client.execute_interactive(CODE, output_hook=lambda message: None, timeout=30)
        return times

    return measure


@contextlib.asynccontextmanager
async def _script(*command: str) -> AsyncIterator[Measure | None]:
    """A peer in an environment of its own: it prints a line when it is ready, and a round's times
    for each line it reads. None, when it has ended before it was ready, and has said why."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, str(TIMES), CODE, stdin=pipe, stdout=pipe, env=os.environ
    )
    assert process.stdin
    assert process.stdout
    reader, writer = process.stdout, process.stdin

    async def measure() -> list[float]:
        writer.write(b"\n")
        return [float(time) for time in (await reader.readline()).split()]

    try:
        yield measure if await reader.readline() else None
    finally:
        writer.close()
        await process.wait()


ROWS = (Row("execute 1+1 to its terminal state", "raw", execute, (Goal("p50", "more", 1.5),)),)
