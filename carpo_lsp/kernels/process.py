"""The operating system's side of a kernel: its process tree, its end, and what it printed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
from typing import TYPE_CHECKING, Final

import psutil

from carpo_lsp.deadlines import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TAIL: Final = 8192
"""Bytes of a process's output that are kept for error messages."""

POLL: Final = 0.1
"""Seconds between looks at a process where the system cannot tell of its end."""


class Tail:
    """The read end of a pipe for a process's stdout and stderr, of which the last part is kept.

    The pipe is always read, so a process that prints much is never held up.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._kept = bytearray()
        self._fd, self.write_end = os.pipe()
        os.set_blocking(self._fd, False)
        self._loop.add_reader(self._fd, self._read)
        self._open = True
        self._lent = False

    def close_write_end(self) -> None:
        """To be called when the process has its copy of the write end."""
        os.close(self.write_end)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        if data:
            self._kept += data
            del self._kept[:-TAIL]
        else:
            self._loop.remove_reader(self._fd)

    def lend(self) -> int:
        """Leave the reading to another process, to which the descriptor is for. The pipe stays
        open here, so that it does not break should that process end."""
        self._lent = True
        self._loop.remove_reader(self._fd)
        return self._fd

    def take_back(self) -> None:
        """Read on, if it has not been closed meanwhile."""
        self._lent = False
        if self._open:
            self._loop.add_reader(self._fd, self._read)

    def text(self) -> str:
        """What has been kept, with what is waiting in the pipe."""
        if self._open and not self._lent:
            self._read()
        return self._kept.decode("utf-8", "replace").strip()

    def close(self) -> None:
        if self._open:
            if not self._lent:
                self._read()
            self._open = False
            self._loop.remove_reader(self._fd)
            os.close(self._fd)


async def wait_for_exit(pid: int, poll: Callable[[], int | None]) -> int:
    """Wait for the end of a process and return its exit code.

    `poll` tells it, or None before: for a child `Popen.poll`, which also takes the exit status off
    the system. Linux tells of the end through a process descriptor; elsewhere the process is looked
    at ten times a second.
    """
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        while (code := poll()) is None:  # noqa: ASYNC110 - no event exists to wait for
            await asyncio.sleep(POLL)
        return code
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        while (code := poll()) is None:
            await ended.wait()
        return code
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def until_gone(processes: Iterable[psutil.Process], seconds: float) -> None:
    """Wait, `seconds` at most, until processes have ended, be they our children or not."""
    with contextlib.suppress(TimeoutError):
        async with Deadline(seconds):
            for process in processes:
                await wait_for_exit(process.pid, functools.partial(_look_at, process))


def _look_at(process: psutil.Process) -> int | None:
    return None if is_there(process) else 0


def descendants(pid: int, without: Iterable[int] = ()) -> list[psutil.Process]:
    """The processes below a process, whatever group or session they are in, but for some and what
    is below those."""
    spared = {below for each in without for below in (each, *(p.pid for p in descendants(each)))}
    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    return [process for process in below if process.pid not in spared]


def with_argument(argument: str) -> psutil.Process | None:
    """The process of this user that has an argument on its command line, as a kernel has the path
    of its connection file. Of a process and those below it with the same, it is the outer one, and
    of several the oldest: clients came later."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter(["cmdline", "uids"]):
        told = process.info
        mine = told["uids"] is not None and told["uids"].real == os.getuid()
        if mine and argument in (told["cmdline"] or ()):
            found[process.pid] = process
    outer: list[tuple[float, psutil.Process]] = []
    for process in found.values():
        with contextlib.suppress(psutil.Error):
            if process.ppid() not in found:
                outer.append((process.create_time(), process))
    return min(outer, key=lambda each: each[0])[1] if outer else None


def is_there(process: psutil.Process) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal the process group that a kernel leads; silent when it is gone."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        # PermissionError is what macOS says of a group in which only zombies are left.
        return


def interrupt(pid: int) -> None:
    """Send SIGINT to a kernel, with its process group where it leads one; silent when it is
    gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGINT)
        else:
            os.kill(pid, signal.SIGINT)


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """Kill processes that may have ended already. psutil knows a reused process id."""
    for process in processes:
        try:
            process.kill()
        except psutil.Error:
            continue
