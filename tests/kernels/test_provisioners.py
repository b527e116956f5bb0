"""Kernelspecs with a provisioner of their own, as those of gateway_provisioners: a real one, found
by its entry point."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from jupyter_client.provisioning import KernelProvisionerFactory
from support import FAKE, Events, text_of

from carpo_lsp.errors import KernelDied, KernelStartFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from carpo_lsp.frontend import Frontend

PROVISIONER = '''
import asyncio
import os
import signal
import subprocess

from jupyter_client.provisioning import KernelProvisionerBase
from traitlets import Unicode


class Elsewhere(KernelProvisionerBase):
    """Starts a process, which nobody else is told of, and notes what it is asked."""

    notes = Unicode(config=True)
    child = None

    def note(self, text):
        with open(self.notes, "a") as file:
            file.write(text + "\\n")

    @property
    def has_process(self):
        return self.child is not None

    async def poll(self):
        return self.child.poll() if self.child else 0

    async def wait(self):
        return self.child.wait() if self.child else 0  # as some do, without a thought of others

    async def send_signal(self, signum):
        self.note(f"signal {signal.Signals(signum).name}")
        if self.child:
            os.killpg(self.child.pid, signum)

    async def kill(self, restart=False):
        self.note("kill")
        self.child.kill()

    async def terminate(self, restart=False):
        self.note("terminate")
        self.child.terminate()

    async def pre_launch(self, **kwargs):
        if "refused" in self.notes:
            raise PermissionError("it wants KERNEL_USERNAME")
        manager = self.parent
        manager.write_connection_file()
        self.connection_info = manager.get_connection_info()
        command = manager.format_kernel_cmd(extra_arguments=kwargs.pop("extra_arguments", []))
        return await super().pre_launch(cmd=command, **kwargs)

    async def shutdown_requested(self, restart=False):
        self.note("asked")

    async def launch_kernel(self, cmd, **kwargs):
        assert "stdout" not in kwargs, "it has a place of its own for that"
        self.note(f"launch {self.kernel_spec.display_name}")
        self.child = subprocess.Popen(cmd, env=kwargs["env"], start_new_session=True)
        return self.connection_info

    async def cleanup(self, restart=False):
        self.note("cleanup")
'''


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Installs the provisioner; what it notes."""
    site = tmp_path / "site"
    info = site / "elsewhere_provisioner-1.dist-info"
    info.mkdir(parents=True)
    (site / "elsewhere_provisioner.py").write_text(textwrap.dedent(PROVISIONER))
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: elsewhere-provisioner\nVersion: 1\n"
    )
    (info / "entry_points.txt").write_text(
        "[jupyter_client.kernel_provisioners]\nelsewhere = elsewhere_provisioner:Elsewhere\n"
    )
    monkeypatch.syspath_prepend(site)
    KernelProvisionerFactory.clear_instance()  # it has looked at the entry points once
    yield tmp_path / "notes"
    KernelProvisionerFactory.clear_instance()
    KernelProvisionerFactory.provisioners.pop("elsewhere", None)
    sys.modules.pop("elsewhere_provisioner", None)


def lines(notes: Path) -> list[str]:
    return notes.read_text().splitlines()


def spec(folder: Path, notes: Path, name: str = "elsewhere") -> str:
    content = json.loads((FAKE / "kernel.json").read_text())
    content["argv"] = [sys.executable, str(FAKE / "fake_kernel.py"), "-f", "{connection_file}"]
    content["metadata"] = {
        "kernel_provisioner": {"provisioner_name": name, "config": {"notes": str(notes)}}
    }
    file = folder / "kernel.json"
    file.write_text(json.dumps(content))
    return str(file)


async def test_the_whole_life_of_a_kernel_is_the_provisioners(
    frontend: Frontend, events: Events, notes: Path, tmp_path: Path
) -> None:
    kernel_id = await frontend.start_kernel(spec(tmp_path, notes))
    kernel = frontend.get_kernel(kernel_id)
    assert (kernel.owned, kernel.pid) == (True, None)
    result = await frontend.execute_code(kernel_id, "stream stdout a")
    assert text_of(result.outputs) == "a\n"
    handle = frontend.execute_code(kernel_id, "stream stdout b\nsleep-until-interrupted")
    await events.until_text("b")
    await frontend.interrupt(kernel_id)
    assert (await handle).state == "error"
    assert lines(notes)[1:] == ["signal SIGINT"]
    await frontend.restart_kernel(kernel_id)
    assert (await frontend.execute_code(kernel_id, "result 1")).state == "ok"
    with pytest.raises(KernelDied, match="not a process of this machine"):
        await frontend.manager.keep(kernel_id, 1)
    await frontend.shutdown_kernel(kernel_id)
    launch, *others = lines(notes)
    assert launch.startswith("launch ")
    assert others.count(launch) == 1
    assert others.count("cleanup") == others.count("asked") == 2


async def test_its_death_is_told(
    frontend: Frontend, events: Events, notes: Path, tmp_path: Path
) -> None:
    kernel_id = await frontend.start_kernel(spec(tmp_path, notes))
    handle = frontend.execute_code(kernel_id, "exit 3")
    dead = await events.until_status("dead", kernel_id)
    assert (await handle).state == "died"
    assert dead.exit_code == 3
    await frontend.shutdown_kernel(kernel_id)


async def test_one_that_refuses(frontend: Frontend, notes: Path, tmp_path: Path) -> None:
    with pytest.raises(KernelStartFailed, match="not be started: it wants KERNEL_USERNAME"):
        await frontend.start_kernel(spec(tmp_path, notes.with_name("refused")))


async def test_one_that_is_not_installed(frontend: Frontend, tmp_path: Path) -> None:
    with pytest.raises(KernelStartFailed, match="nowhere"):
        await frontend.start_kernel(spec(tmp_path, tmp_path / "notes", "nowhere"))
    assert frontend.list_kernels() == []
