"""Lines from stdin for kernels that ask for input, read without blocking the loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Stdin:
    """Reads lines from a descriptor: a terminal, a pipe or a file."""

    exhausted = "stdin is at its end"

    def __init__(self, fd: int = 0) -> None:
        self._fd = fd
        self._buffer = bytearray()
        self.is_terminal = os.isatty(fd)

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Meanwhile a terminal does not show what is typed."""
        if not self.is_terminal:
            yield
            return
        before = termios.tcgetattr(self._fd)
        silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
        termios.tcsetattr(self._fd, termios.TCSADRAIN, silent)
        try:
            yield
        finally:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, before)

    async def read_line(self) -> str | None:
        """The next line without its end, None at the end of the input."""
        while b"\n" not in self._buffer:
            chunk = await self._read()
            if not chunk:
                break
            self._buffer += chunk
        if not self._buffer:
            return None
        line, _, rest = self._buffer.partition(b"\n")
        self._buffer = rest
        return line.decode("utf-8", "replace").removesuffix("\r")

    async def _read(self) -> bytes:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        try:
            loop.add_reader(self._fd, ready.set)
        except PermissionError:
            # The system does not watch files, which are always ready.
            return os.read(self._fd, 65536)
        except OSError:
            # There is no stdin.
            return b""
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._fd)
        return os.read(self._fd, 65536)


class Given:
    """The answers that a command was called with, for who cannot type them."""

    is_terminal = False
    exhausted = "nobody is there to answer; give what is to be answered with --input"

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)

    def hidden(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    async def read_line(self) -> str | None:
        return next(self._lines, None)
