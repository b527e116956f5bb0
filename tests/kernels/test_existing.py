"""Kernels that others have started, found as `--existing` of Jupyter's programs finds them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import zmq
from jupyter_client.connect import write_connection_file
from jupyter_client.manager import AsyncKernelManager
from plugin_components import program
from support import DEADLINE, FAKE

from carpo_lsp.errors import KernelStartFailed
from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.elsewhere import existing
from carpo_lsp.kernels.elsewhere.existing import running
from carpo_lsp.kernels.supervision.heartbeat import is_there

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Start = Callable[[str], Awaitable[AsyncKernelManager]]

PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


@pytest.fixture
async def start(runtime_dir: Path) -> AsyncIterator[Start]:
    """Starts a kernel with nothing but jupyter_client; its file is `kernel-<name>.json`."""
    os.mkdir(runtime_dir, mode=0o700)
    started: list[AsyncKernelManager] = []

    async def start(name: str) -> AsyncKernelManager:
        manager = AsyncKernelManager(
            kernel_name="python3", connection_file=str(runtime_dir / f"kernel-{name}.json")
        )
        started.append(manager)
        await manager.start_kernel()
        client = manager.client()
        client.start_channels(hb=False)
        await client.wait_for_ready(timeout=DEADLINE)
        client.stop_channels()
        return manager

    yield start
    for manager in started:
        await manager.shutdown_kernel(now=True)


async def test_the_newest(frontend: Frontend, start: Start, runtime_dir: Path) -> None:
    older, newer = await start("aa"), await start("bb")
    dead = runtime_dir / "kernel-dead.json"
    content = json.loads((runtime_dir / "kernel-aa.json").read_text())
    dead.write_text(json.dumps({**content, **dict.fromkeys(PORTS, 1)}))
    (runtime_dir / "kernel-broken.json").write_text("{")
    (runtime_dir / "jpserver-1.json").write_text("{}")
    for number, name in enumerate(("aa", "bb", "dead", "broken")):
        os.utime(runtime_dir / f"kernel-{name}.json", (number, number))
    kernel_id = await frontend.attach_kernel()
    assert frontend.get_kernel(kernel_id).connection_file == newer.connection_file
    assert not frontend.get_kernel(kernel_id).owned
    await frontend.execute_code(kernel_id, "mine = 1")
    await frontend.shutdown_kernel(kernel_id)
    assert await newer.is_alive(), "it is not ours to end"
    os.utime(older.connection_file)
    kernel_id = await frontend.attach_kernel("newest")
    assert frontend.get_kernel(kernel_id).connection_file == older.connection_file


async def test_by_name(frontend: Frontend, start: Start, runtime_dir: Path) -> None:
    files = {name: (await start(name)).connection_file for name in ("1ab", "1cd")}
    for name, given in {
        "1ab": ("1ab", "kernel-1ab.json", "1a", "*ab", "kernel-?ab*", files["1ab"]),
        "1cd": ("1cd", "1c"),
    }.items():
        for each in given:
            kernel_id = await frontend.attach_kernel(each)
            assert frontend.get_kernel(kernel_id).connection_file == files[name], each
    os.utime(files["1ab"], (1, 1))
    kernel_id = await frontend.attach_kernel("1*")
    assert frontend.get_kernel(kernel_id).connection_file == files["1cd"], "the newest"
    with pytest.raises(KernelStartFailed, match=r"could be .*1ab.*; give more of it"):
        await frontend.attach_kernel("1")
    with pytest.raises(KernelStartFailed, match="No kernel runs whose id fits 'x'"):
        await frontend.attach_kernel("x")
    with pytest.raises(KernelStartFailed, match="No kernel runs whose id fits 'x\\*'"):
        await frontend.attach_kernel("x*")
    with pytest.raises(KernelStartFailed, match=r"/nowhere/kernel.json.*cannot be read"):
        await frontend.attach_kernel("/nowhere/kernel.json")


@pytest.mark.parametrize("ends", [False, True])
async def test_one_that_is_just_starting(
    runtime_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    """Who has started a kernel is told its name before it listens."""
    os.mkdir(runtime_dir, mode=0o700)
    file, gate = str(runtime_dir / "kernel-new.json"), tmp_path / "gate"
    write_connection_file(file)
    os.mkfifo(gate)
    refused = asyncio.Event()

    async def look(*arguments: Any) -> bool:
        there = await is_there(*arguments)
        if not there:
            refused.set()
        return there

    monkeypatch.setattr(existing, "is_there", look)
    command = [sys.executable, str(FAKE / "fake_kernel.py"), "-f", file, "--hold", str(gate)]
    opened = os.open(gate, os.O_RDWR)
    kernel = await asyncio.create_subprocess_exec(*command)
    finding = asyncio.create_task(existing.find_connection_file("newest"))
    try:
        async with asyncio.timeout(DEADLINE):
            await refused.wait()
            if ends:
                kernel.kill()
                await kernel.wait()
                with pytest.raises(KernelStartFailed, match="No kernel runs"):
                    await finding
            else:
                os.write(opened, b"1")
                assert await finding == file
    finally:
        if kernel.returncode is None:
            kernel.kill()
            await kernel.wait()
        os.close(opened)


async def test_none_runs(frontend: Frontend, runtime_dir: Path) -> None:
    with pytest.raises(KernelStartFailed, match="No kernel runs with a connection file in"):
        await frontend.attach_kernel()


async def test_what_runs_and_what_it_does(
    frontend: Frontend, start: Start, runtime_dir: Path
) -> None:
    idle, busy = await start("idle"), await start("busy")
    client = busy.client()
    client.start_channels(hb=False)
    client.execute("import time\nprint('asleep', flush=True)\ntime.sleep(600)")
    while (await client.get_iopub_msg(timeout=DEADLINE))["msg_type"] != "stream":
        pass
    client.stop_channels()
    fake = await frontend.start_kernel(str(FAKE))
    found = {path: glance for path, _, glance in await running()}
    assert {path: glance.state for path, glance in found.items()} == {
        idle.connection_file: "idle",
        busy.connection_file: "busy",
        frontend.get_kernel(fake).connection_file: "idle",
    }
    for glance in found.values():
        assert glance.info["language_info"]["name"]


async def test_a_look_may_outlive_its_frontend(runtime_dir: Path) -> None:
    """What it leaves must not be in the way of the next on the same loop."""
    os.mkdir(runtime_dir, mode=0o700)
    with zmq.Context() as context, contextlib.ExitStack() as stack:
        mute = {port: stack.enter_context(context.socket(zmq.ROUTER)) for port in PORTS}
        info: dict[str, Any] = {
            port: socket.bind_to_random_port("tcp://127.0.0.1") for port, socket in mute.items()
        }
        info |= {"ip": "127.0.0.1", "transport": "tcp", "key": "", "kernel_name": "mute"}
        (runtime_dir / "kernel-mute.json").write_text(json.dumps(info))
        async with Frontend() as first:
            look = asyncio.ensure_future(first.list_running())
            async with asyncio.timeout(DEADLINE):
                while not mute["shell_port"].poll(0):  # noqa: ASYNC110 - it belongs to no loop
                    await asyncio.sleep(0.01)
        assert not look.done()
        async with Frontend() as second:
            kernel_id = await second.start_kernel(str(FAKE))
            assert (await second.execute_code(kernel_id, "print 1")).state == "ok"
        look.cancel()
        await asyncio.wait({look})


async def test_a_look_is_no_subscriber(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that leaves in the wrong moment is the end of the kernel."""
    monkeypatch.setattr(existing, "ANSWER", 0.3)
    with zmq.Context() as context, contextlib.ExitStack() as stack:
        kinds = dict.fromkeys(PORTS[:4], zmq.ROUTER) | {"iopub_port": zmq.XPUB}
        mute = {port: stack.enter_context(context.socket(kind)) for port, kind in kinds.items()}
        info: dict[str, Any] = {
            port: socket.bind_to_random_port("tcp://127.0.0.1") for port, socket in mute.items()
        }
        info |= {"ip": "127.0.0.1", "transport": "tcp", "key": ""}
        assert await existing.look(info, context) is None
        assert {port for port in mute if mute[port].poll(0)} == {"shell_port", "control_port"}


async def test_a_kernel_started_by_jupyter_kernel(frontend: Frontend, runtime_dir: Path) -> None:
    command = [program("jupyter"), "kernel", "--kernel=python3"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    async with asyncio.timeout(DEADLINE):
        while b"To connect a client: --existing" not in (line := await process.stderr.readline()):
            assert line
    name = line.decode().rpartition("--existing ")[2].strip()
    async with Frontend() as other:  # which may have to wait for the kernel
        async with asyncio.timeout(DEADLINE):
            kernel_id = await other.attach_kernel(name)
        result = await other.execute_code(kernel_id, "6 * 7")
        assert result.outputs[0]["data"] == {"text/plain": "42"}
    process.terminate()
    await process.wait()
