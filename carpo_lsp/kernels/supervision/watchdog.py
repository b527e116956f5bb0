"""A program that outlives the server, to end its kernels: `python -I -S watchdog.py FOLDER`.

Only the server holds the other end of the pipe at its stdin, so the end of the pipe is the end of
the server, however that came. What is left of its kernels by then is killed. FOLDER is where
servers make their temporary folders: those of servers that are gone are removed, when the program
starts and when it ends.

Through the pipe comes an entry for each change of a kernel: its process id, STARTING or GONE, a
space, the path of its connection file, and a zero byte.

One of these runs beside every server that has kernels. So this imports nothing but what starts
fast, and nothing of ours.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

STARTING: Final = b"?"
GONE: Final = b"-"

PREFIX: Final = "carpo-"
NEW: Final = PREFIX + "new-"
"""What a temporary folder is called, with the id of its process behind, until it has its lock."""
OLD: Final = PREFIX + "old-"
"""What it is called while it is removed, which whoever finds it may go on with."""
LOCK: Final = ".carpo-lock"
"""A file in each temporary folder, locked for as long as the process lives that made the folder."""

LIMIT: Final = 5.0
"""Seconds to go on killing what does not end."""

SETTLE: Final = 1.0
"""Seconds in which a process shows up that the server was just starting."""

PAUSE: Final = 0.02
"""Seconds between looks at the processes."""

PROC: Final = os.path.exists("/proc/self/stat")


class Process:
    """A process as it was when it was looked at."""

    def __init__(self, pid: int, ppid: int, pgid: int, state: bytes, started: bytes) -> None:
        self.pid = pid
        self.ppid = ppid
        self.pgid = pgid
        self.ended = state[:1] in (b"Z", b"X")
        self.started = started
        """When it started, in whatever form: with the id it tells a process from all others."""


class Kernel:
    """A kernel of the server. One that is only just being started has no process yet."""

    def __init__(self, connection_file: bytes, process: Process | None) -> None:
        self.connection_file = connection_file
        self.process = process


# Processes. There is /proc on Linux, and ps on macOS and elsewhere.


def processes() -> dict[int, Process]:
    """All processes by their ids."""
    if not PROC:
        return {process.pid: process for process in _ps("-A")}
    found = (_stat(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def look_up(pid: int) -> Process | None:
    return _stat(pid) if PROC else next(_ps("-p", str(pid)), None)


def command_of(pid: int) -> bytes:
    """The command line of a process; empty when it is gone."""
    if not PROC:
        return _run_ps("-p", str(pid), "-o", "command=")
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _stat(pid: int) -> Process | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return None
    # Behind the name of the program, which may hold anything.
    fields = stat[stat.rindex(b")") + 1 :].split()
    return Process(pid, int(fields[1]), int(fields[2]), fields[0], fields[19])


def _ps(*which: str) -> Iterator[Process]:
    columns = [f"-o{name}=" for name in ("pid", "ppid", "pgid", "state", "lstart")]
    for line in _run_ps(*which, *columns).splitlines():
        pid, ppid, pgid, state, started = line.split(None, 4)
        yield Process(int(pid), int(ppid), int(pgid), state, started.strip())


def _run_ps(*arguments: str) -> bytes:
    import subprocess  # takes longer than all of the above

    command = ["/bin/ps", "-ww", *arguments]
    done = subprocess.run(  # noqa: S603 - no part of it is from outside
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"LC_ALL": "C"}, check=False
    )
    return done.stdout


# The end of kernels


def follow(pipe: int) -> list[Kernel]:
    """Read the entries to their end: the kernels there are then."""
    kernels: dict[bytes, Kernel] = {}
    rest = b""
    while data := os.read(pipe, 65536):
        *entries, rest = (rest + data).split(b"\0")
        for entry in entries:
            word, _, path = entry.partition(b" ")
            kernels.pop(path, None)
            if word == STARTING:
                kernels[path] = Kernel(path, None)
            elif word != GONE and (process := look_up(int(word))) is not None:
                kernels[path] = Kernel(path, process)
    return list(kernels.values())


def end(kernels: list[Kernel]) -> None:
    """Kill kernels and all below them until nothing is left.

    Looking again finds what a process started between the look and its death.
    """
    groups: set[int] = set()
    settle = SETTLE if any(kernel.process is None for kernel in kernels) else 0.0
    begin = time.monotonic()
    while True:
        found = family(kernels, processes(), groups)
        for group in groups:
            _kill(os.killpg, group)
        for process in found:
            _kill(os.kill, process.pid)
        waited = time.monotonic() - begin
        if waited > LIMIT or (not found and waited >= settle):
            return
        time.sleep(PAUSE)


def family(kernels: list[Kernel], table: dict[int, Process], groups: set[int]) -> list[Process]:
    """The processes of kernels and all below them, whatever group or session they are in.

    `groups` are those that processes of the family lead, or have led in earlier calls; they are
    added to.
    """
    members: set[int] = set()
    for kernel in kernels:
        process = kernel.process or _just_started(kernel, table)
        if process is None:
            continue
        now = table.get(process.pid)
        if now is not None and now.started != process.started:
            continue  # another process has its id by now
        members.add(process.pid)
        if process.pgid == process.pid:
            groups.add(process.pgid)
    size = -1
    while size != len(members):
        size = len(members)
        for process in table.values():
            if process.ppid in members or process.pgid in groups:
                members.add(process.pid)
            if process.pid in members and process.pgid == process.pid:
                groups.add(process.pgid)
    return [table[pid] for pid in members if pid in table and not table[pid].ended]


def _just_started(kernel: Kernel, table: dict[int, Process]) -> Process | None:
    """The process of a kernel whose id the server had no time to tell.

    It is an orphan of the server as this process is, so they have the same parent.
    """
    me = table[os.getpid()]
    for process in table.values():
        if (
            process.ppid == me.ppid
            and process.pgid == process.pid
            and kernel.connection_file in command_of(process.pid)
        ):
            return process
    return None


def _kill(kill: Callable[[int, int], None], number: int) -> None:
    try:
        kill(number, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # gone; macOS says PermissionError of a group in which only zombies are left


# Temporary folders


def sweep(parent: str) -> None:
    """Remove the temporary folders of servers that are gone."""
    try:
        names = os.listdir(parent)
    except OSError:
        return
    for name in names:
        try:
            if name.startswith(PREFIX):
                _remove_abandoned(os.path.join(parent, name))
        except (OSError, ValueError):
            continue  # not one of ours, or not abandoned


def _remove_abandoned(folder: str) -> None:
    """Raises `OSError` or `ValueError` for a folder that is not ours or in use."""
    if os.lstat(folder).st_uid != os.getuid():
        raise PermissionError(folder)
    name = os.path.basename(folder)
    if name.startswith(NEW):
        if look_up(int(name.removeprefix(NEW).partition("-")[0])) is None:
            _delete(folder)
        return
    if name.startswith(OLD):
        _delete(folder)
        return
    lock = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(folder)
    finally:
        os.close(lock)


def remove(folder: str) -> None:
    """Remove a temporary folder and the files that it links to. Raises `OSError`."""
    parent, name = os.path.split(folder)
    doomed = os.path.join(parent, OLD + name)
    os.rename(folder, doomed)  # or nobody would know it for ours without its lock
    _delete(doomed)


def _delete(folder: str) -> None:
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.islink(path):
            _unlink(os.readlink(path))
        _unlink(path)
    os.rmdir(folder)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def main(folder: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sweep(folder)
    end(follow(sys.stdin.fileno()))
    sweep(folder)


if __name__ == "__main__":
    main(sys.argv[1])
