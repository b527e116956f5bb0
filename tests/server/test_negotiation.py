"""What the server promises at its start, and who is told of kernels: section 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lsp_clients import at

from carpo_lsp import protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lsp_clients import Wire

    Spawn = Callable[..., Awaitable[Wire]]

CELL = "file:///nowhere/cell.py"

OPTED_IN: dict[str, dict[str, Any]] = {
    "options": {"options": {"carpo": {"notifications": True}}},
    "capabilities": {
        "options": {},
        "capabilities": {"experimental": {"carpo": {"notifications": True}}},
    },
}

OPTED_OUT: dict[str, dict[str, Any]] = {
    "nothing": {"options": {}},
    "no": {"options": {"carpo": {"notifications": False}}},
    "not true": {"options": {"carpo": {"notifications": 1}}},
    "not an object": {"options": {"carpo": True}, "capabilities": {"experimental": [1]}},
}


def custom(client: Wire) -> list[str]:
    """The methods a client has been sent that LSP does not know."""
    return [method for method, _ in client.notes if method.startswith("carpo/")]


async def test_the_version_is_told(spawn: Spawn) -> None:
    client = await spawn()
    result = await client.initialize(options={})
    assert result["capabilities"]["experimental"]["carpo"]["version"] == protocol.VERSION == "1.0"
    assert result["serverInfo"]["name"] == "carpo-lsp"
    commands = result["capabilities"]["executeCommandProvider"]["commands"]
    assert {"carpo.runCell", "carpo.runAll", "carpo.interrupt", "carpo.answer"} <= set(commands)


@pytest.mark.parametrize("how", OPTED_IN)
async def test_a_client_that_opts_in_is_told_from_the_first_execution_on(
    spawn: Spawn, how: str
) -> None:
    client = await spawn()
    await client.initialize(**OPTED_IN[how])
    client.open(CELL, "# %%\nstream stdout hello\n", "fake")
    await client.command("runCell", {"uri": CELL, "line": 1})
    state = await client.until(lambda method, _: method == "carpo/executionState")
    assert (state["state"], state["seq"]) == ("queued", 0)
    await client.until_done(state["executionId"])
    assert client.text(state["executionId"]) == "hello\n"


@pytest.mark.parametrize("how", OPTED_OUT)
async def test_any_other_client_sees_standard_methods_only(spawn: Spawn, how: str) -> None:
    client = await spawn()
    await client.initialize(**OPTED_OUT[how])
    client.open(CELL, "# %%\nstream stdout hello\nexit 3\n", "fake")
    await client.command("runCell", {"uri": CELL, "line": 1})
    while not (await client.complete(CELL, 1, 0))["isIncomplete"]:
        pass  # the kernel has died when a completion has to be asked for again
    assert custom(client) == []


async def test_a_request_of_carpo_opts_in(spawn: Spawn) -> None:
    client = await spawn()
    await client.initialize(options={})
    client.open(CELL, "# %%\nstream stdout hello\n", "fake")
    assert custom(client) == []
    executed = await client.request("carpo/execute", at(CELL, 1, 0))
    await client.until_done(executed["executionId"])
    assert client.text(executed["executionId"]) == "hello\n"


async def test_even_a_wrong_request_of_carpo_opts_in(spawn: Spawn) -> None:
    client = await spawn()
    await client.initialize(options={})
    assert (await client.fail("carpo/execute", {})).code == -32602
    client.open(CELL, "# %%\nstream stdout hello\n", "fake")
    await client.command("runCell", {"uri": CELL, "line": 1})
    await client.until(lambda method, _: method == "carpo/executionState")
