"""What was run is there again after the server has gone, however it went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsp_clients import Wire, all_gone, below

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


async def new_client(spawn: Spawn, folder: Path, **options: Any) -> Wire:
    """A client of a server whose state is in a folder."""
    client = await spawn(env={"XDG_STATE_HOME": str(folder)})
    await client.initialize(options=options or None)
    return client


async def kill(client: Wire) -> None:
    processes = below(client.process.pid)
    client.process.kill()
    await all_gone(processes, 5.0)


async def outputs(client: Wire, uri: str) -> list[dict[str, Any]]:
    result = await client.request("carpo/outputs", {"textDocument": {"uri": uri}})
    return list(result["executions"])


async def test_a_killed_server(spawn: Spawn, tmp_path: Path) -> None:
    client = await new_client(spawn, tmp_path)
    uri = client.open(URI, TEXT, "fake")
    for line in (0, 2):
        await client.command("runCell", {"uri": uri, "line": line})
    (error,) = [await client.until(lambda _, params: params.get("state") == "error")]
    for line in (4, 7):
        await client.command("runCell", {"uri": uri, "line": line})
    await client.until(lambda _, params: "so far" in (params.get("output") or {}).get("text", ""))
    before = await outputs(client, uri)
    await kill(client)

    client = await new_client(spawn, tmp_path)
    client.open(URI, TEXT, "fake")
    after = await outputs(client, uri)
    assert [each["state"] for each in after] == ["ok", "error", "died", "aborted"]
    print(after)
    assert [each["outputs"] for each in after] == [each["outputs"] for each in before]
