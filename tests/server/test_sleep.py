"""A machine that sleeps, as SIGSTOP plays it: of server and kernel, nothing is lost or blamed."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs
import psutil
import pytest
from support import DEADLINE, fake_spec

from carpo_lsp.kernels.life import LAUNCHES
from carpo_lsp.kernels.requests import DEADLINES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from pathlib import Path

    from lsp_clients import Wire

SLEEPS = "stream stdout begun\nsleep-until-interrupted"

OPTED_IN = {"carpo": {"notifications": True}}


async def sleep(pids: Collection[int], seconds: float) -> None:
    """Stop processes and let them go on. What passes meanwhile is time, and nothing else."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(DEADLINE):
            while any(psutil.Process(pid).status() != psutil.STATUS_STOPPED for pid in pids):  # noqa: ASYNC110 - no event exists to wait for
                await asyncio.sleep(0.01)
        await asyncio.sleep(seconds)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@attrs.frozen
class Night:
    """A server with a kernel that runs code, one that is asked something, and one that starts."""

    client: Wire
    kernels: dict[str, Any]
    running: str
    question: asyncio.Future[Any]
    starting: asyncio.Future[Any]
    gate: Path

    @classmethod
    async def falls(cls, client: Wire, folder: Path, seconds: float) -> Night:
        """Everything under way has `seconds`, in which the test gets to the sleep."""
        limits = {"executionSeconds": seconds, "memoryMb": 4000, "idleMinutes": seconds / 60}
        await client.initialize(folder, options=OPTED_IN)
        kernels = {
            name: await client.start(specName="fake", limits=limits) for name in ("runs", "asked")
        }
        running = await client.execute(kernels["runs"]["kernelId"], SLEEPS)
        await client.until_text(running, "begun")
        gate = folder / "gate"
        os.mkfifo(gate)
        held = fake_spec(folder / "held", "--hold", str(gate))
        held_id = str(uuid4())
        starting = client.post(
            "carpo/startKernel", {"specPath": held, "kernelId": held_id, "timeout": seconds}
        )
        await client.until_status(held_id, "starting")
        question = client.post(
            "carpo/complete",
            {"kernelId": kernels["asked"]["kernelId"], "code": "al", "cursorPos": 2},
        )
        return cls(client, kernels, running, question, starting, gate)

    def pids(self, *, server: bool, kernel: bool) -> list[int]:
        below = psutil.Process(self.client.process.pid).children(recursive=True)
        found = [each.pid for each in below if "fake_kernel.py" in " ".join(each.cmdline())]
        assert len(found) == 3
        return [self.client.process.pid] * server + found * kernel

    async def is_over(self) -> None:
        """Everything goes on as if nothing had been, and nobody was told otherwise."""
        client = self.client
        assert (await self.question)["matches"] == ["alpha", "alphabet"]
        with self.gate.open("wb") as gate:
            # Others may have taken its ports while it slept, and then it is launched again.
            gate.write(b"1" * LAUNCHES)
            gate.flush()
            assert (await self.starting)["status"] == "idle"
        assert client.states(self.running) == ["queued", "running"]
        await client.request("carpo/interrupt", {"kernelId": self.kernels["runs"]["kernelId"]})
        assert (await client.until_done(self.running))["state"] == "error"
        for kernel in self.kernels.values():
            kernel_id = kernel["kernelId"]
            execution = await client.run(kernel_id, "stream stdout awake")
            assert client.text(execution) == "awake\n"
        said = [
            params["cause"]
            for params in client.named("carpo/kernelStatus")
            if params.get("cause") is not None
        ]
        assert set(said) <= {"unresponsive", "responsive"}, "a stopped kernel may be told of"


async def test_a_question_outlives_a_sleep(
    spawn: Callable[..., Awaitable[Wire]], tmp_path: Path
) -> None:
    """Server and kernel sleep for longer than the question may take."""
    client = await spawn()
    night = await Night.falls(client, tmp_path, seconds=60)
    await sleep(night.pids(server=True, kernel=True), DEADLINES["complete_request"] + 1)
    await night.is_over()


@pytest.mark.slow
async def test_a_minute_of_sleep(spawn: Callable[..., Awaitable[Wire]], tmp_path: Path) -> None:
    """Of both, of the server alone, and of the kernels alone, which are asked nothing then."""
    nights = {}
    for name in ("both", "server", "kernels"):
        folder = tmp_path / name
        folder.mkdir()
        nights[name] = await Night.falls(await spawn(), folder, seconds=40)
    await nights["kernels"].question
    pids = [
        *nights["both"].pids(server=True, kernel=True),
        *nights["server"].pids(server=True, kernel=False),
        *nights["kernels"].pids(server=False, kernel=True),
    ]
    await sleep(pids, 60)
    for night in nights.values():
        await night.is_over()
