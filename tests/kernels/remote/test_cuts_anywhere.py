"""A cut, and a server that ends, under code that runs: on each kind of server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from jupyter_servers import KINDS, Kind, Network, serving
from msgspec import structs
from support import DEADLINE, Events, check_order, text_of
from test_cuts import caused, cut

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_servers import Running

    from carpo_lsp.frontend import Frontend

LINES = 5000

CODE = """\
import pathlib, time
print("begun", flush=True)
while not pathlib.Path({path!r}).exists():
    time.sleep(0.01)
for number in range({lines}):
    print(number, flush=True)
pathlib.Path({path!r}).unlink()
"""

pytestmark = pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, id=kind.name, marks=getattr(pytest.mark, kind.marker)) for kind in KINDS],
)


async def start(frontend: Frontend, server: Running, port: int) -> str:
    """A new kernel of a server, which is reached by a port."""
    named = structs.replace(server.named, url=f"http://127.0.0.1:{port}/")
    frontend.manager.servers.name([named])
    return await frontend.attach_server(named.name, spec_name="python3")


async def test_output_made_meanwhile_is_there(
    frontend: Frontend, events: Events, kind: Kind, tmp_path: Path
) -> None:
    async with serving(kind, tmp_path) as server, Network(server.port) as network:
        kernel_id = await start(frontend, server, network.port)
        path = tmp_path / "go"
        handle = frontend.execute_code(kernel_id, CODE.format(path=str(path), lines=LINES))
        await events.until_text("begun")
        told = await cut(network, server, events)
        assert (told.status, "trying again" in str(told.reason)) == ("busy", True)
        path.touch()
        async with asyncio.timeout(DEADLINE):
            while path.exists():  # noqa: ASYNC110 - the kernel is out of reach
                await asyncio.sleep(0.01)
        network.mend()
        result = await handle
        assert result.state == "ok"
        assert text_of(result.outputs) == "begun\n" + "".join(f"{n}\n" for n in range(LINES))
        check_order(events.of(handle.execution_id))
        back = await events.until(caused("reconnected"))
        first = await events.until_text("0\n")
        assert events.all.index(back) < events.all.index(first)
        assert not [event for event in events.all if caused("outputLost")(event)]
        await frontend.shutdown_kernel(kernel_id)


async def test_a_server_that_is_restarted_under_running_code(
    frontend: Frontend, events: Events, kind: Kind, tmp_path: Path
) -> None:
    async with serving(kind, tmp_path / "a") as server:
        kernel_id = await start(frontend, server, server.port)
        handle = frontend.execute_code(kernel_id, "import time\ntime.sleep(600)")
        await events.until_state("running", handle.execution_id)
    await events.until(caused("disconnected"))
    assert frontend.record(handle.execution_id).state == "running", "nobody knows better"
    async with serving(kind, tmp_path / "b", port=server.port):
        assert (await handle).state == "died"
    await frontend.shutdown_kernel(kernel_id)
