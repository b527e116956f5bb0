"""What becomes of a kernel and its code when the way to its server is cut."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psutil
import pytest
import pytest_asyncio
from jupyter_servers import TOKEN, Network
from support import DEADLINE, Events, check_order, gone, text_of

from carpo_lsp.errors import ServerFailed
from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.events import StatusChanged
from carpo_lsp.kernels.remote import api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from jupyter_servers import Running

pytestmark = [pytest.mark.needs_jupyter_server, pytest.mark.asyncio(loop_scope="module")]

WAIT = """\
import pathlib, time
print("begun", flush=True)
while not pathlib.Path({path!r}).exists():
    time.sleep(0.01)
"""

SLEEP = "import time\nprint('begun', flush=True)\ntime.sleep(600)"

KEEPS = "Starting buffering"
"""How a server's log tells that what the kernel says is kept from now on."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def frontend() -> AsyncIterator[Frontend]:
    async with Frontend() as frontend:
        yield frontend


@pytest_asyncio.fixture(loop_scope="module")
async def network(jupyter: Running) -> AsyncIterator[Network]:
    async with Network(jupyter.port) as network:
        yield network


@pytest_asyncio.fixture(loop_scope="module")
async def kernel(frontend: Frontend, network: Network) -> AsyncIterator[str]:
    url = f"http://127.0.0.1:{network.port}/"
    kernel_id = await frontend.attach_server(url, token=TOKEN)
    yield kernel_id
    network.mend()
    if kernel_id in {kernel.kernel_id for kernel in frontend.list_kernels()}:
        await frontend.shutdown_kernel(kernel_id)


def caused(cause: str) -> Callable[[object], bool]:
    return lambda event: isinstance(event, StatusChanged) and event.cause == cause


async def cut(network: Network, server: Running, events: Events) -> StatusChanged:
    """Cut the way, until both ends know. What a server has from the kernel before it knows is lost:
    it takes that for delivered."""
    kept = server.log.count(KEEPS)
    network.cut()
    event = await events.until(caused("disconnected"))
    async with asyncio.timeout(DEADLINE):
        while server.log.count(KEEPS) == kept:  # noqa: ASYNC110 - only its log tells
            await asyncio.sleep(0.01)
    assert isinstance(event, StatusChanged)
    return event


async def pid_of(frontend: Frontend, kernel_id: str) -> int:
    result = await frontend.execute_code(kernel_id, "import os\nprint(os.getpid())")
    return int(text_of(result.outputs))


async def test_what_waits_runs_once_there_is_a_way(
    frontend: Frontend, events: Events, network: Network, kernel: str
) -> None:
    network.cut()
    await events.until(caused("disconnected"))
    handle = frontend.execute_code(kernel, "x = 1\nx")
    asks = frontend.get_completions(kernel, "enumer", 6)
    network.mend()
    result = await handle
    assert [output["data"] for output in result.outputs] == [{"text/plain": "1"}]
    assert "enumerate" in (await asks).matches
    assert frontend.get_kernel(kernel).execution_count == 1


async def test_a_question_asked_meanwhile(
    frontend: Frontend,
    events: Events,
    jupyter: Running,
    network: Network,
    kernel: str,
    tmp_path: Path,
) -> None:
    code = WAIT.format(path=str(tmp_path / "go")) + "print(input('who? '))"
    handle = frontend.execute_code(kernel, code)
    await events.until_text("begun")
    await cut(network, jupyter, events)
    (tmp_path / "go").touch()
    network.mend()
    await events.until_input(handle.execution_id)
    await frontend.provide_stdin(kernel, "me")
    result = await handle
    assert text_of(result.outputs) == "begun\nme\n"


async def test_a_kernel_that_dies_meanwhile(
    frontend: Frontend, events: Events, jupyter: Running, network: Network, kernel: str
) -> None:
    """Its server has started another in its place by the time it can be asked."""
    pid = await pid_of(frontend, kernel)
    handle = frontend.execute_code(kernel, SLEEP)
    await events.until_text("begun")
    network.cut()
    await events.until(caused("disconnected"))
    psutil.Process(pid).kill()
    await gone(pid)
    async with asyncio.timeout(DEADLINE):
        while "restarting kernel" not in jupyter.log:  # noqa: ASYNC110 - only its log tells
            await asyncio.sleep(0.01)
    network.mend()
    assert (await handle).state == "died"
    dead = await events.until_status("dead", kernel)
    assert "died" in str(dead.reason)
    check_order(events.of(handle.execution_id))
    await frontend.restart_kernel(kernel)
    assert (await frontend.execute_code(kernel, "1")).state == "ok"


async def test_a_kernel_that_is_shut_down_meanwhile(
    frontend: Frontend, events: Events, jupyter: Running, network: Network, kernel: str
) -> None:
    handle = frontend.execute_code(kernel, SLEEP)
    await events.until_text("begun")
    remote_id = frontend.get_kernel(kernel).remote_kernel_id
    assert remote_id is not None
    network.cut()
    await events.until(caused("disconnected"))
    async with Frontend() as other:
        theirs = await other.attach_server(jupyter.url, token=TOKEN, remote_kernel_id=remote_id)
        await other.shutdown_kernel(theirs, force=True)
    network.mend()
    assert (await handle).state == "died"
    dead = await events.until_status("dead", kernel)
    assert "has the kernel no more" in str(dead.reason)
    await frontend.restart_kernel(kernel)
    assert (await frontend.execute_code(kernel, "1")).state == "ok"
    assert frontend.get_kernel(kernel).remote_kernel_id != remote_id


async def test_a_silent_cut_is_noticed(
    frontend: Frontend, events: Events, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "BEAT", 0.4)
    url = f"http://127.0.0.1:{network.port}/"
    kernel = await frontend.attach_server(url, token=TOKEN)
    network.frozen = True
    handle = frontend.execute_code(kernel, "print('it ran')")
    await events.until(caused("disconnected"))
    network.cut()
    network.mend()
    # It was sent, and never arrived; whether it did only the kernel knows.
    result = await handle
    assert result.state == "aborted"
    check_order(events.of(handle.execution_id))
    again = await frontend.execute_code(kernel, "print('it runs')")
    assert text_of(again.outputs) == "it runs\n"
    await frontend.shutdown_kernel(kernel)


async def test_an_interrupt_without_a_way_is_refused(
    frontend: Frontend, events: Events, network: Network, kernel: str
) -> None:
    handle = frontend.execute_code(kernel, SLEEP)
    await events.until_text("begun")
    network.cut()
    await events.until(caused("disconnected"))
    with pytest.raises(ServerFailed):
        await frontend.interrupt(kernel)
    network.mend()
    await events.until(caused("reconnected"))
    await frontend.interrupt(kernel)
    assert (await handle).state == "error"
