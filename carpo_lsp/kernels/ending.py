"""How a kernel's process is ended: asked, told and killed, with all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp.deadlines import Deadline
from carpo_lsp.kernels import process
from carpo_lsp.kernels.messages import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


DYING: Final = 2.0
"""Seconds for what was killed to be gone: the system takes a moment, unless a disk holds it up."""


async def end_process(
    pid: int | None,
    ended: asyncio.Future[Any],
    grace: float,
    *,
    restart: bool,
    interrupt: Callable[[], Awaitable[None]],
    send: Callable[[Request], None],
    kill: Callable[[signal.Signals], Awaitable[None]],
    asked: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """End a kernel whose end `ended` tells: after a shutdown request, SIGTERM and SIGKILL, which
    `kill` sends, each when a share of `grace` seconds is over. `asked` is called after the request.

    `pid` is that of its process where it has one on this machine: what it started ends too.
    """
    below = process.descendants(pid) if pid is not None else []
    if not ended.done():
        # Some kernels look at nothing but the code they run until it ends.
        await interrupt()
    send(Request("control", "shutdown_request", {"restart": restart}))
    if asked is not None:
        await asked()
    if not await within(ended, grace * 0.6):
        below += process.descendants(pid) if pid is not None else []
        await kill(signal.SIGTERM)
        if not await within(ended, grace * 0.4):
            await kill(signal.SIGKILL)
            await asyncio.shield(ended)
    # What the kernel started may live on in its group, or have left the group.
    if pid is not None:
        process.signal_group(pid, signal.SIGKILL)
    process.kill_all(below)
    await process.until_gone(below, DYING)


async def within(ended: asyncio.Future[Any], seconds: float) -> bool:
    """Whether a future is done within some seconds; it is left alone."""
    with contextlib.suppress(TimeoutError):
        async with Deadline(seconds):
            await asyncio.wait([ended])
    return ended.done()
