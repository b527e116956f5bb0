"""The log of a keeper: records no server has acknowledged yet, on disk, of bounded size."""

from __future__ import annotations

import os
from typing import Final

from carpo_lsp.kernels.kept.records import size_of

ENTRY: Final = "entry.json"
LOCK: Final = "lock"
CURRENT: Final = "log"
OLDER: Final = "log.older"
"""The files in a kernel's folder in the registry."""

LIMIT: Final = 128 * 1024 * 1024
"""Bytes of each of the two files. A full one takes the place of the older."""


class Log:
    """Records by their position in bytes since the log began; positions only grow.

    Before `start` all has been forgotten. Raises `OSError` where the folder cannot be used.
    """

    def __init__(self, folder: str, limit: int = LIMIT) -> None:
        self._limit = limit
        self._paths = os.path.join(folder, CURRENT), os.path.join(folder, OLDER)
        self._current, self._older = map(_open, self._paths)
        self.start = 0
        self._split = _whole(self._older)
        self.end = self._split + _whole(self._current)

    def append(self, data: bytes) -> None:
        """Add a record at the end, whole or, with `OSError`, not at all."""
        written = 0
        while written < len(data):
            at = self.end - self._split + written
            written += os.pwrite(self._current, memoryview(data)[written:], at)
        self.end += len(data)

    def read(self, position: int, size: int) -> bytes:
        """At most `size` bytes from a position on; empty at the end."""
        if position < self._split:
            return os.pread(self._older, min(size, self._split - position), position - self.start)
        return os.pread(self._current, min(size, self.end - position), position - self._split)

    def forget(self, floor: int, read: int) -> None:
        """What comes before `floor` is no longer needed, what comes before `read` has been read
        by all who read now. What is needed and read is dropped as well when it is too much."""
        if floor >= self.end:
            for file in (self._current, self._older):
                os.ftruncate(file, 0)
            self.start = self._split = self.end
        elif self.end - self._split > self._limit and read >= self._split:
            os.replace(*self._paths)
            os.close(self._older)
            self._older, self._current = self._current, _open(self._paths[0])
            self.start, self._split = self._split, self.end


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _whole(file: int) -> int:
    """Bytes of the whole records in a file: the last may have been cut off by a full disk."""
    position, size = 0, os.fstat(file).st_size
    while (record := size_of(os.pread(file, 8, position))) and position + record <= size:
        position += record
    return position
