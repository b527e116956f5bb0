"""What is asked of the operating system about the processes of kernels."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from carpo_lsp.kernels.process import is_there, until_gone

if TYPE_CHECKING:
    from collections.abc import Iterator

CHILD = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
    "print(child.pid, flush=True)\n"
    "input()\n"
    "child.communicate(b'end')\n"
    "input()\n"
)


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """A process with one below it; each line that it is sent ends one."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        print(file=process.stdin, flush=True)


async def test_the_end_of_a_process_that_is_not_ours_is_waited_for(
    parent: subprocess.Popen[str],
) -> None:
    assert parent.stdout is not None
    process = psutil.Process(int(parent.stdout.readline()))
    waiting = asyncio.create_task(until_gone([process], 30))
    await until_gone([process], 0.01)
    assert is_there(process)
    assert not waiting.done()
    print(file=parent.stdin, flush=True)
    await waiting
    assert not is_there(process)
    await until_gone([process], 30)
