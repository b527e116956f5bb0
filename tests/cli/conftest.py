from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cli_program import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the connection files of these tests are."""
    return tmp_path_factory.mktemp("jupyter") / "runtime"


@pytest.fixture
def program(tmp_path: Path, runtime: Path) -> Iterator[Program]:
    """The program in a folder of its own; it must have left nothing behind at the end."""
    program = Program(tmp_path, runtime)
    yield program
    for process in program.started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    kernels = program.kernels()
    for kernel in kernels:
        kernel.kill()
    assert kernels == []
    assert list(runtime.glob("*.json")) == []


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a document into the folder the program runs in."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write
