"""The life of a kernel between start and end: death, restart, interrupt, shutdown."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from support import FAKE, Events, check_order, fake_spec, gone, is_alive, names, text_of

from carpo_lsp.errors import (
    KernelDied,
    KernelNotFound,
    KernelStartFailed,
    NoInputPending,
)
from carpo_lsp.frontend import Frontend

if TYPE_CHECKING:
    from pathlib import Path

SLEEP = "stream stdout asleep\nsleep-until-interrupted"


@pytest.fixture
async def kernel(frontend: Frontend) -> str:
    return await frontend.start_kernel(str(FAKE))


async def works(frontend: Frontend, kernel_id: str) -> bool:
    return (await frontend.execute_code(kernel_id, "result 1")).state == "ok"


# Death


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        ("exit 3", 3, "The kernel exited with code 3."),
        ("exit 0", 0, "The kernel exited with code 0."),
        ("kill 9", -signal.SIGKILL, "The kernel was ended by signal 9 (SIGKILL)."),
        ("kill 11", -signal.SIGSEGV, "The kernel was ended by signal 11 (SIGSEGV)."),
    ],
)
async def test_death_while_running(
    frontend: Frontend, events: Events, kernel: str, command: str, code: int, reason: str
) -> None:
    running = frontend.execute_code(kernel, f"print last words\nstream stdout out\n{command}")
    queued = frontend.execute_code(kernel, "result 1")
    first, second = await running, await queued
    assert (first.state, second.state) == ("died", "died")
    assert text_of(first.outputs) == "out\n", "what it had sent is not lost"
    for result in (first, second):
        assert result.error == {
            "ename": "KernelDied",
            "evalue": reason,
            "traceback": ["last words"],
        }
    for handle in (running, queued):
        check_order(events.of(handle.execution_id))
    dead = await events.until_status("dead")
    assert (dead.reason, dead.exit_code, dead.stderr_tail) == (reason, code, "last words")
    assert dead.kernel.pending == 0


async def test_death_while_it_waits_for_input(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    handle = frontend.execute_code(kernel, "input who?")
    await events.until_input(handle.execution_id)
    pid = frontend.get_kernel(kernel).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert (await handle).state == "died"
    with pytest.raises(NoInputPending):
        await frontend.provide_stdin(kernel, "too late")


async def test_death_while_idle(frontend: Frontend, events: Events, kernel: str) -> None:
    pid = frontend.get_kernel(kernel).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    dead = await events.until_status("dead")
    assert dead.exit_code == -signal.SIGKILL
    assert events.statuses(kernel) == ["starting", "idle", "dead"]


async def test_death_under_a_question(frontend: Frontend, tmp_path: Path) -> None:
    kernel = await frontend.start_kernel(fake_spec(tmp_path, "--mute", "complete_request"))
    question = asyncio.create_task(frontend.get_completions(kernel, "a", 1))
    frontend.execute_code(kernel, "exit 3")
    with pytest.raises(KernelDied) as caught:
        await question
    assert "code 3" in caught.value.message


async def test_what_a_dead_kernel_is_asked(frontend: Frontend, events: Events, kernel: str) -> None:
    await frontend.execute_code(kernel, "exit 3")
    await events.until_status("dead")
    with pytest.raises(KernelDied):
        frontend.execute_code(kernel, "result 1")
    with pytest.raises(KernelDied):
        await frontend.is_complete(kernel, "x")
    with pytest.raises(NoInputPending):
        await frontend.provide_stdin(kernel, "x")
    await frontend.interrupt(kernel)
    (dead,) = frontend.list_kernels()
    assert (dead.kernel_id, dead.status, dead.pid, dead.resources) == (kernel, "dead", None, None)


async def test_restart_of_a_dead_kernel(
    frontend: Frontend, events: Events, kernel: str, tmp_path: Path
) -> None:
    await frontend.execute_code(kernel, "exit 3")
    await frontend.restart_kernel(kernel)
    result = await frontend.execute_code(kernel, "result 1")
    assert (result.state, result.execution_count) == ("ok", 1)
    assert events.statuses(kernel) == [
        *("starting", "idle", "busy", "dead", "restarting", "idle", "busy", "idle"),
    ]


async def test_a_dead_kernel_is_shut_down(frontend: Frontend, runtime_dir: Path) -> None:
    kernel = await frontend.start_kernel(str(FAKE))
    await frontend.execute_code(kernel, "exit 3")
    await frontend.shutdown_kernel(kernel)
    with pytest.raises(KernelNotFound):
        await frontend.shutdown_kernel(kernel)
    assert names(runtime_dir) == []


async def test_a_restart_that_fails_leaves_a_dead_kernel(
    frontend: Frontend, events: Events, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    kernel = await frontend.start_kernel(str(FAKE), cwd=str(work))
    work.rmdir()
    with pytest.raises(KernelStartFailed):
        await frontend.restart_kernel(kernel)
    assert frontend.get_kernel(kernel).status == "dead"
    work.mkdir()
    await frontend.restart_kernel(kernel)
    assert await works(frontend, kernel)
    assert events.statuses(kernel)[2:5] == ["restarting", "dead", "restarting"]


async def test_a_neighbour_goes_on(frontend: Frontend, events: Events, kernel: str) -> None:
    neighbour = await frontend.start_kernel(str(FAKE))
    sleeping = frontend.execute_code(neighbour, SLEEP)
    await events.until_text("asleep")
    assert (await frontend.execute_code(kernel, "kill 9")).state == "died"
    await frontend.restart_kernel(kernel)
    await frontend.shutdown_kernel(kernel)
    assert events.states(sleeping.execution_id) == ["queued", "running"]
    await frontend.interrupt(neighbour)
    assert (await sleeping).state == "error"
    assert await works(frontend, neighbour)


# Restart


async def test_restarts_at_once_are_one(
    frontend: Frontend, events: Events, kernel: str, tmp_path: Path
) -> None:
    await asyncio.gather(*(frontend.restart_kernel(kernel) for _ in range(3)))
    assert events.statuses(kernel) == ["starting", "idle", "restarting", "idle"]


async def test_code_sent_during_a_restart_runs_after_it(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    lost = frontend.execute_code(kernel, SLEEP)
    restart = asyncio.create_task(frontend.restart_kernel(kernel))
    await events.until_status("restarting")
    kept = frontend.execute_code(kernel, "result 1")
    assert (await lost).state == "died"
    result = await kept
    assert (result.state, result.execution_count) == ("ok", 1)
    await restart
    assert not [event for event in events.all if "external:" in getattr(event, "execution_id", "")]


async def test_shutdown_during_a_restart(frontend: Frontend, events: Events, kernel: str) -> None:
    restart = asyncio.create_task(frontend.restart_kernel(kernel))
    await events.until_status("restarting")
    shutdown = asyncio.create_task(frontend.shutdown_kernel(kernel))
    with pytest.raises(KernelDied):
        await restart
    await shutdown
    assert frontend.list_kernels() == []
    with pytest.raises(KernelNotFound):
        await frontend.restart_kernel(kernel)


async def test_a_restart_during_a_shutdown_is_refused(frontend: Frontend, kernel: str) -> None:
    shutdown = asyncio.create_task(frontend.shutdown_kernel(kernel))
    await asyncio.sleep(0)
    with pytest.raises(KernelDied):
        await frontend.restart_kernel(kernel)
    with pytest.raises(KernelDied):
        frontend.execute_code(kernel, "result 1")
    await shutdown


async def test_an_interrupt_by_message(frontend: Frontend, events: Events, tmp_path: Path) -> None:
    spec = fake_spec(tmp_path, "--ignore-sigint", interrupt_mode="message")
    kernel = await frontend.start_kernel(spec)
    handle = frontend.execute_code(kernel, SLEEP)
    await events.until_text("asleep")
    await frontend.interrupt(kernel)
    assert (await handle).state == "error"


# The end


@pytest.mark.parametrize(
    "flags", [(), ("--ignore-shutdown",), ("--ignore-shutdown", "--ignore-sigterm")]
)
async def test_shutdown_ends_the_process(
    frontend: Frontend, runtime_dir: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    kernel = await frontend.start_kernel(fake_spec(tmp_path, *flags))
    pid = frontend.get_kernel(kernel).pid
    assert pid is not None
    sleeping = frontend.execute_code(kernel, SLEEP)
    # A short grace, for the time of the test; each step has its share of it.
    await frontend.manager.get(kernel).shutdown(grace=0.5)
    assert not is_alive(pid)
    assert (await sleeping).state == "died"
    assert names(runtime_dir) == []


async def test_shutdowns_at_once_are_one(frontend: Frontend, events: Events, kernel: str) -> None:
    await asyncio.gather(*(frontend.shutdown_kernel(kernel) for _ in range(3)))
    assert events.statuses(kernel) == ["starting", "idle", "stopped"]


@pytest.mark.parametrize("session", ["", " session"])
async def test_no_grandchild_stays(frontend: Frontend, kernel: str, session: str) -> None:
    result = await frontend.execute_code(kernel, f"spawn-child{session}")
    child = int(text_of(result.outputs))
    assert is_alive(child)
    await frontend.shutdown_kernel(kernel)
    await gone(child)


async def test_no_grandchild_outlives_a_restart_or_a_crash(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    first = int(text_of((await frontend.execute_code(kernel, "spawn-child")).outputs))
    await frontend.restart_kernel(kernel)
    await gone(first)
    result = await frontend.execute_code(kernel, "spawn-child\nkill 9")
    await gone(int(text_of(result.outputs)))


async def test_close_ends_everything(
    runtime_dir: Path, jupyter_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = jupyter_folders.parent / "close"
    short.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(short))
    stubborn = fake_spec(
        tmp_path / "a", "--ignore-shutdown", "--ignore-sigterm", "--as", "ipykernel"
    )
    mute = fake_spec(tmp_path / "b", "--mute", "kernel_info_request")
    frontend = Frontend(output_limit=10)
    events = Events(frontend)
    kernels = await asyncio.gather(
        frontend.start_kernel(str(FAKE)), frontend.start_kernel(stubborn)
    )
    frontend.begin_kernel(frontend.find_spec(mute))
    handles = [frontend.execute_code(kernel, f"spawn-child\n{SLEEP}") for kernel in kernels]
    handles.append(frontend.execute_code(kernels[0], "never runs"))
    spilled = await frontend.execute_code(
        await frontend.start_kernel(str(FAKE)), "stream stdout longer than ten"
    )
    assert spilled.outputs[0]["metadata"]["carpo"]["truncated"]
    children = [await child_of(events, handle.execution_id) for handle in handles[:2]]
    assert len(names(short)) == 5, "a folder for each kernel and one for outputs"
    await frontend.close(grace=0.5)
    await frontend.close()
    assert [(await handle).state for handle in handles] == ["died"] * 3
    for child in children:
        await gone(child)
    assert names(runtime_dir) == names(short) == []
    short.rmdir()


async def child_of(events: Events, execution_id: str) -> int:
    event: Any = await events.until(
        lambda event: (
            getattr(event, "execution_id", None) == execution_id and getattr(event, "output", None)
        )
    )
    return int(event.output["text"].split()[0])  # what is printed next may come with it
