"""What a process keeps of memory that it has freed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """\
import sys
import psutil
from carpo_lsp.cli.heap import return_large_blocks

if sys.argv[1] == "yes":
    return_large_blocks()
large = b"x" * (20 * 1024 * 1024)
del large  # from here on glibc takes two megabytes for little
before = psutil.Process().memory_info().rss
blocks, between = [], []
for number in range(50):
    blocks.append(bytes([number]) * (2 * 1024 * 1024))
    between.append(bytes([number]) * 1000)
blocks.clear()
print((psutil.Process().memory_info().rss - before) // (1024 * 1024))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_large_blocks_go_back_to_the_system() -> None:
    kept = {
        asked: int(subprocess.check_output([sys.executable, "-c", PROGRAM, asked], text=True))
        for asked in ("yes", "no")
    }
    assert kept["yes"] < 10 < 50 < kept["no"]
