"""`carpo-lsp run` on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cli_program import Program

    Write = Callable[[str, str], Path]


class Terminal:
    """A terminal: `device` is for the program, the methods are for the user in front of it."""

    def __init__(self) -> None:
        self._user, self.device = pty.openpty()
        self.seen = b""

    def type(self, text: bytes) -> None:
        os.write(self._user, text)

    def read_until(self, text: bytes) -> None:
        """Look until `text` has been shown, since the last look."""
        start = len(self.seen)
        while text not in self.seen[start:]:
            self.seen += os.read(self._user, 1024)

    def read_to_end(self) -> None:
        """Look until the program has gone; the device is closed on our side."""
        os.close(self.device)
        self.device = -1
        while True:
            try:
                data = os.read(self._user, 1024)
            except OSError:  # how Linux tells of the end of a terminal
                return
            if not data:
                return
            self.seen += data

    def close(self) -> None:
        os.close(self._user)
        if self.device >= 0:
            os.close(self.device)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


@contextmanager
def fifo(path: Path) -> Iterator[Callable[[], None]]:
    """A named pipe, on which a cell can wait; the function lets it go on."""
    os.mkfifo(path)
    yield lambda: path.write_text("go on")
    path.unlink()


def test_progress_is_live_and_stdout_stays_clean(
    program: Program, write: Write, terminal: Terminal
) -> None:
    write("doc.py", "# %% wait\nprint('one')\n_ = open('gate').read()\n# %%\nprint('two')\n1 / 0")
    program.env["TERM"] = "xterm-256color"
    with fifo(program.folder / "gate") as go_on:
        process = program.start("run", "doc.py", stdin=terminal.device, stderr=terminal.device)
        terminal.read_until(b"doc.py [1/2] wait")
        go_on()
        terminal.read_to_end()
    assert process.stdout.read() == b"one\ntwo\n"
    assert process.wait() == 1
    assert b"starting Python 3" in terminal.seen
    # The live line is drawn and erased, and the traceback has colours.
    assert b"\x1b[?25l" in terminal.seen
    assert terminal.seen.count(b"\x1b[?25l") == terminal.seen.count(b"\x1b[?25h")
    assert b"\x1b[31mZeroDivisionError" in terminal.seen
    assert terminal.seen.endswith(
        b"doc.py: cell 2 of 2 (line 4): failed: ZeroDivisionError: division by zero\r\n"
    )


def test_no_color_is_respected(program: Program, write: Write, terminal: Terminal) -> None:
    write("doc.py", "1 / 0")
    program.env |= {"TERM": "xterm-256color", "NO_COLOR": "1"}
    program.start("run", "doc.py", stdin=terminal.device, stderr=terminal.device)
    terminal.read_to_end()
    assert b"\x1b[31m" not in terminal.seen
    assert b"ZeroDivisionError" in terminal.seen


def test_a_dumb_terminal_gets_plain_lines(
    program: Program, write: Write, terminal: Terminal
) -> None:
    write("doc.py", "print('one')")
    program.env["TERM"] = "dumb"
    program.start("run", "doc.py", stdin=terminal.device, stderr=terminal.device)
    terminal.read_to_end()
    assert terminal.seen == b"carpo-lsp: doc.py [1/1] print('one')\r\n"


def test_a_line_and_a_password_are_typed(
    program: Program, write: Write, terminal: Terminal
) -> None:
    code = (
        "import getpass\nname = input('Name: ')\nword = getpass.getpass('Word: ')\n"
        "print(name, len(word))"
    )
    write("ask.py", code)
    program.env["TERM"] = "xterm-256color"
    device = terminal.device
    process = program.start("run", "ask.py", stdin=device, stdout=device, stderr=device)
    terminal.read_until(b"Name: ")
    terminal.type(b"Ada\n")
    terminal.read_until(b"Word: ")
    terminal.type(b"secret\n")
    terminal.read_to_end()
    assert process.wait() == 0
    assert b"Name: Ada\r\n" in terminal.seen
    assert b"Word: \r\n" in terminal.seen
    assert b"secret" not in terminal.seen
    assert b"Ada 6\r\n" in terminal.seen


def test_the_end_of_typing_is_the_end_of_input(
    program: Program, write: Write, terminal: Terminal
) -> None:
    write("ask.py", "input('Name: ')")
    process = program.start("run", "ask.py", stdin=terminal.device, stdout=terminal.device)
    terminal.read_until(b"Name: ")
    terminal.type(b"\x04")
    assert b"asks for input, and stdin is at its end" in process.stderr.read()
    assert process.wait() == 1
