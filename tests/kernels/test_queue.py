"""The queue of one kernel: order, interrupts, errors, input. One fake kernel serves all tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from support import DEADLINE, FAKE, Events, text_of

from carpo_lsp.errors import ExecutionNotFound, KernelExists, NoInputPending
from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels import probe, queue
from carpo_lsp.kernels.events import OutputChanged, StateChanged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLEEP = "stream stdout asleep\nsleep-until-interrupted"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def frontend() -> AsyncIterator[Frontend]:
    async with Frontend() as frontend:
        yield frontend


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kernel(frontend: Frontend) -> str:
    return await frontend.start_kernel(str(FAKE))


async def works(frontend: Frontend, kernel_id: str) -> bool:
    return (await frontend.execute_code(kernel_id, "result 1")).state == "ok"


async def test_order_is_kept(frontend: Frontend, kernel: str) -> None:
    handles = [frontend.execute_code(kernel, f"stream stdout {n}") for n in range(20)]
    results = [await handle for handle in handles]
    assert [text_of(result.outputs) for result in results] == [f"{n}\n" for n in range(20)]
    counts = [result.execution_count for result in results]
    assert counts == list(range(counts[0] or 0, (counts[0] or 0) + 20))


async def test_an_interrupt_drops_the_queue(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    running = frontend.execute_code(kernel, SLEEP)
    queued = [frontend.execute_code(kernel, "result 1") for _ in range(3)]
    assert frontend.get_kernel(kernel).pending == 4
    positions = [
        event.queue_position
        for event in events.all
        if isinstance(event, StateChanged) and event.state == "queued"
    ]
    assert positions == [0, 1, 2, 3]
    await asyncio.gather(*(frontend.interrupt(kernel) for _ in range(3)))
    assert [(await handle).state for handle in (running, *queued)] == [
        "error",
        *["aborted"] * 3,
    ]
    for handle in queued:
        assert events.states(handle.execution_id) == ["queued", "aborted"]
    assert await works(frontend, kernel)


async def test_an_interrupt_with_nothing_to_interrupt(frontend: Frontend, kernel: str) -> None:
    await frontend.interrupt(kernel)
    assert await works(frontend, kernel)


async def test_an_interrupt_of_code_that_ends_meanwhile_hits_no_other(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    # Silent code does not tell that the kernel is at it.
    first = frontend.execute_code(kernel, "", silent=True)
    interrupt = asyncio.create_task(frontend.interrupt(kernel))
    await asyncio.sleep(0)
    second = frontend.execute_code(kernel, SLEEP)
    await interrupt
    await events.until_text("asleep")
    assert (await first).state == "ok"
    assert events.states(second.execution_id) == ["queued", "running"]
    await frontend.interrupt(kernel)
    assert (await second).state == "error"


async def test_code_that_waits_for_that_of_another_client_does_not_run_yet(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    async with Frontend() as other:
        theirs = await other.attach_kernel(frontend.get_kernel(kernel).connection_file)
        sleeping = other.execute_code(theirs, SLEEP)
        assert (await events.until_text("asleep")).execution_id.startswith("external:")
        handle = frontend.execute_code(kernel, SLEEP.replace("asleep", "ours"))
        executions = frontend.manager.get(kernel).executions
        # A limit that counted these seconds would interrupt the code of the other.
        assert executions.running is None
        await other.interrupt(theirs)
        assert (await sleeping).state == "error"
        await events.until_text("ours")
        assert executions.running is not None
        await frontend.interrupt(kernel)
        await handle


async def test_an_interrupted_kernel_that_never_replies(
    frontend: Frontend, events: Events, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "QUIET", 0.01)
    # It is idle then, and there is no sign to be waited for with so much patience.
    monkeypatch.setattr(probe, "INTERRUPTED", 1000.0)
    handle = frontend.execute_code(kernel, f"no-reply\n{SLEEP}")
    await events.until_text("asleep")
    await frontend.interrupt(kernel)
    async with asyncio.timeout(DEADLINE):
        assert (await handle).state == "aborted"
    assert await works(frontend, kernel)


async def test_an_interrupt_frees_a_kernel_that_did_not_reply(
    frontend: Frontend, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "QUIET", 0.01)
    handle = frontend.execute_code(kernel, "no-reply")
    # The kernel is through with the code before it answers this.
    await frontend.is_complete(kernel, "x")
    await frontend.interrupt(kernel)
    assert (await handle).state == "aborted"
    assert await works(frontend, kernel)


async def test_an_interrupt_while_late_results_are_waited_for(
    frontend: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "SETTLE", 0.5)
    kernel = await frontend.start_kernel(str(FAKE))  # the end of its first code is waited for
    first = frontend.execute_code(kernel, "result 1")
    # The kernel is through with the code before it answers this.
    await frontend.is_complete(kernel, "x")
    await frontend.interrupt(kernel)
    assert (await first).state == "ok"
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert not [name for name in names if name.startswith("probe ")]
    await frontend.shutdown_kernel(kernel)


async def test_an_error_drops_the_queue(frontend: Frontend, kernel: str) -> None:
    failing = frontend.execute_code(kernel, "error E v")
    queued = [frontend.execute_code(kernel, "result 1") for _ in range(2)]
    assert (await failing).state == "error"
    assert [(await handle).state for handle in queued] == ["aborted", "aborted"]
    assert await works(frontend, kernel)


async def test_an_error_that_is_not_to_stop_the_queue(frontend: Frontend, kernel: str) -> None:
    failing = frontend.execute_code(kernel, "error E v", stop_on_error=False)
    queued = frontend.execute_code(kernel, "result 1")
    assert ((await failing).state, (await queued).state) == ("error", "ok")


async def test_what_the_kernel_aborted(frontend: Frontend, kernel: str) -> None:
    assert (await frontend.execute_code(kernel, "aborted")).state == "aborted"


async def test_an_execution_id_is_used_once(frontend: Frontend, kernel: str) -> None:
    handle = frontend.execute_code(kernel, "result 1", execution_id="mine")
    assert handle.execution_id == "mine"
    with pytest.raises(KernelExists):
        frontend.execute_code(kernel, "result 2", execution_id="mine")
    await handle
    with pytest.raises(KernelExists):
        frontend.submit(kernel, "result 2", execution_id="mine")


async def test_input_goes_to_who_asked(frontend: Frontend, events: Events, kernel: str) -> None:
    with pytest.raises(NoInputPending):
        await frontend.provide_stdin(kernel, "x")
    handle = frontend.execute_code(kernel, "input a\ninput b", execution_id="asks")
    await events.until_input("asks")
    with pytest.raises(ExecutionNotFound):
        await frontend.provide_stdin(kernel, "x", execution_id="other")
    await frontend.provide_stdin(kernel, "first")
    with pytest.raises(NoInputPending):
        await frontend.provide_stdin(kernel, "a stray answer would answer the next prompt")
    await events.until(lambda event: getattr(event, "prompt", None) == "b")
    await frontend.provide_stdin(kernel, "second", execution_id="asks")
    assert text_of((await handle).outputs) == "first\nsecond\n"


async def test_an_update_goes_to_the_last_that_show_the_display(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    runs = [frontend.execute_code(kernel, "display 1 first") for _ in range(queue.OWNERS + 2)]
    await runs[-1]
    update = frontend.execute_code(kernel, "update 1 second")
    await update
    updated = [
        event.execution_id
        for event in events.all
        if isinstance(event, OutputChanged) and event.kind == "update"
    ]
    assert updated == [run.execution_id for run in runs[2:]]
