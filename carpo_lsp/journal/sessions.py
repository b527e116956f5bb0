"""The folder of one server in the journal, and what is in it. Nothing here is for the loop: all of
it may wait for a disk."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from carpo_lsp.appending import append
from carpo_lsp.kernels.transcript.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO

log = logging.getLogger(__name__)

LOCK: Final = "lock"
OUTPUTS: Final = "outputs"

_SESSION: Final = re.compile(r"\d{8}T\d{12}-\d+-[0-9a-f]+")
_FILE: Final = re.compile(r"(\w+)\.(\d+)\.jsonl")


def journal_folder() -> Path:
    """Where the journal is, be it there or not."""
    return platformdirs.user_state_path("carpo-lsp") / "journal"


class Session:
    """A new folder (mode 0700) in the journal, locked until `close`. Raises `OSError`."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.chmod(0o700)
        # To the microsecond: one may begin right after another's end, and is read after it.
        began = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        name = f"{began}-{os.getpid()}-{os.urandom(4).hex()}"
        new = Path(tempfile.mkdtemp(prefix=".", dir=root))
        self.folder = root / name
        self._lock = os.open(new / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Only now, so that nobody sees it unlocked.
            new.rename(self.folder)
        except OSError:
            os.close(self._lock)
            remove(new)
            raise

    def append(self, name: str, lines: Iterable[bytes], *, sync: bool) -> int:
        """Write all lines behind what is in a file (mode 0600), or none of them.

        With `sync` it is on the disk after that. Returns the size of the file. Raises `OSError`.
        """
        path = self.folder / name
        new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = append(descriptor, lines, sync=sync).stop
        finally:
            os.close(descriptor)
        if new and sync:
            to_disk([self.folder])
        return size

    def replace(self, name: str, data: bytes) -> None:
        """Write a file anew, so that a reader finds the old one or the new one, whole."""
        temporary = f".{name}"
        self.append(temporary, [data], sync=True)
        os.replace(self.folder / temporary, self.folder / name)
        to_disk([self.folder])

    def close(self) -> None:
        """Others may read and remove the folder as that of a server that has gone."""
        os.close(self._lock)


class KeptSpool(Spool):
    """A spool whose files stay when the server goes, for the journal points to them.

    Where the journal's folder takes no file, they are kept by `otherwise` for as long as it does.
    """

    def __init__(self, session: Session, otherwise: Spool) -> None:
        super().__init__()
        self._session = session
        self._otherwise = otherwise

    def create(self, suffix: str) -> tuple[IO[bytes], str]:
        folder = self._session.folder / OUTPUTS
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            descriptor, path = tempfile.mkstemp(suffix=suffix, dir=folder)
        except OSError as error:
            log.warning("A big output does not outlive the server: %s", error)
            return self._otherwise.create(suffix)
        return open(descriptor, "wb"), path


def to_disk(paths: Iterable[Path]) -> None:
    """Have on the disk what was written to files, or which files are in folders. One that has
    been removed meanwhile is passed over. Raises `OSError`."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


# Of any server


def sessions(root: Path) -> list[Path]:
    """The folders of all sessions, the oldest first."""
    try:
        with os.scandir(root) as entries:
            names = [entry.name for entry in entries if _SESSION.fullmatch(entry.name)]
    except OSError:
        return []
    return [root / name for name in sorted(names)]


def files(session: Path, key: str | None = None) -> list[Path]:
    """The files of a session, or of one document in it, in the order they were written in."""
    try:
        found = [
            (match, path) for path in session.iterdir() if (match := _FILE.fullmatch(path.name))
        ]
    except OSError:
        return []
    wanted = [(match[1], int(match[2]), path) for match, path in found if key in (None, match[1])]
    return [path for _, _, path in sorted(wanted)]


def file_name(key: str, number: int) -> str:
    return f"{key}.{number}.jsonl"


def in_use(session: Path) -> bool:
    """Whether the server of a session lives."""
    with contextlib.suppress(OSError), _locked(session, fcntl.LOCK_SH) as free:
        return not free
    return False  # without a lock there is nobody


def remove(session: Path) -> None:
    """Remove a session, its lock last, so that it is known for one until then."""
    folder = session / OUTPUTS
    for path in (*_entries(folder), *_entries(session)):
        if path.name != LOCK and path != folder:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
    (session / LOCK).unlink(missing_ok=True)
    session.rmdir()


@contextlib.contextmanager
def claimed(session: Path) -> Iterator[bool]:
    """Hold a session's lock, so that it is nobody else's meanwhile; False when it is in use."""
    with _locked(session, fcntl.LOCK_EX) as free:
        yield free


@contextlib.contextmanager
def _locked(session: Path, kind: int) -> Iterator[bool]:
    descriptor = os.open(session / LOCK, os.O_RDWR)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
