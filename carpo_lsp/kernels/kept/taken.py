"""A kept kernel that another server has started: taken up where that one left it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp.errors import KernelStartFailed, KernelTimeout
from carpo_lsp.kernels import process
from carpo_lsp.kernels.codec import Codec
from carpo_lsp.kernels.connection import Exit, OnMessage, Running
from carpo_lsp.kernels.ending import end_process
from carpo_lsp.kernels.kept.keeping import reach
from carpo_lsp.kernels.messages import Request
from carpo_lsp.kernels.supervision import watchdog

if TYPE_CHECKING:
    from carpo_lsp.kernels.events import Cause
    from carpo_lsp.kernels.kept.link import Link
    from carpo_lsp.kernels.kept.registry import Entry

log = logging.getLogger(__name__)

FAREWELL: Final = 2.0
"""Seconds the keeper has to tell how its kernel ended."""


class TakenConnection:
    """A `Connection` to a kept kernel, through its keeper. Its process is no child of ours."""

    owned = True

    def __init__(self, entry: Entry, folder: Path, on_message: OnMessage) -> None:
        self._entry = entry
        self._folder = folder
        self._on_message = on_message
        self._ended: asyncio.Future[None] | None = None
        self.link: Link | None = None

    @property
    def pid(self) -> int | None:
        return self._entry.pid if self._ended is not None and not self._ended.done() else None

    @property
    def connection_file(self) -> str | None:
        return self._entry.connection_file

    def watch(self) -> None:
        """Wait for the end of the process from now on."""
        self._ended = asyncio.ensure_future(_wait_for_end(self._entry))

    async def start(self) -> Running:
        entry = self._entry
        self.watch()
        try:
            codec = Codec(connection_info(entry), entry.kernel_id)
            link, begun, new = await reach(entry, self._folder, codec, self._on_message)
            if new and entry.alive:
                await link.until_heard()
        except (OSError, ValueError, KernelTimeout) as error:
            raise KernelStartFailed(
                f"The kept kernel cannot be taken up: {error}",
                hint=f"end it with `carpo-lsp stop {entry.kernel_id}`, and start another",
            ) from error
        self.link = link
        gap = None
        if new and entry.alive:
            gap = "Its keeper had crashed; what the kernel has sent since then is lost."
        elif begun.lost:
            gap = f"{begun.lost / 1024**2:.1f} MB of what the kernel sent meanwhile are lost."
        return Running(entry.info, begun.execution_count, entry.since, gap, link.release)

    def send(self, request: Request) -> None:
        if self.link is not None:
            self.link.send(request)

    async def wait_for_stdin(self) -> None:
        """The keeper is always there."""

    def hold_back(self) -> None:
        """The keeper takes it all, to the disk."""

    async def interrupt(self) -> None:
        if self._entry.spec.interrupt_mode == "message":
            self.send(Request("control", "interrupt_request", {}))
        else:
            await self._kill(signal.SIGINT)

    async def stop(self, grace: float, *, restart: bool = False) -> None:
        if self._ended is not None:
            await end_process(
                None if self._is_another() else self._entry.pid,
                self._ended,
                grace,
                restart=restart,
                interrupt=self.interrupt,
                send=self.send,
                kill=self._kill,
            )
            self._ended = None

    def leave(self) -> None:
        """Let go of the kernel, which goes on."""
        if self._ended is not None:
            self._ended.cancel()
            self._ended = None

    def stderr_tail(self) -> str:
        return ""

    async def wait_closed(self) -> Exit:
        assert self._ended is not None, "wait_closed before start"
        await asyncio.shield(self._ended)
        reason = "The kernel ended; its keeper has not told how."
        cause: Cause = "exited"
        if self.link is not None:
            await self.link.settle(0, FAREWELL)
            if (ended := self.link.how_it_ended) is not None:
                reason, cause = ended.reason, ended.cause
        return Exit(None, "", reason, cause)

    def _is_another(self) -> bool:
        """Whether the process with the kernel's id is not the kernel, which is long gone."""
        process = watchdog.look_up(self._entry.pid)
        return process is not None and process.started.decode() != self._entry.started

    async def _kill(self, number: signal.Signals) -> None:
        if not self._entry.alive:
            return
        if os.getpgid(self._entry.pid) == self._entry.pid:
            process.signal_group(self._entry.pid, number)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._entry.pid, number)


async def end(entry: Entry) -> None:
    """End a kept kernel that cannot be taken up, and all that it has started."""
    kernel = TakenConnection(entry, Path(), lambda message: None)
    kernel.watch()
    await kernel.stop(0)


def connection_info(entry: Entry) -> dict[str, Any]:
    """The content of a kept kernel's connection file. Raises `OSError` or `ValueError`."""
    return dict(json.loads(Path(entry.connection_file).read_text(encoding="utf-8")))


async def _wait_for_end(entry: Entry) -> None:
    def poll() -> int | None:
        return None if entry.alive else 0

    await process.wait_for_exit(entry.pid, poll)
