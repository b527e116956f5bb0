"""The limits of a kernel, step by step, on a kernel that only counts what is to be done to it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from jupyter_servers import JUPYTER, Network, serving
from msgspec import structs
from support import FAKE, Events, gone

from carpo_lsp import Frontend
from carpo_lsp.kernels.events import StateChanged, StatusChanged
from carpo_lsp.kernels.manager import StartOptions
from carpo_lsp.kernels.supervision.limits import Limiter
from carpo_lsp.kernels.supervision.usage import Trees, memory
from carpo_lsp.protocol import Limits

if TYPE_CHECKING:
    from pathlib import Path

MB = 1024**2


class Counted:
    """A kernel whose measures are set and whose treatment is written down."""

    def __init__(self) -> None:
        self.used: int | None = 0
        self.running: tuple[str, float] | None = None
        self.idle = True
        self.stopped = False
        self.done: list[str] = []

    def take(self, limiter: Limiter) -> None:
        """Have a look at it and write down what is to be done."""
        self.done += [step.act for step in limiter.look(self.used)]


class Timed:
    """A limiter that looks at a kernel once in a second of the test's."""

    def __init__(self, limits: Limits, kernel: Counted) -> None:
        self.now = 0.0
        self._kernel = kernel
        self._limiter = Limiter(limits, kernel, clock=lambda: self.now)

    def looks(self, times: int, running: tuple[str, float] | None = None) -> None:
        self._kernel.running = running
        for _ in range(times):
            self.now += 1.0
            self._kernel.take(self._limiter)


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
def test_memory_is_warned_of_then_interrupted_then_killed(used: list[int], done: list[str]) -> None:
    kernel = Counted()
    limiter = Limiter(Limits(memory_mb=100), kernel)
    for megabytes in used:
        kernel.used = megabytes * MB
        kernel.take(limiter)
    assert kernel.done == done


def test_a_process_that_is_gone_uses_no_memory() -> None:
    kernel = Counted()
    kernel.used = None
    kernel.take(Limiter(Limits(memory_mb=100), kernel))
    assert kernel.done == []


def test_many_kernels_are_measured_with_one_search_of_the_system() -> None:
    now = 0.0
    trees = Trees(clock=lambda: now)
    first = trees.recent(1.0)
    assert os.getpid() in {process.pid for process in first.of(os.getpid())}
    now = 1.0
    assert trees.recent(1.0) is first
    now = 1.1
    assert trees.recent(1.0) is not first


def test_each_execution_is_interrupted_once() -> None:
    kernel = Counted()
    timed = Timed(Limits(execution_seconds=5), kernel)
    timed.looks(1, running=("a", 0.4))
    timed.looks(4, running=("a", 0.0))
    assert kernel.done == []
    timed.looks(3, running=("a", 0.0))
    assert kernel.done == ["interrupt", "warn"]
    timed.looks(1, running=None)
    timed.looks(7, running=("b", 0.0))
    assert kernel.done == ["interrupt", "warn", "interrupt", "warn"]


def test_what_could_not_be_interrupted_is_tried_again() -> None:
    kernel = Counted()
    limiter = Limiter(Limits(memory_mb=100), kernel)
    kernel.running, kernel.used = ("a", 9.0), 100 * MB
    for _ in range(2):
        looks = limiter.look(kernel.used)
        assert [next(looks).act for _ in range(2)] == ["warn", "interrupt"]
        looks.close()
    assert [step.act for step in limiter.look(kernel.used)] == ["warn", "interrupt"]
    kernel.running, kernel.used = None, 50 * MB
    assert [*limiter.look(kernel.used)] == []
    kernel.used = 100 * MB
    (warning, _) = limiter.look(kernel.used)
    assert warning.reason == "The kernel uses 100 MB of the 100 MB it may use."


@pytest.mark.needs_jupyter_server
async def test_that_a_limit_cannot_be_held_is_said_once(tmp_path: Path) -> None:
    """The server of a kernel is out of reach for a while: then the limit holds again."""
    async with serving(JUPYTER, tmp_path) as server, Frontend() as frontend:
        async with Network(server.port) as network:
            url = f"http://127.0.0.1:{network.port}/"
            frontend.manager.servers.name([structs.replace(server.named, url=url)])
            spec = frontend.find_spec(spec_name=f"python3@{JUPYTER.name}")
            options = StartOptions(limits=Limits(execution_seconds=3))
            kernel_id = frontend.begin_kernel(spec, options)
            await frontend.wait_ready(kernel_id)
            events = Events(frontend)
            handle = frontend.execute_code(kernel_id, "import time\ntime.sleep(600)")
            await events.until_state("running", handle.execution_id)
            network.cut()
            (reason,) = await said(events, 1)
            assert reason.startswith("The limits of the kernel cannot be held now: ")
            network.mend()
            result = await handle
            assert result.error is not None
            assert result.error["ename"] == "KeyboardInterrupt"
            _, reason = await said(events, 2)
            assert reason == "An execution was interrupted after its limit of 3 s."
            await frontend.shutdown_kernel(kernel_id)


def test_seconds_in_which_nothing_can_run_do_not_count() -> None:
    kernel = Counted()
    timed = Timed(Limits(execution_seconds=5), kernel)
    timed.looks(3, running=("a", 0.0))
    timed.now += 3600  # this process has slept
    timed.looks(1, running=("a", 3603.0))
    timed.looks(60, running=None)  # it waits for a person
    kernel.stopped = True
    timed.looks(60, running=("a", 3700.0))
    assert kernel.done == []
    kernel.stopped = False
    timed.looks(2, running=("a", 3702.0))
    assert kernel.done == ["interrupt", "warn"]


def test_idle_time_counts_from_the_last_work() -> None:
    kernel = Counted()
    timed = Timed(Limits(idle_minutes=1), kernel)
    timed.looks(60)
    kernel.idle = False
    timed.looks(1)
    kernel.idle = True
    timed.looks(30)
    timed.now += 3600  # this process has slept
    timed.looks(29)
    assert kernel.done == []
    timed.looks(1)
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


FORKS = """
import os, signal, time
kept = b"x" * 150 * 2**20
children = []
for _ in range(6):
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    children.append(child)
"""
"""Six processes that share 150 MB with the kernel: resident in all of them, but there once."""


@pytest.mark.skipif(sys.platform == "darwin", reason="the system does not tell what is shared")
async def test_what_forks_share_counts_once() -> None:
    async with Frontend() as frontend:
        kernel_id = await frontend.start_kernel(language="python")
        assert (await frontend.execute_code(kernel_id, FORKS)).state == "ok"
        pid = frontend.get_kernel(kernel_id).pid
        assert pid is not None
        counted = memory(pid, float("inf"))
        shared = memory(pid, 600 * MB)
        assert counted is not None
        assert shared is not None
        assert counted > 1000 * MB
        assert 150 * MB < shared < 400 * MB
        await frontend.shutdown_kernel(kernel_id)
    assert memory(pid, 0) is None


GROWING = """
import signal, subprocess, sys
grow = '''
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
kept = [b"x" * 215 * 2**20]
print("grown", flush=True)
for line in open(sys.argv[1]):
    kept.append(b"x" * int(line) * 2**20)
'''
child = subprocess.Popen([sys.executable, "-c", grow, "FED"], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
try:
    child.wait()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child.wait()
"""
"""A child that takes 215 MB, and more as it is told through a pipe."""


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS compresses what is not touched")
async def test_the_memory_of_children_counts_and_each_step_is_said(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    async with Frontend() as frontend:
        events = Events(frontend)
        kernel_id = await frontend.start_kernel(language="python", limits=Limits(memory_mb=300))
        handle = frontend.execute_code(kernel_id, GROWING.replace("FED", str(pipe)))
        shown = await events.until_text("\n")
        assert shown.output is not None
        child = int(shown.output["text"])
        with pipe.open("w", buffering=1) as feed:
            (warning,) = await said(events, 1)
            assert "of the 300 MB it may use." in warning
            feed.write("50\n")
            _, interrupted = await said(events, 2)
            assert "what it runs is interrupted" in interrupted
            await events.until_text("interrupted")
            used = frontend.list_kernels()[0].resources
            assert used is not None
            assert used.rss_bytes > 300 * MB
            assert used.cpu_percent >= 0
            feed.write("100\n")
            dead = await events.until_status("dead")
        assert dead.cause == "limit"
        assert "it was killed" in (dead.reason or "")
        assert (await handle).state == "died"
        await gone(child)


async def test_an_idle_kernel_is_shut_down_and_that_is_said() -> None:
    async with Frontend() as frontend:
        events = Events(frontend)
        kernel_id = await frontend.start_kernel(str(FAKE), limits=Limits(idle_minutes=0.01))
        await events.until_status("stopped", kernel_id)
        (reason,) = await said(events, 1)
        assert reason == "The kernel was shut down after 0.01 idle minutes."
        assert frontend.list_kernels() == []


async def said(events: Events, times: int) -> list[str]:
    """What has been said of limits, once it is so much."""

    def reasons() -> list[str]:
        return [
            event.reason or ""
            for event in events.all
            if isinstance(event, StatusChanged) and event.cause == "limit"
        ]

    await events.until(lambda _: len(reasons()) >= times)
    return reasons()
