"""Kernels that break the protocol: every lie of `tests/misbehaving/liar.py`.

Whatever a kernel sends, the execution it was sent in ends, what was said truly is shown, and the
next question is answered.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from support import MISBEHAVING, Events, check_order, liar_spec, text_of

from carpo_lsp.errors import KernelStartFailed, NoInputPending
from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels import life, probe, queue
from carpo_lsp.kernels.events import StatusChanged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")

DROPPED = {"text": "before\nafter\n"}
"""The lie left no trace."""

TABLE: dict[str, dict[str, Any]] = {
    # frames that are no message
    "bad-hmac": DROPPED,
    "unsigned": DROPPED,
    "same-message-twice": {"text": "before\nonce\nafter\n"},
    "broken-json": DROPPED,
    "content-no-object": DROPPED,
    "header-no-object": DROPPED,
    "header-without-id": DROPPED,
    "header-without-type": DROPPED,
    "parent-no-object": DROPPED,
    "metadata-no-object": DROPPED,
    "too-few-frames": DROPPED,
    "no-delimiter": DROPPED,
    "no-frames": DROPPED,
    "a-thousand-frames": DROPPED,
    "nested-beyond-reading": DROPPED,
    "nested-status": DROPPED,
    "nested-too-deep": DROPPED,
    "infinite-count": DROPPED,
    "number-without-end": DROPPED,
    "bad-hmac-on-shell": DROPPED,
    "flood-of-rubbish": DROPPED,
    # messages with something wrong in them
    "a-thousand-buffers": {"text": "before\nbuffers\nafter\n"},
    "invalid-utf8": {"text": "before\n\ufffd\nafter\n"},
    "nested-deep": {"outputs": 3},
    "not-a-number": {"data": [{"application/json": [None, None, None, None, 1]}]},
    "half-a-character": {"data": [{"text/plain": "<\ufffd>"}]},
    "forged-pointer": {"data": [{"text/plain": "x"}], "metadata": [{"kept": 1}]},
    "null-content": {"data": [{}]},
    "null-data": {"data": [{}], "metadata": [{}]},
    "rubbish-data": {
        "data": [{}, {}, {"text/plain": "5"}, {"text/html": '{"a": null}'}, {"image/png": "null"}],
        "metadata": [{}] * 5,
    },
    "rubbish-display-id": {"data": [{"text/plain": "x"}] * 4},
    "rubbish-streams": {"text": "before\n7{}abafter\n"},
    "rubbish-counts": {"data": [{}] * 6, "counts": [None] * 6},
    "rubbish-errors": {
        "state": "error",
        "error": {"ename": "", "evalue": "", "traceback": ["", "1", "line"]},
    },
    "rubbish-status": DROPPED,
    "rubbish-reply": {"data": [{}, {}]},
    "rubbish-reply-status": DROPPED,
    "empty-messages": {"state": "error", "text": "after\n"},
    "unknown-types": DROPPED,
    "rubbish-header": DROPPED,
    "clear-with-rubbish": {"text": "after\n"},
    # messages for others
    "unknown-parent": DROPPED,
    "rubbish-parent": DROPPED,
    "reply-to-nobody": DROPPED,
    "busy-for-nobody": DROPPED,
    "begun-twice-for-nobody": DROPPED,
    "ask-nobody": DROPPED,
    # the end
    "idle-twice": {},
    "reply-twice": {},
    "output-after-the-end": {},
    "question-after-the-end": {},
    "no-idle": DROPPED,
    "no-reply": {
        "state": "aborted",
        "error": {
            "ename": "NoReply",
            "evalue": "The kernel went on without a word on how this ended.",
            "traceback": [],
        },
    },
}
"""Lie to what is to be seen of the execution, where it is not `ok` with both lines around it."""

ELSEWHERE = {"two-questions", "neither", "idle-early", "result-after-the-end"}
"""Lies that tests of their own tell."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "QUIET", 0.05)
    monkeypatch.setattr(probe, "INTERRUPTED", 0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def frontend() -> AsyncIterator[Frontend]:
    async with Frontend() as frontend:
        yield frontend
        for kernel in frontend.list_kernels():
            await frontend.manager.keep(kernel.kernel_id, None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kernel(frontend: Frontend) -> str:
    return await frontend.start_kernel(str(MISBEHAVING))


async def answers(frontend: Frontend, kernel: str) -> None:
    """What any kernel is to do after any lie."""
    result = await frontend.execute_code(kernel, "result 1")
    assert (result.state, result.outputs[-1]["data"]) == ("ok", {"text/plain": "1"})
    completions = await frontend.get_completions(kernel, "alp", 3)
    assert completions.matches == ("alpha", "alphabet")
    assert frontend.get_kernel(kernel).status == "idle"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept(frontend: Frontend) -> str:
    kernel_id = await frontend.start_kernel(str(MISBEHAVING))
    await frontend.manager.keep(kernel_id, 0)
    return kernel_id


@pytest.mark.parametrize("lie", TABLE)
async def test_a_lie_in_an_execution_of_a_kept_kernel(
    frontend: Frontend, events: Events, kept: str, lie: str
) -> None:
    """Its keeper reads what it sends as well, and stays."""
    await test_a_lie_in_an_execution(frontend, events, kept, lie)
    changes = [event for event in events.all if isinstance(event, StatusChanged)]
    assert not [event.reason for event in changes if event.reason]


@pytest.mark.parametrize("lie", TABLE)
async def test_a_lie_in_an_execution(
    frontend: Frontend, events: Events, kernel: str, lie: str
) -> None:
    expected = TABLE[lie]
    before = frontend.get_kernel(kernel).execution_count or 0
    handle = frontend.execute_code(kernel, f"stream stdout before\n{lie}\nstream stdout after")
    result = await handle
    check_order(events.of(handle.execution_id))
    assert result.state == expected.get("state", "ok")
    assert result.execution_count == before + 1
    displays = [output for output in result.outputs if "data" in output]
    seen = {
        "text": text_of(result.outputs),
        "outputs": len(result.outputs),
        "data": [output["data"] for output in displays],
        "metadata": [output["metadata"] for output in displays],
        "counts": [output.get("execution_count") for output in displays],
        "error": result.error,
        "state": result.state,
    }
    assert {name: seen[name] for name in expected} == expected
    # What it has shown can be sent to an editor and written into a notebook.
    json.dumps(result.outputs, allow_nan=False, ensure_ascii=False).encode()
    await answers(frontend, kernel)


async def test_every_lie_is_told() -> None:
    sys.path.insert(0, str(MISBEHAVING))
    try:
        from liar import Lies
    finally:
        sys.path.remove(str(MISBEHAVING))
    lies = {name[3:].replace("_", "-") for name in vars(Lies) if name.startswith("do_")}
    assert lies | {"no-reply"} == TABLE.keys() | ELSEWHERE


async def test_each_kind_of_rubbish_is_logged_once(
    frontend: Frontend, kernel: str, caplog: pytest.LogCaptureFixture
) -> None:
    other = await frontend.start_kernel(str(MISBEHAVING))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await frontend.execute_code(other, "flood-of-rubbish")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert all(other in line for line in lines)
    assert "signature" in lines[0]
    assert "JSON" in lines[1]
    await frontend.shutdown_kernel(other)


async def test_output_for_nobody_is_shown_as_external(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    handle = frontend.execute_code(kernel, "unknown-parent\nrubbish-parent")
    await handle
    for text, times in (("for nobody\n", 1), ("lost\n", 4)):
        event = await events.until_text(text)
        assert event.execution_id != handle.execution_id
        assert event.execution_id.startswith("external:")
        shown = [each.output["text"] for each in events.all if getattr(each, "output", None)]
        assert "".join(shown).count(text) == times
    await frontend.execute_code(kernel, "result 1")
    externals = {event.execution_id for event in events.all if hasattr(event, "execution_id")}
    for external in externals:
        check_order(events.of(external))


async def test_code_of_others_that_never_ends_ends_with_ours(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    await frontend.execute_code(kernel, "busy-for-nobody")
    assert frontend.get_kernel(kernel).status == "busy"
    await frontend.execute_code(kernel, "result 1")
    assert frontend.get_kernel(kernel).status == "idle"
    assert not [
        event for event in events.all if getattr(event, "execution_id", "").startswith("external:")
    ], "there is nothing to show of it"


async def test_two_questions_at_once(frontend: Frontend, events: Events, kernel: str) -> None:
    handle = frontend.execute_code(kernel, "two-questions again?")
    await events.until(lambda event: getattr(event, "prompt", None) == "again?")
    await frontend.provide_stdin(kernel, "me")
    result = await handle
    assert (result.state, text_of(result.outputs)) == ("ok", "me\n")
    check_order(events.of(handle.execution_id))
    with pytest.raises(NoInputPending):
        await frontend.provide_stdin(kernel, "again")
    await answers(frontend, kernel)


async def test_neither_reply_nor_idle_ends_with_an_interrupt(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    handle = frontend.execute_code(kernel, "stream stdout before\nneither")
    await events.until_text("before")
    await frontend.interrupt(kernel)
    result = await handle
    assert (result.state, text_of(result.outputs)) == ("aborted", "before\n")
    await answers(frontend, kernel)


@pytest.mark.parametrize("half", ["reply-first", "idle-early"])
async def test_a_kernel_that_computes_on_is_not_cut_off(
    frontend: Frontend, events: Events, kernel: str, half: str
) -> None:
    """It has told one half of the end, but answers no question: the rest may come."""
    handle = frontend.execute_code(kernel, f"{half}\nstream stdout one\nsleep-until-interrupted")
    await events.until_text("one")
    # Far longer than the patience above: a question it would answer only after the code.
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await handle
    await frontend.interrupt(kernel)
    assert (await handle).state in ("ok", "error")
    await answers(frontend, kernel)


async def test_a_kernel_that_answers_nothing_more(
    frontend: Frontend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The reply has come, idle has not, and the question after it is not answered either."""
    monkeypatch.setattr(probe, "SILENCE", 0.05)
    kernel = await frontend.start_kernel(liar_spec(tmp_path))
    result = await frontend.execute_code(
        kernel, "reply-first\nstream stdout one\nsleep-until-interrupted"
    )
    assert (result.state, text_of(result.outputs)) == ("ok", "one\n")
    await frontend.shutdown_kernel(kernel)


# Lies of a kernel about itself


@pytest.mark.parametrize("lie", ["empty-info", "rubbish-info", "failed-info", "like-ipython"])
async def test_a_kernel_that_lies_about_itself(
    frontend: Frontend, tmp_path: Path, lie: str
) -> None:
    kernel = await frontend.start_kernel(liar_spec(tmp_path, "--lie", lie))
    assert (await frontend.get_kernel_info(kernel)).language == "fake"
    await answers(frontend, kernel)
    await frontend.restart_kernel(kernel)
    await answers(frontend, kernel)
    await frontend.shutdown_kernel(kernel)


async def test_a_kernel_without_status(
    frontend: Frontend, events: Events, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(life, "PUBLISHED", 0.05)
    kernel = await frontend.start_kernel(liar_spec(tmp_path, "--lie", "no-status"))
    handle = frontend.execute_code(kernel, "stream stdout out\nresult 2")
    result = await handle
    assert (result.state, text_of(result.outputs)) == ("ok", "out\n")
    check_order(events.of(handle.execution_id))
    await answers(frontend, kernel)
    await frontend.shutdown_kernel(kernel)


async def test_output_that_overtakes_its_end(frontend: Frontend, tmp_path: Path) -> None:
    """A kernel that replies before it has published a thing does all at once, as deno does."""
    kernel = await frontend.start_kernel(liar_spec(tmp_path, "--lie", "no-busy"))
    for _ in range(10):
        result = await frontend.execute_code(
            kernel, "reply-first\nidle-early\nstream stdout after its end"
        )
        assert (result.state, text_of(result.outputs)) == ("ok", "after its end\n")
    await answers(frontend, kernel)
    await frontend.shutdown_kernel(kernel)


async def test_results_after_the_end_are_waited_for_once_there_was_one(
    frontend: Frontend, events: Events, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(queue, "SETTLE", 0.5)
    kernel = await frontend.start_kernel(liar_spec(tmp_path))
    lie = "result-after-the-end"
    results = [await frontend.execute_code(kernel, lie) for _ in range(3)]
    assert [result.state for result in results] == ["ok"] * 3
    outside = [result for result in results if not result.outputs]
    assert len(outside) <= 1
    shown = [event for event in events.all if getattr(event, "kind", None) == "append"]
    assert len(shown) == 3, "none is lost"
    await frontend.shutdown_kernel(kernel)


async def test_a_kernel_that_never_answers(frontend: Frontend, tmp_path: Path) -> None:
    mute = liar_spec(tmp_path, "--mute", "kernel_info_request")
    with pytest.raises(KernelStartFailed) as caught:
        await frontend.start_kernel(mute, timeout=1.0)
    assert "did not answer within 1 s" in caught.value.message
    assert "timeout" in caught.value.data["hint"]
