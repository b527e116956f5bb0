"""Under which session a kernel of a server has been used last, from one of our servers to the next.

What a kernel sends while nobody is connected is kept by its server for the session that was there
last, and for no other. The next of our servers that uses the kernel takes that session over, unless
the one that had it is still there: two with one session would push each other out.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import time
from typing import TYPE_CHECKING, Final
from uuid import uuid4

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

AGE: Final = 30 * 24 * 3600.0
"""Seconds after which the note of a kernel that nobody has ended is removed."""

SESSION: Final = re.compile(rb"[0-9a-f]{32}")


class Sessions:
    """Notes of sessions in a folder, which is made when there is something to be noted. Whoever has
    a session holds a lock on its note, which the system frees when that process ends."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is by default in the user's state folder."""
        self._folder = folder
        self._held: dict[str, tuple[int, Path]] = {}
        """Descriptors of notes, by the sessions in them."""

    def begin(self, server_url: str, kernel_id: str, *, over: bool) -> str:
        """The session for a kernel, from now on ours; with `over` that of one which has left."""
        session = uuid4().hex
        file = self._file(server_url, kernel_id)
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sweep(file.parent)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            log.warning("The session of a remote kernel could not be noted: %s", error)
            return session
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            noted = os.read(descriptor, 64)
            if over and SESSION.fullmatch(noted):
                session = noted.decode()
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, session.encode(), 0)
        except OSError:  # somebody else has it
            os.close(descriptor)
        else:
            self._held[session] = descriptor, file
        return session

    def end(self, session: str, *, forget: bool) -> None:
        """A session of ours is over; with `forget` so is the kernel."""
        if session in self._held:
            descriptor, file = self._held.pop(session)
            if forget:
                file.unlink(missing_ok=True)
            os.close(descriptor)

    def _file(self, server_url: str, kernel_id: str) -> Path:
        if self._folder is None:
            from platformdirs import user_state_path

            self._folder = user_state_path("carpo-lsp", appauthor=False) / "remote"
        digest = hashlib.sha256(f"{server_url}\n{kernel_id}".encode()).hexdigest()[:32]
        return self._folder / digest


def _sweep(folder: Path) -> None:
    for each in folder.iterdir():
        try:
            if time.time() - each.stat().st_mtime > AGE:
                each.unlink(missing_ok=True)
        except OSError:
            continue
