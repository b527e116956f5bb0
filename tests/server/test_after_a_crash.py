"""What was run is there again after the server has gone, however it went."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lsp_clients import DEADLINE, Wire, all_gone, below

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Spawn = Callable[..., Awaitable[Wire]]

TEXT = """\
# %% Right
stream stdout right
# %% Wrong
error ValueError wrong
# %% Long
stream stdout so far
sleep-until-interrupted
# %% Behind it
stream stdout never
"""
URI = "file:///w/a.fake"
PUBLISH = "textDocument/publishDiagnostics"


async def new_client(spawn: Spawn, folder: Path, options: dict[str, Any] | None = None) -> Wire:
    """A client of a server whose state is in a folder."""
    client = await spawn(env={"XDG_STATE_HOME": str(folder)})
    await client.initialize(options=options)
    return client


async def kill(client: Wire) -> None:
    processes = below(client.process.pid)
    client.process.kill()
    await all_gone(processes, 5.0)


async def until_journaled(folder: Path, text: str) -> None:
    """Wait until the journal has a text. Nothing tells of that."""
    async with asyncio.timeout(DEADLINE):
        while not any(text in read(path) for path in journal(folder)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def journal(folder: Path) -> list[Path]:
    return list((folder / "carpo-lsp" / "journal").glob("*/*.jsonl"))


def read(path: Path | str) -> str:
    return Path(path).read_text()


async def outputs(client: Wire, **params: Any) -> list[dict[str, Any]]:
    result = await client.request("carpo/outputs", params)
    return list(result["executions"])


async def of_document(client: Wire) -> list[dict[str, Any]]:
    return await outputs(client, textDocument={"uri": URI})


async def hints(client: Wire) -> list[str]:
    everything = {"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}}
    params = {"textDocument": {"uri": URI}, "range": everything}
    return [hint["label"] for hint in await client.request("textDocument/inlayHint", params) or []]


async def run_all(client: Wire) -> None:
    """Run the cells up to one that does not end, and one that waits behind it."""
    client.open(URI, TEXT, "fake")
    for line in (0, 2):
        await client.command("runCell", {"uri": URI, "line": line})
    await client.until(lambda _, params: params.get("state") == "error")
    for line in (4, 7):
        await client.command("runCell", {"uri": URI, "line": line})


async def test_a_server_that_is_killed_in_the_middle_of_a_cell(
    spawn: Spawn, tmp_path: Path
) -> None:
    client = await new_client(spawn, tmp_path)
    await run_all(client)
    await until_journaled(tmp_path, '"text":"so far')
    before = await of_document(client)
    await kill(client)
    for path in journal(tmp_path):
        with path.open("a") as file:
            file.write('{"type": "output", "msg": "torn')

    shows = {"carpo": {"notifications": True, "results": {"show": "hint"}}}
    client = await new_client(spawn, tmp_path, shows)
    assert await outputs(client, executionId=before[2]["executionId"]) != []
    client.open(URI, TEXT, "fake")
    after = await of_document(client)
    assert [each["state"] for each in after] == ["ok", "error", "died", "aborted"]
    assert after[2]["error"]["ename"] == "ServerEnded"
    for field in ("executionId", "outputs", "range", "executionCount"):
        assert [each[field] for each in after] == [each[field] for each in before]
    labels = await hints(client)
    assert labels == ["→ right", "✗ ValueError: wrong", "✗ the server ended", "✗ not run"]
    await client.command("showOutput", {"uri": URI})
    message = await client.until_message("The results are in ")
    text = read(message["message"].removeprefix("The results are in "))
    assert "## Cell 3 (Long), lines 6 to 7: ✗ the server ended" in text
    assert "so far" in text
    assert await client.kernels() == {}


async def test_a_client_with_nothing_of_ours_sees_it_too(spawn: Spawn, tmp_path: Path) -> None:
    client = await new_client(spawn, tmp_path)
    await run_all(client)
    await until_journaled(tmp_path, '"text":"so far')
    await kill(client)
    client = await new_client(spawn, tmp_path, {})
    client.open(URI, TEXT, "fake")
    found = await client.until(
        lambda method, params: method == PUBLISH and len(params["diagnostics"]) == 4
    )
    messages = [each["message"].partition("\n")[0] for each in found["diagnostics"]]
    assert messages == ["→ right", "ValueError: wrong", "✗ the server ended", "✗ not run"]


async def test_one_after_the_other_with_the_same_ids(spawn: Spawn, tmp_path: Path) -> None:
    for words in ("first", "second"):
        client = await new_client(spawn, tmp_path)
        kernel = (await client.start(specName="fake"))["kernelId"]
        await client.run(kernel, f"stream stdout {words}", executionId="1")
        await client.request("shutdown")
        client.notify("exit")
        await client.close()
    client = await new_client(spawn, tmp_path)
    (found,) = await outputs(client, executionId="1")
    assert found["outputs"][0]["text"] == "second\n"
    assert (await client.fail("carpo/outputs", {"executionId": "2"})).code == 1004


async def test_two_servers_at_once(spawn: Spawn, tmp_path: Path) -> None:
    first, second = [await new_client(spawn, tmp_path) for _ in range(2)]
    first.open(URI, TEXT, "fake")
    await first.command("runCell", {"uri": URI, "line": 0})
    await first.until(lambda _, params: params.get("state") == "ok")
    await first.command("runCell", {"uri": URI, "line": 4})
    await until_journaled(tmp_path, '"text":"so far')
    second.open(URI, TEXT, "fake")
    found = await of_document(second)
    assert [each["state"] for each in found] == ["ok"], "what runs is the other's"
    await second.command("runCell", {"uri": URI, "line": 7})
    await second.until(lambda _, params: params.get("state") == "ok")
    await kill(first)
    await kill(second)
    third = await new_client(spawn, tmp_path)
    third.open(URI, TEXT, "fake")
    assert [each["state"] for each in await of_document(third)] == ["ok", "died", "ok"]


async def test_a_disk_that_takes_nothing(spawn: Spawn, tmp_path: Path) -> None:
    (tmp_path / "carpo-lsp").write_text("a file where the folder should be")
    client = await new_client(spawn, tmp_path)
    kernel = (await client.start(specName="fake"))["kernelId"]
    for _ in range(2):
        assert await client.evaluate(kernel, "stream stdout on") == "on\n"
    told = [message for message in client.messages() if "journal" in message]
    assert len(told) == 1
    assert told[0].startswith("The journal cannot be written: ")


@pytest.mark.parametrize("enabled", [True, False])
async def test_a_user_may_do_without(spawn: Spawn, tmp_path: Path, enabled: bool) -> None:
    options = {"carpo": {"notifications": True, "journal": {"enabled": enabled}}}
    client = await new_client(spawn, tmp_path, options)
    kernel = (await client.start(specName="fake"))["kernelId"]
    await client.run(kernel, "stream stdout a")
    await client.request("shutdown")
    client.notify("exit")
    await client.close()
    assert bool(journal(tmp_path)) == enabled
