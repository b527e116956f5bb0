"""The limits of a kernel, step by step, on a kernel that only counts what is done to it."""

from __future__ import annotations

import sys

import pytest

from carpo_lsp import Frontend
from carpo_lsp.kernels.events import StateChanged, StatusChanged
from carpo_lsp.kernels.limits import Limiter
from carpo_lsp.protocol import Limits

MB = 1024**2


class Counted:
    """A kernel whose measures are set and whose treatment is written down."""

    def __init__(self) -> None:
        self.memory: int | None = 0
        self.running: tuple[str, float] | None = None
        self.idle = True
        self.done: list[str] = []

    def warn(self, reason: str) -> None:
        self.done.append("warn")

    async def interrupt(self) -> None:
        self.done.append("interrupt")

    async def kill(self, reason: str) -> None:
        self.done.append("kill")

    async def retire(self, reason: str) -> None:
        self.done.append("retire")


@pytest.mark.parametrize(
    ("used", "done"),
    [
        ([79], []),
        ([80], ["warn"]),
        ([85, 90], ["warn"]),
        ([100], ["warn", "interrupt"]),
        ([80, 100, 110], ["warn", "warn", "interrupt"]),
        ([120], ["kill"]),
        ([100, 50, 100], ["warn", "interrupt", "warn", "interrupt"]),
    ],
)
async def test_memory_is_warned_of_then_interrupted_then_killed(
    used: list[int], done: list[str]
) -> None:
    kernel = Counted()
    limiter = Limiter(Limits(memory_mb=100), kernel)
    for megabytes in used:
        kernel.memory = megabytes * MB
        await limiter.look()
    assert kernel.done == done


async def test_a_process_that_is_gone_uses_no_memory() -> None:
    kernel = Counted()
    kernel.memory = None
    await Limiter(Limits(memory_mb=100), kernel).look()
    assert kernel.done == []


async def test_each_execution_is_interrupted_once() -> None:
    kernel = Counted()
    limiter = Limiter(Limits(execution_seconds=5), kernel)
    for running in [("a", 4.0), ("a", 5.0), ("a", 6.0), None, ("b", 5.5)]:
        kernel.running = running
        await limiter.look()
    assert kernel.done == ["interrupt", "warn", "interrupt", "warn"]


async def test_idle_time_counts_from_the_last_work() -> None:
    kernel = Counted()
    now = 0.0
    limiter = Limiter(Limits(idle_minutes=1), kernel, clock=lambda: now)
    for now, idle in [(0, True), (59, True), (60, False), (61, True), (120, True)]:  # noqa: B007 - the clock reads it
        kernel.idle = idle
        await limiter.look()
    assert kernel.done == []
    now = 121
    await limiter.look()
    assert kernel.done == ["retire"]


async def test_a_real_kernel_is_interrupted_and_says_why() -> None:
    reasons: list[str] = []
    async with Frontend() as frontend:
        kernel_id = await frontend.start_kernel(
            language="python", limits=Limits(execution_seconds=0.1)
        )
        frontend.subscribe(
            lambda event: (
                reasons.append(event.reason or "") if isinstance(event, StatusChanged) else None
            )
        )
        handle = frontend.execute_code(kernel_id, "import time\nwhile True: time.sleep(0.05)")
        events = [event async for event in handle]
    last = events[-1]
    assert isinstance(last, StateChanged)
    assert last.state == "error"
    assert last.error is not None
    assert last.error["ename"] == "KeyboardInterrupt"
    assert any("limit of 0.1 s" in reason for reason in reasons)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS compresses what is not touched")
async def test_a_real_kernel_that_takes_too_much_memory_is_killed() -> None:
    async with Frontend() as frontend:
        kernel_id = await frontend.start_kernel(language="python", limits=Limits(memory_mb=150))
        handle = frontend.execute_code(
            kernel_id,
            "import time\ntry:\n    kept = b'x' * 400_000_000\n    time.sleep(600)\n"
            "except KeyboardInterrupt:\n    time.sleep(600)",
        )
        result = await handle
        assert result.state == "died"
        assert result.error is not None
        assert "150 MB" in result.error["evalue"]
        assert frontend.get_kernel(kernel_id).status == "dead"
