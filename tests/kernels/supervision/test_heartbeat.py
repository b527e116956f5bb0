"""Who listens to a kernel's heartbeat must not hold up the end of the program."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support import DEADLINE

LISTENING = """
import asyncio, sys
import zmq
from carpo_lsp.kernels.supervision import heartbeat

async def main(port):
    context = zmq.Context()
    info = {"transport": "tcp", "ip": "127.0.0.1", "hb_port": port}
    nothing = lambda: None
    listeners = {
        "is_there": lambda: heartbeat.is_there(context, info, 600),
        "until_gone": lambda: heartbeat.until_gone(context, info, 600, 600, nothing, nothing),
    }
    task = asyncio.create_task(listeners[sys.argv[1]]())
    await asyncio.sleep(0)  # it listens now
    context.destroy(linger=0)  # would wait for ever, and the loop with it
    await asyncio.wait([task])
    print(task.cancelled())

with zmq.Context() as other, other.socket(zmq.STREAM) as silent:
    asyncio.run(main(silent.bind_to_random_port("tcp://127.0.0.1")))
"""


@pytest.mark.parametrize("name", ["is_there", "until_gone"])
def test_a_context_ends_while_somebody_listens(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LISTENING, name],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
