"""A terminal with a program in it: keys go in, the screen is waited for."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from typing import TYPE_CHECKING, Final, Self

from rich.color import Color
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

DEADLINE: Final = 30.0
"""Seconds after which a test stops waiting for what should have come long ago."""

NORMAL: Final = "#27272a #f87171 #4ade80 #facc15 #60a5fa #c084fc #22d3ee #d4d4d8"
BRIGHT: Final = "#71717a #fca5a5 #86efac #fde047 #93c5fd #d8b4fe #67e8f9 #fafafa"


def _rgb(colours: str) -> list[tuple[int, int, int]]:
    return [Color.parse(colour).get_truecolor() for colour in colours.split()]


THEME: Final = TerminalTheme((24, 24, 27), (228, 228, 231), _rgb(NORMAL), _rgb(BRIGHT))
"""Colours of screenshots."""

SVG: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {terminal_height}">
<style>text{{font:{char_height}px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;
white-space:pre}}{styles}</style>
<defs>{lines}</defs>
<rect width="100%" height="100%" rx="8" fill="#18181b"/>
<g transform="translate({terminal_x},0)">{backgrounds}{matrix}</g>
</svg>
"""
"""How a screenshot is laid out: no frame, and no fonts from the network."""


SETTINGS: Final = """\
set -g default-terminal tmux-256color
set -g terminal-overrides ",*:RGB"
set -g status off
set -s escape-time 0
set -g remain-on-exit on
"""

AND_TELL: Final = ["/bin/sh", "-c", '"$@"; tmux wait-for -S ended', "sh"]
"""Runs a program and signals its end. tmux itself has no hook for it before it has collected the
program's status, which some systems let it miss."""


class Screen:
    """A program in a terminal of its own, which is a session of a tmux server of its own.

    A second, silent client of the session (tmux's control mode) tells when the screen has changed,
    so that `until` looks when there is something to see, and sleeps in no other way.
    """

    PICTURE: Final = ".svg"

    def __init__(
        self,
        folder: Path,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        columns: int = 100,
        rows: int = 30,
    ) -> None:
        """Start `command` in `cwd` with exactly the variables of `env`, plus tmux's own. The
        socket is made in `folder`, whose path has to be short."""
        settings = folder / "tmux.conf"
        settings.write_text(SETTINGS)
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", str(settings)]
        self._env = {**env, "TERM": "xterm-256color"}
        self.columns, self.rows = columns, rows
        size = ["-x", str(columns), "-y", str(rows)]
        self._call(
            "new-session", "-d", "-s", "test", *size, "-c", str(cwd), *AND_TELL, *map(str, command)
        )
        self._watcher = subprocess.Popen(
            [*self._tmux, "-C", "attach-session", "-r", "-t", "test"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._env,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._call("kill-server")
        finally:
            self._watcher.kill()
            with self._watcher:
                pass

    def keys(self, *names: str) -> None:
        """Press keys by tmux's names: `Enter`, `Escape`, `C-c`, `Tab`, `x`."""
        self._call("send-keys", "-t", "test", *names)

    def type(self, text: str) -> None:
        """Type text as it is."""
        self._call("send-keys", "-t", "test", "-l", "--", text)

    def text(self) -> str:
        """What is on the screen, lines without the blanks at their ends."""
        return self._call("capture-pane", "-t", "test", "-p")

    def until(self, pattern: str, *, absent: bool = False) -> re.Match[str] | None:
        """Wait until the screen has a match of a regular expression (`^` and `$` are those of
        lines), or has none with `absent`; returns the match."""
        assert self._watcher.stdout is not None
        deadline = time.monotonic() + DEADLINE
        while True:
            found = re.search(pattern, self.text(), re.MULTILINE)
            if (found is None) == absent:
                return found
            left = deadline - time.monotonic()
            changed, _, _ = select.select([self._watcher.stdout], [], [], max(0.0, left))
            if not changed or not os.read(self._watcher.stdout.fileno(), 1 << 16):
                wanted = f"{pattern!r} {'goes away' if absent else 'comes'}"
                raise AssertionError(f"waited in vain until {wanted}; the screen is\n{self.text()}")

    def until_ended(self) -> None:
        """Wait until the program has ended."""
        try:
            self._call("wait-for", "ended")
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended; the screen is\n{self.text()}") from None

    def screenshot(self, path: Path) -> None:
        """Write the screen to an SVG file, with its colours."""
        captured = self._call("capture-pane", "-t", "test", "-p", "-e", "-N")
        with open(os.devnull, "w") as nowhere:
            console = Console(
                record=True,
                file=nowhere,
                width=self.columns,
                force_terminal=True,
                legacy_windows=False,
            )
            for line in captured.rstrip("\n").split("\n"):
                console.print(Text.from_ansi(line), no_wrap=True, crop=True)
            svg = console.export_svg(theme=THEME, code_format=SVG, unique_id="s")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(svg)

    def _call(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments],
            env=self._env,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
