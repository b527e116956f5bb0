from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest

from carpo_lsp.cli.logs import StderrHandler

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord("name", logging.WARNING, __file__, 1, message, (), None)


def test_a_record_is_written_line_by_line(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    StderrHandler(writer).emit(record("first\nsecond ä"))
    assert os.read(reader, 100) == "first\nsecond ä\n".encode()


def test_long_lines_are_cut_to_what_is_written_in_one_piece(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    StderrHandler(writer).emit(record("x" * 10_000))
    written = os.read(reader, 65536)
    assert len(written) < 4096
    assert written.endswith(b"x\n")


def test_what_nobody_reads_is_dropped(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    handler = StderrHandler(writer)
    for _ in range(1000):
        handler.emit(record("x" * 1000))
    held = os.read(reader, 1_000_000)
    assert set(held.splitlines()) == {b"x" * 1000}
    handler.emit(record("again"))
    assert os.read(reader, 100) == b"again\n"


def test_a_closed_stderr_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    StderrHandler(writer).emit(record("nowhere"))
    os.close(writer)
    StderrHandler(writer).emit(record("nowhere"))
