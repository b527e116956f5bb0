"""Rows about completion: idle and busy kernels, bursts of keystrokes, long documents."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from typing import TYPE_CHECKING, Any

from tests.benchmarks import raw
from tests.benchmarks.lab import SERVERS, Client, Lab, timed
from tests.benchmarks.rows import OURS, Goal, Measure, Row, Subjects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SETUP = """\
import time, types
get_ipython().Completer.use_jedi = False
long = types.SimpleNamespace(**{"n" * 40: 1})
for size in 10, 100, 500, 2000:
    for name in f"a{size}", f"b{size}":
        names = {f"name_{n:04}": n for n in range(size)}
        globals()[name] = types.SimpleNamespace(**names)
"""
"""Two objects of each size: a completion of the one is no answer for the other. Without jedi,
whose times vary by far more than what is measured here."""


def matches(size: int) -> tuple[str, str]:
    """Codes of which the kernel has so many completions."""
    return f"a{size}.n", f"b{size}.n"


FEW = matches(10)
MANY = matches(500)

TIMES = 20
"""Completions in a round."""

BUDGET = 200.0
"""Milliseconds after which a client is answered without the kernel, by default."""

KEYSTROKES = 40
PAUSE = 0.03
"""Seconds between two keystrokes: a user's pace, not an order of events."""

FLOODS = {
    "": "while True: print('x' * 80, flush=True)",
    " with pictures": """
import base64, os
from IPython.display import publish_display_data
while True:
    image = base64.b64encode(os.urandom(75_000)).decode()
    publish_display_data({"text/plain": "picture", "image/png": image})
""",
}

BUSY = {"sleeps": "while True: time.sleep(0.01)", "computes": "while True: sum(range(10_000))"}


def check(found: Any, took: float) -> None:
    """There is something in an answer, unless it came at the end of the budget: that is a time."""
    items = found["items"] if isinstance(found, dict) else found
    assert items or took >= 0.9 * BUDGET, "an empty answer in time"


def complete_in(client: Client, uri: str, codes: tuple[str, ...]) -> Measure:
    """Completions at the ends of the first lines of a document, which hold these codes."""

    async def measure() -> list[float]:
        times: list[float] = []
        for number in range(TIMES):
            line = number % len(codes)
            with timed(times):
                found = await client.complete(uri, line, len(codes[line]))
            check(found, times[-1])
        return times

    return measure


def complete_raw(
    kernel: raw.RawKernel, codes: tuple[str, ...], subshell: str | None = None
) -> Measure:
    async def measure() -> list[float]:
        times: list[float] = []
        for number in range(TIMES):
            with timed(times):
                assert kernel.complete(codes[number % len(codes)], subshell)
        return times

    return measure


async def prepared(client: Client, kernel_id: str) -> str:
    """Names to be completed, and a document of the kernel's to complete them in; its URI."""
    await client.finish(kernel_id, SETUP)
    return await opened(client, kernel_id, "names", "\n".join((*FEW, *MANY)))


async def opened(client: Client, kernel_id: str, name: str, text: str) -> str:
    uri = client.open(f"file:///benchmarks/{name}.py", text)
    params = {"textDocument": {"uri": uri}, "kernelId": kernel_id}
    await client.request("carpo/selectKernel", params)
    return uri


@contextlib.asynccontextmanager
async def running(client: Client, kernel_id: str, code: str) -> AsyncIterator[None]:
    """Meanwhile the kernel runs code, which has no end."""
    execution_id = await client.execute(kernel_id, code)
    await client.until_state(execution_id, "running")
    try:
        yield
    finally:
        await client.request("carpo/interrupt", {"kernelId": kernel_id})
        await client.until_state(execution_id, "error")


def warm(codes: tuple[str, ...]) -> Callable[[Lab], Any]:
    @contextlib.asynccontextmanager
    async def setup(lab: Lab) -> AsyncIterator[Subjects]:
        async with lab.kernel() as (client, kernel):
            await prepared(client, kernel["kernelId"])
            uri = await opened(client, kernel["kernelId"], "some", "\n".join(codes))
            with raw.attached(kernel["connectionFile"]) as limit:
                yield {OURS: complete_in(client, uri, codes), "raw": complete_raw(limit, codes)}

    return setup


def busy(code: str) -> Callable[[Lab], Any]:
    @contextlib.asynccontextmanager
    async def setup(lab: Lab) -> AsyncIterator[Subjects]:
        async with lab.kernel() as (client, kernel):
            uri = await prepared(client, kernel["kernelId"])
            with raw.attached(kernel["connectionFile"]) as limit:
                subshell = limit.subshell()
                async with running(client, kernel["kernelId"], code):
                    yield {
                        OURS: complete_in(client, uri, FEW),
                        "raw subshell": complete_raw(limit, FEW, subshell),
                    }

    return setup


@contextlib.asynccontextmanager
async def burst(lab: Lab) -> AsyncIterator[Subjects]:
    """A long name typed by someone fast, with a completion asked for at each letter."""
    async with lab.kernel() as (client, kernel):
        await prepared(client, kernel["kernelId"])
        uri = await opened(client, kernel["kernelId"], "typed", "long.")
        with raw.attached(kernel["connectionFile"]) as limit:

            async def ours() -> list[float]:
                await client.finish(kernel["kernelId"], "1")  # what was known before may be wrong
                limit.drain()
                asked: list[asyncio.Future[Any]] = []
                times: list[float] = []
                for number in range(1, KEYSTROKES + 1):
                    await asyncio.sleep(PAUSE)
                    text = "long." + "n" * number
                    client.change(uri, number, text)
                    asked.append(client.post("textDocument/completion", _end_of(uri, text)))
                with timed(times):
                    found = await asked[-1]
                check(found, times[-1])
                await asyncio.gather(*asked)
                lab.note("kernel requests", _requests(limit))
                return times

            yield {OURS: ours, "raw": complete_raw(limit, ("long." + "n" * KEYSTROKES,))}


def _end_of(uri: str, text: str) -> dict[str, Any]:
    position = {"line": 0, "character": len(text)}
    return {"textDocument": {"uri": uri}, "position": position}


def _requests(kernel: raw.RawKernel) -> int:
    """How many completions a kernel has been asked for since its output was drained."""
    parents = {
        message["parent_header"].get("msg_id")
        for message in kernel.drain()
        if message["parent_header"].get("msg_type") == "complete_request"
    }
    return len(parents)


@contextlib.asynccontextmanager
async def long_document(lab: Lab) -> AsyncIterator[Subjects]:
    """A keystroke and the completion after it, at the end of documents of two lengths."""
    async with lab.kernel() as (client, kernel):
        await client.finish(kernel["kernelId"], SETUP)
        small = await _typing(client, kernel["kernelId"], 100)
        large = await _typing(client, kernel["kernelId"], 100_000)
        yield {OURS: large, "100 lines": small}


async def _typing(client: Client, kernel_id: str, lines: int) -> Measure:
    cell = "# %%\n" + "value = 1\n" * 99
    stem = FEW[0].removesuffix("n")
    uri = await opened(client, kernel_id, f"lines-{lines}", cell * (lines // 100) + f"{stem}\n")
    versions = iter(range(2, sys.maxsize))

    async def measure() -> list[float]:
        times: list[float] = []
        for _ in range(TIMES):
            for text, end in (("n", 0), ("", 1)):
                change = {
                    "range": {
                        "start": {"line": lines, "character": len(stem)},
                        "end": {"line": lines, "character": len(stem) + end},
                    },
                    "text": text,
                }
                document = {"uri": uri, "version": next(versions)}
                with timed(times):
                    client.notify(
                        "textDocument/didChange",
                        {"textDocument": document, "contentChanges": [change]},
                    )
                    found = await client.complete(uri, lines, len(stem) + len(text))
                check(found, times[-1])
        return times

    return measure


def beside(flood: str) -> Callable[[Lab], Any]:
    return functools.partial(beside_a_flood, flood=flood)


@contextlib.asynccontextmanager
async def beside_a_flood(lab: Lab, flood: str) -> AsyncIterator[Subjects]:
    """Completions from one kernel while another one shows as much as it can, and while not."""
    async with lab.kernel() as (client, kernel):
        uri = await prepared(client, kernel["kernelId"])
        other = await client.start(specName="python3")
        complete = complete_in(client, uri, FEW)

        def flooded(measure: Measure) -> Measure:
            async def measured() -> list[float]:
                async with running(client, other["kernelId"], flood):
                    times = await measure()
                client.notes.clear()
                return list(times)

            return measured

        # What the flood takes of the processor, the server cannot give back.
        with raw.attached(kernel["connectionFile"]) as limit:
            yield {
                OURS: flooded(complete),
                "without a flood": complete,
                "raw beside it": flooded(complete_raw(limit, FEW)),
            }


STATIC = "import json\nimport math\njson.\nmath."
"""Two modules take turns, as the objects do."""


@contextlib.asynccontextmanager
async def static(lab: Lab) -> AsyncIterator[Subjects]:
    """Completion of a module: from the kernel, and by servers that read source code."""
    async with lab.kernel() as (client, kernel), contextlib.AsyncExitStack() as stack:
        await client.finish(kernel["kernelId"], "import json, math")
        uri = await opened(client, kernel["kernelId"], "static", STATIC)
        subjects = {OURS: _complete_static(client, uri)}
        for name, program in SERVERS.items():
            if command := lab.program(program):
                peer = await stack.enter_async_context(lab.client([command]))
                await peer.initialize(lab.folder)
                peer.open(uri, STATIC)
                subjects[name] = _complete_static(peer, uri)
        yield subjects


def _complete_static(client: Client, uri: str) -> Measure:
    async def measure() -> list[float]:
        times: list[float] = []
        for number in range(TIMES):
            with timed(times):
                found = await client.complete(uri, 2 + number % 2, len("json."))
            check(found, times[-1])
        return times

    return measure


_WARM = (Goal("p50", "more", 1.5), Goal("p95", "more", 4))
_BUSY = (Goal("p50", "more", 3), Goal("max", "at most", BUDGET))

ROWS = (
    Row("completion, 10 matches", "raw", warm(FEW), _WARM),
    Row("completion, 500 matches", "raw", warm(MANY), (Goal("p50", "more", 8),)),
    *(
        Row(f"completion, {size:,} matches", "raw", warm(matches(size)), (), short=False)
        for size in (100, 2000)
    ),
    *(
        # Many: a kernel that computes answers after 25 to 60 ms, whoever asks.
        Row(f"completion while the kernel {what}", "raw subshell", busy(code), _BUSY, rounds=20)
        for what, code in BUSY.items()
    ),
    Row(
        f"{KEYSTROKES} keystrokes at {PAUSE * 1000:g} ms, the last answer",
        "raw",
        burst,
        (Goal("p50", "times", 1.5), Goal("kernel requests", "at most", 3)),
        rounds=5,
    ),
    Row(
        "keystroke and completion in 100,000 lines",
        "100 lines",
        long_document,
        (Goal("p50", "times", 1.2),),
    ),
    *(
        Row(
            f"completion while another kernel floods{what}",
            "without a flood",
            beside(code),
            (Goal("p95", "more", 5),),
        )
        for what, code in FLOODS.items()
    ),
    Row("completion of a static module", "jedi-language-server", static, (), short=False),
)
