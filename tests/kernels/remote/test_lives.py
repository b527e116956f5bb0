"""The whole life of a kernel behind each kind of server."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from jupyter_servers import serving
from support import Events, check_order, text_of

from carpo_lsp.errors import KernelDied, KernelNotOurs, KernelStartFailed, ServerFailed
from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.remote import api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jupyter_servers import Running

    from carpo_lsp.kernels.offers import Offered

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRONG = "wrong-one"
SLEEP = "import time\nprint('asleep', flush=True)\ntime.sleep(600)"

NEVER = "--KernelRestarter.restart_limit=0"
"""A server starts no kernel in the place of one that died."""

UNSTEADY = """\
import os, pathlib, sys
deaths = pathlib.Path(sys.argv[1])
left = int(deaths.read_text())
deaths.write_text(str(max(left - 1, 0)))
if left:
    sys.exit(1)
os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", *sys.argv[2:]])
"""
"""A kernel that dies as it starts, as often as a file says."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def frontend() -> AsyncIterator[Frontend]:
    async with Frontend() as frontend:
        yield frontend


@pytest.fixture(autouse=True)
def _named(frontend: Frontend, any_server: Running) -> None:
    frontend.manager.servers.name([any_server.named])


async def start(frontend: Frontend, server: Running, **options: str) -> str:
    return await frontend.attach_server(server.kind.name, **options)


def write_unsteady(server: Running, code: str = UNSTEADY) -> Path:
    """The kernelspec `unsteady` for a server; also the file of how often it dies."""
    deaths = server.folder / "deaths"
    deaths.write_text("0")
    argv = [sys.executable, "-c", code, str(deaths), "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Unsteady", "language": "python"}
    file = server.folder / "jupyter" / "kernels" / "unsteady" / "kernel.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(spec))
    return deaths


async def there(frontend: Frontend, server: Running) -> tuple[Offered, ...]:
    """The kernels that the server has."""
    offer = await frontend.manager.servers.offer(frontend.manager.servers.find(server.url))
    assert offer.error is None
    return offer.kernels


async def restart_there(frontend: Frontend, server: Running, remote_id: str) -> None:
    """Have the server restart a kernel, as any of its clients may."""
    servers = frontend.manager.servers
    await servers.api(servers.find(server.url)).restart(remote_id)


async def test_a_life(frontend: Frontend, events: Events, any_server: Running) -> None:
    kernel_id = await start(frontend, any_server, spec_name="python3")
    kernel = await frontend.get_kernel_info(kernel_id)
    assert (kernel.owned, kernel.pid, kernel.connection_file) == (True, None, None)
    assert (kernel.server_url, kernel.language) == (any_server.url, "python")
    assert kernel.spec_name == f"python3@{any_server.kind.name}"
    assert kernel.display_name == f"Python 3 on {any_server.kind.name}"
    assert kernel.execution_count == 0

    result = await frontend.execute_code(kernel_id, "x = 6 * 7\nx")
    assert [output["data"] for output in result.outputs] == [{"text/plain": "42"}]

    asks = frontend.execute_code(kernel_id, "print(input('who? '))")
    prompt = await events.until_input(asks.execution_id)
    assert prompt.prompt == "who? "
    await frontend.provide_stdin(kernel_id, "Zoë 😀")
    assert text_of((await asks).outputs) == "Zoë 😀\n"

    sleeps = frontend.execute_code(kernel_id, SLEEP)
    await events.until_text("asleep")
    await frontend.interrupt(kernel_id)
    assert (await sleeps).state == "error"
    check_order(events.of(sleeps.execution_id))

    runs = frontend.execute_code(kernel_id, SLEEP)
    await frontend.restart_kernel(kernel_id)
    assert (await runs).state == "died"
    assert frontend.get_kernel(kernel_id).remote_kernel_id == kernel.remote_kernel_id
    assert (await frontend.execute_code(kernel_id, "x")).state == "error"

    await frontend.shutdown_kernel(kernel_id)
    assert await there(frontend, any_server) == ()
    assert events.statuses(kernel_id)[-1] == "stopped"


async def test_a_flood_is_whole(frontend: Frontend, any_server: Running) -> None:
    lines = 20_000
    kernel_id = await start(frontend, any_server)
    code = f"for i in range({lines}):\n    print(i, flush=True)"
    result = await frontend.execute_code(kernel_id, code)
    assert result.state == "ok"
    assert text_of(result.outputs) == "".join(f"{i}\n" for i in range(lines))
    await frontend.shutdown_kernel(kernel_id)


async def test_completion_while_code_runs(
    frontend: Frontend, events: Events, any_server: Running
) -> None:
    kernel_id = await start(frontend, any_server)
    sleeps = frontend.execute_code(kernel_id, SLEEP)
    await events.until_text("asleep")
    assert frontend.answers(kernel_id)
    reply = await frontend.get_completions(kernel_id, "enumer", 6)
    assert "enumerate" in reply.matches
    assert frontend.record(sleeps.execution_id).state == "running"
    await frontend.shutdown_kernel(kernel_id)


async def test_the_death_of_a_kernel(
    frontend: Frontend, events: Events, any_server: Running
) -> None:
    """The server starts another in its place, which knows nothing of the first."""
    kernel_id = await start(frontend, any_server)
    await frontend.execute_code(kernel_id, "x = 1")
    dies = frontend.execute_code(kernel_id, "import os\nos._exit(3)")
    assert (await dies).state == "died"
    dead = await events.until_status("dead", kernel_id)
    assert (dead.cause, dead.reason) == (
        "exited",
        "The kernel died; its server has started another one.",
    )
    await frontend.restart_kernel(kernel_id)
    assert (await frontend.execute_code(kernel_id, "x")).state == "error"
    await frontend.shutdown_kernel(kernel_id)


async def test_a_dead_kernel_is_ended(
    frontend: Frontend, events: Events, any_server: Running
) -> None:
    """So is the one that its server is just starting in its place."""
    kernel_id = await start(frontend, any_server)
    dies = frontend.execute_code(kernel_id, "import os\nos._exit(3)")
    assert (await dies).state == "died"
    await events.until_status("dead", kernel_id)
    await frontend.shutdown_kernel(kernel_id)
    assert await there(frontend, any_server) == ()


async def test_a_server_that_gives_a_kernel_up(
    frontend: Frontend, events: Events, any_server: Running, tmp_path: Path
) -> None:
    async with serving(any_server.kind, tmp_path, NEVER) as server:
        frontend.manager.servers.name([server.named])
        kernel_id = await start(frontend, server)
        await frontend.execute_code(kernel_id, "import os\nos._exit(3)")
        dead = await events.until_status("dead", kernel_id)
        assert dead.reason == "The kernel died; its server has given up starting others."
        await frontend.restart_kernel(kernel_id)
        assert (await frontend.execute_code(kernel_id, "1")).state == "ok"
        await frontend.shutdown_kernel(kernel_id)


async def test_a_kernel_that_cannot_start(
    frontend: Frontend, any_server: Running, tmp_path: Path
) -> None:
    """Its server says nothing, and has the kernel no more."""
    async with serving(any_server.kind, tmp_path, NEVER) as server:
        frontend.manager.servers.name([server.named])
        write_unsteady(server, "raise SystemExit(1)")
        with pytest.raises(KernelStartFailed, match="given the kernel up"):
            await start(frontend, server, spec_name="unsteady")
        assert await there(frontend, server) == ()


async def test_a_restart_that_its_server_refuses(
    frontend: Frontend, any_server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another kernel takes its place, and it is ended."""

    async def refuse(self: api.Api, kernel_id: str) -> None:
        raise ServerFailed("It answers with an error (500).")

    kernel_id = await start(frontend, any_server)
    first = frontend.get_kernel(kernel_id).remote_kernel_id
    with monkeypatch.context() as patch:
        patch.setattr(api.Api, "restart", refuse)
        await frontend.restart_kernel(kernel_id)
    second = frontend.get_kernel(kernel_id).remote_kernel_id
    assert second != first
    assert [kernel.kernel_id for kernel in await there(frontend, any_server)] == [second]
    await frontend.shutdown_kernel(kernel_id)


async def test_a_kept_kernel_that_somebody_else_restarts(any_server: Running) -> None:
    """It is dead for us, but what is in its place goes on."""
    async with Frontend() as first, Frontend() as other:
        for frontend in (first, other):
            frontend.manager.servers.name([any_server.named])
        events = Events(first)
        kernel_id = await start(first, any_server)
        await first.manager.keep(kernel_id, 0)
        remote_id = first.get_kernel(kernel_id).remote_kernel_id
        assert remote_id is not None
        await restart_there(other, any_server, remote_id)
        again = await start(other, any_server, remote_kernel_id=remote_id)
        # What the new one says first may come before its server hears it.
        assert (await other.execute_code(again, "1")).state == "ok"
        await events.until_status("dead", kernel_id)
        await first.close()
        assert [kernel.kernel_id for kernel in await there(other, any_server)] == [remote_id]
        await other.shutdown_kernel(again, force=True)


async def test_a_restart_after_that_of_somebody_else(
    frontend: Frontend, events: Events, any_server: Running
) -> None:
    """It is one: nothing is left of what has been run in the kernel since."""
    kernel_id = await start(frontend, any_server)
    remote_id = frontend.get_kernel(kernel_id).remote_kernel_id
    assert remote_id is not None
    async with Frontend() as other:
        other.manager.servers.name([any_server.named])
        await restart_there(other, any_server, remote_id)
        theirs = await start(other, any_server, remote_kernel_id=remote_id)
        assert (await other.execute_code(theirs, "y = 1")).state == "ok"
        await events.until_status("dead", kernel_id)
        await frontend.restart_kernel(kernel_id)
        assert (await frontend.execute_code(kernel_id, "y")).state == "error"
    assert frontend.get_kernel(kernel_id).remote_kernel_id == remote_id
    await frontend.shutdown_kernel(kernel_id)


async def test_a_kernel_is_ended_while_it_restarts(
    frontend: Frontend, events: Events, any_server: Running
) -> None:
    kernel_id = await start(frontend, any_server)
    restarts = asyncio.create_task(frontend.restart_kernel(kernel_id))
    await events.until_status("restarting", kernel_id)
    await frontend.shutdown_kernel(kernel_id)
    with pytest.raises(KernelDied):
        await restarts
    assert await there(frontend, any_server) == ()


async def test_a_kernel_that_starts_slowly(
    frontend: Frontend, any_server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the time of a start, though its server answers nothing meanwhile, and any kernel
    takes longer than other answers have here."""
    monkeypatch.setattr(api, "ANSWER", 0.0)
    kernel_id = await start(frontend, any_server)
    assert (await frontend.execute_code(kernel_id, "1")).state == "ok"
    await frontend.shutdown_kernel(kernel_id)


@pytest.mark.parametrize("deaths", [0, 1])
async def test_a_kernel_that_dies_as_it_starts(
    frontend: Frontend, any_server: Running, deaths: int
) -> None:
    """Its server starts another one, as often as it dies; that is not told as a failure."""
    left = write_unsteady(any_server)
    left.write_text(str(deaths))
    kernel_id = await start(frontend, any_server, spec_name="unsteady")
    remote_id = frontend.get_kernel(kernel_id).remote_kernel_id
    await frontend.execute_code(kernel_id, "x = 1")
    left.write_text(str(1 - deaths))
    await frontend.restart_kernel(kernel_id)
    assert left.read_text() == "0"
    assert (await frontend.execute_code(kernel_id, "x")).state == "error"
    assert frontend.get_kernel(kernel_id).execution_count == 1
    assert frontend.get_kernel(kernel_id).remote_kernel_id == remote_id
    await frontend.shutdown_kernel(kernel_id)


async def test_a_kernel_that_dies_whenever_it_starts(
    frontend: Frontend, any_server: Running
) -> None:
    left = write_unsteady(any_server)
    kernel_id = await start(frontend, any_server, spec_name="unsteady")
    left.write_text("100")
    with pytest.raises(KernelStartFailed, match="The kernel died"):
        await frontend.restart_kernel(kernel_id)
    assert frontend.get_kernel(kernel_id).status == "dead"
    assert await there(frontend, any_server) == ()
    left.write_text("0")
    await frontend.restart_kernel(kernel_id)
    assert (await frontend.execute_code(kernel_id, "1")).state == "ok"
    await frontend.shutdown_kernel(kernel_id)


async def test_a_kernel_that_runs_there(frontend: Frontend, any_server: Running) -> None:
    """It is used by many, is not ours to restart, and is ended only when that is insisted on."""
    ours = await start(frontend, any_server)
    await frontend.execute_code(ours, "x = 5")
    remote_id = frontend.get_kernel(ours).remote_kernel_id
    assert remote_id is not None
    async with Frontend() as other:
        other.manager.servers.name([any_server.named])
        theirs = await start(other, any_server, remote_kernel_id=remote_id)
        assert not other.get_kernel(theirs).owned
        result = await other.execute_code(theirs, "x")
        assert [output["data"] for output in result.outputs] == [{"text/plain": "5"}]
        with pytest.raises(KernelNotOurs):
            await other.restart_kernel(theirs)
        await other.shutdown_kernel(theirs)
        assert (await frontend.execute_code(ours, "x")).state == "ok"
        again = await start(other, any_server, remote_kernel_id=remote_id)
        await other.shutdown_kernel(again, force=True)
        with pytest.raises(ServerFailed, match="no such kernel"):
            await start(other, any_server, remote_kernel_id=remote_id)
    await frontend.shutdown_kernel(ours)


async def test_a_kernelspec_that_is_not_there(frontend: Frontend, any_server: Running) -> None:
    with pytest.raises(ServerFailed, match="no kernelspec 'cobol'"):
        await start(frontend, any_server, spec_name="cobol")
    assert frontend.list_kernels() == []


async def test_a_wrong_token(any_server: Running) -> None:
    async with Frontend() as frontend:
        with pytest.raises(ServerFailed, match="refuses access") as caught:
            await frontend.attach_server(any_server.url, token=WRONG)
        assert "is its token right?" in caught.value.message
        assert WRONG not in caught.value.message
        with pytest.raises(ServerFailed, match="give its token"):
            await frontend.attach_server(any_server.url)
        assert frontend.list_kernels() == []


async def test_a_kept_kernel_goes_on_with_its_server(any_server: Running) -> None:
    async with Frontend() as first:
        first.manager.servers.name([any_server.named])
        kernel_id = await start(first, any_server)
        await first.execute_code(kernel_id, "x = 7")
        remote_id = first.get_kernel(kernel_id).remote_kernel_id
        assert remote_id is not None
        await first.manager.keep(kernel_id, 0)
        assert first.get_kernel(kernel_id).kept
    async with Frontend() as second:
        second.manager.servers.name([any_server.named])
        again = await start(second, any_server, remote_kernel_id=remote_id)
        result = await second.execute_code(again, "x")
        assert [output["data"] for output in result.outputs] == [{"text/plain": "7"}]
        await second.shutdown_kernel(again, force=True)
