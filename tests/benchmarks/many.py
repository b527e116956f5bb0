"""Rows about many kernels in one server."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import psutil
from lsp_clients import TERMINAL
from support import fake_spec

from tests.benchmarks.lab import Client, Lab, Watch, timed
from tests.benchmarks.rows import OURS, Goal, Measure, Row, Subjects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TIMES = 10

SETTLING = 3.0
"""Seconds after the last start in which a server still looks at what it has started."""

IDLE = 10.0
"""Seconds over which the processor's use of an idle server is looked at; the system counts in
hundredths of a second."""

STARTS = 10
"""Kernels that are started at the same time."""


def many(count: int, *, light: bool = False) -> Callable[[Lab], Any]:
    """Executions in one of `count` kernels, beside those in the only kernel of another server."""

    @contextlib.asynccontextmanager
    async def setup(lab: Lab) -> AsyncIterator[Subjects]:
        spec = {"specPath": fake_spec(lab.folder / "light")} if light else {"specName": "python3"}
        code = "print 1" if light else "1+1"
        async with lab.server() as client, lab.server() as other:
            one = (await other.start(**spec))["kernelId"]
            first = (await client.start(**spec))["kernelId"]
            alone = client.memory
            watch = Watch()
            for begin in range(1, count, STARTS):
                await _start(client, min(STARTS, count - begin), spec)
            if count > 1:
                lab.note("start of all, s", watch.ms / 1000)
                lab.note("kB per kernel", 1000 * (client.memory - alone) / (count - 1))
            lab.note("idle CPU, %", await _idle(client))
            yield {OURS: _execute(client, first, code), "1 kernel": _execute(other, one, code)}

    return setup


async def _start(client: Client, count: int, spec: dict[str, str]) -> None:
    starting = [client.post("carpo/startKernel", spec) for _ in range(count)]
    await asyncio.gather(*starting)
    client.notes.clear()


async def _idle(client: Client) -> float:
    await asyncio.sleep(SETTLING)
    process = psutil.Process(client.process.pid)
    process.cpu_percent()
    await asyncio.sleep(IDLE)
    return process.cpu_percent()


def _execute(client: Client, kernel_id: str, code: str) -> Measure:
    async def measure() -> list[float]:
        times: list[float] = []
        for _ in range(TIMES):
            with timed(times):
                execution_id = await client.execute(kernel_id, code)
                await client.until_state(execution_id, *TERMINAL)
            client.notes.clear()
        return times

    return measure


_GOALS = (
    Goal("p50", "times", 1.2),
    Goal("kB per kernel", "at most", 400),
    Goal("idle CPU, %", "at most", 1),
)

ROWS = (
    Row("execute in one of 10 kernels", "1 kernel", many(10), _GOALS),
    Row("execute in one of 50 kernels", "1 kernel", many(50), _GOALS, short=False),
    Row(
        "execute in one of 300 light kernels",
        "1 kernel",
        many(300, light=True),
        _GOALS[:2],
        short=False,
    ),
)
