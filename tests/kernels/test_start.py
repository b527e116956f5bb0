"""Starts: those that fail say why, those that work keep their house in order."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import DEADLINE, FAKE, Events, fake_spec, mode, names, read_json, text_of

from carpo_lsp.errors import KernelDied, KernelExists, KernelNotFound, KernelStartFailed
from carpo_lsp.kernels import life
from carpo_lsp.kernels.events import StatusChanged
from carpo_lsp.kernels.manager import StartOptions
from carpo_lsp.kernels.specs import Spec
from carpo_lsp.kernels.startup import explain_timeout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from carpo_lsp.frontend import Frontend


async def failure(frontend: Frontend, *args: Any, **options: Any) -> KernelStartFailed:
    """The error of a start, which has left nothing behind."""
    with pytest.raises(KernelStartFailed) as caught:
        await frontend.start_kernel(*args, **options)
    assert frontend.list_kernels() == []
    return caught.value


async def test_a_missing_module(frontend: Frontend, events: Events, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "ipykernel_of_nobody", "-f", "{connection_file}"]
    error = await failure(frontend, fake_spec(tmp_path, argv=argv))
    assert error.data["exitCode"] == 1
    assert error.data["argv"] == argv
    assert "No module named ipykernel_of_nobody" in error.data["stderrTail"]
    assert "-m pip install ipykernel_of_nobody" in error.data["hint"]
    assert "No module named ipykernel_of_nobody" in error.message
    dead = events.all[-1]
    assert isinstance(dead, StatusChanged)
    assert (dead.status, dead.exit_code) == ("dead", 1)
    assert dead.stderr_tail == error.data["stderrTail"]


async def test_a_missing_program(frontend: Frontend, tmp_path: Path) -> None:
    argv = [str(tmp_path / "nowhere"), "{connection_file}"]
    error = await failure(frontend, fake_spec(tmp_path, argv=argv))
    assert error.data["argv"] == argv
    assert error.data["exitCode"] is None
    assert "does not exist" in error.message
    assert error.data["hint"]


async def test_a_program_that_is_not_executable(frontend: Frontend, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o644)
    error = await failure(frontend, fake_spec(tmp_path, argv=[str(program), "{connection_file}"]))
    assert "is not executable" in error.message
    assert error.data["hint"] == f"chmod +x {program}"


async def test_death_at_the_start(frontend: Frontend, tmp_path: Path) -> None:
    error = await failure(frontend, fake_spec(tmp_path, "--die", "first\nlast words"))
    assert error.data["exitCode"] == 3
    assert error.data["stderrTail"] == "first\nlast words"
    assert "hint" not in error.data
    assert error.message == "Fake did not start: The kernel exited with code 3. last words"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("No module named 'ipykernel'", "install the kernel into that Python"),
        ("there is no package called 'IRkernel'", "R package IRkernel"),
        ("zmq.error.ZMQError: Address already in use", "port"),
        ("Permission denied: /etc/shadow", "not accessible"),
        ("No such file or directory", "missing"),
    ],
)
async def test_known_causes_have_a_hint(
    frontend: Frontend, tmp_path: Path, text: str, hint: str
) -> None:
    error = await failure(frontend, fake_spec(tmp_path, "--die", text))
    assert hint in error.data["hint"]


async def test_a_kernel_that_never_answers(frontend: Frontend, tmp_path: Path) -> None:
    spec = fake_spec(tmp_path, "--mute", "kernel_info_request")
    error = await failure(frontend, spec, timeout=0.5)
    assert error.data["exitCode"] is None
    assert error.data["argv"][0] == sys.executable
    assert error.data["stderrTail"] == ""
    assert "0.5 s" in error.message
    assert "timeout" in error.data["hint"]


async def test_a_missing_working_folder(frontend: Frontend, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    error = await failure(frontend, str(FAKE), cwd=missing)
    assert missing in error.message
    assert error.data["hint"]
    assert error.data["argv"]


async def test_a_runtime_folder_that_cannot_be_used(
    frontend: Frontend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(file / "runtime"))
    error = await failure(frontend, str(FAKE))
    assert "runtime folder" in error.message
    assert "JUPYTER_RUNTIME_DIR" in error.data["hint"]


async def test_the_connection_file(frontend: Frontend, runtime_dir: Path) -> None:
    kernel_id = await frontend.start_kernel(str(FAKE), kernel_id="mine")
    file = runtime_dir / "kernel-mine.json"
    assert kernel_id == "mine"
    assert frontend.get_kernel("mine").connection_file == str(file)
    assert mode(file) == 0o600
    assert mode(runtime_dir) == 0o700
    assert read_json(file)["transport"] == "tcp"
    await frontend.shutdown_kernel("mine")
    assert names(runtime_dir) == []
    with pytest.raises(KernelNotFound):
        frontend.get_kernel("mine")


async def test_a_failed_start_leaves_no_file(
    frontend: Frontend, runtime_dir: Path, ipc_parent: Path, tmp_path: Path
) -> None:
    await failure(frontend, fake_spec(tmp_path / "a", "--die", "x", "--as", "ipykernel"))
    await failure(frontend, fake_spec(tmp_path / "b", argv=["/nowhere", "ipykernel"]))
    mute = fake_spec(tmp_path / "c", "--mute", "kernel_info_request", "--as", "ipykernel")
    await failure(frontend, mute, timeout=0.5)
    assert names(runtime_dir) == names(ipc_parent) == []


@pytest.fixture
def ipc_parent(jupyter_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which the folders of kernels are made; its path must be short."""
    folder = jupyter_folders.parent / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    folder.rmdir()


def sockets(parent: Path) -> list[Path]:
    """The sockets in the folders of kernels."""
    return [path for path in parent.glob("*/*") if path.is_socket()]


@pytest.mark.parametrize("metadata", [{}, {"supported_encryption": "curve"}])
@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_transports(
    frontend: Frontend,
    ipc_parent: Path,
    tmp_path: Path,
    transport: str,
    metadata: dict[str, str],
) -> None:
    flags = ("--as", "ipykernel") if transport == "ipc" else ()
    kernel_id = await frontend.start_kernel(fake_spec(tmp_path, *flags, metadata=metadata))
    file = frontend.get_kernel(kernel_id).connection_file
    info = read_json(file)
    assert info["transport"] == transport
    assert ("curve_secretkey" in info) == (transport == "tcp" and bool(metadata))
    assert bool(sockets(ipc_parent)) == (transport == "ipc")
    await frontend.restart_kernel(kernel_id)
    assert read_json(file) == info
    assert text_of((await frontend.execute_code(kernel_id, "stream stdout a")).outputs) == "a\n"
    await frontend.shutdown_kernel(kernel_id)
    assert names(ipc_parent) == []


async def facts_of(frontend: Frontend, kernel_id: str) -> Any:
    return json.loads(text_of((await frontend.execute_code(kernel_id, "facts")).outputs))


async def test_what_the_process_is_given(frontend: Frontend, tmp_path: Path) -> None:
    spec = fake_spec(tmp_path / "spec", env={"FROM_SPEC": "1", "BOTH": "spec"})
    kernel_id = await frontend.start_kernel(
        spec, cwd=str(tmp_path), env={"FROM_START": "2", "BOTH": "start"}
    )
    facts = await facts_of(frontend, kernel_id)
    assert facts["cwd"] == str(tmp_path)
    assert (facts["env"]["FROM_SPEC"], facts["env"]["FROM_START"]) == ("1", "2")
    assert facts["env"]["PATH"] == os.environ["PATH"]
    assert facts["pid"] == frontend.get_kernel(kernel_id).pid
    assert facts["pgid"] == facts["pid"], "a signal to our group must not reach it"


async def test_an_id_is_taken_from_the_first_moment(frontend: Frontend) -> None:
    starts = [frontend.start_kernel(str(FAKE), kernel_id="same") for _ in range(3)]
    results = await asyncio.gather(*starts, return_exceptions=True)
    assert results[0] == "same"
    assert [type(result) for result in results[1:]] == [KernelExists, KernelExists]
    await frontend.shutdown_kernel("same")
    assert await frontend.start_kernel(str(FAKE), kernel_id="same") == "same"


async def test_an_id_is_free_after_a_start_that_failed(frontend: Frontend, tmp_path: Path) -> None:
    await failure(frontend, fake_spec(tmp_path, "--die", ""), kernel_id="same")
    assert await frontend.start_kernel(str(FAKE), kernel_id="same") == "same"


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()


class Gate:
    """Holds kernels with `--hold` at their start until it is opened."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.flags = ("--hold", str(path))
        self._fd = os.open(path, os.O_RDWR)

    def open(self) -> None:
        os.write(self._fd, b"1")

    def close(self) -> None:
        os.close(self._fd)


async def launched(frontend: Frontend, kernel_id: str, after: int | None = None) -> int:
    """The process of a kernel that starts, once there is one, or another one."""
    async with asyncio.timeout(DEADLINE):
        while (pid := frontend.get_kernel(kernel_id).pid) in (None, after):  # noqa: ASYNC110 - no event exists to wait for
            await asyncio.sleep(0.01)
    assert pid is not None
    return pid


async def test_a_port_that_is_taken_before_the_kernel_has_it(
    frontend: Frontend,
    events: Events,
    runtime_dir: Path,
    tmp_path: Path,
    gate: Gate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    spec = frontend.find_spec(fake_spec(tmp_path, *gate.flags))
    kernel_id = frontend.begin_kernel(spec)
    handle = frontend.execute_code(kernel_id, "result 1")
    first = await launched(frontend, kernel_id)
    file = runtime_dir / f"kernel-{kernel_id}.json"
    ports = read_json(file)
    with socket.create_server(("127.0.0.1", ports["shell_port"])):
        gate.open()
        await launched(frontend, kernel_id, after=first)
        gate.open()
        assert (await handle).state == "ok"
        assert read_json(file)["shell_port"] != ports["shell_port"]
    assert events.statuses(kernel_id) == ["starting", "idle", "busy", "idle"]
    assert [record.getMessage() for record in caplog.records if record.name == life.__name__] == [
        f"Kernel {kernel_id} is launched again: its port was taken"
    ]


async def test_ports_that_are_taken_again_and_again(
    frontend: Frontend, runtime_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    error = await failure(frontend, fake_spec(tmp_path, "--die", "Address already in use"))
    assert "another program took the port" in error.message
    assert caplog.text.count("is launched again") == life.LAUNCHES - 1
    assert names(runtime_dir) == []


async def test_code_may_wait_for_the_kernel(
    frontend: Frontend, events: Events, tmp_path: Path, gate: Gate
) -> None:
    spec = frontend.find_spec(fake_spec(tmp_path, *gate.flags))
    kernel_id = frontend.begin_kernel(spec)
    assert frontend.get_kernel(kernel_id).status == "starting"
    first = frontend.execute_code(kernel_id, "result 1")
    second = frontend.execute_code(kernel_id, "result 2")
    question = asyncio.create_task(frontend.is_complete(kernel_id, "x"))
    assert frontend.get_kernel(kernel_id).pending == 2
    gate.open()
    assert ((await first).state, (await second).state) == ("ok", "ok")
    assert (await question).status == "complete"
    assert events.statuses(kernel_id) == ["starting", "idle", "busy", "idle"]


async def test_shutdown_while_starting(
    frontend: Frontend, events: Events, runtime_dir: Path, tmp_path: Path, gate: Gate
) -> None:
    spec = frontend.find_spec(fake_spec(tmp_path, *gate.flags))
    kernel_id = frontend.begin_kernel(spec, StartOptions(kernel_id="k"))
    ready = asyncio.create_task(frontend.wait_ready(kernel_id))
    handle = frontend.execute_code(kernel_id, "result 1")
    await asyncio.gather(*(frontend.shutdown_kernel(kernel_id) for _ in range(3)))
    with pytest.raises(KernelDied):
        await ready
    assert (await handle).state == "died"
    assert events.statuses(kernel_id) == ["starting", "stopped"]
    assert names(runtime_dir) == []
    assert await frontend.start_kernel(str(FAKE), kernel_id="k") == "k"


async def test_shutdown_at_every_step_of_a_start(frontend: Frontend, runtime_dir: Path) -> None:
    """The start has many awaits; a shutdown may come at each of them."""
    spec = frontend.find_spec(str(FAKE))
    for turns in range(0, 60, 4):
        kernel_id = frontend.begin_kernel(spec)
        for _ in range(turns):
            await asyncio.sleep(0)
        await frontend.shutdown_kernel(kernel_id)
    assert frontend.list_kernels() == []
    assert names(runtime_dir) == []


async def test_restart_while_starting(
    frontend: Frontend, events: Events, tmp_path: Path, gate: Gate
) -> None:
    kernel_id = frontend.begin_kernel(frontend.find_spec(fake_spec(tmp_path, *gate.flags)))
    restarts = [asyncio.create_task(frontend.restart_kernel(kernel_id)) for _ in range(2)]
    gate.open()
    await frontend.wait_ready(kernel_id)
    gate.open()
    await asyncio.gather(*restarts)
    assert events.statuses(kernel_id) == ["starting", "idle", "restarting", "idle"]


async def test_restart_while_a_start_fails(frontend: Frontend, tmp_path: Path) -> None:
    kernel_id = frontend.begin_kernel(frontend.find_spec(fake_spec(tmp_path, "--die", "x")))
    with pytest.raises(KernelStartFailed):
        await frontend.restart_kernel(kernel_id)
    with pytest.raises(KernelNotFound):
        frontend.get_kernel(kernel_id)


@pytest.mark.parametrize(
    ("argv", "owned", "hint"),
    [
        (("py", "-m", "kernel"), True, "run the kernelspec's argv in a terminal"),
        ((), True, "see what is logged where it runs"),
        ((), False, "interrupt it"),
    ],
)
def test_what_to_do_about_one_that_takes_too_long(
    argv: tuple[str, ...], owned: bool, hint: str
) -> None:
    spec = Spec(name="k", path="", argv=argv, display_name="K", language="k")
    error = explain_timeout(60.0, "", spec, owned=owned)
    assert error.message == "K did not answer within 60 s."
    assert hint in error.data["hint"]
