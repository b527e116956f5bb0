"""Rows about output that is much: in many pieces, in one, and in pictures."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from lsp_clients import TERMINAL

from tests.benchmarks import raw
from tests.benchmarks.executions import blocking_client
from tests.benchmarks.lab import MB, Client, Lab, Watch
from tests.benchmarks.rows import OURS, Goal, Measure, Row, Subjects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jupyter_client.blocking.client import BlockingKernelClient

PRINTS = 20_000

PATIENCE = 20.0
"""Seconds that jupyter_client waits for an end that it may have dropped."""

LINES = f"for n in range({PRINTS}): print(n, flush=True)"


def printing(megabytes: int) -> str:
    return f"print('x' * {megabytes * MB})"


def showing(count: int, kilobytes: int) -> str:
    return f"""\
import base64, os
from IPython.display import publish_display_data
image = base64.b64encode(os.urandom({750 * kilobytes})).decode()
for _ in range({count}):
    publish_display_data({{"image/png": image}})
"""


LOSSLESS = """\
thread = get_ipython().kernel.iopub_thread
thread.schedule(lambda: thread.socket.set_hwm(0))
"""
"""What the server has ipykernel do as well: else it drops what a starved reader has yet to take."""


class Reader(Client):
    """A client that reads everything and keeps nothing of it but its size."""

    size = 0
    """Bytes of outputs so far."""
    count = 0
    """Notifications of outputs so far."""

    def take(self, method: str, params: Any) -> None:
        if method == "carpo/output":
            self.count += 1
            self.size += _size(params["output"])
            params = {**params, "output": None}
        super().take(method, params)


def _size(output: dict[str, Any]) -> int:
    if pointer := (output.get("metadata") or {}).get("carpo"):
        return int(pointer["bytes"])
    return len(output.get("text", "")) + sum(map(len, output.get("data", {}).values()))


def flood(code: str, *, peer: bool = False) -> Callable[[Lab], Any]:
    """With `peer` jupyter_client reads the same from a kernel of its own. Of long messages it loses
    the one that tells of the end, too, and would wait for that."""

    @contextlib.asynccontextmanager
    async def setup(lab: Lab) -> AsyncIterator[Subjects]:
        async with (
            lab.kernel(kind=Reader) as (client, kernel),
            contextlib.AsyncExitStack() as stack,
        ):
            assert isinstance(client, Reader)
            # A kernel of its own: the server reads all that a kernel prints, whoever asked.
            with raw.started(lab.folder) as limit:
                limit.wait_ready()
                limit.run(LOSSLESS)

                async def ours() -> list[float]:
                    client.count = client.size = 0
                    async with client.memory_peak(lambda most: lab.note("memory, MB", most)):
                        watch = Watch()
                        execution_id = await client.execute(kernel["kernelId"], code)
                        await client.until_state(execution_id, *TERMINAL)
                        took = watch.ms
                    lab.note("messages/s", 1000 * client.count / took)
                    check(OURS, client.size)
                    client.notes.clear()
                    return [took]

                async def reader() -> list[float]:
                    watch = Watch()
                    published = limit.run(code)
                    took = watch.ms
                    check("raw reader", sum(_size(message["content"]) for message in published))
                    return [took]

                def check(who: str, size: int) -> None:
                    sizes[who] = size
                    assert len(set(sizes.values())) == 1, f"something is missing: {sizes}"

                sizes: dict[str, int] = {}
                subjects = {OURS: ours, "raw reader": reader}
                if peer:
                    theirs = stack.enter_context(raw.started(lab.folder))
                    theirs.wait_ready()
                    blocking = stack.enter_context(blocking_client(theirs.connection_file))
                    subjects["jupyter_client"] = _blocking(lab, blocking, code, sizes)
                yield subjects

    return setup


def _blocking(lab: Lab, client: BlockingKernelClient, code: str, sizes: dict[str, int]) -> Measure:
    async def measure() -> list[float]:
        size = 0

        def on_output(message: dict[str, Any]) -> None:
            nonlocal size
            size += _size(message["content"])

        watch = Watch()
        with contextlib.suppress(TimeoutError):
            client.execute_interactive(code, output_hook=on_output, timeout=PATIENCE)
        took = watch.ms
        # It lets ZeroMQ drop what comes faster than it reads, the end as well.
        lab.note("jupyter_client lost, %", 100 * (1 - size / sizes[OURS]))
        return [took]

    return measure


_MEMORY = Goal("memory, MB", "at most", 60)

ROWS = (
    Row(
        f"{PRINTS:,} flushed prints",
        "raw reader",
        flood(LINES, peer=True),
        (Goal("p50", "times", 1.10), Goal("messages/s", "at most", 60)),
        rounds=5,
    ),
    Row(
        "one print of 100 MB",
        "raw reader",
        flood(printing(100)),
        (Goal("p50", "times", 1.3), _MEMORY),
        rounds=5,
    ),
    Row(
        "1,000 images of 100 kB",
        "raw reader",
        flood(showing(1000, 100)),
        (Goal("p50", "times", 1.3), _MEMORY),
        rounds=5,
    ),
    *(
        Row(f"one print of {size} MB", "raw reader", flood(printing(size)), (), short=False)
        for size in (1, 10)
    ),
    *(
        Row(
            f"100 images of {size:,} kB",
            "raw reader",
            flood(showing(100, size)),
            (),
            short=False,
        )
        for size in (10, 100, 1000)
    ),
)
