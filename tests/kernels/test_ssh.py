"""Kernels on a host that is reached by ssh alone: a real server, on this machine."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from subprocess import DEVNULL
from typing import TYPE_CHECKING
from uuid import uuid4

import psutil
import pytest
import sshd
from plugin_components import program
from sshd import HOST, SHARED, STRANGER, Sshd
from support import DEADLINE, Events, is_alive, text_of

from carpo_lsp.errors import KernelNotOurs, KernelStartFailed
from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.elsewhere import hosts
from carpo_lsp.kernels.elsewhere.known import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.needs_sshd, pytest.mark.usefixtures("ssh")]

SLEEP = "import time\nprint('asleep', flush=True)\ntime.sleep(600)"


@pytest.fixture(scope="module")
def there(ssh_server: Sshd) -> Iterator[subprocess.Popen[str]]:
    """A kernel that was started on the host by hand."""
    with sshd.kernel(ssh_server) as process:
        yield process


async def test_a_kernel_is_started_there(
    frontend: Frontend, events: Events, ssh_server: Sshd, tmp_path: Path
) -> None:
    kernel_id = await frontend.start_kernel(spec_name=f"ssh:{HOST}/python3", cwd=str(tmp_path))
    kernel = frontend.get_kernel(kernel_id)
    assert (kernel.owned, kernel.language, kernel.pid) == (True, "python", None)
    assert (ssh_server.runtime / f"kernel-{kernel_id}.json").exists()
    result = await frontend.execute_code(kernel_id, "import os\nprint(os.getcwd())\nos.getpid()")
    assert text_of(result.outputs) == f"{tmp_path}\n"
    pid = int(result.outputs[1]["data"]["text/plain"])
    asks = frontend.execute_code(kernel_id, "input('who? ')")
    await events.until_input(asks.execution_id)
    await frontend.provide_stdin(kernel_id, "me")
    assert (await asks).outputs[0]["data"] == {"text/plain": "'me'"}
    assert "getpid" in str((await frontend.get_completions(kernel_id, "os.getpi", 8)).matches)
    handle = frontend.execute_code(kernel_id, SLEEP)
    await events.until_text("asleep")
    await frontend.interrupt(kernel_id)
    error = (await handle).error
    assert error is not None
    assert error["ename"] == "KeyboardInterrupt"
    flood = await frontend.execute_code(kernel_id, "for i in range(20_000): print(i, flush=True)")
    assert text_of(flood.outputs) == "".join(f"{i}\n" for i in range(20_000))
    await frontend.restart_kernel(kernel_id)
    assert not is_alive(pid)
    result = await frontend.execute_code(kernel_id, "os")
    assert result.error is not None
    assert result.error["ename"] == "NameError"
    await frontend.shutdown_kernel(kernel_id)
    assert list(ssh_server.runtime.glob(f"*{kernel_id}*")) == []


async def test_a_kernel_that_runs_there(
    frontend: Frontend, events: Events, ssh_server: Sshd, there: subprocess.Popen[str]
) -> None:
    kernel_id = await frontend.attach_kernel(f"ssh:{HOST}")
    kernel = frontend.get_kernel(kernel_id)
    assert (kernel.owned, kernel.language) == (False, "python")
    await frontend.execute_code(kernel_id, "x = 1")
    async with Frontend() as other:  # as any client of Jupyter, by the file on this end
        also = await other.attach_kernel(kernel.connection_file)
        assert (await other.execute_code(also, "print('other', x)")).state == "ok"
    external = await events.until_text("other 1")
    assert external.execution_id.startswith("external:")
    with pytest.raises(KernelNotOurs):
        await frontend.restart_kernel(kernel_id)
    await frontend.shutdown_kernel(kernel_id)
    ((path, content),) = (await hosts.running(HOST)).items()
    stale = ssh_server.runtime / f"kernel-{uuid4()}.json"
    stale.write_text(json.dumps(content))
    assert [*await hosts.running(HOST)] == [path], "the file of a kernel that is gone is none"
    stale.unlink()
    name = path.rpartition("kernel-")[2][:8]
    for each in (name, "newest", f"*{name}*", path):
        kernel_id = await frontend.attach_kernel(f"ssh:{HOST}/{each}")
        result = await frontend.execute_code(kernel_id, "x")
        assert result.outputs[0]["data"] == {"text/plain": "1"}, each
        await frontend.shutdown_kernel(kernel_id)
    assert there.poll() is None


@pytest.mark.needs_r
async def test_a_kernel_there_that_looks_at_nothing_but_its_code_is_interrupted(
    frontend: Frontend, events: Events, ssh_server: Sshd
) -> None:
    with sshd.kernel(ssh_server, "ir"):
        kernel_id = await frontend.attach_kernel(f"ssh:{HOST}")
        assert frontend.get_kernel(kernel_id).language == "R"
        handle = frontend.execute_code(
            kernel_id, "cat('napping\\n'); flush.console(); Sys.sleep(600)"
        )
        await events.until_text("napping")
        await frontend.interrupt(kernel_id)
        assert (await handle).state in ("error", "aborted")
        assert (await frontend.execute_code(kernel_id, "1 + 1")).state == "ok"
        await frontend.shutdown_kernel(kernel_id)


async def test_a_lost_connection_is_said(
    frontend: Frontend, events: Events, ssh_server: Sshd, there: subprocess.Popen[str]
) -> None:
    kernel_id = await frontend.attach_kernel(f"ssh:{HOST}")
    await frontend.execute_code(kernel_id, "kept = 2")
    handle = frontend.execute_code(kernel_id, SLEEP)
    await events.until_text("asleep")
    ssh_server.cut()
    dead = await events.until_status("dead", kernel_id)
    assert dead.cause == "lost"
    assert dead.reason is not None
    assert f"The connection to {HOST} is lost: " in dead.reason
    assert (await handle).state == "died"
    await frontend.restart_kernel(kernel_id)
    await frontend.interrupt(kernel_id)
    result = await frontend.execute_code(kernel_id, "kept")
    assert result.outputs[0]["data"] == {"text/plain": "2"}
    await frontend.shutdown_kernel(kernel_id)


async def test_a_restart_while_the_host_does_not_know_that_the_connection_is_lost(
    frontend: Frontend, events: Events, ssh_server: Sshd
) -> None:
    """As when a network goes: the kernel is there until the host notices, and another comes."""
    kernel_id = await frontend.start_kernel(spec_name=f"ssh:{HOST}/python3")
    await frontend.execute_code(kernel_id, "lost = 1")
    daemons = ssh_server.daemons()
    for daemon in daemons:
        daemon.suspend()
    for child in psutil.Process().children():
        if child.name() == "ssh":
            child.kill()
    assert (await events.until_status("dead", kernel_id)).cause == "lost"
    await frontend.restart_kernel(kernel_id)
    result = await frontend.execute_code(kernel_id, "new = 2\nlost")
    assert result.error is not None
    assert result.error["ename"] == "NameError"
    for daemon in daemons:
        daemon.resume()
    psutil.wait_procs(daemons, timeout=DEADLINE)
    assert frontend.get_kernel(kernel_id).status == "idle"
    result = await frontend.execute_code(kernel_id, "new")
    assert result.outputs[0]["data"] == {"text/plain": "2"}
    assert [*await hosts.running(HOST, kernel_id)] != [], "and its file is there"
    await frontend.shutdown_kernel(kernel_id)


async def test_a_path_that_begins_at_the_home_there(ssh_server: Sshd, tmp_path: Path) -> None:
    """As IPython writes it, be the kernel ours or another's."""
    host = Host(name=HOST, paths=((str(tmp_path / "here"), str(tmp_path / "home" / "project")),))
    async with Frontend() as frontend, Frontend() as other:
        for each in (frontend, other):
            each.manager.hosts.name([host])
        kernel_id = await frontend.start_kernel(
            spec_name=f"ssh:{HOST}/python3", env={"HOME": str(tmp_path / "home")}
        )
        here = str(tmp_path / "here" / "m.py")
        assert frontend.local_path(kernel_id, "~/project/m.py") == here
        also = await other.attach_kernel(f"ssh:{HOST}/{kernel_id}")
        await other.execute_code(also, "1")
        assert other.local_path(also, "~/project/m.py") == here


async def test_nothing_stays_in_a_connection_that_is_shared(
    frontend: Frontend, ssh_server: Sshd
) -> None:
    kernel_id = await frontend.start_kernel(spec_name=f"ssh:{SHARED}/python3")
    file = frontend.get_kernel(kernel_id).connection_file
    assert file is not None
    folder = str(Path(file).parent)
    assert (await frontend.execute_code(kernel_id, "1")).state == "ok"
    assert listening(folder) != []
    await frontend.restart_kernel(kernel_id)
    assert (await frontend.execute_code(kernel_id, "1")).execution_count == 1
    await frontend.shutdown_kernel(kernel_id)
    async with asyncio.timeout(DEADLINE):
        while listening(folder):  # noqa: ASYNC110 - the shared connection tells nobody
            await asyncio.sleep(0.05)
    leaving = await asyncio.create_subprocess_exec("ssh", "-O", "exit", SHARED, stderr=DEVNULL)
    assert await leaving.wait() == 0


def listening(folder: str) -> list[str]:
    """The sockets in a folder that are open."""
    paths = [each.laddr for each in psutil.net_connections("unix")]
    return [path for path in paths if isinstance(path, str) and path.startswith(folder)]


async def test_what_is_installed_there(ssh_server: Sshd) -> None:
    specs = {spec.name: spec for spec in await hosts.specs(HOST)}
    python = specs[f"ssh:{HOST}/python3"]
    assert (python.language, python.interrupt_mode) == ("python", "signal")
    assert python.display_name.endswith(f" on {HOST}")


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        (f"ssh:{STRANGER}", "ssh cannot reach stranger: ", "has to work in a terminal"),
        (f"ssh:{HOST}/nothing", "No kernel runs on faraway whose id fits 'nothing'", "start one"),
        (f"ssh:{HOST}/~/none.json", "On faraway: ", ""),
        ("ssh:-oProxyCommand=touch /tmp/x", "is not the name of a host", "~/.ssh/config"),
        ("ssh:", "'' is not the name of a host", ""),
    ],
)
async def test_what_cannot_be_attached_to(
    frontend: Frontend, name: str, message: str, hint: str
) -> None:
    with pytest.raises(KernelStartFailed) as caught:
        await frontend.attach_kernel(name)
    assert message in caught.value.message or message in str(caught.value.data)
    assert hint in str(caught.value.data.get("hint", ""))
    assert frontend.list_kernels() == []


async def test_what_cannot_be_started(frontend: Frontend, ssh_server: Sshd) -> None:
    with pytest.raises(KernelStartFailed) as caught:
        await frontend.start_kernel(spec_name=f"ssh:{HOST}/none")
    assert f"No kernelspec is named 'ssh:{HOST}/none'; there are: " in caught.value.message
    assert f"ssh:{HOST}/python3" in caught.value.message
    with pytest.raises(KernelStartFailed, match="names no kernelspec"):
        await frontend.start_kernel(spec_name=f"ssh:{HOST}")


def left(server: Sshd) -> set[Path]:
    return {*server.runtime.glob("*.json")}


async def test_nothing_is_left_when_this_process_is_killed(
    ssh_server: Sshd, tmp_path: Path
) -> None:
    """The kernel there ends with the connection, and so does what ssh has here."""
    before = left(ssh_server)  # of the kernel that was started there by hand
    script = tmp_path / "sleeps.py"
    script.write_text(f"import os\nprint(os.getpid(), flush=True)\n{SLEEP}")
    process = await asyncio.create_subprocess_exec(
        *(program("carpo-lsp"), "run", "--kernel", f"ssh:{HOST}/python3", str(script)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    async with asyncio.timeout(2 * DEADLINE):
        pid = int(await process.stdout.readline())
        assert await process.stdout.readline() == b"asleep\n"
        process.kill()
        await process.wait()
        while is_alive(pid) or ssh_server.sessions() or left(ssh_server) != before:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.05)
