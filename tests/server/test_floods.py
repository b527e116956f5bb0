"""Nothing is lost and nothing grows without bounds, however much a kernel prints."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from lsp_clients import DEADLINE, Wire, check_order

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Spawn = Callable[..., Awaitable[Any]]

pytestmark = pytest.mark.slow

LONG = 6 * DEADLINE

STALL = 30.0
"""Seconds for which a client does not read."""

MIB = 1024 * 1024

ENDLESS = """\
import itertools, os, sys
progress = os.open({path!r}, os.O_WRONLY | os.O_CREAT)
for number in itertools.count():
    print(number, 'x' * 80, flush=True)
    if number % 500 == 0:
        os.pwrite(progress, b'%012d' % number, 0)
"""
"""In one step: an interrupt must not come between the emptying of a file and its new text."""


MOST = 150 * MIB
"""What a flood may cost the server in memory, beyond what it takes when idle."""

LINE = "".join(map(chr, range(32, 126))) * 106
"""About 10 kB. A hundred thousand of it are a gigabyte."""

LINES = 100_000

GIGABYTE = {
    "one print": f"print('\\n'.join([line] * {LINES}))",
    "a loop": f"for _ in range({LINES}): print(line)",
}

IMAGES = """\
import base64, os
from IPython.display import publish_display_data
for number in range(1000):
    image = base64.b64encode(os.urandom(75_000)).decode()
    publish_display_data({'text/plain': str(number), 'image/png': image})
"""


class Reader(Wire):
    """A client that reads everything and keeps of outputs only what they add up to."""

    def __init__(self, *streams: Any) -> None:
        super().__init__(*streams)
        self.digest = hashlib.sha256()
        """Of the text that has been printed."""
        self.displays: list[str] = []
        """The plain texts of displays."""

    def take(self, method: str, params: Any) -> None:
        if method == "carpo/output":
            output = params["output"]
            if output["output_type"] == "stream":
                self._digest(output)
            else:
                self.displays.append(output["data"]["text/plain"])
            params = {**params, "output": None}
        super().take(method, params)

    def _digest(self, output: dict[str, Any]) -> None:
        pointer = output.get("metadata", {}).get("carpo")
        if pointer is None:
            self.digest.update(output["text"].encode())
            return
        with open(pointer["path"], "rb") as file:
            while block := file.read(MIB):
                self.digest.update(block)


@contextlib.asynccontextmanager
async def peak(client: Wire) -> AsyncIterator[list[int]]:
    """The most memory that the server takes meanwhile, beyond what it takes now: one number."""
    idle = rss(client)
    most = [0]

    async def sample() -> None:
        while True:
            most[0] = max(most[0], rss(client) - idle)
            await asyncio.sleep(0.02)

    sampling = asyncio.create_task(sample())
    try:
        yield most
    finally:
        sampling.cancel()


def rss(client: Wire) -> int:
    return int(psutil.Process(client.process.pid).memory_info().rss)


async def done(client: Wire, execution_id: str) -> str:
    """Wait long for the end of an execution; returns its state."""
    await client.until(
        lambda method, params: (
            method == "carpo/executionState"
            and params["executionId"] == execution_id
            and params["state"] in ("ok", "error")
        ),
        deadline=LONG,
    )
    check_order(client.of(execution_id))
    return client.states(execution_id)[-1]


async def test_twenty_thousand_lines(spawn: Spawn) -> None:
    client = await spawn()
    await client.initialize()
    kernel = await client.start(specName="python3")
    execution_id = await client.execute(
        kernel["kernelId"], "for n in range(20_000): print(n, flush=True)"
    )
    assert await done(client, execution_id) == "ok"
    assert client.text(execution_id) == "".join(f"{n}\n" for n in range(20_000))


async def test_a_server_that_is_held_up_loses_nothing(spawn: Spawn, tmp_path: Path) -> None:
    """A busy machine may keep the server from reading while a kernel prints."""
    client = await spawn()
    await client.initialize()
    kernel = await client.start(specName="python3")
    printed = tmp_path / "printed"
    code = f"for n in range(20_000): print(n, flush=True)\nopen({str(printed)!r}, 'w').close()"
    execution_id = await client.execute(kernel["kernelId"], code)
    await client.until(lambda *_: client.outputs(execution_id))
    os.kill(client.process.pid, signal.SIGSTOP)
    try:
        while not existing(printed):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.1)
    finally:
        os.kill(client.process.pid, signal.SIGCONT)
    assert await done(client, execution_id) == "ok"
    assert client.text(execution_id) == "".join(f"{n}\n" for n in range(20_000))


def has_ended(state: Path) -> bool:
    """Whether the journal in a folder tells of the end of an execution: its server has all that the
    kernel had to say."""
    files = (state / "carpo-lsp" / "journal").glob("*/*.jsonl")
    return any(b'"type":"end"' in file.read_bytes() for file in files)


async def test_a_hundred_megabytes_in_one_print(spawn: Spawn, tmp_path: Path) -> None:
    """A client that does not read meanwhile gets the beginning, and where the rest is."""
    client = await spawn(env={"XDG_STATE_HOME": str(tmp_path)})
    await client.initialize()
    kernel = await client.start(specName="python3")
    code = "print('é' + 'x' * 100_000_000 + '!')"
    execution_id = await client.execute(kernel["kernelId"], code)
    client.stop_reading()
    while not has_ended(tmp_path):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.1)
    client.read_on()
    assert await done(client, execution_id) == "ok"
    text = client.text(execution_id)
    assert len(text) == 100_000_003
    assert (text[0], text[1:-2].strip("x"), text[-2:]) == ("é", "", "!\n")
    pushed = [len(str(params)) for params in client.outputs(execution_id)]
    assert sum(pushed) < 20 * MIB
    (held,) = (await client.request("carpo/outputs", {"executionId": execution_id}))["executions"]
    assert held["state"] == "ok"
    assert held["outputs"][0]["metadata"]["carpo"]["bytes"] == 100_000_004


@pytest.mark.parametrize(("way", "stalls"), [("one print", False), ("a loop", True)])
async def test_a_gigabyte(spawn: Spawn, tmp_path: Path, way: str, stalls: bool) -> None:
    client = await spawn(kind=Reader)
    await client.initialize()
    kernel_id = (await client.start(specName="python3"))["kernelId"]
    await client.run(kernel_id, "import sys")
    client.digest = hashlib.sha256()
    printed = tmp_path / "printed"
    code = (
        f"line = {LINE!r}\n{GIGABYTE[way]}\nsys.stdout.flush()\nopen({str(printed)!r}, 'w').close()"
    )
    async with peak(client) as most:
        execution_id = await client.execute(kernel_id, code)
        if stalls:
            await client.until_state(execution_id, "running")
            client.stop_reading()
            while not existing(printed):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.1)
            client.read_on()
        assert await done(client, execution_id) == "ok"
    assert most[0] < MOST
    expected = hashlib.sha256()
    for _ in range(LINES):
        expected.update(f"{LINE}\n".encode())
    assert client.digest.digest() == expected.digest()
    (held,) = (await client.request("carpo/outputs", {"executionId": execution_id}))["executions"]
    (output,) = held["outputs"]
    whole = LINES * (len(LINE) + 1)
    pointer = output["metadata"]["carpo"]
    assert pointer["bytes"] == size(pointer["path"]) == whole


async def test_a_thousand_images(spawn: Spawn) -> None:
    """100 MB of them, of which the server holds the last in memory, for whoever asks."""
    client = await spawn(kind=Reader)
    await client.initialize()
    kernel_id = (await client.start(specName="python3"))["kernelId"]
    await client.run(kernel_id, "import base64")
    numbers = [str(number) for number in range(1000)]
    async with peak(client) as most:
        execution_id = await client.execute(kernel_id, IMAGES)
        assert await done(client, execution_id) == "ok"
    assert most[0] < MOST
    assert client.displays == numbers
    (held,) = (await client.request("carpo/outputs", {"executionId": execution_id}))["executions"]
    assert [output["data"]["text/plain"] for output in held["outputs"]] == numbers
    assert {len(output["data"]["image/png"]) for output in held["outputs"]} == {100_000}


async def test_big_displays(spawn: Spawn) -> None:
    client = await spawn()
    await client.initialize()
    kernel = await client.start(specName="python3")
    code = (
        "from IPython.display import publish_display_data\n"
        "publish_display_data({'text/plain': 'big', 'text/html': 'x' * 10_000_000})"
    )
    execution_id = await client.execute(kernel["kernelId"], code)
    assert await done(client, execution_id) == "ok"
    (output,) = [params["output"] for params in client.outputs(execution_id)]
    assert output["data"] == {"text/plain": "big"}
    pointer = output["metadata"]["carpo"]
    assert pointer["truncated"] is True
    assert size(pointer["path"]) == pointer["bytes"] > 10_000_000


async def test_two_kernels_that_flood_with_displays_are_both_told(spawn: Spawn) -> None:
    """Displays are sent at once; two kernels that never stop must not keep each other waiting."""
    client = await spawn()
    await client.initialize()
    kernels = [await client.start(specName="python3") for _ in range(2)]
    code = (
        "from IPython.display import publish_display_data\n"
        "while True: publish_display_data({'text/plain': 'x'})"
    )
    executions = [await client.execute(kernel["kernelId"], code) for kernel in kernels]
    for execution_id in executions:
        await client.until(
            lambda *_, execution_id=execution_id: len(client.outputs(execution_id)) > 1000,
            deadline=LONG,
        )
    for kernel in kernels:
        await client.request("carpo/interrupt", {"kernelId": kernel["kernelId"]})
    for execution_id in executions:
        assert await done(client, execution_id) == "error"


async def test_a_completion_does_not_wait_behind_the_pictures_of_another_kernel(
    spawn: Spawn, tmp_path: Path
) -> None:
    client = await spawn()
    await client.initialize()
    over = tmp_path / "over"
    code = {"code": "enumera", "cursorPos": 7}
    flooding, quiet = [(await client.start(specName="python3"))["kernelId"] for _ in range(2)]
    await client.request("carpo/complete", {"kernelId": quiet, **code})  # the first takes its time
    execution_id = await client.execute(flooding, f"{IMAGES}\nopen({str(over)!r}, 'w').close()")
    await client.until(lambda *_: client.outputs(execution_id))
    client.stop_reading()
    async with asyncio.timeout(LONG):
        while not over.exists():  # noqa: ASYNC110 - the client is told nothing
            await asyncio.sleep(0.05)
    listed = client.post("carpo/listKernels", {})
    asked = client.post("carpo/complete", {"kernelId": quiet, **code})
    client.read_on()
    assert "enumerate" in (await asked)["matches"]
    assert not listed.done(), "it comes in its place, behind the pictures"
    await listed
    assert await done(client, execution_id) == "ok"
    assert len(client.outputs(execution_id)) == 1000


@pytest.mark.parametrize("streams", ["one", "two"])
async def test_a_client_that_does_not_read_for_half_a_minute(
    spawn: Spawn, tmp_path: Path, streams: str
) -> None:
    client = await spawn()
    await client.initialize()
    kernel_id = (await client.start(specName="python3"))["kernelId"]
    await client.run(kernel_id, "print('warm')")
    idle = rss(client)
    progress = tmp_path / "progress"
    code = ENDLESS.format(path=str(progress))
    if streams == "two":
        code = code.replace("flush", "file=(sys.stdout, sys.stderr)[number % 2], flush")
    execution_id = await client.execute(kernel_id, code)
    await client.until(lambda *_: client.outputs(execution_id))

    client.stop_reading()
    deadline = asyncio.get_running_loop().time() + STALL
    before = count(progress)
    most = 0
    while asyncio.get_running_loop().time() < deadline or count(progress) < before + 1000:
        most = max(most, rss(client))
        await asyncio.sleep(0.1)
    assert most - idle < MOST

    client.post("carpo/interrupt", {"kernelId": kernel_id})
    client.read_on()
    assert await done(client, execution_id) == "error"
    step = 1 if streams == "one" else 2
    lines = 0
    for first, stream in enumerate(("stdout", "stderr")[:step]):
        found = [int(line.split()[0]) for line in printed(client, execution_id, stream)]
        assert found == list(range(first, first + step * len(found), step))
        lines += len(found)
    assert lines >= count(progress) > before


def printed(client: Wire, execution_id: str, stream: str) -> list[str]:
    """The whole lines that ENDLESS has printed; the interrupt may have cut the last one short."""
    lines = client.text(execution_id, stream).splitlines()
    return [line for line in lines if line.endswith("x" * 80)]


def count(file: Path) -> int:
    try:
        return int(file.read_text() or 0)
    except FileNotFoundError:
        return 0


def existing(file: Path) -> bool:
    return file.exists()


def size(path: str) -> int:
    return os.stat(path).st_size
