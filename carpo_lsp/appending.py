"""Lines that are added to files of ours: all of them, or none."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIECE: Final = 512 * 1024
"""Bytes that are written at once, unless a line alone is longer. Each write lets other threads go
first, and costs more by that than by what it does."""

LINES: Final = 1000
"""Lines that are written at once; the systems we know take 1024."""


def append(descriptor: int, lines: Iterable[bytes], *, sync: bool = False) -> range:
    """Write lines at the end of a file, and return the bytes of it that they are; with `sync` they
    are on the disk then. If that cannot be, the file is as it was.

    Raises `OSError`, and what `lines` raises.
    """
    before = after = os.lseek(descriptor, 0, os.SEEK_END)
    try:
        for piece in _pieces(lines):
            after += sum(map(len, piece))
            _write(descriptor, piece)
        if sync:
            os.fsync(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, before)
        raise
    return range(before, after)


def _pieces(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    together: list[bytes] = []
    size = 0
    for line in lines:
        if together and (size + len(line) > PIECE or len(together) == LINES):
            yield together
            together, size = [], 0
        together.append(line)
        size += len(line)
    if together:
        yield together


def _write(descriptor: int, piece: list[bytes]) -> None:
    """Not joined, which would cost more than the write, unless the system takes but some of it."""
    written = os.writev(descriptor, piece)
    if written < sum(map(len, piece)):
        rest = memoryview(b"".join(piece))[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]
