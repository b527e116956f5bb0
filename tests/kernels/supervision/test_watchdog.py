"""The program that ends kernels when their server is gone, and what starts it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil
import pytest
from support import DEADLINE, FAKE, gone, mode, names

from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.supervision import guard as guard_module
from carpo_lsp.kernels.supervision import watchdog
from carpo_lsp.kernels.supervision.guard import Guard, OwnFolder
from carpo_lsp.kernels.supervision.watchdog import Kernel, Process, family

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


Popen = subprocess.Popen[bytes]
Shell = Callable[..., Popen]

STUBBORN = 'trap "" TERM INT HUP; echo ready; exec sleep 600'
"""A shell command that only SIGKILL ends."""

FAMILY = f"({STUBBORN}) & {STUBBORN}"

SLEEPING = "echo ready; sleep 600; true"
"""One that keeps its shell, with its arguments."""


@pytest.fixture
def shell() -> Iterator[Shell]:
    """Runs shell commands, each in a session of its own as kernels are, and waits for their first
    line. They end with the test."""
    with contextlib.ExitStack() as stack:

        def shell(command: str, *arguments: str) -> Popen:
            process = subprocess.Popen(
                ["/bin/sh", "-c", command, *arguments],
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            stack.callback(process.communicate)
            stack.callback(watchdog.end, [Kernel(b"", watchdog.look_up(process.pid))])
            assert process.stdout is not None
            process.stdout.readline()
            return process

        yield shell


class Dog:
    """A watchdog that runs for a test, which is its server."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-I", "-S", watchdog.__file__, str(folder)]
        self.process = subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdin is not None
        self.tell = self.process.stdin.write

    def hang_up(self) -> None:
        """The server is gone; returns when the watchdog has done its work."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(DEADLINE) == 0


@pytest.fixture
def dog(tmp_path: Path) -> Iterator[Dog]:
    dog = Dog(tmp_path)
    yield dog
    dog.process.kill()
    dog.process.communicate()


# Whom it ends


def test_a_kernel_that_ignores_signals_and_its_child(shell: Shell, dog: Dog) -> None:
    kernel, other = shell(FAMILY), shell(STUBBORN)
    children = psutil.Process(kernel.pid).children()
    assert len(children) == 1
    dog.tell(b"%d /run/kernel.json\0" % kernel.pid)
    dog.hang_up()
    assert kernel.wait() == -signal.SIGKILL
    psutil.wait_procs(children, DEADLINE)
    assert other.poll() is None


def test_entries_in_pieces(shell: Shell, dog: Dog) -> None:
    kernels = [shell(STUBBORN) for _ in range(3)]
    entries = b"".join(
        b"? /run/%d \n.json\0%d /run/%d \n.json\0" % (number, kernel.pid, number)
        for number, kernel in enumerate(kernels)
    )
    for byte in entries + b"- /run/1 \n.json\0" + b"%d /run/3.js" % os.getpid():
        dog.tell(bytes([byte]))
    dog.hang_up()
    assert [kernel.poll() for kernel in kernels] == [-signal.SIGKILL, None, -signal.SIGKILL]


def test_a_kernel_that_is_being_started(shell: Shell, dog: Dog) -> None:
    """The server is gone before it could tell the process id of a kernel."""
    kernel, other = (
        shell(SLEEPING, "kernel", "-f", f"/run/{name}.json") for name in ("one", "two")
    )
    dog.tell(b"? /run/one.json\0? /run/three.json\0")
    dog.hang_up()
    assert kernel.wait() == -signal.SIGKILL
    assert other.poll() is None


def test_signals_do_not_end_it(shell: Shell, tmp_path: Path) -> None:
    kernel = shell(STUBBORN)
    abandoned(tmp_path)
    dog = Dog(tmp_path)
    # It ignores signals from before it looks for folders.
    while names(tmp_path):
        assert dog.process.poll() is None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        dog.process.send_signal(number)
    dog.tell(b"%d /run/kernel.json\0" % kernel.pid)
    dog.hang_up()
    assert kernel.wait() == -signal.SIGKILL


def process(pid: int, ppid: int, pgid: int, state: bytes = b"S", started: bytes = b"1") -> Process:
    return Process(pid, ppid, pgid, state, started)


KERNEL = process(10, 5, 10)


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ([], []),
        ([KERNEL], [10]),
        ([process(10, 1, 10)], [10]),
        ([KERNEL, process(11, 10, 10), process(12, 11, 12), process(13, 12, 13)], [10, 11, 12, 13]),
        ([KERNEL, process(11, 1, 10), process(12, 1, 12)], [10, 11]),
        ([KERNEL, process(12, 10, 12), process(13, 1, 12), process(14, 13, 14)], [10, 12, 13, 14]),
        ([process(11, 1, 10), process(12, 11, 12), process(13, 1, 13)], [11, 12]),
        ([process(10, 1, 10, b"Z"), process(11, 1, 10)], [11]),
        ([process(10, 5, 10, started=b"2"), process(11, 10, 10)], []),
        ([process(10, 5, 9, started=b"2"), process(11, 10, 9)], []),
    ],
    ids=[
        "all gone",
        "alone",
        "orphan",
        "descendants in other groups",
        "orphan of its group, and somebody else's",
        "orphan of a group of a descendant",
        "what a dead kernel left",
        "what a zombie left",
        "another process has its id",
        "another process has its id, in a group",
    ],
)
def test_the_family_of_a_kernel(others: list[Process], found: list[int]) -> None:
    table = {process.pid: process for process in [process(1, 0, 1), process(5, 1, 5), *others]}
    members = family([Kernel(b"/run/kernel.json", KERNEL)], table, set())
    assert sorted(member.pid for member in members) == found


def test_what_a_process_started_between_a_look_and_its_death() -> None:
    kernel = Kernel(b"/run/kernel.json", KERNEL)
    groups: set[int] = set()
    family([kernel], {10: KERNEL, 12: process(12, 10, 12)}, groups)
    members = family([kernel], {13: process(13, 1, 12), 14: process(14, 13, 14)}, groups)
    assert sorted(member.pid for member in members) == [13, 14]


def test_a_kernel_that_leads_no_group_takes_no_other_with_it() -> None:
    kernel = process(10, 5, 5)
    table = {p.pid: p for p in [process(5, 1, 5), kernel, process(6, 5, 5), process(11, 10, 5)]}
    members = family([Kernel(b"/run/kernel.json", kernel)], table, set())
    assert sorted(member.pid for member in members) == [10, 11]


@pytest.mark.parametrize(
    ("started", "command", "found"),
    [
        (process(10, 1, 10), b"python\0-f\0/run/kernel.json\0", [10]),
        (process(10, 1, 10), b"python\0-f\0/run/another.json\0", []),
        # A console that a user has attached to the kernel from a shell.
        (process(10, 7, 10), b"jupyter console --existing /run/kernel.json", []),
        (process(10, 1, 7), b"jupyter console --existing /run/kernel.json", []),
    ],
)
def test_who_is_taken_for_a_kernel_being_started(
    monkeypatch: pytest.MonkeyPatch, started: Process, command: bytes, found: list[int]
) -> None:
    monkeypatch.setattr(watchdog, "command_of", {10: command, os.getpid(): b"watchdog"}.__getitem__)
    me = os.getpid()
    table = {10: started, me: process(me, 1, me)}
    members = family([Kernel(b"/run/kernel.json", None)], table, set())
    assert [member.pid for member in members] == found


@pytest.mark.parametrize(
    "proc",
    [
        pytest.param(True, marks=pytest.mark.skipif(not watchdog.PROC, reason="there is no /proc")),
        False,
    ],
)
def test_what_is_known_of_processes(
    monkeypatch: pytest.MonkeyPatch, shell: Shell, proc: bool
) -> None:
    monkeypatch.setattr(watchdog, "PROC", proc)
    file = "/run/" + 50 * "a long path " + "end.json"
    child = shell(SLEEPING, "ke) rnel", file)
    found = watchdog.processes()[child.pid]
    assert (found.pid, found.ppid, found.pgid) == (child.pid, os.getpid(), child.pid)
    assert not found.ended
    again = watchdog.look_up(child.pid)
    assert again is not None
    assert again.started == found.started
    assert file.encode() in watchdog.command_of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    zombie = watchdog.look_up(child.pid)
    assert zombie is not None
    assert zombie.ended
    child.wait()
    assert watchdog.look_up(child.pid) is None
    assert watchdog.command_of(child.pid) == b""


# Temporary folders


def abandoned(parent: Path, name: str = "") -> Path:
    """A folder whose process is gone: nobody holds its lock."""
    folder = parent / f"carpo-{name}abandoned"
    folder.mkdir()
    (folder / watchdog.LOCK).touch()
    return folder


def test_folders_of_processes_that_are_gone(tmp_path: Path) -> None:
    parent, runtime = tmp_path / "tmp", tmp_path / "run"
    for made in (parent, runtime):
        made.mkdir()
    for number in range(3):
        (runtime / f"kernel-{number}.json").touch()
    ours = abandoned(parent)
    (ours / "kernel-0.json").symlink_to(runtime / "kernel-0.json")
    (ours / "kernel-9.json").symlink_to(runtime / "kernel-9.json")
    (abandoned(parent, "outputs-") / "text.txt").write_text("long")
    in_use = OwnFolder(parent=parent)
    in_use.add(str(runtime / "kernel-1.json"))
    (parent / "carpo-lsp").mkdir()
    (parent / "carpo-lsp" / "a checkout").touch()
    (parent / "carpo-file").touch()
    (parent / "carpo-link").symlink_to(runtime)
    (parent / "other").mkdir()
    (parent / "other" / watchdog.LOCK).touch()
    kept = sorted([in_use.path.name, "carpo-file", "carpo-link", "carpo-lsp", "other"])

    watchdog.sweep(str(parent))

    assert names(parent) == kept
    assert names(parent / "carpo-lsp") == ["a checkout"]
    assert names(runtime) == ["kernel-1.json", "kernel-2.json"]
    in_use.close()
    in_use.close()
    assert names(runtime) == ["kernel-2.json"]
    watchdog.sweep(str(tmp_path / "nowhere"))


def test_folders_of_processes_that_were_killed_while_they_made_or_removed_them(
    tmp_path: Path,
) -> None:
    parent, file = tmp_path / "tmp", tmp_path / "kernel-0.json"
    file.touch()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    living = f"carpo-new-{os.getpid()}-abc"
    for name in (f"carpo-new-{gone.pid}-abc", living, "carpo-new-other", "carpo-old-carpo-abc"):
        (parent / name).mkdir(parents=True)
    (parent / "carpo-old-carpo-abc" / file.name).symlink_to(file)
    watchdog.sweep(str(parent))
    assert names(parent) == sorted([living, "carpo-new-other"])
    assert not file.exists()


def test_links_are_found_while_folders_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("carpo-one", "carpo-old-carpo-two", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kernel-1.json").symlink_to("/nowhere")
    scandir = os.scandir

    def scan(path: str) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("two"):
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    link = tmp_path / "carpo-one" / "kernel-1.json"
    assert guard_module.links_to_connection_files() == [link]
    assert link in guard_module.links_to_connection_files("1")
    assert guard_module.links_to_connection_files("[1]") == []


def test_a_folder_of_our_own(tmp_path: Path) -> None:
    folder = OwnFolder("outputs-", tmp_path)
    assert folder.path.name.startswith("carpo-outputs-")
    assert mode(folder.path) == 0o700
    (folder.path / "file").touch()
    folder.close()
    assert names(tmp_path) == []


# One for all kernels of a process


def watchdogs() -> list[int]:
    """The process ids of this process's watchdogs."""
    return [
        child.pid for child in psutil.Process().children() if watchdog.__file__ in arguments(child)
    ]


def arguments(process: psutil.Process) -> list[str]:
    """Those of a process, none when it has ended."""
    found: list[str] = []
    with contextlib.suppress(psutil.Error):
        # For a moment after its start a process has none yet.
        while not found and process.status() != psutil.STATUS_ZOMBIE:
            found = process.cmdline()
    return found


async def test_it_runs_while_there_are_kernels(frontend: Frontend) -> None:
    assert watchdogs() == []
    one, two = await asyncio.gather(*[frontend.start_kernel(str(FAKE)) for _ in range(2)])
    (pid,) = watchdogs()
    await frontend.shutdown_kernel(one)
    assert watchdogs() == [pid]
    await frontend.restart_kernel(two)
    assert len(watchdogs()) == 1
    await frontend.execute_code(two, "kill 9")
    await frontend.shutdown_kernel(two)
    assert watchdogs() == []


async def test_one_that_was_started_ahead(shell: Shell) -> None:
    guard = Guard()
    guard.prepare()
    guard.prepare()
    (pid,) = watchdogs()
    guard.add("/run/kernel.json", shell(STUBBORN).pid)
    guard.prepare()
    assert watchdogs() == [pid]
    await guard.close()
    assert watchdogs() == [pid]  # it is needed
    await guard.remove("/run/kernel.json")
    assert watchdogs() == []
    guard.prepare()
    assert len(watchdogs()) == 1
    await guard.close()
    assert watchdogs() == []


async def test_it_comes_ahead_of_kernels_and_goes_without_them() -> None:
    async with Frontend() as frontend:
        await frontend.manager.load()
        assert len(watchdogs()) == 1
    assert watchdogs() == []
    await frontend.manager.load()  # it was still under way
    assert watchdogs() == []


async def test_one_that_was_killed_is_replaced(shell: Shell) -> None:
    guard = Guard()
    first, second = shell(STUBBORN), shell(STUBBORN)
    guard.add("/run/first.json", first.pid)
    (pid,) = watchdogs()
    os.kill(pid, signal.SIGKILL)
    await gone(pid)
    guard.add("/run/second.json", second.pid)
    (pid,) = watchdogs()
    await asyncio.gather(guard.remove("/run/first.json"), guard.remove("/run/second.json"))
    assert watchdogs() == []
    await guard.remove("/run/second.json")


async def test_one_that_was_killed_is_replaced_at_once_also_when_nothing_is_started(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "PACE", 3600.0)  # for those behind the first
    guard = Guard()
    guard.add("/run/kernel.json", shell(STUBBORN).pid)
    (first,) = watchdogs()
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(DEADLINE):
        while watchdogs() in ([], [first]):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
    await guard.remove("/run/kernel.json")
    assert watchdogs() == []


async def test_one_that_hangs_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard()
    guard.expect("/run/kernel.json")
    (pid,) = watchdogs()
    os.kill(pid, signal.SIGSTOP)
    await guard.remove("/run/kernel.json")
    assert watchdogs() == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_without_one_kernels_work_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    guard = Guard()
    guard.expect("/run/kernel.json")
    guard.add("/run/kernel.json", os.getpid())
    await guard.remove("/run/kernel.json")
    assert "No watchdog" in caplog.text
