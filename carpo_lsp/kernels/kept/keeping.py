"""Starting keepers, reaching them, and handing a running kernel over to one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Final

from carpo_lsp.deadlines import Deadline
from carpo_lsp.errors import KernelTimeout
from carpo_lsp.kernels import process
from carpo_lsp.kernels.kept import registry
from carpo_lsp.kernels.kept.link import NUDGE, Begun, Link, connect
from carpo_lsp.kernels.messages import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from carpo_lsp.kernels.channels import Channels
    from carpo_lsp.kernels.codec import Codec
    from carpo_lsp.kernels.connection import OnMessage
    from carpo_lsp.kernels.kept.registry import Entry
    from carpo_lsp.kernels.messages import Message

log = logging.getLogger(__name__)

REACHING: Final = 10.0
"""Seconds to reach a keeper, which may have to be started."""

PAUSE: Final = 0.02
"""Seconds between looks for a keeper that another server is just starting."""

MODULE: Final = "carpo_lsp.kernels.kept.keeper"


async def reach(
    entry: Entry,
    folder: Path,
    codec: Codec,
    on_message: OnMessage,
    *,
    tail: int | None = None,
    shadow: bool = False,
) -> tuple[Link, Begun, bool]:
    """A link to the keeper of a kernel, whose log it holds until `release`; what the keeper said of
    it, and whether it is a new one, as there was none.

    `folder` is the kernel's in the registry. A new keeper gets the pipe that the kernel prints
    into and, with `shadow`, leaves the shell and stdin channels to us. Raises `OSError` or
    `KernelTimeout`.
    """
    new = False

    def come() -> Awaitable[Link]:
        return connect(entry.socket, codec, on_message)

    try:
        async with Deadline(REACHING):
            while True:
                lock = registry.lock(folder)
                link = None
                if lock is not None:
                    new = True
                    link = await _start(entry, folder, lock, tail, come, shadow=shadow)
                else:
                    with contextlib.suppress(ConnectionError, FileNotFoundError):
                        link = await come()
                if link is not None and (begun := await _begin(link)) is not None:
                    return link, begun, new
                # Another server is just starting one, or this one is about to leave.
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        raise KernelTimeout("The keeper of the kernel does not answer.", seconds=REACHING) from None


async def _begin(link: Link) -> Begun | None:
    """What the keeper says before its log; None when it is gone."""
    begun = None
    try:
        with contextlib.suppress(ConnectionError):
            await link.status()
            begun = await link.begin()
    finally:
        if begun is None:
            link.close()
    return begun


async def _start(
    entry: Entry,
    folder: Path,
    lock: int,
    tail: int | None,
    come: Callable[[], Awaitable[Link]],
    *,
    shadow: bool,
) -> Link:
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, lock)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(entry.socket)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(entry.socket)
        listener.listen()
        inherited = (listener.fileno(), lock, *(() if tail is None else (tail,)))
        # Now, so that the keeper finds us waiting and need not wonder whether somebody comes.
        link = await come()
        try:
            started = _spawn(folder, inherited, ("shadow",) if shadow else ())
        except BaseException:
            link.close()
            raise
        # The keeper is the child of this process, which leaves at once.
        await process.wait_for_exit(started.pid, started.poll)
    return link


def _spawn(folder: Path, inherited: tuple[int, ...], words: tuple[str, ...]) -> Popen[bytes]:
    numbers = [str(number) for number in (*inherited, -1)[:3]]
    paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    with open(folder / "keeper.log", "ab", opener=_private) as output:
        # A session of its own keeps it from what happens to the editor's terminal.
        return Popen(  # noqa: S603 - our interpreter and our program
            [sys.executable, "-P", "-m", MODULE, str(folder), *numbers, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            pass_fds=inherited,
            start_new_session=True,
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class Switch:
    """Takes a kernel's messages from its channels to a link, each of them once and in order.

    Both get the output for a while. A message that both have got divides it: what comes before is
    taken from the channels, what comes after from the link.
    """

    def __init__(self, on_message: OnMessage) -> None:
        self._on_message = on_message
        self._seen: set[str] = set()
        self._nudges: set[str] = set()
        self._dividing: str | None = None
        self._later: list[Message] = []
        self._live = asyncio.Event()
        self._done = asyncio.Event()
        self._over = False

    def hear_channels(self, message: Message) -> None:
        """What the channels have got."""
        if message.channel == "iopub":
            self._seen.add(message.msg_id)
            if message.msg_id == self._dividing:
                self._done.set()
        self._on_message(message)

    def hear_link(self, message: Message) -> None:
        """What the link has got."""
        if self._over:
            self._on_message(message)
        elif self._dividing is not None:
            self._later.append(message)
        elif message.channel == "iopub" and message.parent_id in self._nudges:
            self._dividing = message.msg_id
            self._live.set()
            if message.msg_id in self._seen:
                self._done.set()

    async def make(self, channels: Channels, channel_is_idle: Callable[[], bool]) -> None:
        """Wait until the link gets all output, and close the channels.

        `channel_is_idle`: whether a request on the shell channel would be answered now; else the
        control channel has to do.
        """
        while not self._live.is_set():
            request = Request(
                "shell" if channel_is_idle() else "control", "kernel_info_request", {}
            )
            self._nudges.add(request.msg_id)
            channels.send(request)
            with contextlib.suppress(TimeoutError):
                async with Deadline(NUDGE):
                    await self._live.wait()
        await self._done.wait()
        channels.close()
        self._over = True
        for message in self._later:
            if message.channel != "iopub" or message.msg_id not in self._seen:
                self._on_message(message)
        self._later.clear()
        self._seen.clear()
