"""Why a kernel died: what is told of exit codes, interrupts and memory that ran out."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import FAKE, Events

from carpo_lsp.kernels.connection import Exit
from carpo_lsp.kernels.supervision import oom
from carpo_lsp.kernels.supervision.death import describe, explain_death
from carpo_lsp.kernels.supervision.oom import OomKills

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carpo_lsp.frontend import Frontend
    from carpo_lsp.kernels.events import Cause

GROUPS = Path("/sys/fs/cgroup/memory")
"""Where memory control groups of version 1 are made."""


@pytest.mark.parametrize(
    ("code", "cause", "killed_for", "interrupted", "told"),
    [
        (3, "exited", None, False, ("exited", "The kernel exited with code 3.")),
        (
            -2,
            "signal",
            None,
            True,
            ("interrupt", "did not survive the interrupt. The kernel was ended by signal 2"),
        ),
        (1, "exited", None, True, ("interrupt", "interrupt. The kernel exited with code 1.")),
        (-9, "signal", None, True, ("signal", "The kernel was ended by signal 9")),
        (-9, "outOfMemory", None, True, ("outOfMemory", "signal 9")),
        (-9, "signal", "It took too much.", True, ("limit", "It took too much.")),
        (None, "lost", None, True, ("lost", "gone")),
    ],
)
def test_the_cause_of_a_death(
    code: int | None,
    cause: Cause,
    killed_for: str | None,
    interrupted: bool,
    told: tuple[str, str],
) -> None:
    reason = "It is gone." if code is None else describe(code)
    why = explain_death(Exit(code, "tail", reason, cause), killed_for, interrupted=interrupted)
    assert why.cause == told[0]
    assert why.reason is not None
    assert told[1] in why.reason
    assert (why.exit_code, why.stderr_tail) == (code, "tail")


@pytest.mark.parametrize("killer", ["kill 11", "exit 1"])
async def test_an_interrupt_that_kills(
    frontend: Frontend, events: Events, tmp_path: Path, killer: str
) -> None:
    kernel = await frontend.start_kernel(str(FAKE))
    handle = frontend.execute_code(kernel, f"stream stdout begun\non-interrupt {killer}")
    queued = frontend.execute_code(kernel, "result 1")
    await events.until_text("begun")
    await frontend.interrupt(kernel)
    result = await handle
    assert result.state == "died"
    assert result.error is not None
    assert "did not survive the interrupt" in result.error["evalue"]
    assert (await queued).state == "aborted", "the interrupt has dropped it before"
    dead = await events.until_status("dead")
    assert dead.cause == "interrupt"


# Memory that runs out


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The counters of a control group and of the system, as files of the test."""
    group, system = tmp_path / "memory.events", tmp_path / "vmstat"
    group.write_text("low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n")
    system.write_text("pgfault 12\noom_kill 4\n")
    monkeypatch.setattr(oom, "SYSTEM", system)
    monkeypatch.setattr(oom, "_counter_of", lambda pid: group)
    return group, system


def count(file: Path, kills: int) -> None:
    file.write_text(f"other 1\noom_kill {kills}\n")


@pytest.mark.parametrize("code", [-signal.SIGKILL, 137])
def test_kills_in_the_group_of_the_kernel(counters: tuple[Path, Path], code: int) -> None:
    kills = OomKills(1)
    assert kills.evidence(code) is None
    count(counters[0], 2)
    assert "ran out of memory" in (kills.evidence(code) or "")
    kills.look()
    assert kills.evidence(code) is None, "that was before"


def test_kills_elsewhere_in_the_system_are_no_proof(counters: tuple[Path, Path]) -> None:
    kills = OomKills(1)
    count(counters[1], 5)
    assert "most likely" in (kills.evidence(-signal.SIGKILL) or "")


@pytest.mark.parametrize("code", [0, 1, -signal.SIGSEGV, -signal.SIGTERM])
def test_other_ends_have_other_reasons(counters: tuple[Path, Path], code: int) -> None:
    kills = OomKills(1)
    for file in counters:
        count(file, 9)
    assert kills.evidence(code) is None


def test_a_system_without_counters(counters: tuple[Path, Path]) -> None:
    for file in counters:
        file.unlink()
    kills = OomKills(1)
    assert kills.evidence(-signal.SIGKILL) is None
    count(counters[0], 1)
    assert kills.evidence(-signal.SIGKILL) is None, "nothing is known of before"


def test_the_counter_of_a_process_of_this_system_is_found_or_not_there() -> None:
    OomKills(os.getpid())
    assert OomKills(2**22 + 1).evidence(0) is None


async def test_a_kill_by_somebody_is_no_lack_of_memory(frontend: Frontend, events: Events) -> None:
    kernel = await frontend.start_kernel(str(FAKE))
    assert (await frontend.execute_code(kernel, "kill 9")).state == "died"
    dead = await events.until_status("dead")
    assert (dead.cause, dead.reason) == ("signal", "The kernel was ended by signal 9 (SIGKILL).")


async def test_what_was_killed_before_the_code_ran_is_not_its_reason(
    frontend: Frontend, events: Events, counters: tuple[Path, Path]
) -> None:
    kernel = await frontend.start_kernel(str(FAKE))
    for file in counters:
        count(file, 9)
    assert (await frontend.execute_code(kernel, "kill 9")).state == "died"
    assert (await events.until_status("dead")).cause == "signal"


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group with 150 MB of memory."""
    group = GROUPS / f"carpo-test-{os.getpid()}"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(150 * 2**20))
    yield group
    group.rmdir()


@pytest.mark.skipif(
    not os.access(GROUPS / "memory.limit_in_bytes", os.W_OK),
    reason="needs a memory control group to make",
)
async def test_the_system_kills_a_kernel_for_want_of_memory(
    frontend: Frontend, events: Events, small_group: Path
) -> None:
    kernel = await frontend.start_kernel(spec_name="python3")
    pid = frontend.get_kernel(kernel).pid
    (small_group / "cgroup.procs").write_text(str(pid))
    result = await frontend.execute_code(kernel, "kept = b'x' * 400_000_000")
    assert result.state == "died"
    assert result.error is not None
    assert "out of memory" in result.error["evalue"]
    dead = await events.until_status("dead")
    assert (dead.cause, dead.exit_code) == ("outOfMemory", -signal.SIGKILL)
