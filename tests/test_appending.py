"""All lines are added to a file, or none."""

from __future__ import annotations

import os
import resource
import signal
from typing import TYPE_CHECKING

import pytest

from carpo_lsp.appending import PIECE, append

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


@pytest.fixture
def full() -> Iterator[None]:
    """No file of this process may be longer than a few pieces."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 * PIECE // 2, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_short_lines_and_long_ones_keep_their_order(file: int) -> None:
    lines = [b"%d %s\n" % (n, b"x" * (n % 7) * PIECE) for n in range(20)]
    assert append(file, [b"before\n"]) == range(7)
    assert append(file, lines) == range(7, 7 + sum(map(len, lines)))
    assert content(file) == b"before\n" + b"".join(lines)


def test_nothing_is_added_when_there_is_no_more_room(file: int, full: None) -> None:
    append(file, [b"before\n"])
    with pytest.raises(OSError, match="too large"):
        append(file, [b"x" * PIECE] * 3)
    assert content(file) == b"before\n"
    append(file, [b"after\n"])
    assert content(file) == b"before\nafter\n"
