"""However the server ends, its kernels and all below them end with it, within five seconds."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from lsp_clients import SERVER, all_gone, at, below, frame
from support import fake_spec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from lsp_clients import Wire

    Spawn = Callable[..., Awaitable[Wire]]

LIMIT = 5.0
"""Seconds that the contract gives the end of everything."""


STALLED = [sys.executable, str(Path(__file__).with_name("stalled_server.py"))]
"""A server whose disk takes nothing of the journal."""


def hang_up(client: Wire) -> None:
    client.hang_up()


def leave(client: Wire) -> None:
    client.notify("exit")


def say_goodbye(client: Wire) -> None:
    client.post("shutdown")
    client.notify("exit")


def kill(number: signal.Signals) -> Callable[[Wire], None]:
    return lambda client: os.kill(client.process.pid, number)


ENDS: dict[str, tuple[Callable[[Wire], None], int]] = {
    "end of input": (hang_up, 1),
    "exit": (leave, 1),
    "shutdown and exit": (say_goodbye, 0),
    "SIGTERM": (kill(signal.SIGTERM), 128 + signal.SIGTERM),
    "SIGINT": (kill(signal.SIGINT), 128 + signal.SIGINT),
    "SIGHUP": (kill(signal.SIGHUP), 128 + signal.SIGHUP),
}


async def end(client: Wire, how: str) -> None:
    """End a server, and see that everything is gone in time, by pid."""
    processes = below(client.process.pid)
    action, code = ENDS[how]
    action(client)
    # The server is a child of ours and stays a zombie until it is waited for.
    await all_gone(processes, LIMIT)
    client.read_on()  # asyncio tells of the end only when all output has been read
    assert await client.process.wait() == code


@pytest.mark.parametrize("how", ENDS)
async def test_every_kind_of_kernel_ends(spawn: Spawn, tmp_path: Path, how: str) -> None:
    """One that idles, one that computes, one that listens to nothing, one that has started other
    processes and one that is starting itself."""
    client = await spawn()
    await client.initialize()
    kernels = await asyncio.gather(
        *[client.start(specName=name) for name in ("fake", "python3", "stubborn", "fake")]
    )
    _, computing, stubborn, parent = [kernel["kernelId"] for kernel in kernels]
    executions = [
        await client.execute(computing, "print('in', flush=True)\nwhile True: pass"),
        await client.execute(stubborn, "stream stdout in\nsleep-until-interrupted"),
    ]
    for execution_id in executions:
        await client.until_text(execution_id, "in\n")
    for code in ("spawn-child", "spawn-child session"):
        await client.run(parent, code)
    before = len(below(client.process.pid))
    path = fake_spec(tmp_path / "k", "--ignore-sigterm", "--mute", "kernel_info_request")
    starting = client.post("carpo/startKernel", {"specPath": path})
    while len(below(client.process.pid)) == before:
        await client.kernels()
    assert before >= 7
    await end(client, how)
    starting.cancel()
    assert existing(Path(kernel["connectionFile"]) for kernel in kernels) == []


@pytest.mark.parametrize("how", ["end of input", "shutdown and exit", "SIGTERM"])
async def test_kernels_of_a_client_that_has_stopped_reading_end(spawn: Spawn, how: str) -> None:
    client = await spawn()
    await client.initialize()
    kernel = await client.start(specName="python3")
    spoken = await client.execute(kernel["kernelId"], "print('in', flush=True)")
    await client.until_text(spoken, "in\n")
    client.stop_reading()
    progress = psutil.Process(kernel["pid"])
    before = progress.cpu_times().user
    client.post(
        "carpo/execute",
        {"kernelId": kernel["kernelId"], "code": "while True: print('x' * 1000, flush=True)"},
    )
    while progress.cpu_times().user < before + 0.5:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.05)
    await end(client, how)


async def test_a_start_in_its_first_moment_leaves_nothing(spawn: Spawn, runtime_dir: Path) -> None:
    client = await spawn()
    await client.initialize()
    with client.together():
        for _ in range(3):
            client.post("carpo/startKernel", {"specName": "fake"})
        client.post("shutdown")
        client.notify("exit")
    server = psutil.Process(client.process.pid)
    assert await client.process.wait() == 0
    await all_gone([server], LIMIT)
    assert not [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(runtime_dir) in " ".join(process.info["cmdline"] or [])
    ]


# TCP

TOKEN = "the token of these tests".replace(" ", "-")


async def listen() -> tuple[asyncio.subprocess.Process, str, int]:
    process = await asyncio.create_subprocess_exec(
        *SERVER,
        *("--tcp", "0"),
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"CARPO_TOKEN": TOKEN},
    )
    assert process.stderr
    line = (await process.stderr.readline()).decode()
    address = re.search(r"on (\S+):(\d+)", line)
    assert address, line
    return process, address[1], int(address[2])


async def read_message(reader: asyncio.StreamReader) -> Any:
    header = await reader.readuntil(b"\r\n\r\n")
    return json.loads(await reader.readexactly(int(header.split(b":")[1])))


async def test_tcp_serves_one_client_on_this_machine() -> None:
    process, host, port = await listen()
    try:
        assert host == "127.0.0.1"
        connections = psutil.Process(process.pid).net_connections("tcp")
        assert {connection.laddr.ip for connection in connections} == {"127.0.0.1"}
        reader, writer = await asyncio.open_connection(host, port)
        options = {"carpo": {"token": TOKEN}}
        params = {"processId": None, "capabilities": {}, "initializationOptions": options}
        request = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        writer.write(frame(request))
        assert (await read_message(reader))["id"] == 1

        second_reader, second_writer = await asyncio.open_connection(host, port)
        second_writer.write(frame(request))
        refusal = await read_message(second_reader)
        assert refusal["method"] == "window/showMessage"
        assert "already serves another client" in refusal["params"]["message"]
        assert await second_reader.read() == b""
        second_writer.close()
        await second_writer.wait_closed()

        # The first client did not notice.
        start = {"specName": "fake"}
        writer.write(
            frame({"jsonrpc": "2.0", "id": 2, "method": "carpo/startKernel", "params": start})
        )
        while (message := await read_message(reader)).get("id") != 2:
            assert "method" in message
        processes = below(process.pid)
        assert message["result"]["pid"] in [each.pid for each in processes]
        writer.close()
        await writer.wait_closed()
        await all_gone(processes, LIMIT)
        assert await process.wait() == 1
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# Messages out of place


async def test_before_initialize_and_after_shutdown(spawn: Spawn) -> None:
    client = await spawn()
    assert (await client.fail("carpo/listKernels", {})).code == -32002
    assert (await client.fail("shutdown")).code == -32002
    await client.initialize()
    assert (await client.fail("initialize", {"capabilities": {}})).code == -32600
    assert await client.request("shutdown") is None
    for method in ("carpo/listKernels", "textDocument/completion", "shutdown"):
        assert (await client.fail(method, {})).code == -32600
    client.notify("exit")
    assert await client.process.wait() == 0


async def test_all_that_a_client_has_to_say_in_one_piece(spawn: Spawn) -> None:
    """It does not wait for the answer to initialize, behind which the server loads the rest."""
    client = await spawn()
    answers = [client.post("initialize", {"capabilities": {}})]
    client.notify("initialized", {})
    client.open("file:///w/a.py", "# %% one\n1\n")
    document = {"textDocument": {"uri": "file:///w/a.py"}}
    answers += [client.post("textDocument/documentSymbol", document), client.post("shutdown")]
    client.notify("exit")
    _, symbols, end = await asyncio.gather(*answers)
    assert ([symbol["name"] for symbol in symbols], end) == (["one"], None)
    assert await client.process.wait() == 0


async def test_shutdown_right_behind_initialize(spawn: Spawn) -> None:
    client = await spawn()
    wrong = {"capabilities": {}, "initializationOptions": {"carpo": {"kernel": 5}}}
    answers = [client.post("initialize", wrong), client.post("shutdown")]
    client.notify("exit")
    await asyncio.gather(*answers)
    assert await client.process.wait() == 0
    assert client.notes == [], "nobody listens any more"


@pytest.mark.parametrize("uri", ["file:///%00a", "file:///%ff", "file://elsewhere/a", "nowhere:a"])
async def test_a_folder_that_cannot_be_is_no_reason_to_serve_nobody(spawn: Spawn, uri: str) -> None:
    client = await spawn()
    folders = [{"uri": uri, "name": "it"}]
    params = {"capabilities": {}, "rootUri": uri, "workspaceFolders": folders}
    await client.request("initialize", params)
    client.notify("initialized", {})
    client.open("file:///w/a.py", "# %% one\n1\n")
    document = {"textDocument": {"uri": "file:///w/a.py"}}
    (symbol,) = await client.request("textDocument/documentSymbol", document)
    assert symbol["name"] == "one"


async def test_malformed_messages_are_answered_and_survived(spawn: Spawn) -> None:
    client = await spawn()
    await client.initialize()
    client.send_bytes(b"Content-Length: 9\r\n\r\n{not json")
    client.send_bytes(b"Content-Lenght: 2\r\n\r\n{}")
    client.send_bytes(frame([1, 2]))
    client.send_bytes(frame({"jsonrpc": "2.0", "id": {}, "method": "shutdown"}))
    assert await client.request("carpo/listKernels", {}) == {"kernels": []}
    codes = [answer["error"]["code"] for answer in client.stray]
    assert codes == [-32700, -32700, -32600, -32600]
    assert all(answer["id"] is None for answer in client.stray)
    client.stray.clear()


async def test_a_request_that_is_withdrawn_is_answered_once(spawn: Spawn) -> None:
    client = await spawn()
    await client.initialize()
    kernel = await client.start(specName="mute")
    place = {"kernelId": kernel["kernelId"], "code": "", "cursorPos": 0}
    asked = client.post("carpo/complete", place)
    client.cancel_last()
    with pytest.raises(Exception, match="-32800"):
        await asked
    client.notify("$/cancelRequest", {"id": "never was"})
    client.open("file:///x.py", "# %%\nal", "mute")
    await client.request(
        "carpo/selectKernel",
        {"textDocument": {"uri": "file:///x.py"}, "kernelId": kernel["kernelId"]},
    )
    completing = client.post("textDocument/completion", at("file:///x.py", 1, 2))
    client.cancel_last()
    with pytest.raises(Exception, match="-32800"):
        await completing
    assert len(await client.kernels()) == 1


async def test_the_standard_output_belongs_to_the_protocol() -> None:
    """What is not for the client, such as the help for a wrong option, goes elsewhere."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "carpo_lsp",
        "--no-such-option",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert b"--no-such-option" in err


def existing(files: Iterable[Path]) -> list[Path]:
    return [file for file in files if file.exists()]


async def test_a_disk_that_takes_nothing_does_not_keep_the_server(spawn: Spawn) -> None:
    client = await spawn(program=STALLED)
    await client.initialize()
    kernel_id = (await client.start(specName="python3"))["kernelId"]
    await client.until_done(await client.execute(kernel_id, "1"))
    await client.request("shutdown")
    client.notify("exit")
    assert await client.process.wait() == 0
