"""Keeps the journal within its bounds. What a living server writes is touched by that one alone."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from carpo_lsp.journal import sessions

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

DAY: Final = 24 * 60 * 60


class Policy(Struct, frozen=True):
    """What is journaled, and how much of it is kept."""

    enabled: bool = True
    max_bytes: int = 500 * 1000 * 1000
    max_days: float = 30.0


def prune(root: Path, policy: Policy, own: Path | None = None, now: float | None = None) -> None:
    """Remove sessions that are too old; then, while the journal is too big, the big outputs of
    the oldest sessions, whole sessions, and last the oldest files of the session `own`, but not
    those that are written to, which are the last of each document.

    Big outputs of living servers do not count: clients have been told where they are.
    """
    now = time.time() if now is None else now
    found = [session for session in sessions.sessions(root) if session != own]
    oldest = now - policy.max_days * DAY
    kept = [each for each in found if _last_use(each) >= oldest or not _remove(each)]
    living = [session for session in kept if sessions.in_use(session)] + ([own] if own else [])
    excess = _size(root) - policy.max_bytes
    excess -= sum(_size(session / sessions.OUTPUTS) for session in living)
    for session in kept:
        if excess > 0:
            excess -= _remove_outputs(session)
    for session in kept:
        if excess > 0:
            size = _size(session)
            excess -= size if _remove(session) else 0
    if own is not None:
        files = sessions.files(own)
        old = [one for one, after in pairwise(files) if _same(one, after)]
        for file in sorted(old, key=lambda file: file.stat().st_mtime):
            if excess > 0:
                excess -= _on_disk(file.stat())
                file.unlink()


def _same(file: Path, after: Path) -> bool:
    """Whether two files are of one document."""
    return file.name.partition(".")[0] == after.name.partition(".")[0]


def _remove(session: Path) -> bool:
    """Remove a session that is not in use."""
    try:
        with sessions.claimed(session) as free:
            if free:
                sessions.remove(session)
            return free
    except FileNotFoundError:
        # What a crash in the middle of a removal has left has no lock, and nobody.
        return _remove_rest(session)
    except OSError as error:
        log.warning("The journal of %s cannot be removed: %s", session.name, error)
        return False


def _remove_rest(session: Path) -> bool:
    with contextlib.suppress(OSError):
        sessions.remove(session)
    return not session.exists()


def _remove_outputs(session: Path) -> int:
    """Remove the big outputs of a session that is not in use, and say how big."""
    folder = session / sessions.OUTPUTS
    freed = 0
    try:
        with sessions.claimed(session) as free:
            if free and folder.is_dir():
                for file in folder.iterdir():
                    size = _on_disk(file.lstat())
                    file.unlink()
                    freed += size
    except OSError as error:
        log.warning("The outputs of %s cannot be removed: %s", session.name, error)
    return freed


def _last_use(session: Path) -> float:
    """When something was written last."""
    times = [0.0]
    for path in (session / sessions.LOCK, *sessions.files(session)):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            times.append(path.stat().st_mtime)
    return max(times)


def _size(folder: Path | str) -> int:
    """The bytes on the disk of all that is in a folder, as far as it may be read. No link in it is
    followed."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                total += _on_disk(entry.stat(follow_symlinks=False))
                if entry.is_dir(follow_symlinks=False):
                    total += _size(entry.path)
    return total


def _on_disk(status: os.stat_result) -> int:
    return status.st_blocks * 512
