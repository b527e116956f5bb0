"""Whether the system killed a process because memory ran out: Linux counts such kills.

Nothing else tells of them: the process is ended by SIGKILL, as it is by `kill -9`.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

SYSTEM: Final = Path("/proc/vmstat")
"""Counts the kills in the whole system, or in what a container may see of it."""

KILLED: Final = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""Exit codes of a process ended by SIGKILL, and of a shell whose command was."""


class OomKills:
    """Counts the out-of-memory kills around a process from `look` to its end.

    The counter of the process's own control group is the better evidence, that of the system the
    weaker: another process may have been the one that was killed.
    """

    def __init__(self, pid: int) -> None:
        self._group = _counter_of(pid)
        self.look()

    def look(self) -> None:
        """Count from now on."""
        self._before = self._counts()

    def evidence(self, exit_code: int | None) -> str | None:
        """Why the end of the process looks like such a kill, as a sentence; None when it does not.

        To be asked once the process has ended; its exit code is None where it is not known.
        """
        if exit_code is not None and exit_code not in KILLED:
            return None
        (group_before, system_before), (group, system) = self._before, self._counts()
        in_group = group_before is not None and group is not None and group > group_before
        if in_group and exit_code is not None:
            return "The kernel ran out of memory and was killed by the system (out of memory)."
        in_system = system_before is not None and system is not None and system > system_before
        if in_group or in_system:
            return (
                "The kernel was killed, most likely because memory ran out (out of memory): "
                "the system killed a process for that reason meanwhile."
            )
        return None

    def _counts(self) -> tuple[int | None, int | None]:
        return (_read(self._group) if self._group is not None else None), _read(SYSTEM)


def _counter_of(pid: int) -> Path | None:
    """The file that counts the kills in the control group of a process, None where none does."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        number, controllers, group = line.split(":", 2)
        if number == "0":
            file = Path("/sys/fs/cgroup", group.lstrip("/"), "memory.events")
        elif "memory" in controllers.split(","):
            file = Path("/sys/fs/cgroup/memory", group.lstrip("/"), "memory.oom_control")
        else:
            continue
        if _read(file) is not None:
            return file
    return None


def _read(file: Path) -> int | None:
    """The counter `oom_kill` of a file."""
    try:
        for line in file.read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    except (OSError, ValueError):
        return None
    return None
