"""All lines are added to a file, or none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support import files_up_to

from carpo_lsp.appending import LINES, PIECE, append

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def test_short_lines_and_long_ones_keep_their_order(file: int) -> None:
    lines = [b"%d %s\n" % (n, b"x" * (n % 7) * PIECE) for n in range(20)]
    assert append(file, [b"before\n"]) == range(7)
    assert append(file, lines) == range(7, 7 + sum(map(len, lines)))
    assert content(file) == b"before\n" + b"".join(lines)


def test_any_number_of_lines_is_added_none_too(file: int) -> None:
    lines = [b"%d\n" % n for n in range(2 * LINES + 1)]
    assert append(file, []) == range(0)
    append(file, lines)
    assert content(file) == b"".join(lines)


def test_a_system_that_takes_a_part_is_given_the_rest(
    file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "writev", lambda where, lines: os.write(where, b"".join(lines)[:10]))
    assert append(file, [b"one line\n", b"and one more\n"]) == range(22)
    assert content(file) == b"one line\nand one more\n"


def test_nothing_is_added_when_there_is_no_more_room(file: int) -> None:
    append(file, [b"before\n"])
    with files_up_to(5 * PIECE // 2), pytest.raises(OSError, match="too large"):
        append(file, [b"x" * PIECE] * 3)
    assert content(file) == b"before\n"
    append(file, [b"after\n"])
    assert content(file) == b"before\nafter\n"
