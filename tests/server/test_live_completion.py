"""textDocument/completion against real kernels."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from lsp_clients import OPTIONS, Wire, at, labels_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Spawn = Callable[..., Awaitable[Wire]]

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOTHING: dict[str, Any] = {"isIncomplete": False, "items": []}
LATER: dict[str, Any] = {"isIncomplete": True, "items": []}

numbers = itertools.count()


async def opened(client: Wire, folder: Path, text: str, kernel: str | None = None) -> str:
    """A document of its own, bound to a kernel."""
    uri = client.open((folder / f"{next(numbers)}.py").as_uri(), text)
    if kernel is not None:
        selected = {"textDocument": {"uri": uri}, "kernelId": kernel}
        await client.request("carpo/selectKernel", selected)
    return uri


def edit_range(item: dict[str, Any]) -> tuple[int, int, int, int]:
    range_ = item["textEdit"]["range"]
    start, end = range_["start"], range_["end"]
    return start["line"], start["character"], end["line"], end["character"]


async def test_what_an_item_holds(server: Wire, python: str, tmp_path: Path) -> None:
    await server.run(python, "def carpo_function(a, b=2): ...\ncarpo_value = 1")
    uri = await opened(server, tmp_path, "# %%\ncarpo_\n", python)
    result = await server.complete(uri, 1, 6)
    function, value = sorted(result["items"], key=lambda item: item["sortText"])
    assert (function["label"], value["label"]) == ("carpo_function", "carpo_value")
    assert function["kind"] == 3
    assert "(a, b=2)" in str(function)
    assert function["textEdit"]["newText"] == "carpo_function"
    assert edit_range(function) == edit_range(value) == (1, 0, 1, 6)
    assert result["isIncomplete"] is False


async def test_the_order_is_the_kernels(server: Wire, fake: str, tmp_path: Path) -> None:
    uri = await opened(server, tmp_path, "# %%\n\n", fake)
    result = await server.complete(uri, 1, 0)
    assert labels_of(result) == ["alpha", "alphabet", "beta"]
    sort_texts = [item["sortText"] for item in result["items"]]
    assert sort_texts == sorted(sort_texts)


@pytest.mark.parametrize(("encoding", "before"), [("utf-8", 10), ("utf-16", 7), ("utf-32", 6)])
async def test_ranges_in_every_encoding_and_with_every_line_end(
    tmp_path: Path, fake_kernels: object, encoding: str, before: int
) -> None:
    client = await Wire.spawn()
    try:
        capabilities = {"general": {"positionEncodings": [encoding]}}
        options = {"carpo": {**OPTIONS["carpo"], "kernel": {"start": "onUse"}}}
        result = await client.initialize(tmp_path, capabilities=capabilities, options=options)
        assert result["capabilities"].get("positionEncoding", "utf-16") == encoding
        for end in ("\n", "\r\n", "\r"):
            text = f"# %% 😀{end}stream stdout é😀{end}'é😀', alp{end}"
            uri = client.open((tmp_path / f"{next(numbers)}.py").as_uri(), text, "fake")
            width = before + len("alp")
            completions = await client.complete(uri, 2, width)
            assert labels_of(completions) == ["alpha", "alphabet"]
            for item in completions["items"]:
                assert edit_range(item) == (2, before, 2, width)
    finally:
        await client.close()


async def test_the_cell_and_not_the_file(server: Wire, python: str, tmp_path: Path) -> None:
    """A name that only another cell's code holds is unknown: that code has not run."""
    uri = await opened(
        server, tmp_path, "# %%\nonly_written_here = 1\n# %%\nonly_written_\n", python
    )
    assert await server.labels(uri, 3, 13) == []
    await server.run(python, "only_written_here = 1")
    assert await server.labels(uri, 3, 13) == ["only_written_here"]


async def test_multiline_context_of_a_cell(server: Wire, python: str, tmp_path: Path) -> None:
    await server.run(python, "class Carpo:\n    def method_one(self): ...\nvar = Carpo()")
    uri = await opened(server, tmp_path, "# %%\nif True:\n    print(\n        var.met\n", python)
    (item,) = (await server.complete(uri, 3, 15))["items"]
    assert item["label"] in ("method_one", ".method_one", "var.method_one")
    assert edit_range(item)[2:] == (3, 15)


async def test_markers_and_places_outside_give_nothing(
    server: Wire, fake: str, tmp_path: Path
) -> None:
    uri = await opened(server, tmp_path, "# %%\n# %%\nal\n# %% [markdown]\n# al\n", fake)
    for line, character in ((0, 4), (1, 3), (4, 4)):
        assert await server.complete(uri, line, character) == NOTHING
    assert await server.labels(uri, 2, 2) == ["alpha", "alphabet"]
    assert (await server.complete("file:///not/open.py", 0, 0)) == NOTHING
    # Far outside of the document is its nearest place.
    assert isinstance((await server.complete(uri, 99, 99))["items"], list)


async def test_a_long_plain_file_is_asked_about_in_part(
    server: Wire, python: str, tmp_path: Path
) -> None:
    """What the kernel gets to read is bounded, whatever the file; the kernel tells what it got."""
    await server.run(
        python,
        "from IPython import get_ipython\n"
        "shell = get_ipython()\nasked = []\n"
        "kernel_complete = shell.kernel.do_complete\n"
        "def do_complete(code, cursor_pos):\n"
        "    asked.append(code)\n"
        "    return kernel_complete(code, cursor_pos)\n"
        "shell.kernel.do_complete = do_complete\nlong_file_name = 1",
    )
    text = "".join(f"x{number} = {number}\n" for number in range(5000)) + "long_file_\n"
    uri = await opened(server, tmp_path, text, python)
    assert await server.labels(uri, 5000, 10) == ["long_file_name"]
    length = int(await server.evaluate(python, "len(asked[-1].splitlines())"))
    assert 0 < length <= 1000
    assert await server.evaluate(python, "asked[-1].endswith('long_file_')") == "True"


async def test_a_busy_kernel_with_subshells_answers(
    server: Wire, python: str, tmp_path: Path
) -> None:
    await server.run(python, "busy_name = 1\nbusy_number = 2")
    uri = await opened(server, tmp_path, "# %%\nbusy_n\n", python)
    running = await server.execute(
        python, "import time\nprint('in', flush=True)\nwhile True: time.sleep(0.01)"
    )
    await server.until_text(running, "in\n")
    assert await server.labels(uri, 1, 6) == ["busy_name", "busy_number"]
    await server.request("carpo/interrupt", {"kernelId": python})
    await server.until_done(running)


async def test_a_busy_kernel_without_subshells_is_not_waited_for(
    server: Wire, fake: str, tmp_path: Path
) -> None:
    uri = await opened(server, tmp_path, "# %%\nal\n", fake)
    running = await server.execute(fake, "stream stdout in\nsleep-until-interrupted")
    await server.until_text(running, "in\n")
    assert await server.complete(uri, 1, 2) == LATER
    await server.request("carpo/interrupt", {"kernelId": fake})
    await server.until_done(running)
    await server.until_status(fake, "idle")
    assert await server.labels(uri, 1, 2) == ["alpha", "alphabet"]


@pytest.mark.needs_r
async def test_r_while_it_sleeps(server: Wire, tmp_path: Path) -> None:
    kernel = (await server.start(language="r"))["kernelId"]
    await server.run(kernel, "carpo_in_r <- 1")
    uri = server.open((tmp_path / "x.R").as_uri(), "# %%\ncarpo_in\n", "r")
    await server.request("carpo/selectKernel", {"textDocument": {"uri": uri}, "kernelId": kernel})
    assert await server.labels(uri, 1, 8) == ["carpo_in_r"]
    server.change(uri, 2, "# %%\ncarpo_\n")
    sleeping = await server.execute(kernel, "cat('in\\n'); flush.console(); Sys.sleep(600)")
    await server.until_text(sleeping, "in\n")
    assert (await server.complete(uri, 1, 6))["isIncomplete"] is True
    await server.request("carpo/interrupt", {"kernelId": kernel})
    await server.until_done(sleeping)
    await server.request("carpo/shutdownKernel", {"kernelId": kernel})


async def test_a_kernel_that_does_not_answer_is_given_up_within_the_budget(
    tmp_path: Path, fake_kernels: object
) -> None:
    client = await Wire.spawn()
    try:
        carpo = {**OPTIONS["carpo"], "completion": {"budget": 50}, "kernel": {"start": "onUse"}}
        await client.initialize(tmp_path, options={"carpo": carpo})
        uri = client.open((tmp_path / "x.py").as_uri(), "# %%\nal\n", "mute")
        assert await client.complete(uri, 1, 2) == LATER  # the kernel starts
        (kernel_id,) = await client.kernels()
        await client.request("carpo/kernelInfo", {"kernelId": kernel_id})
        assert await client.complete(uri, 1, 2) == LATER  # the kernel does not answer
        assert client.messages() == []
    finally:
        await client.close()


@pytest.mark.parametrize("language", ["broken", "klingon", ""])
async def test_a_kernel_that_cannot_start_gives_no_error(
    server: Wire, tmp_path: Path, language: str
) -> None:
    uri = server.open((tmp_path / f"{next(numbers)}.x").as_uri(), "al\n", language)
    for _ in range(2):
        assert (await server.complete(uri, 0, 2))["items"] == []


async def test_completions_that_come_together_are_all_answered(
    server: Wire, python: str, tmp_path: Path
) -> None:
    await server.run(python, "together_one = 1")
    uri = await opened(server, tmp_path, "# %%\ntogether_\n", python)
    with server.together():
        asked = [
            server.post("textDocument/completion", at(uri, 1, character))
            for character in range(1, 10)
        ]
    results = await asyncio.gather(*asked)
    assert len(results) == 9
    assert labels_of(results[-1]) == ["together_one"]
