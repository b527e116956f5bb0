"""Rows about what is drawn in Neovim by the plugin, in a terminal of its own."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import shutil
import struct
import sys
import tempfile
import termios
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import raw
from tests.benchmarks.lab import Lab, timed
from tests.benchmarks.rows import OURS, Measure, Row, Subjects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

SCRIPT = "editors/neovim/tests/rounds.lua"

TIMES = 20
"""Executions in a round."""

FLOOD = "for i in range(20_000): print(i, flush=True)"

SIZE = struct.pack("HHHH", 40, 120, 0, 0)
"""Rows and columns of the terminal."""


@contextlib.asynccontextmanager
async def neovim(lab: Lab) -> AsyncIterator[Callable[[str], Measure]]:
    """A Neovim with the plugin and a kernel; gives what measures the rounds of a name."""
    loop = asyncio.get_running_loop()
    connected = loop.create_future()
    with tempfile.TemporaryDirectory() as folder, _terminal() as terminal:
        socket = f"{folder}/rounds"
        server = await asyncio.start_unix_server(
            lambda *streams: connected.set_result(streams), socket
        )
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        process = await asyncio.create_subprocess_exec(
            *("nvim", "--clean", "-S", str(lab.source / SCRIPT)),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=lab.folder,
            env=os.environ
            | {
                "CARPO_ROUNDS": socket,
                "PATH": path,
                "PYTHONPATH": str(lab.source),
                "TERM": "xterm-256color",
                "XDG_DATA_HOME": folder,
            },
        )
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait([ended, connected], return_when=asyncio.FIRST_COMPLETED)
            assert not ended.done(), "Neovim has ended before its first round"
            reader, writer = connected.result()

            def rounds(name: str) -> Measure:
                async def measure() -> list[float]:
                    writer.write(f"{name}\n".encode())
                    return [float(time) for time in (await reader.readline()).split()]

                return measure

            yield rounds
            writer.close()
            await ended
        finally:
            server.close()
            if not ended.done():
                process.kill()
                await ended


@contextlib.contextmanager
def _terminal() -> Iterator[int]:
    """A terminal whose screen nobody looks at."""
    loop = asyncio.get_running_loop()
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, SIZE)
    loop.add_reader(screen, os.read, screen, 65536)
    try:
        yield terminal
    finally:
        loop.remove_reader(screen)
        os.close(terminal)
        os.close(screen)


@contextlib.asynccontextmanager
async def drawn(lab: Lab) -> AsyncIterator[Subjects]:
    """From the key that runs a cell to its result on the screen."""
    async with neovim(lab) as rounds:
        with raw.started(lab.folder) as limit:
            limit.wait_ready()
            limit.run("count = iter(range(10**9))")

            async def bare() -> list[float]:
                times: list[float] = []
                for _ in range(TIMES):
                    with timed(times):
                        limit.run("next(count)")
                return times

            yield {OURS: rounds("short"), "raw": bare}


@contextlib.asynccontextmanager
async def held_up(lab: Lab) -> AsyncIterator[Subjects]:
    """The longest time in which Neovim could do nothing else, or had no processor."""
    async with neovim(lab) as rounds:
        with raw.started(lab.folder) as limit:
            limit.wait_ready()
            idle = rounds("idle")

            async def beside() -> list[float]:
                reading = asyncio.create_task(asyncio.to_thread(limit.run, FLOOD))
                times = await idle()
                await reading
                return list(times)

            yield {OURS: rounds("flood"), "idle beside a raw reader": beside}


ROWS: tuple[Row, ...] = (
    Row("a result drawn in Neovim", "raw", drawn, (), short=False),
    Row(
        "Neovim held up by 20,000 flushed prints",
        "idle beside a raw reader",
        held_up,
        (),
        rounds=5,
        short=False,
    ),
)
if shutil.which("nvim") is None:
    ROWS = ()
