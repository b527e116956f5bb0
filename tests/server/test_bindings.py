"""Which kernel a document runs in, and when that kernel starts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from lsp_clients import OPTIONS, at

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from lsp_clients import Wire

    Spawn = Callable[..., Awaitable[Wire]]

CELLS = "# %%\nstream stdout x\n"
PLAIN = "stream stdout x\n"


def options(**kernel: Any) -> dict[str, Any]:
    return {"carpo": {**OPTIONS["carpo"], "kernel": kernel}}


async def kernel_of(client: Wire, uri: str) -> str:
    """The kernel a document runs in, after it has run something."""
    executed = await client.request("carpo/execute", at(uri, 1 if "cells" in uri else 0, 0))
    await client.until_done(executed["executionId"])
    return str(executed["kernelId"])


async def open_both_kinds(client: Wire, folder: Path) -> dict[str, str]:
    """Two documents with cells and two without, as name to URI."""
    return {
        name: client.open((folder / name).as_uri(), CELLS if "cells" in name else PLAIN, "fake")
        for name in ("cells1.py", "cells2.py", "plain1.py", "plain2.py")
    }


@pytest.mark.parametrize(
    ("scope", "kernels"),
    [("auto", [0, 1, 2, 2]), ("document", [0, 1, 2, 3]), ("workspace", [0] * 4)],
)
async def test_who_shares_a_kernel(
    spawn: Spawn, tmp_path: Path, scope: str, kernels: list[int]
) -> None:
    client = await spawn()
    await client.initialize(tmp_path, options=options(scope=scope))
    uris = await open_both_kinds(client, tmp_path)
    ids = await asyncio.gather(*[kernel_of(client, uri) for uri in uris.values()])
    distinct = list(dict.fromkeys(ids))
    assert [distinct.index(kernel_id) for kernel_id in ids] == kernels
    running = await client.kernels()
    assert set(running) == set(distinct)
    for uri, kernel_id in zip(uris.values(), ids, strict=True):
        assert uri in running[kernel_id]["documents"]


async def test_files_of_different_workspace_folders_do_not_share(
    spawn: Spawn, tmp_path: Path
) -> None:
    client = await spawn()
    await client.initialize(tmp_path / "a")
    client.notify(
        "workspace/didChangeWorkspaceFolders",
        {"event": {"added": [{"uri": (tmp_path / "b").as_uri(), "name": "b"}], "removed": []}},
    )
    one = client.open((tmp_path / "a" / "x.py").as_uri(), PLAIN, "fake")
    two = client.open((tmp_path / "b" / "x.py").as_uri(), PLAIN, "fake")
    assert await kernel_of(client, one) != await kernel_of(client, two)


async def test_opening_and_typing_start_nothing(spawn: Spawn, tmp_path: Path) -> None:
    client = await spawn()
    await client.initialize(tmp_path, options=options(start="onUse"))
    uri = client.open((tmp_path / "x.py").as_uri(), CELLS, "fake")
    client.change(uri, 2, CELLS + "al")
    assert await client.kernels() == {}
    assert await client.labels(uri, 2, 2) == ["alpha", "alphabet"]
    assert len(await client.kernels()) == 1


async def test_completion_starts_a_kernel_where_code_of_the_project_has_been_run(
    spawn: Spawn, tmp_path: Path
) -> None:
    text = CELLS + "al"
    client = await spawn()
    await client.initialize(tmp_path)
    uri = client.open((tmp_path / "x.py").as_uri(), text, "fake")
    assert (await client.complete(uri, 2, 2))["items"] == []
    assert await client.kernels() == {}
    await client.command("runCell", {"uri": uri, "line": 1})
    state = await client.until(lambda method, _: method == "carpo/executionState")
    await client.until_done(state["executionId"])
    other = client.open((tmp_path / "y.py").as_uri(), text, "fake")
    assert await client.labels(other, 2, 2) == ["alpha", "alphabet"]
    await client.close()
    later = await spawn()
    await later.initialize(tmp_path)
    uri = later.open((tmp_path / "x.py").as_uri(), text, "fake")
    assert await later.labels(uri, 2, 2) == ["alpha", "alphabet"]


async def test_start_on_run(spawn: Spawn, tmp_path: Path) -> None:
    client = await spawn()
    await client.initialize(tmp_path, options=options(start="onRun"))
    uri = client.open((tmp_path / "x.py").as_uri(), CELLS + "al", "fake")
    assert (await client.complete(uri, 2, 2))["items"] == []
    assert await client.kernels() == {}
    await client.command("runCell", {"uri": uri, "line": 1})
    state = await client.until(lambda method, _: method == "carpo/executionState")
    await client.until_done(state["executionId"])
    assert await client.labels(uri, 2, 2) == ["alpha", "alphabet"]


async def test_start_never_but_by_a_request_for_it(spawn: Spawn, tmp_path: Path) -> None:
    client = await spawn()
    await client.initialize(tmp_path, options=options(start="never"))
    uri = client.open((tmp_path / "x.py").as_uri(), CELLS + "al", "fake")
    assert (await client.complete(uri, 2, 2))["items"] == []
    error = await client.fail("carpo/execute", at(uri, 1, 0))
    assert "carpo.selectKernel" in error.data["hint"]
    await client.command("runAll", {"uri": uri})
    await client.until_message("carpo.kernel.start")
    assert await client.kernels() == {}
    await client.start(textDocument={"uri": uri})
    assert await client.labels(uri, 2, 2) == ["alpha", "alphabet"]


async def test_two_starts_at_once_for_one_document_start_one_kernel(
    spawn: Spawn, tmp_path: Path
) -> None:
    client = await spawn()
    await client.initialize(tmp_path)
    uri = client.open((tmp_path / "x.py").as_uri(), CELLS, "fake")
    with client.together():
        starts = [
            client.post("carpo/startKernel", {"textDocument": {"uri": uri}}) for _ in range(2)
        ]
        executed = client.post("carpo/execute", at(uri, 1, 0))
    one, two = await asyncio.gather(*starts)
    assert one["kernelId"] == two["kernelId"] == (await executed)["kernelId"]
    assert len(await client.kernels()) == 1


async def test_select_kernel(spawn: Spawn, tmp_path: Path) -> None:
    client = await spawn()
    await client.initialize(tmp_path)
    one = client.open((tmp_path / "cells1.py").as_uri(), CELLS, "fake")
    two = client.open((tmp_path / "cells2.py").as_uri(), CELLS, "fake")
    shared = (await client.start(specName="fake"))["kernelId"]
    for uri in (one, two):
        selected = {"textDocument": {"uri": uri}, "kernelId": shared}
        assert await client.request("carpo/selectKernel", selected) is None
    assert (await client.kernels())[shared]["documents"] == [one, two]
    assert await kernel_of(client, one) == await kernel_of(client, two) == shared
    unbound = {"textDocument": {"uri": one}, "kernelId": None}
    assert await client.request("carpo/selectKernel", unbound) is None
    assert (await client.kernels())[shared]["documents"] == [two]
    own = await kernel_of(client, one)
    assert own != shared
    assert (await client.kernels())[own]["documents"] == [one]


async def test_a_kernel_for_one_language_of_a_document(spawn: Spawn, tmp_path: Path) -> None:
    client = await spawn()
    await client.initialize(tmp_path)
    text = "```{fake}\nstream stdout x\n```\n\n```{stubborn}\nstream stdout y\n```\n"
    uri = client.open((tmp_path / "mixed.qmd").as_uri(), text, "quarto")
    chosen = (await client.start(specName="stubborn"))["kernelId"]
    await client.request(
        "carpo/selectKernel",
        {"textDocument": {"uri": uri}, "kernelId": chosen, "language": "stubborn"},
    )
    fake = await client.request("carpo/execute", at(uri, 1, 0))
    stubborn = await client.request("carpo/execute", at(uri, 5, 0))
    assert stubborn["kernelId"] == chosen != fake["kernelId"]
    await client.until_done(fake["executionId"])
    await client.until_done(stubborn["executionId"])
    assert client.text(stubborn["executionId"]) == "y\n"


async def test_bindings_outlive_a_restart_and_end_with_a_shutdown(
    spawn: Spawn, tmp_path: Path
) -> None:
    client = await spawn()
    await client.initialize(tmp_path)
    uri = client.open((tmp_path / "cells.py").as_uri(), CELLS, "fake")
    first = await kernel_of(client, uri)
    await client.request("carpo/restartKernel", {"kernelId": first})
    assert await kernel_of(client, uri) == first
    await client.request("carpo/shutdownKernel", {"kernelId": first})
    second = await kernel_of(client, uri)
    assert second != first
    assert list(await client.kernels()) == [second]


async def test_a_document_finds_its_kernel_when_it_is_opened_again(
    spawn: Spawn, tmp_path: Path
) -> None:
    client = await spawn()
    await client.initialize(tmp_path)
    uri = client.open((tmp_path / "cells.py").as_uri(), CELLS, "fake")
    first = await kernel_of(client, uri)
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert (await client.fail("carpo/execute", at(uri, 1, 0))).code == 1006
    client.open(uri, CELLS, "fake")
    assert await kernel_of(client, uri) == first
