from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from carpo_lsp.files import read_text

if TYPE_CHECKING:
    from pathlib import Path


def test_text(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("é\n")
    assert read_text(file) == read_text(file, 2) == "é\n"
    with pytest.raises(OSError, match="too large"):
        read_text(file, 1)


def test_what_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"\xff")
    assert read_text(file, errors="replace") == "\N{REPLACEMENT CHARACTER}"
    with pytest.raises(UnicodeDecodeError):
        read_text(file)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_text(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless"):
        with pytest.raises(OSError, match="no regular file"):
            read_text(tmp_path / name)
