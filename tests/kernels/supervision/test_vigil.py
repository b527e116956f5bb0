"""Kernels that hang: what is told of them, and what is no hanging. And real ones, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from support import DEADLINE, FAKE, Events

from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels import manager
from carpo_lsp.kernels.events import StatusChanged
from carpo_lsp.kernels.supervision import heartbeat, vigil
from carpo_lsp.kernels.supervision.vigil import LOOK, SLEPT, Vigil

if TYPE_CHECKING:
    from carpo_lsp.kernels.events import Cause


@attrs.define
class Patient:
    """A kernel as the test says it is."""

    waited_for: bool = True
    works: bool = False
    stopped: bool = False
    cpu_seconds: float | None = 1.0
    pid: int | None = 42
    beats: bool | None = True
    asked: int = 0
    told: list[Cause] = attrs.field(factory=list)
    now: float = 0.0

    async def beat(self) -> bool | None:
        self.asked += 1
        return self.beats

    def warn(self, reason: str, cause: Cause) -> None:
        self.told.append(cause)


async def looks(watch: Vigil, kernel: Patient, times: int = 10, cpu: float = 0.0) -> None:
    for _ in range(times):
        kernel.now += LOOK
        if kernel.cpu_seconds is not None:
            kernel.cpu_seconds += cpu
        await watch.look()


@pytest.fixture
def kernel() -> Patient:
    return Patient()


@pytest.fixture
async def watch(kernel: Patient) -> Vigil:
    """A watch that has seen the kernel answer once while it was idle."""
    watch = Vigil(kernel, clock=lambda: kernel.now)
    await looks(watch, kernel, 1)
    return watch


async def test_a_kernel_that_answers_no_more_is_told_of_once(kernel: Patient, watch: Vigil) -> None:
    kernel.beats = False
    await looks(watch, kernel, 20)
    assert kernel.told == ["unresponsive"]
    kernel.beats = True
    await looks(watch, kernel, 3)
    assert kernel.told == ["unresponsive", "responsive"]
    kernel.beats = False
    await looks(watch, kernel)
    assert kernel.told == ["unresponsive", "responsive", "unresponsive"], "another episode"


async def test_a_kernel_that_computes_does_not_hang(kernel: Patient, watch: Vigil) -> None:
    kernel.beats = False
    await looks(watch, kernel, cpu=LOOK / 2)
    assert kernel.told == []
    await looks(watch, kernel)
    assert kernel.told == ["unresponsive"]


async def test_a_kernel_whose_heart_beats_only_between_executions(
    kernel: Patient, watch: Vigil
) -> None:
    kernel.works, kernel.beats = True, False
    await looks(watch, kernel)
    assert kernel.told == [], "it may be waiting for something"


async def test_a_kernel_whose_heart_beats_while_it_works(kernel: Patient, watch: Vigil) -> None:
    kernel.works = True
    await looks(watch, kernel)
    kernel.beats = False
    await looks(watch, kernel)
    assert kernel.told == ["unresponsive"]


@pytest.mark.parametrize("beats", [False, None])
async def test_a_kernel_without_a_heartbeat(kernel: Patient, beats: bool | None) -> None:
    kernel.beats = beats
    await looks(Vigil(kernel, clock=lambda: kernel.now), kernel, 20)
    assert kernel.told == []


async def test_a_kernel_that_nobody_waits_for_is_left_in_peace(
    kernel: Patient, watch: Vigil
) -> None:
    kernel.waited_for, kernel.beats = False, False
    asked = kernel.asked
    await looks(watch, kernel)
    assert (kernel.asked, kernel.told) == (asked, [])


async def test_a_kernel_of_which_nothing_but_its_heart_is_known(
    kernel: Patient, watch: Vigil
) -> None:
    kernel.cpu_seconds, kernel.pid, kernel.beats = None, None, False
    await looks(watch, kernel)
    assert kernel.told == ["unresponsive"]


async def test_a_stopped_process_is_told_of_whoever_waits(kernel: Patient, watch: Vigil) -> None:
    kernel.waited_for, kernel.stopped = False, True
    await looks(watch, kernel, 1)
    assert kernel.told == []
    await looks(watch, kernel)
    assert kernel.told == ["unresponsive"]
    kernel.stopped = False
    await looks(watch, kernel)
    assert kernel.told == ["unresponsive", "responsive"]


async def test_a_sleep_of_ours_is_not_the_kernels_fault(kernel: Patient, watch: Vigil) -> None:
    kernel.beats = False
    for _ in range(5):
        await looks(watch, kernel, 2)
        kernel.now += SLEPT
    assert kernel.told == []


# Real processes


@pytest.fixture
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vigil, "LOOK", 0.05)
    monkeypatch.setattr(manager, "BEAT", 0.2)


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> list[bool | None]:
    """The answers to heartbeats so far."""
    seen: list[bool | None] = []
    beat = heartbeat.beat

    async def counted(*arguments: Any) -> bool | None:
        seen.append(await beat(*arguments))
        return seen[-1]

    monkeypatch.setattr(heartbeat, "beat", counted)
    return seen


async def until_cause(events: Events, cause: Cause, after: int = 0) -> StatusChanged:
    event = await events.until(
        lambda event: (
            isinstance(event, StatusChanged)
            and event.cause == cause
            and events.all.index(event) >= after
        )
    )
    assert isinstance(event, StatusChanged)
    return event


@pytest.mark.usefixtures("_often")
async def test_a_stopped_kernel_and_its_recovery(frontend: Frontend, events: Events) -> None:
    kernel = await frontend.start_kernel(str(FAKE))
    running = frontend.execute_code(kernel, "stream stdout begun\nsleep-until-interrupted")
    await events.until_text("begun")
    pid = frontend.get_kernel(kernel).pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    told = await until_cause(events, "unresponsive")
    assert told.status == "busy", "it is not dead"
    assert f"kill -CONT {pid}" in (told.reason or "")
    os.kill(pid, signal.SIGCONT)
    await until_cause(events, "responsive")
    await frontend.interrupt(kernel)
    assert (await running).state == "error", "and nothing is lost"
    said = [event.cause for event in events.all if isinstance(event, StatusChanged) and event.cause]
    assert said == ["unresponsive", "responsive"]


@pytest.mark.usefixtures("_often")
async def test_an_attached_kernel_that_is_stopped_is_not_dead(
    frontend: Frontend, beats: list[bool | None]
) -> None:
    kernel = await frontend.start_kernel(str(FAKE))
    theirs = frontend.get_kernel(kernel)
    assert theirs.connection_file is not None
    assert theirs.pid is not None
    async with Frontend() as other:
        events = Events(other)
        attached = await other.attach_kernel(theirs.connection_file)
        running = other.execute_code(attached, "stream stdout begun\nsleep-until-interrupted")
        await events.until_text("begun")
        # That its heart beats while it works is to be seen first.
        seen = len(beats)
        async with asyncio.timeout(DEADLINE):
            while len(beats) < seen + 2:  # noqa: ASYNC110 - no event exists to wait for
                await asyncio.sleep(0.01)
        os.kill(theirs.pid, signal.SIGSTOP)
        told = await until_cause(events, "unresponsive")
        assert told.status == "busy"
        assert "does not answer" in (told.reason or "")
        os.kill(theirs.pid, signal.SIGCONT)
        await until_cause(events, "responsive")
        await other.interrupt(attached)
        assert (await running).state == "error"


@pytest.mark.usefixtures("_often")
async def test_a_kernel_that_computes_in_c_does_not_hang(
    frontend: Frontend, events: Events
) -> None:
    """It holds the interpreter's lock all the time: questions wait, the heart beats on."""
    kernel = await frontend.start_kernel(spec_name="python3")
    result = await frontend.execute_code(kernel, "import re\nre.match('(a+)+$', 'a' * 24 + 'b')")
    assert result.state == "ok"
    assert not [
        event
        for event in events.all
        if isinstance(event, StatusChanged) and event.cause is not None
    ]


@pytest.mark.needs_r
@pytest.mark.usefixtures("_often")
async def test_r_sleeps_and_does_not_hang(
    frontend: Frontend, events: Events, beats: list[bool | None]
) -> None:
    """It answers no heartbeat while code runs, nor does it use the processor."""
    kernel = await frontend.start_kernel(language="r")
    running = frontend.execute_code(kernel, "cat('begun\\n'); flush.console(); Sys.sleep(600)")
    await events.until_text("begun")
    async with asyncio.timeout(DEADLINE):
        while beats[-vigil.MISSED * 2 :] != [False] * (vigil.MISSED * 2):  # noqa: ASYNC110 - no event exists to wait for
            await asyncio.sleep(0.01)
    await frontend.interrupt(kernel)
    assert (await running).state != "died"
    assert not [
        event
        for event in events.all
        if isinstance(event, StatusChanged) and event.cause is not None
    ]
