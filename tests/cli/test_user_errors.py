"""Whatever a user gets wrong is one clear line on stderr, and exit code 2."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cli_program import Program


def refusal(program: Program, *args: str) -> str:
    """The one line the program refuses with."""
    done = program.run(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("carpo-lsp: ")
    return line.removeprefix("carpo-lsp: ")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("frobnicate", "No such command 'frobnicate'."),
        ("serv", "No such command 'serv'. Did you mean 'serve'?"),
        ("--frob", "No such option '--frob'."),
        ("run --frob doc.py", "No such option '--frob'. See `carpo-lsp run --help`."),
        ("run", "Missing argument 'FILE...'."),
        ("run doc.py --timeout 0", "'--timeout': 0.0 is not in the range x>0."),
        ("run doc.py --timeout soon", "'--timeout': 'soon' is not a valid float"),
        ("run doc.py --cwd nowhere", "'--cwd': Directory 'nowhere' does not exist."),
        ("--tcp nowhere", "'nowhere' is not HOST:PORT or PORT (0 to 65535)."),
        ("serve --tcp 65536", "'65536' is not HOST:PORT"),
        ("--stdio --tcp 0", "--stdio and --tcp exclude each other."),
        ("--tcp 0 kernels", "--tcp is an option of `carpo-lsp serve`."),
        ("--log-level loud", "'loud' is not one of 'debug', 'info', 'warning', 'error'."),
        ("--log-file nowhere/log", "the log file 'nowhere/log': No such file or directory"),
        ("--trace nowhere/trace", "the trace file 'nowhere/trace': No such file or directory"),
        ("--tcp 203.0.113.1:80", "cannot serve on 203.0.113.1:80: "),
        ("run nowhere.py", "nowhere.py: No such file or directory"),
        ("run folder", "folder: Is a directory"),
        ("run latin1.py", "latin1.py: not UTF-8 text (at byte 5)"),
        ("run text.ipynb", "text.ipynb: not a notebook: it is not JSON"),
        ("run array.ipynb", "array.ipynb: not a valid notebook: "),
        ("run wrong.ipynb", "wrong.ipynb: not a valid notebook: "),
        ("run doc.txt", "doc.txt: the name does not tell its language; give --kernel."),
        ("run doc.jl", "doc.jl: No installed kernel runs julia: install the Julia package IJulia"),
        ("run doc.py -k frob", "--kernel: No kernelspec is named 'frob' (installed: "),
        ("run doc.py -k ./folder", "folder/kernel.json' cannot be read: No such file"),
        ("run doc.py -o doc.html", "--output: 'doc.html' is neither a .ipynb file nor a folder."),
        ("run doc.py -o nowhere/x.ipynb", "--output: the folder 'nowhere' does not exist."),
        ("run doc.py doc.md -o doc.ipynb", "--output: with several FILEs this must be a folder"),
        ("run doc.py doc.md -o folder", "two FILEs would become 'folder/doc.ipynb'."),
    ],
)
def test_refusals(program: Program, args: str, message: str) -> None:
    for name, content in {
        "doc.py": b"print('never')",
        "doc.md": b"",
        "doc.txt": b"1",
        "doc.jl": b"1",
        "latin1.py": b"x = '\xe4'",
        "text.ipynb": b"print(1)",
        "array.ipynb": b"[]",
        "wrong.ipynb": b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{}]}',
    }.items():
        (program.folder / name).write_bytes(content)
    (program.folder / "folder").mkdir()
    assert message in refusal(program, *args.split())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_refused(program: Program) -> None:
    path = program.folder / "secret.py"
    path.touch(mode=0)
    assert refusal(program, "run", "secret.py") == "secret.py: Permission denied"
