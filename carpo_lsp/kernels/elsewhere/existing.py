"""Kernels that run already, by their connection files: which is meant, as by `--existing` of
Jupyter's programs, and what it is."""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import glob
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

import psutil
from jupyter_core.paths import jupyter_runtime_dir
from msgspec import Struct

from carpo_lsp.deadlines import Deadline
from carpo_lsp.errors import KernelStartFailed
from carpo_lsp.kernels import process
from carpo_lsp.kernels.channels import Channels
from carpo_lsp.kernels.elsewhere.attached import ANSWER, UNUSABLE, read_connection_file
from carpo_lsp.kernels.messages import Request
from carpo_lsp.kernels.sockets import own_context
from carpo_lsp.kernels.supervision.heartbeat import PORT, is_there

if TYPE_CHECKING:
    from collections.abc import Iterable

    import zmq

    from carpo_lsp.kernels.messages import Message

NEWEST: Final = "newest"
"""The name of whichever kernel was started last."""

PREFIX: Final = "kernel-"

ARRIVAL: Final = 1.0
"""Seconds within which what is at an address is reached."""

STARTING: Final = 10.0
"""Seconds that the process of a kernel may have run before it listens."""

PAUSE: Final = 0.1
"""Seconds between looks whether it does."""

AT_ONCE: Final = 32
"""Kernels that are looked at at the same time: each takes a dozen file descriptors."""


class Glance(Struct, frozen=True):
    """What a kernel is, as it tells whoever asks."""

    state: Literal["idle", "busy", "unknown"]
    """`unknown`: it is there and answers nothing."""
    info: dict[str, Any]
    """Content of its kernel_info_reply; empty where it gives none."""


async def find_connection_file(name: str | None, others: Iterable[str] = ()) -> str:
    """The path of the connection file that a name means.

    None or `newest` is that of the kernel which was started last, of those in Jupyter's runtime
    folder that run, or are just starting. A name is that of a file there, a kernel's id or the
    beginning of one, or a glob pattern, of which it is again the newest; else it is a path.
    `others` are connection files of kernels elsewhere that are known by their ids as well. Raises
    `KernelStartFailed`.
    """
    if name is not None and name != NEWEST and (path := _named(name)) is not None:
        return path
    newest = name is None or name == NEWEST or glob.has_magic(name)
    found: list[str] = []
    with own_context() as context:
        for path in _matching(name, others):
            if await _runs(path, context):
                found.append(path)
                if newest:
                    break
    if not found:
        which = "" if name is None or name == NEWEST else f" whose id fits {name!r}"
        raise KernelStartFailed(
            f"No kernel runs{which} with a connection file in {jupyter_runtime_dir()!r}.",
            hint="`carpo-lsp kernels --running` lists them; else give the path of the file",
        )
    if len(found) > 1:
        ids = " or ".join(map(kernel_id_of, found))
        raise KernelStartFailed(f"{name!r} could be {ids}; give more of it.")
    return found[0]


def _named(name: str) -> str | None:
    """The file that a name is the path or the whole name of, be there a kernel or not."""
    if "/" in name:
        return os.path.abspath(os.path.expanduser(name))
    for exact in (name, f"{PREFIX}{name}.json"):
        path = os.path.join(jupyter_runtime_dir(), exact)
        if os.path.isfile(path):
            return path
    return os.path.abspath(name) if name.endswith(".json") and not glob.has_magic(name) else None


def _matching(name: str | None, others: Iterable[str] = ()) -> list[str]:
    """The files in Jupyter's runtime folder and besides that a name may mean, newest first."""
    patterns: tuple[str, ...] = (f"{PREFIX}{name}*.json",)
    if name is None or name == NEWEST:
        patterns = (f"{PREFIX}*.json",)
    elif glob.has_magic(name):
        patterns = (name, f"{PREFIX}{name}.json")
    folder = Path(jupyter_runtime_dir())
    found = {path for pattern in patterns for path in folder.glob(pattern)}
    found.update(
        path
        for path in map(Path, others)
        if any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)
    )
    return _by_age(found)


async def running(others: Iterable[str] = ()) -> list[tuple[str, dict[str, Any], Glance]]:
    """The kernels that run and have their connection files in Jupyter's runtime folder, or are
    `others`, the newest first: the paths of the files, what is in them, and what the kernels tell.
    """
    found = []
    for path in _matching(None, others):
        info = _content(path)
        if info is not None:
            found.append((path, info))
    turn = asyncio.Semaphore(AT_ONCE)

    with own_context() as context:

        async def look_in_turn(info: dict[str, Any]) -> Glance | None:
            async with turn:
                return await look(info, context)

        glances = await asyncio.gather(*(look_in_turn(info) for _, info in found))
    return [
        (path, info, glance)
        for (path, info), glance in zip(found, glances, strict=True)
        if glance is not None
    ]


async def look(info: dict[str, Any], context: zmq.Context[Any]) -> Glance | None:
    """What the kernel of a connection file's content tells of itself; None when none is there."""
    replies: dict[str, dict[str, Any]] = {}
    answered = asyncio.Event()

    def take(message: Message) -> None:
        if message.msg_type == "kernel_info_reply":
            replies[message.channel] = message.content
            if message.channel == "shell":
                answered.set()

    channels = None
    try:
        if PORT in info and not await is_there(context, info, ARRIVAL):
            return None
        # Not iopub: libzmq crashes the kernel when a peer leaves that in the moment in which the
        # length of its queue is changed, as it is at the start of each that one of us makes.
        channels = Channels(context, info, take, only=("shell", "control"))
        # ipykernel answers on its control channel while code runs.
        channels.send(Request("shell", "kernel_info_request", {}))
        channels.send(Request("control", "kernel_info_request", {}))
        with contextlib.suppress(TimeoutError):
            async with Deadline(ANSWER):
                await answered.wait()
    except UNUSABLE:
        return None
    finally:
        if channels is not None:
            channels.close()
    if "shell" in replies:
        return Glance("idle", replies["shell"])
    if "control" in replies:
        return Glance("busy", replies["control"])
    return Glance("unknown", {}) if PORT in info else None


def kernel_id_of(path: str) -> str:
    """What a kernel is called by its connection file."""
    return Path(path).stem.removeprefix(PREFIX)


def uuid_of(path: str) -> str | None:
    """The id of a kernel whose connection file is named with a UUID, as most are."""
    try:
        return str(UUID(kernel_id_of(path)))
    except ValueError:
        return None


async def _runs(path: str, context: zmq.Context[Any]) -> bool:
    info = _content(path)
    if info is None:
        return False
    if PORT not in info:
        return await look(info, context) is not None
    try:
        while not await is_there(context, info, ARRIVAL):
            if not await asyncio.to_thread(_is_starting, path):
                return False
            await asyncio.sleep(PAUSE)
    except UNUSABLE:
        return False
    return True


def _is_starting(path: str) -> bool:
    """Whether a kernel that does not listen has a process, and may do so soon."""
    try:
        found = process.with_argument(path)
        return found is not None and time.time() - found.create_time() < STARTING
    except psutil.Error:
        return False


def _content(path: str) -> dict[str, Any] | None:
    """What is in a connection file; None where it is none, be it of another program."""
    try:
        return read_connection_file(path)
    except KernelStartFailed:
        return None


def _by_age(paths: Iterable[Path]) -> list[str]:
    """Files, the newest first. Those that go meanwhile are left out."""
    dated = []
    for path in paths:
        try:
            dated.append((path.stat().st_mtime, str(path)))
        except OSError:
            continue
    return [path for _, path in sorted(dated, reverse=True)]
