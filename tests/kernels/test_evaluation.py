"""Code that is run to learn something: it answers, and leaves no trace."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support import FAKE, Events

from carpo_lsp.errors import KernelDied, KernelTimeout
from carpo_lsp.kernels.evaluation import Evaluations
from carpo_lsp.kernels.messages import Message, Request

if TYPE_CHECKING:
    from carpo_lsp.frontend import Frontend


def message(request: Request, msg_type: str, content: dict[str, object]) -> Message:
    parent = {"msg_id": request.msg_id, "msg_type": request.msg_type}
    channel = "shell" if msg_type.endswith("_reply") else "iopub"
    return Message(channel, {"msg_type": msg_type}, parent, {}, content)  # type: ignore[arg-type]


OK = {"status": "ok", "user_expressions": {"x": {"status": "ok"}}}
IDLE = {"execution_state": "idle"}
SHOWN = {"data": {"text/plain": "shown"}, "metadata": {}}


@pytest.mark.parametrize("order", ["reply first", "idle first"])
async def test_answer_is_complete_with_reply_and_idle(order: str) -> None:
    sent: list[Request] = []
    evaluations = Evaluations("k", sent.append)
    asking = asyncio.create_task(evaluations.ask("code", {"x": "1"}, 5.0))
    await asyncio.sleep(0)
    (request,) = sent
    assert request.content["silent"] is True
    assert request.content["store_history"] is False
    messages = [
        message(request, "display_data", SHOWN),
        message(request, "execute_reply", OK),
        message(request, "status", IDLE),
    ]
    if order == "reply first":
        messages = [messages[1], messages[0], messages[2]]
    for each in messages:
        assert evaluations.take(each)
    answer = await asking
    assert answer.ok
    assert answer.user_expressions == {"x": {"status": "ok"}}
    assert [output["data"] for output in answer.outputs] == [{"text/plain": "shown"}]


async def test_late_messages_of_an_evaluation_that_timed_out_belong_to_nobody_else() -> None:
    sent: list[Request] = []
    evaluations = Evaluations("k", sent.append)
    with pytest.raises(KernelTimeout):
        await evaluations.ask("code", {}, 0.001)
    assert evaluations.take(message(sent[0], "status", IDLE))
    assert not evaluations.take(message(Request("shell", "execute_request", {}), "status", IDLE))


async def test_the_end_of_the_kernel_ends_the_wait() -> None:
    evaluations = Evaluations("k", lambda request: None)
    asking = asyncio.create_task(evaluations.ask("code", {}, 5.0))
    await asyncio.sleep(0)
    evaluations.fail(KernelDied("It died."))
    with pytest.raises(KernelDied):
        await asking


async def test_a_kernel_evaluates_without_a_trace(frontend: Frontend, events: Events) -> None:
    kernel_id = await frontend.start_kernel(spec_path=str(FAKE))
    before = len(events.all)
    answer = await frontend.evaluate(kernel_id, "display d shown", {"x": "42"}, deadline=10.0)
    assert answer.user_expressions["x"]["data"] == {"text/plain": "42"}
    assert [output["data"] for output in answer.outputs] == [{"text/plain": "shown"}]
    result = await frontend.execute_code(kernel_id, "result 1")
    assert result.execution_count == 1
    assert not [event for event in events.all[before:] if "external" in repr(event)]
    assert frontend.get_kernel(kernel_id).execution_count == 1


async def test_a_busy_kernel_is_not_asked(frontend: Frontend, events: Events) -> None:
    kernel_id = await frontend.start_kernel(spec_path=str(FAKE))
    handle = frontend.execute_code(kernel_id, "stream stdout ready\nsleep-until-interrupted")
    await events.until_text("ready")
    assert not frontend.answers(kernel_id)
    with pytest.raises(KernelTimeout):
        await frontend.evaluate(kernel_id, "result 1")
    await frontend.interrupt(kernel_id)
    await handle
    assert frontend.answers(kernel_id)
