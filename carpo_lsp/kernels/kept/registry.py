"""The kernels that are kept: a folder for each in the user's state folder, with its entry."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field, structs

from carpo_lsp.kernels import process
from carpo_lsp.kernels.kept.keeperlog import CURRENT, ENTRY, LOCK, OLDER
from carpo_lsp.kernels.specs import Spec
from carpo_lsp.kernels.supervision import watchdog
from carpo_lsp.kernels.supervision.guard import GIVEN, links_to_connection_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

log = logging.getLogger(__name__)

SOCKET: Final = "keeper"

REMEMBERED: Final = 30 * 24 * 3600
"""Seconds for which the last output of a kernel waits for its document to be opened."""

STRUCK: Final = "ended.json"
"""What an entry is called that is none any more."""

UNFINISHED: Final = 3600
"""Seconds that a folder may be without an entry that can be read before it is one that a crash, or
a disk, has spoiled."""

Bound = tuple[str, str | None]
"""URI of a document, and the language of its code that a kernel runs; None for all."""


class Entry(Struct, frozen=True, kw_only=True):
    """A kept kernel: what it takes to use it, and to start it again."""

    kernel_id: str
    spec: Spec
    connection_file: str
    folder: str
    """Its temporary folder, in which the socket of its keeper is."""
    pid: int
    started: str
    """When its process started, as the watchdog has it: with `pid` it names the process."""
    since: str
    """When it was started, ISO 8601, UTC."""
    minutes: float
    """How long it may be idle without an editor; 0 for ever."""
    info: dict[str, Any]
    """Content of its kernel_info_reply."""
    execution_count: int | None = None
    """How often code had run when it was first kept."""
    cwd: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    documents: tuple[Bound, ...] = ()
    limits: dict[str, float] = field(default_factory=dict)
    """What it may use, also without an editor, as it is on the wire."""

    @property
    def socket(self) -> str:
        return os.path.join(self.folder, SOCKET)

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        process = watchdog.look_up(self.pid)
        return (
            process is not None and not process.ended and process.started.decode() == self.started
        )


class Registry:
    """The entries in a folder of mode 0700, which is made when there is something to keep."""

    def __init__(self, root: Path | None = None) -> None:
        """`root` is by default in the user's state folder."""
        self._root = root

    @property
    def root(self) -> Path:
        if self._root is None:
            from platformdirs import user_state_path

            self._root = user_state_path("carpo-lsp", appauthor=False) / "kept"
        return self._root

    def folder(self, kernel_id: str) -> Path:
        """Where a kernel's entry and the log of its keeper are."""
        return self.root / kernel_id

    def entries(self) -> Iterator[Entry]:
        """All entries; those of kernels that are gone as well, while there is something to tell."""
        try:
            names = sorted(os.listdir(self.root))
        except OSError:
            return
        for name in names:
            entry = self.get(name)
            if entry is not None:
                yield entry

    def get(self, kernel_id: str) -> Entry | None:
        try:
            return _read(self.folder(kernel_id))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("The entry of the kept kernel %s cannot be read: %s", kernel_id, error)
            return None

    def write(self, entry: Entry) -> None:
        """Raises `OSError`."""
        folder = self.folder(entry.kernel_id)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        new = folder / f"{ENTRY}.{os.getpid()}"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(_to_json(entry), file)
        new.rename(folder / ENTRY)

    def note(self, kernel_id: str, uri: str, language: str | None, *, bound: bool) -> None:
        """A document has been bound to a kernel, or is no longer. Failures are only logged."""
        entry = self.get(kernel_id)
        if entry is None:
            return
        documents = [each for each in entry.documents if each != (uri, language)]
        if bound:
            documents.append((uri, language))
        try:
            self.write(structs.replace(entry, documents=tuple(documents)))
        except OSError as error:
            log.warning("The documents of a kept kernel could not be noted: %s", error)

    def strike(self, kernel_id: str) -> None:
        """Have no entry for a kernel, which is to end; its keeper goes on using the folder."""
        folder = self.folder(kernel_id)
        with contextlib.suppress(FileNotFoundError):
            (folder / ENTRY).rename(folder / STRUCK)

    def forget(self, kernel_id: str) -> None:
        """Remove a kernel's entry and log: it is not kept any more."""
        shutil.rmtree(self.folder(kernel_id), ignore_errors=True)

    def remove(self, kernel_id: str) -> None:
        """Forget a kernel that is gone, and remove what is left of it."""
        remove(str(self.folder(kernel_id)))

    def sweep(self) -> None:
        """Remove what is left of kernels that are gone and of which there is nothing to tell, or
        nobody has asked for long."""
        for entry in tuple(self.entries()):
            if not entry.alive and not self._is_worth_telling(entry.kernel_id):
                self.remove(entry.kernel_id)
        with contextlib.suppress(OSError):
            for folder in tuple(self.root.iterdir()):
                if _is_abandoned(folder):
                    self._remove_abandoned(folder)

    def _remove_abandoned(self, folder: Path) -> None:
        """Remove a folder that nobody uses, and what belongs to its kernel.

        One that was to end, and whose server and keeper have been killed before it had, ends now.
        One that lives and whose entry cannot be read is left to its user, who may attach to it.
        """
        given = _given_away(folder.name)
        for _, file in given:
            if (found := process.with_argument(file)) is None:
                continue
            if not (folder / STRUCK).exists():
                log.warning("The entry of the kept kernel %s cannot be read", folder.name)
                return
            process.kill_all([*process.descendants(found.pid), found])
        for own, _ in given:
            with contextlib.suppress(OSError):
                watchdog.remove(str(own))
        shutil.rmtree(folder, ignore_errors=True)

    def _is_worth_telling(self, kernel_id: str) -> bool:
        logs = [self.folder(kernel_id) / name for name in (CURRENT, OLDER)]
        try:
            stats = [log.stat() for log in logs]
        except OSError:
            return False  # its keeper never came
        newest = max(stat.st_mtime for stat in stats)
        return any(stat.st_size for stat in stats) and time.time() - newest < REMEMBERED


def lock(folder: Path) -> int | None:
    """A descriptor with the lock of a keeper, None when there is a keeper. Raises `OSError`."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return None
        raise
    return descriptor


def _is_abandoned(folder: Path) -> bool:
    """Whether a folder has no entry, or none that can be read, which nobody uses or is about to
    write."""
    try:
        old = time.time() - folder.stat().st_mtime > UNFINISHED or (folder / STRUCK).exists()
        if not old or not folder.is_dir() or _is_readable(folder):
            return False
        descriptor = lock(folder)
    except OSError:
        return False
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is not None


def _given_away(kernel_id: str) -> list[tuple[Path, str]]:
    """The temporary folder of a kernel whose entry does not tell where it is, and the path of its
    connection file: the folder has a link to it that is called so."""
    found = []
    for link in links_to_connection_files(kernel_id):
        with contextlib.suppress(OSError):
            # Anyone may put a folder there, with a link to any file.
            if link.parent.lstat().st_uid == os.getuid() and (link.parent / GIVEN).exists():
                found.append((link.parent, os.readlink(link)))
    return found


def _is_readable(folder: Path) -> bool:
    """Whether the entry in a folder can be read; also where only this moment is to blame."""
    try:
        _read(folder)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False
    except OSError:
        return True
    return True


def remove(folder: str) -> None:
    """Remove a kernel's folder in the registry, its temporary folder and its connection file."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        watchdog.remove(_read(Path(folder)).folder)
    shutil.rmtree(folder, ignore_errors=True)


def bound_to(entries: Iterable[Entry], uri: str) -> Iterator[tuple[Entry, str | None]]:
    """The entries a document is bound to, each with the language of the code that it runs."""
    for entry in entries:
        for document, language in entry.documents:
            if document == uri:
                yield entry, language


def _read(folder: Path) -> Entry:
    content = json.loads((folder / ENTRY).read_text(encoding="utf-8"))
    spec = content["spec"]
    return Entry(
        kernel_id=folder.name,
        spec=Spec(**{**spec, "argv": tuple(spec["argv"])}),
        connection_file=content["connectionFile"],
        folder=content["folder"],
        pid=content["pid"],
        started=content["started"],
        since=content["since"],
        minutes=content["minutes"],
        info=content["info"],
        execution_count=content["executionCount"],
        cwd=content["cwd"],
        env=content["env"],
        documents=tuple((uri, language) for uri, language in content["documents"]),
        limits=content.get("limits", {}),
    )


def _to_json(entry: Entry) -> dict[str, Any]:
    return {
        "spec": structs.asdict(entry.spec),
        "connectionFile": entry.connection_file,
        "folder": entry.folder,
        "pid": entry.pid,
        "started": entry.started,
        "since": entry.since,
        "minutes": entry.minutes,
        "info": entry.info,
        "executionCount": entry.execution_count,
        "cwd": entry.cwd,
        "env": entry.env,
        "documents": entry.documents,
        "limits": entry.limits,
    }
