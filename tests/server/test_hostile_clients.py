"""Clients that send too much, nonsense or half of it, and those that leave in the middle."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from lsp_clients import SERVER, ServerError, Wire, all_gone, at, below, frame

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Spawn = Callable[..., Awaitable[Wire]]

MIB = 2**20


def edit(start: tuple[int, int], end: tuple[int, int], text: str) -> dict[str, Any]:
    first, last = ({"line": line, "character": column} for line, column in (start, end))
    return {"range": {"start": first, "end": last}, "text": text}


def change(client: Wire, uri: str, version: object, *changes: object) -> None:
    document = {"uri": uri, "version": version}
    client.notify(
        "textDocument/didChange", {"textDocument": document, "contentChanges": list(changes)}
    )


async def names(client: Wire, uri: str) -> list[str]:
    """The names of a document's cells as the server sees them."""
    found = await client.request("textDocument/documentSymbol", {"textDocument": {"uri": uri}})
    return [each["name"] for each in found]


# Nonsense


@pytest.mark.asyncio(loop_scope="module")
async def test_changes_outside_the_text_are_moved_into_it(server: Wire) -> None:
    uri = server.open("file:///changes.py", "# %% one\n1\n# %% two\n2\n", "fake")
    far = 2**31 - 1
    change(server, uri, 2, edit((far, far), (far, far), "# %% three\n"))
    change(server, uri, 3, edit((0, far), (0, 7), ""))  # reversed
    change(server, uri, 4, edit((2, 5), (2, far), "TWO"))
    assert await names(server, uri) == ["on", "TWO", "three"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("version", "changes"),
    [
        (2, [edit((-1, 0), (0, 0), "# %% no\n")]),
        (2, [edit((0, -5), (0, 0), "# %% no\n")]),
        (2, [edit((0, 0), (2**40, 0), "")]),
        (2, [{"range": None, "text": 5}]),
        (2, [{"text": None}]),
        (2, "# %% no"),
        (2, 5),
        ("two", [{"text": "# %% no\n"}]),
    ],
)
async def test_changes_that_are_none_change_nothing(
    server: Wire, version: object, changes: object
) -> None:
    uri = server.open("file:///changes.py", "# %% one\n1\n", "fake")
    document = {"uri": uri, "version": version}
    params = {"textDocument": document, "contentChanges": changes}
    server.notify("textDocument/didChange", params)
    assert await names(server, uri) == ["one"]


@pytest.mark.asyncio(loop_scope="module")
async def test_documents_out_of_order(server: Wire) -> None:
    """Changed or closed before they are opened, opened twice, with versions that go back."""
    uri = "file:///documen.py"
    change(server, uri, 2, {"text": "# %% early\n"})
    server.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert (await server.fail("carpo/outputs", {"textDocument": {"uri": uri}})).code == 1006
    server.open(uri, "# %% one\n", "fake")
    server.open(uri, "# %% again\n", "fake")
    assert await names(server, uri) == ["again"]
    for version, name in ((9, "nine"), (3, "three"), (3, "three too"), (-1, "minus")):
        change(server, uri, version, {"text": f"# %% {name}\n"})
        assert await names(server, uri) == [name]
    for _ in range(2):
        server.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert await server.request("textDocument/documentSymbol", {"textDocument": {"uri": uri}}) in (
        None,
        [],
    )


# Too much


async def test_ten_thousand_completions_that_are_withdrawn(spawn: Spawn) -> None:
    """One answer each, from a kernel that never gives any, and nothing is left of them."""
    client = await spawn()
    await client.initialize()
    kernel = await client.start(specName="mute")
    uri = client.open("file:///x.py", "# %%\nal", "mute")
    chosen = {"textDocument": {"uri": uri}, "kernelId": kernel["kernelId"]}
    await client.request("carpo/selectKernel", chosen)
    server = psutil.Process(client.process.pid)

    async def thousand() -> None:
        asked = []
        for _ in range(1000):
            asked.append(client.post("textDocument/completion", at(uri, 1, 2)))
            client.cancel_last()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        # Of those asked at once only the newest goes on; the others are answered at that.
        assert all(
            answer["isIncomplete"] if isinstance(answer, dict) else _was_cancelled(answer)
            for answer in answers
        )

    await thousand()
    before = server.memory_info().rss
    for _ in range(9):
        await thousand()
    assert server.memory_info().rss - before < 10 * MIB
    assert len(await client.kernels()) == 1


def _was_cancelled(error: object) -> bool:
    return isinstance(error, ServerError) and error.code == -32800


@pytest.mark.slow
async def test_a_document_of_50_mb(spawn: Spawn) -> None:
    """Keys at both ends of it and completions at its end; an edit costs what it changes."""
    client = await spawn()
    await client.initialize()
    line = f"# {'x' * 97}\n"
    cells = 500
    size = 50 * MIB // (cells * len(line))
    text = "".join(f"# %% {number}\n{line * size}" for number in range(cells)) + "# %% last\nal"
    last = text.count("\n")
    uri = client.open("file:///x.py", text, "fake")
    await client.start(textDocument={"uri": uri})
    for version, key in enumerate("phabet", start=2):
        column = version  # behind what has been typed
        change(client, uri, version, edit((1, 0), (1, 1), "#"))
        assert "alphabet" in await client.labels(uri, last, column)
        change(client, uri, version, edit((last, column), (last, column), key))
    assert await client.labels(uri, last, 8) == ["alphabet"]
    assert len(await names(client, uri)) == cells + 1


async def test_a_message_of_more_than_the_server_takes(spawn: Spawn) -> None:
    client = await spawn()
    await client.initialize()
    server = psutil.Process(client.process.pid)
    before = server.memory_info().rss
    size = 300 * MIB
    client.send_bytes(b"Content-Length: %d\r\n\r\n" % size)
    for _ in range(size // MIB):
        client.send_bytes(bytes(MIB))
        await client.drain()
    assert await client.request("carpo/listKernels", {}) == {"kernels": []}
    (answer,) = client.stray
    assert (answer["id"], answer["error"]["code"]) == (None, -32700)
    assert server.memory_info().rss - before < 50 * MIB
    client.stray.clear()


# Half of it


async def test_a_message_in_two_halves(spawn: Spawn) -> None:
    client = await spawn()
    await client.initialize()
    kernel = await client.start(specName="fake")
    params = {"kernelId": kernel["kernelId"], "code": "stream stdout whole", "executionId": "x"}
    message = frame({"jsonrpc": "2.0", "id": "half", "method": "carpo/execute", "params": params})
    running = await client.execute(kernel["kernelId"], "stream stdout before")
    client.send_bytes(message[:-30])
    await client.until_done(running)  # what came before goes on meanwhile
    client.send_bytes(message[-30:])
    await client.until_done("x")
    assert client.text("x") == "whole\n"
    assert [answer["id"] for answer in client.stray] == ["half"]
    client.stray.clear()


@pytest.mark.parametrize("part", [b"Content-Le", b"Content-Length: 500\r\n\r\n{"])
async def test_a_client_that_leaves_in_the_middle_of_a_message(spawn: Spawn, part: bytes) -> None:
    client = await spawn()
    await client.initialize()
    await client.start(specName="fake")
    processes = below(client.process.pid)
    client.send_bytes(part)
    client.hang_up()
    assert await client.process.wait() == 1
    await all_gone(processes, 5)


@pytest.mark.parametrize("computes", [False, True])
async def test_a_client_that_closes_the_output(tmp_path: Path, computes: bool) -> None:
    """It may go on sending: nobody reads what would come of it, so the server ends."""
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *SERVER, stdin=asyncio.subprocess.PIPE, stdout=writing
    )
    os.close(writing)
    reader = asyncio.StreamReader()
    output, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb")
    )
    assert process.stdin
    client = Wire(reader, process.stdin, process)
    try:
        await client.initialize(tmp_path)
        kernel = await client.start(specName="stubborn")
        if computes:
            execution_id = await client.execute(
                kernel["kernelId"], "stream stdout in\nsleep-until-interrupted"
            )
            await client.until_text(execution_id, "in\n")
        processes = below(process.pid)
        output.close()
        await all_gone(processes, 5)
        assert await process.wait() == 1
    finally:
        await client.close()
