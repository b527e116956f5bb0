"""Rows about what is drawn in Neovim, in a terminal of its own, by the plugin and molten-nvim."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
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
from tests.benchmarks.floods import LINES, LOSSLESS
from tests.benchmarks.lab import Lab, timed
from tests.benchmarks.rows import OURS, Measure, Row, Subjects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    Rounds = Callable[[str], Measure]
    """What measures the rounds of a name, which are in the script."""

PLUGIN = "editors/neovim"

SCRIPT = Path(__file__).parents[2] / PLUGIN / "tests/rounds.lua"

TIMES = 20
"""Executions in a round."""

PAUSE = 0.025
"""Seconds by which each pause before one is longer than the last; the script says why."""

SIZE = struct.pack("HHHH", 40, 120, 0, 0)
"""Rows and columns of the terminal."""


class Problem(Exception):
    """What went wrong in Neovim."""


@contextlib.asynccontextmanager
async def neovims(lab: Lab) -> AsyncIterator[dict[str, Rounds]]:
    """A Neovim with the plugin and a kernel, and one with molten-nvim, if that is there."""
    async with contextlib.AsyncExitStack() as stack:
        there = {OURS: await stack.enter_async_context(neovim(lab, "with_carpo"))}
        if (molten := lab.checkout("molten-nvim")) is not None:
            env = {"CARPO_MOLTEN": str(molten), "CARPO_MOLTEN_PYTHON": str(lab.peers)}
            try:
                there["molten-nvim"] = await stack.enter_async_context(
                    neovim(lab, "with_molten", env)
                )
            except Problem as problem:
                print(f"molten-nvim is left out: {problem}", file=sys.stderr)
        yield there


@contextlib.asynccontextmanager
async def neovim(lab: Lab, player: str, env: dict[str, str] | None = None) -> AsyncIterator[Rounds]:
    """A Neovim in which a player, a module beside the script, has opened a file."""
    loop = asyncio.get_running_loop()
    connected = loop.create_future()
    with tempfile.TemporaryDirectory() as folder, _terminal() as terminal:
        socket = f"{folder}/rounds"
        server = await asyncio.start_unix_server(
            lambda *streams: connected.set_result(streams), socket
        )
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        process = await asyncio.create_subprocess_exec(
            *("nvim", "--clean", "-S", str(SCRIPT)),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=lab.folder,
            env=os.environ
            | {
                "CARPO_PLAYER": player,
                "CARPO_PLUGIN": str(lab.source / PLUGIN),
                "CARPO_ROUNDS": socket,
                "PATH": path,
                "PYTHONPATH": str(lab.source),
                "TERM": "xterm-256color",
                "XDG_DATA_HOME": folder,
            }
            | (env or {}),
        )
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait([ended, connected], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise Problem("Neovim has ended before its first round")
            reader, writer = connected.result()

            def rounds(name: str) -> Measure:
                async def measure() -> list[float]:
                    writer.write(f"{name}\n".encode())
                    if not (line := await reader.readline()):
                        raise Problem("Neovim has ended")
                    answer = json.loads(line)
                    if "problem" in answer:
                        raise Problem(answer["problem"])
                    return list(answer["times"])

                return measure

            await rounds("open")()
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
async def beside_raw(lab: Lab, code: str) -> AsyncIterator[tuple[dict[str, Rounds], raw.RawKernel]]:
    """The Neovims, and a raw client of another kernel, which has run code."""
    async with neovims(lab) as there:
        with raw.started(lab.folder) as limit:
            limit.wait_ready()
            limit.run(code)
            yield there, limit


def _all(there: dict[str, Rounds], name: str) -> Subjects:
    return {who: rounds(name) for who, rounds in there.items()}


@contextlib.asynccontextmanager
async def drawn(lab: Lab) -> AsyncIterator[Subjects]:
    """From the key that runs a cell to its result on the screen."""
    async with beside_raw(lab, "count = iter(range(10**9))") as (there, limit):

        async def bare() -> list[float]:
            times: list[float] = []
            for number in range(1, TIMES + 1):
                await asyncio.sleep(number * PAUSE)
                with timed(times):
                    limit.run("next(count)")
            return times

        yield _all(there, "short") | {"raw": bare}


@contextlib.asynccontextmanager
async def drawn_flood(lab: Lab) -> AsyncIterator[Subjects]:
    """From the key that runs a cell to the end of all that it prints on the screen."""
    async with beside_raw(lab, LOSSLESS) as (there, limit):

        async def bare() -> list[float]:
            times: list[float] = []
            with timed(times):
                limit.run(LINES)
            return times

        yield _all(there, "flood") | {"raw reader": bare}


@contextlib.asynccontextmanager
async def held_up(lab: Lab) -> AsyncIterator[Subjects]:
    """The longest time in which Neovim could do nothing else, or had no processor."""
    async with beside_raw(lab, LOSSLESS) as (there, limit):
        idle = there[OURS]("idle")

        async def beside() -> list[float]:
            reading = asyncio.create_task(asyncio.to_thread(limit.run, LINES))
            times = await idle()
            await reading
            return list(times)

        yield _all(there, "held_up") | {"idle beside a raw reader": beside}


ROWS: tuple[Row, ...] = (
    Row("a result drawn in Neovim", "raw", drawn, (), rounds=5, short=False),
    Row(
        "20,000 flushed prints drawn in Neovim",
        "raw reader",
        drawn_flood,
        (),
        rounds=5,
        short=False,
    ),
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
