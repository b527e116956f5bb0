"""Lines that are added to files of ours: all of them, or none."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIECE: Final = 64 * 1024
"""Bytes of short lines that are written at once."""


def append(descriptor: int, lines: Iterable[bytes], *, sync: bool = False) -> range:
    """Write lines at the end of a file, and return the bytes of it that they are; with `sync` they
    are on the disk then. If that cannot be, the file is as it was.

    Long lines are not joined first: to have some megabytes in memory costs more than to write
    them. Raises `OSError`, and what `lines` raises.
    """
    before = after = os.lseek(descriptor, 0, os.SEEK_END)
    try:
        for piece in _pieces(lines):
            after += len(piece)
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        if sync:
            os.fsync(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, before)
        raise
    return range(before, after)


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    together: list[bytes] = []
    size = 0
    for line in lines:
        if size + len(line) > PIECE:
            yield b"".join(together)
            together.clear()
            size = 0
        together.append(line)
        size += len(line)
    yield b"".join(together)
