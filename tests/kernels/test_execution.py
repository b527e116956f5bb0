from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgspec import structs

from carpo_lsp.kernels.events import (
    TERMINAL,
    Event,
    InputRequested,
    OutputChanged,
    StateChanged,
)
from carpo_lsp.kernels.execution import ExecuteOptions, Execution
from carpo_lsp.kernels.messages import Channel, Message

if TYPE_CHECKING:
    from collections.abc import Callable

KERNEL = "kernel"
ID = "execution"


class Clock:
    """Every look at it is a second later than the one before."""

    def __init__(self) -> None:
        self.now = -1.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def message(
    msg_type: str,
    content: dict[str, Any] | None = None,
    parent: str = "request",
    channel: Channel | None = None,
) -> Message:
    if channel is None:
        channel = {"execute_reply": "shell", "input_request": "stdin"}.get(msg_type, "iopub")  # type: ignore[assignment]  # the table's values are channels
    return Message(
        channel=channel or "iopub",
        header={"msg_id": "m", "msg_type": msg_type},
        parent_header={"msg_id": parent, "msg_type": "execute_request"},
        metadata={},
        content=content or {},
    )


BUSY = message("status", {"execution_state": "busy"})
IDLE = message("status", {"execution_state": "idle"})
INPUT = message("execute_input", {"code": "1", "execution_count": 7})
OK = message("execute_reply", {"status": "ok", "execution_count": 7})
FAILED = message(
    "execute_reply", {"status": "error", "ename": "E", "evalue": "v", "traceback": ["t"]}
)
ABORTED = message("execute_reply", {"status": "aborted"})
STREAM = message("stream", {"name": "stdout", "text": "a"})
RESULT = message("execute_result", {"data": {"text/plain": "2"}, "execution_count": 7})
ERROR = message("error", {"ename": "E", "evalue": "v", "traceback": ["t"]})
ASK = message("input_request", {"prompt": "who? ", "password": True})


def started(options: ExecuteOptions | None = None, **more: Any) -> Execution:
    execution = Execution(KERNEL, ID, "1", options, clock=Clock(), **more)
    list(execution.queue(0))
    execution.begin()
    return execution


def feed(execution: Execution, *messages: Message) -> list[Event]:
    return [event for each in messages for event in execution.feed(each)]


def words(events: list[Event]) -> str:
    """The events as words: states by name, outputs by kind, the prompt for input."""

    def word(event: Event) -> str:
        match event:
            case StateChanged():
                return event.state
            case OutputChanged():
                return event.kind
            case InputRequested():
                return "input"
        raise AssertionError(event)

    return " ".join(map(word, events))


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param([], "", id="sent, nothing has come"),
        pytest.param([BUSY], "running", id="the kernel took it"),
        pytest.param([INPUT], "running", id="no busy before the input"),
        pytest.param([BUSY, INPUT, OK, IDLE], "running ok", id="the usual order"),
        pytest.param([BUSY, IDLE, OK], "running ok", id="idle before reply"),
        pytest.param([BUSY, OK, STREAM, IDLE], "running append ok", id="reply before output"),
        pytest.param(
            [OK, BUSY, STREAM, IDLE, RESULT],
            "running append append",
            id="reply before anything else: output may come after idle",
        ),
        pytest.param(
            [BUSY, IDLE, STREAM, RESULT, OK],
            "running append append ok",
            id="idle, output, then reply",
        ),
        pytest.param([BUSY, IDLE, IDLE], "running", id="two idles make no end"),
        pytest.param([BUSY, OK, OK], "running", id="two replies make no end"),
        pytest.param([BUSY, OK, FAILED, IDLE], "running ok", id="the first reply counts"),
        pytest.param([BUSY, OK, IDLE, IDLE, OK], "running ok", id="duplicates after the end"),
        pytest.param([BUSY, OK, IDLE, STREAM, ASK], "running ok", id="output after the end"),
        pytest.param([BUSY, ERROR, FAILED, IDLE], "running append error", id="an error"),
        pytest.param([BUSY, FAILED, IDLE], "running error", id="an error in the reply alone"),
        pytest.param([BUSY, ERROR, OK, IDLE], "running append error", id="error, status ok"),
        pytest.param([BUSY, ABORTED, IDLE], "running aborted", id="the kernel aborted it"),
        pytest.param(
            [BUSY, message("execute_reply", {"status": "abort"}), IDLE],
            "running aborted",
            id="an old spelling of aborted",
        ),
        pytest.param([BUSY, message("execute_reply"), IDLE], "running ok", id="an empty reply"),
        pytest.param(
            [BUSY, message("status"), message("status", {"execution_state": None}), OK, IDLE],
            "running ok",
            id="status without a state",
        ),
        pytest.param(
            [BUSY, message(""), message("news"), message("comm_open"), OK, IDLE],
            "running ok",
            id="types it does not know",
        ),
        pytest.param([BUSY, ASK], "running waitingInput input", id="a question"),
        pytest.param(
            [BUSY, ASK, FAILED, IDLE],
            "running waitingInput input error",
            id="a question that was interrupted",
        ),
        pytest.param(
            [BUSY, message("clear_output", {"wait": True}), message("clear_output")],
            "running clear clear",
            id="clear",
        ),
        pytest.param(
            [message("update_display_data", {"transient": {"display_id": "d"}})],
            "running update",
            id="update",
        ),
    ],
)
def test_what_comes_of_messages(messages: list[Message], expected: str) -> None:
    assert words(feed(started(), *messages)) == expected


def test_queue_and_request() -> None:
    execution = Execution(KERNEL, ID, "x", ExecuteOptions(user_expressions={"y": "z"}))
    assert list(execution.queue(3)) == [StateChanged(KERNEL, ID, "queued", queue_position=3)]
    request = execution.begin()
    assert (request.channel, request.msg_type) == ("shell", "execute_request")
    assert request.content == {
        "code": "x",
        "silent": False,
        "store_history": True,
        "user_expressions": {"y": "z"},
        "allow_stdin": True,
        "stop_on_error": False,
    }
    assert execution.state == "queued"


def test_silent_code_is_kept_out_of_the_history() -> None:
    content = started(ExecuteOptions(silent=True)).request
    assert content is not None
    assert content.content["silent"] is True
    assert content.content["store_history"] is False


def test_the_terminal_event_carries_the_result() -> None:
    reply = message(
        "execute_reply",
        {"status": "ok", "execution_count": 7, "user_expressions": {"y": {"status": "ok"}}},
    )
    events = feed(started(), BUSY, INPUT, reply, IDLE)
    assert events[-1] == StateChanged(
        KERNEL,
        ID,
        "ok",
        execution_count=7,
        user_expressions={"y": {"status": "ok"}},
        duration_ms=1000.0,
    )


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([ERROR, FAILED], {"ename": "E", "evalue": "v", "traceback": ["t"]}),
        ([FAILED], {"ename": "E", "evalue": "v", "traceback": ["t"]}),
        ([message("error", {"ename": ""}), OK], {"ename": "", "evalue": "", "traceback": []}),
        (
            [message("error", {"ename": None, "evalue": None, "traceback": None}), OK],
            {"ename": "", "evalue": "", "traceback": []},
        ),
        (
            [message("execute_reply", {"status": "error"})],
            {"ename": "", "evalue": "", "traceback": []},
        ),
    ],
)
def test_the_error(messages: list[Message], error: dict[str, Any]) -> None:
    last = feed(started(), BUSY, *messages, IDLE)[-1]
    assert isinstance(last, StateChanged)
    assert (last.state, last.error) == ("error", error)


def test_input() -> None:
    execution = started()
    events = feed(execution, BUSY, ASK)
    assert events[-1] == InputRequested(KERNEL, ID, "who? ", True)
    assert execution.input_header == ASK.header
    assert words(list(execution.answer())) == "running"
    assert execution.input_header is None
    assert words(list(execution.answer())) == ""
    assert words(feed(execution, ASK)) == "waitingInput input"
    assert words(list(execution.answer())) == "running"
    assert words(feed(execution, OK, IDLE)) == "ok"


def test_a_question_without_fields() -> None:
    for content in ({}, {"prompt": None, "password": None}):
        events = feed(started(), message("input_request", content))
        assert events[-1] == InputRequested(KERNEL, ID, "", False)


def test_no_question_outlives_the_execution() -> None:
    execution = started()
    feed(execution, BUSY, ASK, FAILED, IDLE)
    assert execution.input_header is None


def in_queue() -> Execution:
    execution = Execution(KERNEL, ID, "1")
    list(execution.queue(1))
    return execution


def running() -> Execution:
    execution = started()
    feed(execution, BUSY)
    return execution


def waiting() -> Execution:
    execution = started()
    feed(execution, BUSY, ASK)
    return execution


def half_done() -> Execution:
    execution = started()
    feed(execution, BUSY, OK)
    return execution


@pytest.mark.parametrize("make", [in_queue, started, running, waiting, half_done])
def test_death(make: Callable[[], Execution]) -> None:
    error = {"ename": "KernelDied", "evalue": "why", "traceback": []}
    execution = make()
    (event,) = execution.end("died", error)
    assert isinstance(event, StateChanged)
    assert (event.state, event.error) == ("died", error)
    assert execution.done
    assert execution.input_header is None
    assert feed(execution, STREAM, ASK, OK, IDLE) == []
    assert list(execution.end("aborted")) == list(execution.answer()) == []


def test_death_after_the_end_changes_nothing() -> None:
    execution = started()
    feed(execution, BUSY, OK, IDLE)
    assert list(execution.end("died")) == []
    assert execution.state == "ok"


def test_only_what_began_has_a_duration() -> None:
    (event,) = in_queue().end("aborted")
    assert isinstance(event, StateChanged)
    assert event.duration_ms is None


def test_without_a_reply_of_its_own_idle_is_the_end() -> None:
    execution = Execution(KERNEL, ID, "", replied=True)
    assert words(feed(execution, BUSY, STREAM, IDLE)) == "running append ok"
    execution = Execution(KERNEL, ID, "", replied=True)
    assert words(feed(execution, BUSY, ERROR, IDLE)) == "running append error"


def test_help_in_the_reply_becomes_an_output() -> None:
    payload = [
        None,
        {"source": "set_next_input", "text": "x"},
        {"source": "page", "data": {"text/plain": "help"}, "start": 0},
        {"source": "page", "data": None},
    ]
    reply = message("execute_reply", {"status": "ok", "payload": payload})
    events = feed(started(), BUSY, IDLE, reply)
    assert words(events) == "running append append ok"
    first, second = (event.output for event in events if isinstance(event, OutputChanged))
    assert first == {
        "output_type": "display_data",
        "data": {"text/plain": "help"},
        "metadata": {},
    }
    assert second == {"output_type": "display_data", "data": {}, "metadata": {}}


@pytest.mark.parametrize("payload", [None, {}, "page", 3])
def test_a_payload_of_another_shape(payload: Any) -> None:
    reply = message("execute_reply", {"status": "ok", "payload": payload})
    assert words(feed(started(), BUSY, reply, IDLE)) == "running ok"


def test_a_kernel_that_does_all_at_once_is_waited_for() -> None:
    execution = started()
    feed(execution, OK, BUSY)
    assert execution.half_done
    assert not execution.settling
    feed(execution, IDLE)
    assert execution.settling
    assert not execution.half_done
    assert words(feed(execution, STREAM)) == "append"
    assert words(list(execution.give_up())) == "ok"
    assert not execution.settling
    assert list(execution.give_up()) == []


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([BUSY, OK], "ok"),
        ([BUSY, FAILED], "error"),
        ([BUSY, ERROR, OK], "error"),
        ([BUSY, IDLE], "aborted"),
        ([BUSY, STREAM], "aborted"),
        ([BUSY, ASK], "aborted"),
        ([], "aborted"),
        ([BUSY, OK, IDLE], ""),
    ],
)
def test_giving_up(messages: list[Message], expected: str) -> None:
    execution = started()
    feed(execution, *messages)
    events = list(execution.give_up())
    assert words(events) == expected
    if expected == "aborted":
        (event,) = events
        assert isinstance(event, StateChanged)
        assert event.error is not None
        assert event.error["ename"] == "NoReply"
    assert feed(execution, STREAM, OK, IDLE) == []


def test_giving_up_what_was_interrupted_needs_no_words() -> None:
    execution = started()
    feed(execution, BUSY, IDLE)
    execution.interrupted = True
    (event,) = execution.give_up()
    assert isinstance(event, StateChanged)
    assert (event.state, event.error) == ("aborted", None)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (STREAM, {"output_type": "stream", "name": "stdout", "text": "a"}),
        (
            message("stream", {"name": "stderr", "text": ["a", "b"]}),
            {"output_type": "stream", "name": "stderr", "text": "ab"},
        ),
        (message("stream"), {"output_type": "stream", "name": "stdout", "text": ""}),
        (
            message("stream", {"name": None, "text": None}),
            {"output_type": "stream", "name": "stdout", "text": ""},
        ),
        (
            RESULT,
            {
                "output_type": "execute_result",
                "data": {"text/plain": "2"},
                "metadata": {},
                "execution_count": 7,
            },
        ),
        (
            message("display_data", {"data": None, "metadata": None, "transient": None}),
            {"output_type": "display_data", "data": {}, "metadata": {}},
        ),
        (
            message("display_data", {"data": {"text/plain": ["a\n", "b"], "application/json": {}}}),
            {
                "output_type": "display_data",
                "data": {"text/plain": "a\nb", "application/json": {}},
                "metadata": {},
            },
        ),
        (
            message(
                "display_data",
                {"data": {"application/json": ["a", "b"], "application/geo+json": ["a"]}},
            ),
            {
                "output_type": "display_data",
                "data": {"application/json": ["a", "b"], "application/geo+json": ["a"]},
                "metadata": {},
            },
        ),
        (
            message("error", {"ename": 1, "evalue": ["a"], "traceback": "none"}),
            {"output_type": "error", "ename": "1", "evalue": "a", "traceback": []},
        ),
    ],
)
def test_outputs(output: Message, expected: dict[str, Any]) -> None:
    (event,) = feed(running(), output)
    assert event == OutputChanged(KERNEL, ID, "append", expected)


def test_a_display_carries_its_id() -> None:
    content = {"data": {"text/plain": "x"}, "transient": {"display_id": "d"}}
    (event,) = feed(running(), message("display_data", content))
    assert isinstance(event, OutputChanged)
    assert event.display_id == "d"
    (event,) = feed(running(), message("display_data", {"transient": {"display_id": 3}}))
    assert isinstance(event, OutputChanged)
    assert event.display_id is None


def test_what_belongs_to_it() -> None:
    execution = started()
    assert execution.request is not None
    own = execution.request.msg_id
    assert execution.owns(message("stream", parent=own))
    assert not execution.owns(message("stream", parent="other"))
    assert not execution.owns(message("stream", parent=""))
    # Some kernels forget the parent of their questions.
    assert execution.owns(message("input_request", parent=""))
    assert not execution.owns(message("input_request", parent="other"))
    no_parent = Message("stdin", {"msg_type": "input_request"}, {"msg_id": None}, {}, {})
    assert execution.owns(no_parent)
    assert not Execution(KERNEL, ID, "1").owns(message("input_request", parent=""))


def test_the_code_is_entered() -> None:
    """An interrupt that comes earlier would be lost."""
    for first in (INPUT, STREAM, RESULT, ERROR, ASK):
        execution = started()
        feed(execution, BUSY)
        assert not execution.entered
        feed(execution, first)
        assert execution.entered


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=5,
)
fields = [
    *("execution_state", "status", "execution_count", "payload", "prompt", "password", "wait"),
    *("name", "text", "data", "metadata", "transient", "ename", "evalue", "traceback"),
    *("user_expressions",),
]
contents = st.dictionaries(st.sampled_from(fields), json_values, max_size=5)
types = st.sampled_from(
    [
        *("status", "execute_input", "execute_reply", "input_request", "clear_output"),
        *("update_display_data", "stream", "display_data", "execute_result", "error", "other"),
    ]
)
messages = st.sampled_from([BUSY, IDLE, OK, FAILED, ABORTED, STREAM, ASK]) | st.builds(
    message, types, contents
)


class AnExecution(RuleBasedStateMachine):
    """Whatever a kernel sends, and whenever: nothing raises, no output is lost before the end,
    one terminal state comes, nothing follows it, and what is told can be sent to an editor."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.outputs = 0
        self.asked = 0

    @initialize(replied=st.booleans(), silent=st.booleans(), patient=st.booleans())
    def begin(self, replied: bool, silent: bool, patient: bool) -> None:
        options = ExecuteOptions(silent=silent)
        self.execution = Execution(KERNEL, ID, "1", options, replied=replied, clock=Clock())
        self.execution.patient = patient
        self.events += self.execution.queue(0)
        self.execution.begin()

    @rule(message=messages)
    def feed(self, message: Message) -> None:
        if not self.execution.done:
            self.outputs += message.msg_type in SHOWN
            self.asked += message.msg_type == "input_request"
        self.events += self.execution.feed(message)

    @rule()
    def answer(self) -> None:
        self.events += self.execution.answer()
        assert self.execution.input_header is None

    @rule()
    def interrupt(self) -> None:
        self.execution.interrupted = True

    @precondition(lambda self: self.execution.half_done or self.execution.settling)
    @rule()
    def give_up(self) -> None:
        self.events += self.execution.give_up()
        assert self.execution.done

    @rule(state=st.sampled_from(["died", "aborted"]))
    def end(self, state: Any) -> None:
        self.events += self.execution.end(state)
        assert self.execution.done

    @invariant()
    def one_end_and_nothing_lost(self) -> None:
        states = [event.state for event in self.events if isinstance(event, StateChanged)]
        assert [state for state in states if state in TERMINAL] == (
            [states[-1]] if self.execution.done else []
        )
        if self.execution.done:
            assert isinstance(self.events[-1], StateChanged)
            assert self.execution.input_header is None
        changes = [event for event in self.events if isinstance(event, OutputChanged)]
        assert len(changes) == self.outputs
        assert sum(isinstance(event, InputRequested) for event in self.events) == self.asked
        assert not (self.execution.settling and self.execution.half_done)

    @invariant()
    def what_is_told_is_json(self) -> None:
        for event in self.events:
            json.dumps(structs.asdict(event), allow_nan=False)
            if isinstance(event, OutputChanged) and event.output is not None:
                nbformat.validate(as_notebook(event.output), version=4)


SHOWN = {
    *("clear_output", "update_display_data", "stream", "display_data", "execute_result", "error"),
}

TestAnExecution = AnExecution.TestCase


def as_notebook(output: dict[str, Any]) -> Any:
    """A notebook with an output in it."""
    if output["output_type"] == "execute_result" and output["execution_count"] is None:
        output = {**output, "execution_count": 1}
    cell = {"cell_type": "code", "source": "", "metadata": {}, "execution_count": None, "id": "x"}
    cells = [{**cell, "outputs": [output]}]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return nbformat.from_dict(notebook)
