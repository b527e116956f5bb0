"""Which kernels of this user run on this machine: those that are kept, those of running servers of
ours, and those that others have started."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

import attrs
import psutil

from carpo_lsp.deadlines import Deadline
from carpo_lsp.kernels.elsewhere.existing import kernel_id_of, running
from carpo_lsp.kernels.supervision import watchdog
from carpo_lsp.kernels.supervision.guard import links_to_connection_files
from carpo_lsp.kernels.supervision.usage import Meter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from carpo_lsp.kernels.kept.link import KeeperStatus
    from carpo_lsp.kernels.kept.registry import Entry, Registry
    from carpo_lsp.kernels.offers import Offer

log = logging.getLogger(__name__)

ANSWER: Final = 2.0
"""Seconds a keeper has to tell how its kernel is."""

State = Literal["idle", "busy", "ended", "unknown"]

STATES: Final[dict[str, State]] = {"idle": "idle", "busy": "busy"}
"""Of those that a Jupyter server tells, the ones that mean the same here."""


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
    """Process ids of the servers of ours that use it, as far as they are known."""
    kept: bool
    ours: bool
    """Whether carpo has started it."""
    connection_file: str
    """Empty for a kernel that is elsewhere."""


def remote_residents(offers: Iterable[Offer]) -> Iterator[Resident]:
    """The kernels of Jupyter servers and of hosts, by the names that they have here."""
    for offer in offers:
        if offer.error is not None:
            log.warning("%s", offer.error)
        specs = {spec.name: spec for spec in offer.specs}
        for kernel in offer.kernels:
            spec = specs.get(kernel.spec_name)
            yield Resident(
                kernel_id=kernel.name,
                display_name=spec.display_name if spec is not None else kernel.spec_name,
                language=spec.language if spec is not None else "",
                pid=None,
                state=STATES.get(kernel.state, "unknown"),
                rss_bytes=None,
                documents=(),
                since=None,
                servers=(),
                kept=False,
                ours=False,
                connection_file="",
            )


async def census(registry: Registry) -> list[Resident]:
    """The kernels of this user, kept ones first, then those of running servers of ours."""
    entries = tuple(registry.entries())
    kept = await asyncio.gather(*map(look_at, entries))
    served = dict(_served())
    known = {entry.connection_file for entry in entries}
    found = await running(path for path in served if path not in known)
    processes = _by_argument()
    others = []
    for path, info, glance in found:
        if path in known:
            continue
        process = processes.get(path)
        server = served.get(path)
        language = glance.info.get("language_info")
        others.append(
            Resident(
                kernel_id=kernel_id_of(path),
                display_name=str(info.get("kernel_name") or glance.info.get("implementation", "")),
                language=str(language.get("name", "")) if isinstance(language, dict) else "",
                pid=process.pid if process is not None else None,
                state=glance.state,
                rss_bytes=_memory(process.pid) if process is not None else None,
                documents=(),
                since=_since(process),
                servers=(server,) if server is not None else (),
                kept=False,
                ours=server is not None,
                connection_file=path,
            )
        )
    return [*kept, *sorted(others, key=lambda each: not each.ours)]


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
        ours=True,
        connection_file=entry.connection_file,
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


def _served() -> Iterator[tuple[str, int]]:
    """The connection files of the kernels of running servers of ours, by their temporary folders,
    and the process ids of the servers."""
    processes = _by_argument()
    for link in links_to_connection_files():
        path = _target(link)
        process = processes.get(path)
        if process is not None and _in_use(link.parent):
            with contextlib.suppress(psutil.Error):
                yield path, process.ppid()


def _by_argument() -> dict[str, psutil.Process]:
    """The processes that have a connection file on their command line, by its path."""
    return {
        argument: process
        for process in psutil.process_iter(["cmdline"])
        for argument in process.info["cmdline"] or ()
        if argument.endswith(".json")
    }


def _since(process: psutil.Process | None) -> str | None:
    """When a process was started, ISO 8601, UTC."""
    try:
        started = process.create_time() if process is not None else None
    except psutil.Error:
        return None
    return None if started is None else datetime.fromtimestamp(started, UTC).isoformat()


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
