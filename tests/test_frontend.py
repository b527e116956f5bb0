"""The Python API, on a fake kernel and on ipykernel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from support import FAKE, Events, check_order, text_of

import carpo_lsp
from carpo_lsp.errors import (
    ExecutionNotFound,
    KernelExists,
    KernelNotFound,
    KernelStartFailed,
    NoKernelForLanguage,
)
from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.attention import Attention
from carpo_lsp.kernels.events import InputRequested, MessageReceived, OutputChanged, StateChanged
from carpo_lsp.kernels.execution import ExecuteOptions
from carpo_lsp.kernels.messages import Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLEEP = "stream stdout asleep\nsleep-until-interrupted"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def frontend() -> AsyncIterator[Frontend]:
    async with Frontend() as frontend:
        yield frontend


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fake(frontend: Frontend) -> str:
    return await frontend.start_kernel(str(FAKE))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def python(frontend: Frontend) -> str:
    return await frontend.start_kernel(spec_name="python3")


async def test_it_is_what_the_package_offers() -> None:
    assert carpo_lsp.Frontend is Frontend
    assert not hasattr(carpo_lsp, "Backend")


# Kernels


async def test_how_a_kernel_is_named(frontend: Frontend, fake: str) -> None:
    assert frontend.find_spec(str(FAKE)).name == "fake_kernel"
    assert frontend.find_spec(spec_name="python3").language == "python"
    assert frontend.find_spec(language="Python").language == "python"
    assert "python3" in [spec.name for spec in frontend.list_kernel_specs()]
    with pytest.raises(KernelStartFailed):
        await frontend.start_kernel()
    with pytest.raises(NoKernelForLanguage):
        await frontend.start_kernel(language="klingon")
    with pytest.raises(KernelExists):
        await frontend.start_kernel(str(FAKE), kernel_id=fake)


@pytest.mark.parametrize(
    "use",
    [
        lambda frontend: frontend.get_kernel("?"),
        lambda frontend: frontend.get_kernel_info("?"),
        lambda frontend: frontend.wait_ready("?"),
        lambda frontend: frontend.interrupt("?"),
        lambda frontend: frontend.restart_kernel("?"),
        lambda frontend: frontend.shutdown_kernel("?"),
        lambda frontend: frontend.execute_code("?", ""),
        lambda frontend: frontend.submit("?", ""),
        lambda frontend: frontend.provide_stdin("?", ""),
        lambda frontend: frontend.get_completions("?", "", 0),
        lambda frontend: frontend.inspect("?", "", 0),
        lambda frontend: frontend.is_complete("?", ""),
        lambda frontend: frontend.history("?"),
        lambda frontend: frontend.send("?", Request("shell", "comm_open", {})),
    ],
)
async def test_a_kernel_nobody_knows(frontend: Frontend, use: Callable[[Frontend], Any]) -> None:
    with pytest.raises(KernelNotFound):
        await use(frontend)


async def test_an_execution_nobody_knows(frontend: Frontend) -> None:
    with pytest.raises(ExecutionNotFound):
        frontend.record("?")


# Executions


async def test_iterate_then_await(frontend: Frontend, events: Events, fake: str) -> None:
    handle = frontend.execute_code(fake, "stream stdout a\nresult 1")
    seen = [event async for event in handle]
    result = await handle
    assert seen == events.of(handle.execution_id)
    check_order(list(seen))
    assert [type(event).__name__ for event in seen] == [
        *("StateChanged", "StateChanged", "OutputChanged", "OutputChanged", "StateChanged"),
    ]
    assert (result.execution_id, result.state) == (handle.execution_id, "ok")
    assert result.duration_ms is not None
    assert result.duration_ms >= 0


async def test_await_then_iterate(frontend: Frontend, fake: str) -> None:
    handle = frontend.execute_code(fake, "stream stdout a\nresult 1")
    result = await handle
    assert len(result.outputs) == 2
    assert len([event async for event in handle]) == 5
    assert [event async for event in handle] == [], "each event comes once"
    assert await handle == result


async def test_iterate_and_await_at_once(frontend: Frontend, fake: str) -> None:
    handle = frontend.execute_code(fake, "input who?")

    async def talk() -> list[str]:
        words = []
        async for event in handle:
            match event:
                case InputRequested():
                    await frontend.provide_stdin(fake, "me")
                case OutputChanged(output={"text": text}):
                    words.append(text)
                case StateChanged():
                    words.append(event.state)
        return words

    async def wait() -> str:
        return (await handle).state

    words, state = await asyncio.gather(talk(), wait())
    assert words == ["queued", "running", "waitingInput", "running", "me\n", "ok"]
    assert state == "ok"


async def test_a_handle_that_nobody_reads(frontend: Frontend, events: Events, fake: str) -> None:
    execution_id = frontend.execute_code(fake, "result 1").execution_id
    await events.until_state("ok", execution_id)
    assert len(frontend.record(execution_id).outputs) == 1


async def test_waiting_for_a_result_may_be_given_up(
    frontend: Frontend, events: Events, fake: str
) -> None:
    handle = frontend.execute_code(fake, SLEEP)
    await events.until_text("asleep")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await handle
    assert events.states(handle.execution_id) == ["queued", "running"], "the code goes on"
    await frontend.interrupt(fake)
    assert (await handle).state == "error"


async def test_submit(frontend: Frontend, events: Events, fake: str) -> None:
    options = ExecuteOptions(user_expressions={"x": "42"})
    opened = []
    execution_id = frontend.submit(
        fake, "result 1", execution_id="chosen", options=options, opened=opened.append
    )
    assert execution_id == "chosen"
    assert opened == [frontend.record("chosen")]
    ended = await events.until_state("ok", "chosen")
    assert ended.user_expressions is not None
    with pytest.raises(KernelExists):
        frontend.submit(fake, "result 1", execution_id="chosen")


async def test_a_subscription_ends(frontend: Frontend, fake: str) -> None:
    seen: list[object] = []
    unsubscribe = frontend.subscribe(seen.append)
    await frontend.execute_code(fake, "result 1")
    count = len(seen)
    assert count
    unsubscribe()
    unsubscribe()
    await frontend.execute_code(fake, "result 1")
    assert len(seen) == count


async def test_big_outputs_are_kept_on_disk() -> None:
    async with Frontend(output_limit=20) as frontend:
        events = Events(frontend)
        kernel = await frontend.start_kernel(str(FAKE))
        handle = frontend.execute_code(kernel, f"stream stdout {'x' * 100}\nstream stderr short")
        big, short = (await handle).outputs
        pushed = await events.until_text("xxx")
        assert pushed.output == big
        assert big["metadata"]["carpo"]["bytes"] == 101
        assert short == {"output_type": "stream", "name": "stderr", "text": "short\n"}


# Questions


async def test_completions_count_code_points(frontend: Frontend, python: str) -> None:
    code = "s = '😀é𐐷'; s.upp"
    reply = await frontend.get_completions(python, code, len(code))
    assert reply.matches == ("upper",)
    assert (reply.cursor_start, reply.cursor_end) == (len(code) - 3, len(code))
    assert reply.metadata


async def test_inspection_counts_code_points(frontend: Frontend, python: str) -> None:
    code = "'😀😀'; enumerate"
    reply = await frontend.inspect(python, code, len(code))
    assert reply.found
    assert "iterable" in reply.data["text/plain"]


async def test_questions_while_code_runs(frontend: Frontend, events: Events, python: str) -> None:
    """They go to a subshell, so that they need not wait for the code, which never ends."""
    await frontend.execute_code(python, "number = 1")
    assert frontend.answers(python)
    handle = frontend.execute_code(
        python, "import time\nprint('asleep', flush=True)\ntime.sleep(600)"
    )
    await events.until_text("asleep")
    assert frontend.answers(python)
    first, second, complete = await asyncio.gather(
        frontend.get_completions(python, "number.bit_c", 12),
        frontend.inspect(python, "number", 6),
        frontend.is_complete(python, "for x in y:"),
    )
    assert first.matches == ("bit_count",)
    assert second.found
    assert complete.status == "incomplete"
    assert events.states(handle.execution_id) == ["queued", "running"]
    list_id = frontend.send(python, Request("control", "list_subshell_request", {}))
    listed = await events.until(
        lambda event: (
            isinstance(event, MessageReceived)
            and event.message.parent_id == list_id
            and event.message.channel == "control"
        )
    )
    assert len(listed.message.content["subshell_id"]) == 1, "questions at once share it"
    await frontend.interrupt(python)
    assert (await handle).state == "error"
    assert (await frontend.execute_code(python, "number")).state == "ok"


async def test_a_kernel_without_subshells_does_not_answer_while_code_runs(
    frontend: Frontend, events: Events, fake: str
) -> None:
    handle = frontend.execute_code(fake, SLEEP)
    await events.until_text("asleep")
    assert not frontend.answers(fake)
    await frontend.interrupt(fake)
    await handle
    await events.until_status("idle", fake)
    assert frontend.answers(fake)


async def test_history(frontend: Frontend, python: str) -> None:
    lines = ["first_line = 1", "second_line = 2", "third_line = '😀'"]
    for line in lines:
        await frontend.execute_code(python, line)
    await frontend.execute_code(python, "hidden_line = 0", store_history=False)
    history = (await frontend.history(python, n=2)).history
    assert [source for _, _, source in history] == lines[1:]
    assert history[0][1] < history[1][1]
    found = (await frontend.history(python, pattern="*_line = [12]")).history
    assert [source for _, _, source in found] == lines[:2]


async def test_two_kernels_at_once(frontend: Frontend, fake: str, python: str) -> None:
    handles = [
        frontend.execute_code(kernel, code)
        for _ in range(10)
        for kernel, code in ((fake, "stream stdout fake"), (python, "print('python')"))
    ]
    texts = [text_of((await handle).outputs) for handle in handles]
    assert texts == ["fake\n", "python\n"] * 10
    assert [kernel.language for kernel in frontend.list_kernels()] == ["fake", "python"]


class Looked(Attention):
    """Knows which kernels have looked whether others are asked."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel_ids: set[str] = set()

    def elsewhere(self, kernel_id: str) -> bool:
        self.kernel_ids.add(kernel_id)
        return super().elsewhere(kernel_id)


async def test_kernels_look_whether_others_are_asked(frontend: Frontend, fake: str) -> None:
    async with Frontend() as there:
        attention = there.manager.attention = Looked()
        file = frontend.get_kernel(fake).connection_file
        kernel_ids = {await there.attach_kernel(file), await there.start_kernel(str(FAKE))}
        for kernel_id in kernel_ids:
            await there.execute_code(kernel_id, "stream stdout a")
        assert attention.kernel_ids == kernel_ids


async def test_what_waits_keeps_its_place(
    frontend: Frontend, events: Events, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Help comes with the answer, and a prompt on a channel of its own."""
    monkeypatch.setattr(Attention, "elsewhere", lambda self, kernel_id: True)
    for _ in range(5):
        result = await frontend.execute_code(python, "print('first')\nlen?")
        assert [output["output_type"] for output in result.outputs] == ["stream", "display_data"]
        handle = frontend.execute_code(python, "print('which?'); input()")
        asked = await events.until(
            lambda event, handle=handle: (
                isinstance(event, InputRequested) and event.execution_id == handle.execution_id
            )
        )
        told = events.of(handle.execution_id)
        assert any(isinstance(event, OutputChanged) for event in told[: told.index(asked)])
        await frontend.provide_stdin(python, "this")
        await handle


@pytest.mark.parametrize(
    "ask",
    [
        lambda frontend, kernel_id: frontend.get_completions(kernel_id, "", 0),
        lambda frontend, kernel_id: frontend.evaluate(kernel_id, expressions={"one": "1"}),
    ],
)
async def test_output_gives_way_to_who_asks(
    frontend: Frontend, python: str, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., Any]
) -> None:
    attention = Attention(clock=lambda: 0.0)
    monkeypatch.setattr(frontend.manager, "attention", attention)
    asking = asyncio.ensure_future(ask(frontend, python))
    await asyncio.sleep(0)  # a task begins in the next turn
    assert attention.elsewhere("another")
    assert not attention.elsewhere(python)
    await asking
    assert not attention.elsewhere("another")


async def test_a_subscriber_that_fails_costs_the_others_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(event: object) -> None:
        raise RuntimeError("broken")

    seen: list[object] = []
    async with Frontend() as frontend:
        frontend.subscribe(fail)
        frontend.subscribe(seen.append)
        kernel_id = await frontend.start_kernel(str(FAKE))
        result = await frontend.execute_code(kernel_id, "result 1")
    assert result.state == "ok"
    assert seen
    assert "A subscriber failed" in caplog.text
