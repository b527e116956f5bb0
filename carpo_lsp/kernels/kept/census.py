"""Which kernels of ours run on this machine: those that are kept, and those of running servers."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import attrs
import psutil

from carpo_lsp.deadlines import Deadline
from carpo_lsp.kernels.supervision import watchdog
from carpo_lsp.kernels.supervision.usage import Meter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carpo_lsp.kernels.kept.link import KeeperStatus
    from carpo_lsp.kernels.kept.registry import Entry, Registry

ANSWER: Final = 2.0
"""Seconds a keeper has to tell how its kernel is."""

State = Literal["idle", "busy", "ended", "unknown"]


@attrs.frozen(kw_only=True)
class Resident:
    """A kernel as it is known from outside of the server that uses it."""

    kernel_id: str
    display_name: str
    language: str
    pid: int | None
    state: State
    """`ended`: its last output waits for the document to be opened. `unknown`: whoever could tell
    does not answer."""
    rss_bytes: int | None
    """Memory of its processes."""
    documents: tuple[str, ...]
    """URIs."""
    since: str | None
    """When it was started, ISO 8601, UTC."""
    servers: tuple[int, ...]
    """Process ids of the servers that use it."""
    kept: bool


async def census(registry: Registry) -> list[Resident]:
    """The kernels of this user, kept ones first."""
    entries = tuple(registry.entries())
    kept = await asyncio.gather(*map(look_at, entries))
    known = {entry.kernel_id for entry in entries}
    return [*kept, *(each for each in _served() if each.kernel_id not in known)]


async def look_at(entry: Entry) -> Resident:
    """A kept kernel as its keeper tells."""
    alive = entry.alive
    status = await _ask(entry) if alive else None
    state: State = "unknown" if alive else "ended"
    if status is not None:
        state = "busy" if status.busy else "idle"
    return Resident(
        kernel_id=entry.kernel_id,
        display_name=entry.spec.display_name,
        language=entry.spec.language,
        pid=entry.pid if alive else None,
        state=state,
        rss_bytes=_memory(entry.pid) if alive else None,
        documents=tuple(dict.fromkeys(uri for uri, _ in entry.documents)),
        since=entry.since,
        servers=status.servers if status is not None else (),
        kept=True,
    )


async def _ask(entry: Entry) -> KeeperStatus | None:
    from carpo_lsp.kernels.codec import Codec
    from carpo_lsp.kernels.kept.link import connect

    with contextlib.suppress(OSError, TimeoutError):
        async with Deadline(ANSWER):
            link = await connect(entry.socket, Codec({}), lambda message: None)
            try:
                return await link.status()
            finally:
                link.close()
    return None


def _served() -> Iterator[Resident]:
    """The kernels of running servers that end with them, by their temporary folders."""
    processes = {
        argument: process
        for process in psutil.process_iter(["cmdline"])
        for argument in process.info["cmdline"] or ()
        if argument.endswith(".json")
    }
    for link in Path(tempfile.gettempdir()).glob(f"{watchdog.PREFIX}*/kernel-*.json"):
        process = processes.get(_target(link))
        if process is None or not _in_use(link.parent):
            continue
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            info = json.loads(link.read_text(encoding="utf-8"))
            yield Resident(
                kernel_id=link.stem.removeprefix("kernel-"),
                display_name=str(info.get("kernel_name") or ""),
                language="",
                pid=process.pid,
                state="unknown",
                rss_bytes=_memory(process.pid),
                documents=(),
                since=None,
                servers=(process.ppid(),),
                kept=False,
            )


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _in_use(folder: Path) -> bool:
    """Whether a temporary folder is that of a running server of this user."""
    try:
        if folder.lstat().st_uid != os.getuid():
            return False
        lock = os.open(folder / watchdog.LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _memory(pid: int) -> int | None:
    used = Meter().resources(pid)
    return used.rss_bytes if used is not None else None
