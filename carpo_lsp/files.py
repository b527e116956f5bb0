"""Small text files of others, which may be anything: a project can link its settings to a device
that never ends, or to a pipe that nobody writes to."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

MOST: Final = 16 * 1024 * 1024
"""Characters that a file may have."""


def read_text(path: Path, most: int = MOST, errors: str = "strict") -> str:
    """The UTF-8 text of a regular file. Raises `OSError`, also for one of more than `most`
    characters, and `UnicodeDecodeError` unless `errors` says otherwise."""
    with open(path, encoding="utf-8", errors=errors, opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "It is no regular file", str(path))
        text = file.read(most + 1)
    if len(text) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return text


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # else the system waits for a pipe's writer
