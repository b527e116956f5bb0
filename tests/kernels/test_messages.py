"""Messages that break the rules, belong to nobody, or are sent and received raw."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from support import FAKE, Events, check_order, fake_spec, text_of

from carpo_lsp.errors import KernelDied, KernelTimeout
from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels import requests
from carpo_lsp.kernels.events import MessageReceived, OutputChanged
from carpo_lsp.kernels.messages import Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def frontend() -> AsyncIterator[Frontend]:
    async with Frontend() as frontend:
        yield frontend


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kernel(frontend: Frontend) -> str:
    return await frontend.start_kernel(str(FAKE))


@pytest.mark.parametrize(
    ("message", "outputs"),
    [
        ({"msg_type": "news", "content": {"text": "x"}}, ()),
        ({"msg_type": "status", "content": {}}, ()),
        ({"msg_type": "status", "content": {"execution_state": "dreaming"}}, ()),
        ({"msg_type": "execute_input", "content": {}}, ()),
        (
            {"msg_type": "stream", "content": {}},
            ({"output_type": "stream", "name": "stdout", "text": ""},),
        ),
        (
            {"msg_type": "display_data", "content": {"data": None}},
            ({"output_type": "display_data", "data": {}, "metadata": {}},),
        ),
        ({"msg_type": "update_display_data", "content": {}}, ()),
        ({"msg_type": "display_data", "content": None}, None),
    ],
)
async def test_unknown_types_and_missing_fields(
    frontend: Frontend, kernel: str, message: dict[str, Any], outputs: Any
) -> None:
    result = await frontend.execute_code(kernel, f"raw {json.dumps(message)}")
    assert result.state == "ok"
    if outputs is None:  # null for a whole content is read as empty
        outputs = ({"output_type": "display_data", "data": {}, "metadata": {}},)
    assert result.outputs == outputs


async def test_an_error_with_status_ok(frontend: Frontend, kernel: str) -> None:
    result = await frontend.execute_code(kernel, "error-output E v")
    assert result.state == "error"
    assert result.error == {"ename": "E", "evalue": "v", "traceback": ["E: v"]}


@pytest.mark.parametrize("order", ["idle-first", "reply-first"])
async def test_any_order_of_the_end(
    frontend: Frontend, events: Events, kernel: str, order: str
) -> None:
    handle = frontend.execute_code(kernel, f"{order}\nstream stdout a\nresult 2\npage help")
    result = await handle
    assert result.state == "ok"
    assert text_of(result.outputs) == "a\n"
    check_order(events.of(handle.execution_id))


async def test_help_is_an_output(frontend: Frontend, kernel: str) -> None:
    (output,) = (await frontend.execute_code(kernel, "page help")).outputs
    assert output["data"] == {"text/plain": "help"}


async def test_a_flood_arrives_whole_and_in_order(frontend: Frontend, kernel: str) -> None:
    result = await frontend.execute_code(kernel, "flood 3000\nresult done")
    stream, done = result.outputs
    assert stream["text"].split() == [str(number) for number in range(3000)]
    assert done["data"] == {"text/plain": "done"}


async def test_a_flood_holds_up_neither_neighbours_nor_interrupts(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    neighbour = await frontend.start_kernel(str(FAKE))
    flood = frontend.execute_code(kernel, "flood")
    await events.until_text("0\n")
    assert (await frontend.execute_code(neighbour, "result 1")).state == "ok"
    assert events.states(flood.execution_id) == ["queued", "running"]
    await frontend.interrupt(kernel)
    assert (await flood).state == "error"
    await frontend.shutdown_kernel(neighbour)


# Output of no execution in flight


async def test_late_output_is_external(frontend: Frontend, events: Events, kernel: str) -> None:
    handle = frontend.execute_code(kernel, "late stdout one\nlate stdout two")
    result = await handle
    assert (result.state, result.outputs) == ("ok", ())
    await frontend.is_complete(kernel, "x")
    late = await events.until_text("two")
    assert late.execution_id.startswith("external:")
    assert text_of(frontend.record(late.execution_id).outputs) == "one\ntwo\n"
    assert events.of(handle.execution_id)[-1] not in events.of(late.execution_id)
    # What comes later, comes after the next execution.
    await frontend.execute_code(kernel, "result 1")
    assert events.states(late.execution_id) == ["queued", "running", "ok"]
    check_order(events.of(late.execution_id))
    assert frontend.get_kernel(kernel).status == "idle"


async def test_output_without_a_parent_is_external(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    handle = frontend.execute_code(kernel, "no-parent from nobody")
    event = await events.until_text("from nobody")
    assert event.execution_id.startswith("external:")
    assert (await handle).outputs == ()
    await frontend.execute_code(kernel, "result 1")
    assert events.states(event.execution_id) == ["queued", "running", "ok"]


async def test_late_output_ends_with_its_kernel(frontend: Frontend, events: Events) -> None:
    kernel = await frontend.start_kernel(str(FAKE))
    await frontend.execute_code(kernel, "late stdout one")
    await frontend.is_complete(kernel, "x")
    late = await events.until_text("one")
    await frontend.shutdown_kernel(kernel)
    assert events.states(late.execution_id) == ["queued", "running", "ok"]


async def test_a_display_in_two_executions_is_updated_in_both(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    first = frontend.execute_code(kernel, "display twice one")
    second = frontend.execute_code(kernel, "display twice one\ndisplay twice one")
    await second
    third = frontend.execute_code(kernel, "update twice two\nupdate unknown x")
    assert (await third).outputs == ()
    for handle in (first, second):
        assert {
            output["data"]["text/plain"] for output in frontend.record(handle.execution_id).outputs
        } == {"two"}
    kinds = [
        (event.kind, event.execution_id)
        for event in events.all
        if isinstance(event, OutputChanged) and event.kind == "update"
    ]
    assert kinds == [("update", first.execution_id), ("update", second.execution_id)]


# Questions


async def test_a_question_that_is_never_answered(
    frontend: Frontend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "DEADLINES", {"inspect_request": 0.05})
    mute = await frontend.start_kernel(fake_spec(tmp_path, "--mute", "inspect_request"))
    with pytest.raises(KernelTimeout) as caught:
        await frontend.inspect(mute, "alpha", 1)
    assert "inspect_request" in caught.value.message
    assert caught.value.data["seconds"] == 0.05
    assert (await frontend.execute_code(mute, "result 1")).state == "ok"
    await frontend.shutdown_kernel(mute)


# Raw messages


async def test_a_raw_request_and_all_that_answers_it(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    content = {"any": ["thing", None]}
    for channel in ("shell", "control"):
        request = Request(channel, "news_request", content, metadata={"m": 1})  # type: ignore[arg-type]  # the loop's strings are channels
        msg_id = frontend.send(kernel, request)
        event = await events.until(is_message("news_reply", msg_id))
        assert event.kernel_id == kernel
        assert event.message.channel == channel
        assert event.message.content == content | {"status": "ok"}
    await events.until(is_message("status", msg_id_of(events, "shell")))


def is_message(msg_type: str, parent: str) -> Any:
    return lambda event: (
        isinstance(event, MessageReceived)
        and event.message.msg_type == msg_type
        and event.message.parent_id == parent
    )


def msg_id_of(events: Events, channel: str) -> str:
    return next(
        event.message.parent_id
        for event in events.all
        if isinstance(event, MessageReceived) and event.message.channel == channel
    )


async def test_comms_with_buffers(frontend: Frontend, events: Events, kernel: str) -> None:
    content = {"comm_id": "c", "target_name": "t", "data": {"x": 1}}
    buffers = (b"\x00\xff", b"")
    msg_id = frontend.send(kernel, Request("shell", "comm_open", content, buffers=buffers))
    event = await events.until(is_message("comm_msg", msg_id))
    assert event.message.content == content
    assert event.message.buffers == buffers
    # From now on every comm message is told, whoever caused it.
    message = {"msg_type": "comm_msg", "content": {"comm_id": "c", "data": {}}}
    handle = frontend.execute_code(kernel, f"raw {json.dumps(message)}")
    assert (await handle).state == "ok"
    assert [
        event.message.content["data"]
        for event in events.all
        if isinstance(event, MessageReceived) and event.message.msg_type == "comm_msg"
    ] == [{"x": 1}, {}]


async def test_a_raw_execution_is_nobody_elses(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    content = {"code": "stream stdout raw", "silent": False, "store_history": False}
    content |= {"user_expressions": {}, "allow_stdin": False, "stop_on_error": True}
    msg_id = frontend.send(kernel, Request("shell", "execute_request", content))
    await events.until(is_message("stream", msg_id))
    await events.until(is_message("execute_reply", msg_id))
    assert not [event for event in events.all if hasattr(event, "execution_id")]


async def test_a_kernel_that_is_not_ready_takes_no_messages(frontend: Frontend) -> None:
    kernel = frontend.begin_kernel(frontend.find_spec(str(FAKE)))
    with pytest.raises(KernelDied):
        frontend.send(kernel, Request("shell", "comm_open", {}))
    await frontend.shutdown_kernel(kernel)
