"""What the processes of a kernel use: memory, processor time, and whether they may run at all."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import psutil

from carpo_lsp.protocol import Resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WINDOW: Final = 0.5
"""Seconds over which the use of the processor is measured at the least."""

STOPPED: Final = frozenset({psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP})


class Tree:
    """All processes of the system by their parents, at one moment: to measure many kernels."""

    def __init__(self) -> None:
        self._all: dict[int, psutil.Process] = {}
        self._below: defaultdict[int, list[int]] = defaultdict(list)
        for process in psutil.process_iter(["ppid"]):
            self._all[process.pid] = process
            self._below[process.info["ppid"]].append(process.pid)

    def of(self, pid: int) -> Iterator[psutil.Process]:
        """A process and all below it."""
        if pid in self._all:
            yield self._all[pid]
            for child in self._below[pid]:
                yield from self.of(child)


class Trees:
    """Searches the system once in a while, however many kernels are measured meanwhile."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tree: Tree | None = None
        self._seen = 0.0

    def recent(self, age: float) -> Tree:
        """The processes as they were `age` seconds ago at the most."""
        now = self._clock()
        if self._tree is None or now - self._seen > age:
            self._tree, self._seen = Tree(), now
        return self._tree


class Meter:
    """Measures a process and all below it, from its start on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since, self._spent = clock(), 0.0
        self._percent: float | None = None

    def resources(self, pid: int, tree: Tree | None = None) -> Resources | None:
        """Bytes of memory and percent of one core since the last look; None when it is gone.

        With a `tree` of this moment the system need not be searched for what is below.
        """
        rss = 0
        spent = 0.0
        for process in _tree(pid) if tree is None else tree.of(pid):
            try:
                rss += process.memory_info().rss
                spent += _seconds(process)
            except psutil.Error:
                continue
        if rss == 0:
            return None
        now = self._clock()
        elapsed = now - self._since
        if self._percent is None or elapsed >= WINDOW:
            # What has ended takes its time with it, and what was there before us brings it along.
            share = max(spent - self._spent, 0.0) / max(elapsed, 0.001)
            self._percent = round(min(100 * share, 100.0 * (psutil.cpu_count() or 1)), 1)
            self._since, self._spent = now, spent
        return Resources(rss_bytes=rss, cpu_percent=self._percent)


def memory(pid: int, least: float, tree: Tree | None = None) -> int | None:
    """Bytes resident in a process and all below it; None when it is gone.

    What several of them share counts several times as long as that makes less than `least`; from
    there on it counts once, where the system tells: forks of a kernel with much data share it.
    """
    processes = list(_tree(pid) if tree is None else tree.of(pid))
    used = sum(map(_resident, processes))
    if used >= least and len(processes) > 1:
        used = sum(map(_share, processes))  # this takes the system milliseconds for each gigabyte
    return used or None


def cpu_seconds(pid: int) -> float | None:
    """Processor time that a process and all below it have used; None when it is gone."""
    spent = None
    for process in _tree(pid):
        try:
            spent = (spent or 0.0) + _seconds(process)
        except psutil.Error:
            continue
    return spent


def is_stopped(pid: int) -> bool:
    """Whether a process has been stopped, by SIGSTOP or a debugger, and not been continued."""
    try:
        return psutil.Process(pid).status() in STOPPED
    except psutil.Error:
        return False


def _tree(pid: int) -> Iterator[psutil.Process]:
    try:
        root = psutil.Process(pid)
        yield root
        yield from root.children(recursive=True)
    except psutil.Error:
        return


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _share(process: psutil.Process) -> int:
    """What is resident, of shared pages the process's share."""
    try:
        info = process.memory_full_info()
    except psutil.Error:
        return _resident(process)
    return int(getattr(info, "pss", info.rss))  # Linux has it


def _seconds(process: psutil.Process) -> float:
    """With those of children that have ended; psutil has no such times on some systems."""
    times = process.cpu_times()
    ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return float(times.user + times.system + ended)
