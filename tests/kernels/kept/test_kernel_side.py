"""The kernel's side of a keeper."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import zmq

from carpo_lsp.kernels.kept.kernel_side import Kernel
from carpo_lsp.kernels.process import Tail
from carpo_lsp.kernels.supervision import watchdog

if TYPE_CHECKING:
    from pathlib import Path


async def test_what_a_kernel_prints_is_taken_back_from_a_keeper_though_the_kernel_is_gone() -> None:
    tail = Tail()
    tail.close_write_end()
    tail.lend()
    tail.close()
    tail.take_back()
    assert tail.text() == ""


def test_the_stdin_channel_is_there_before_anything_is_sent(tmp_path: Path) -> None:
    """A kernel loses the question that it asks of nobody."""
    (tmp_path / "kernel.json").write_text(
        json.dumps({"transport": "ipc", "ip": str(tmp_path / "k"), "stdin_port": 1, "key": ""})
    )
    process = watchdog.look_up(os.getpid())
    assert process is not None
    entry = {
        "connectionFile": str(tmp_path / "kernel.json"),
        "pid": process.pid,
        "started": process.started.decode(),
        "spec": {"interrupt_mode": "signal"},
    }
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    opened = threading.Event()
    early: list[bool] = []

    def bind() -> None:
        """As a kernel that is late: when the channel has been given the time to be open."""
        early.append(opened.wait(0.1))
        router.bind(f"ipc://{tmp_path / 'k'}-1")

    late = threading.Thread(target=bind)
    kernel = Kernel(entry, -1, zmq.Poller())
    try:
        late.start()
        kernel.open("stdin", b"me")
        opened.set()
        late.join()
        assert early == [False]
    finally:
        kernel.close()
        context.destroy(linger=0)
