"""The terminal, pipes or files behind stdout and stderr, written without blocking the loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from carpo_lsp.cli.show import ERASE_LINE, STDERR, STDOUT, without_ansi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

PIECE: Final = 4096
"""Bytes that a descriptor with room takes without blocking (PIPE_BUF)."""

TICK: Final = 0.1
"""Seconds between two looks of the progress line."""


class Screen:
    """Writes to stdout and stderr in one order, notes for the user and progress on stderr.

    `write` and `note` queue, `flush` writes. Progress is a live line where stderr is a terminal,
    shown while nothing else stands in its line, and otherwise a line for each cell.
    """

    def __init__(self) -> None:
        self._pending: deque[tuple[int, memoryview]] = deque()
        self._writing = asyncio.Lock()
        self._encoding = sys.stdout.encoding
        self._places = {fd: _place(fd) for fd in (0, STDOUT, STDERR)}
        # The places where the last thing written was not a whole line.
        self._mid_line: set[tuple[int, int]] = set()
        self._colours = {fd: _has_colours(fd) for fd in (STDOUT, STDERR)}
        live = os.isatty(STDERR) and os.environ.get("TERM", "dumb") != "dumb"
        self._progress = Progress() if live else None
        self._reading = False

    def write(self, fd: int, text: str) -> None:
        """Queue text for STDOUT or STDERR, as it is."""
        if not text:
            return
        data = text.encode(self._encoding, "backslashreplace")
        self._pending.append((fd, memoryview(data)))
        self._mark(fd, mid_line=not text.endswith("\n"))

    def write_coloured(self, fd: int, text: str) -> None:
        """Queue text, less its escape sequences where nobody wants to see colours."""
        self.write(fd, text if self._colours[fd] else without_ansi(text))

    def note(self, text: str) -> None:
        """Queue a line of ours on stderr."""
        start = "\n" if self._places[STDERR] in self._mid_line else ""
        self.write(STDERR, f"{start}carpo-lsp: {' '.join(text.split())}\n")

    def erase_line(self) -> None:
        """Queue the erasure of the line the cursor is in; does nothing in files and pipes."""
        for fd in (STDOUT, STDERR):
            if os.isatty(fd):
                self.write(fd, ERASE_LINE)
                self._mark(fd, mid_line=False)

    def _mark(self, fd: int, *, mid_line: bool) -> None:
        if mid_line:
            self._mid_line.add(self._places[fd])
        else:
            self._mid_line.discard(self._places[fd])

    async def flush(self) -> None:
        """Write what is queued, at the speed of whoever reads it. Raises `OSError`.

        What has not been written when it is cancelled stays queued.
        """
        async with self._writing:
            while self._pending:
                fd, data = self._pending[0]
                await _until_writable(fd)
                if self._progress and self._places[fd] == self._places[STDERR]:
                    self._progress.hide()
                written = os.write(fd, data[:PIECE])
                if written < len(data):
                    self._pending[0] = (fd, data[written:])
                else:
                    self._pending.popleft()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """While the user types, the progress line is out of the way."""
        self._reading = True
        if self._progress:
            self._progress.hide()
        try:
            yield
        finally:
            self._reading = False

    def line_entered(self) -> None:
        """The user ended a line, and with it the one the prompt is in, on the same terminal."""
        self._mid_line.discard(self._places[0])

    @contextlib.contextmanager
    def progress(self, text: str, *, brief: bool = False) -> Iterator[None]:
        """Show `text` as what is going on; without a terminal as a note, or not if `brief`."""
        if self._progress is None:
            if not brief:
                self.note(text)
            yield
            return
        self._progress.begin(text)
        ticking = asyncio.get_running_loop().call_soon(self._tick)
        self._ticking: asyncio.Handle = ticking
        try:
            yield
        finally:
            self._ticking.cancel()
            self._progress.hide()

    def _tick(self) -> None:
        blocked = self._reading or self._pending or self._places[STDERR] in self._mid_line
        if self._progress and not blocked and _writable(STDERR):
            self._progress.show()
        self._ticking = asyncio.get_running_loop().call_later(TICK, self._tick)


class Progress:
    """One line at the end of the terminal behind stderr that tells what is going on."""

    def __init__(self) -> None:
        self._console: Console | None = None
        self._live: Live | None = None
        self._text = ""
        self._since = 0.0

    def begin(self, text: str) -> None:
        self._text = text
        self._since = time.monotonic()

    def show(self) -> None:
        """Draw the line where the cursor is, which must be at the start of a line."""
        if self._live is not None:
            self._live.update(self._line(), refresh=True)
            return
        from rich.console import Console
        from rich.live import Live

        if self._console is None:
            self._console = Console(stderr=True, highlight=False)
        # The loop refreshes it: rich would start a thread.
        self._live = Live(
            self._line(),
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    def hide(self) -> None:
        """Take the line away; the cursor is where it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _line(self) -> Text:
        from rich.text import Text

        elapsed = time.monotonic() - self._since
        line = Text(no_wrap=True, overflow="ellipsis", end="")
        return line.append(f"{elapsed:5.1f} s  ", "cyan").append(self._text, "bold")


def _place(fd: int) -> tuple[int, int]:
    """Tells whether two descriptors write to the same thing, as in `2>&1` or on a terminal."""
    try:
        status = os.fstat(fd)
    except OSError:
        return (-1, fd)
    return status.st_dev, status.st_ino


def _has_colours(fd: int) -> bool:
    return os.isatty(fd) and not os.environ.get("NO_COLOR")


def _writable(fd: int) -> bool:
    return bool(select.select([], [fd], [], 0)[1])


async def _until_writable(fd: int) -> None:
    if _writable(fd):
        return
    loop = asyncio.get_running_loop()
    writable = asyncio.Event()
    loop.add_writer(fd, writable.set)
    try:
        await writable.wait()
    finally:
        loop.remove_writer(fd)
