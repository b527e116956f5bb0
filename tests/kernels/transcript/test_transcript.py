from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from carpo_lsp.kernels.events import (
    ExecutionState,
    InputRequested,
    Output,
    OutputChanged,
    StateChanged,
)
from carpo_lsp.kernels.transcript import shelf
from carpo_lsp.kernels.transcript import transcript as module
from carpo_lsp.kernels.transcript.spool import Spool
from carpo_lsp.kernels.transcript.transcript import Record, Transcript

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

K = "kernel"
X = "execution"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path)
    yield spool
    spool.close()


@pytest.fixture
def transcript(spool: Spool) -> Transcript:
    return Transcript(spool)


@pytest.fixture
def record(transcript: Transcript) -> Record:
    return transcript.open(K, X, "code")


def state(state: ExecutionState, execution_id: str = X, **more: Any) -> StateChanged:
    return StateChanged(K, execution_id, state, **more)


def append(output: Output, display_id: str | None = None) -> OutputChanged:
    return OutputChanged(K, X, "append", output, display_id)


def text(text: str, name: str = "stdout") -> OutputChanged:
    return append({"output_type": "stream", "name": name, "text": text})


def display(value: str, display_id: str | None = None, **more: Any) -> OutputChanged:
    output = {"output_type": "display_data", "data": {"text/plain": value}, "metadata": {}}
    return append(output | more, display_id)


def update(value: str, display_id: str | None) -> OutputChanged:
    output = {"output_type": "display_data", "data": {"text/plain": value}, "metadata": {"m": 1}}
    return OutputChanged(K, X, "update", output, display_id)


CLEAR = OutputChanged(K, X, "clear")
CLEAR_WAIT = OutputChanged(K, X, "clear", wait=True)


def short(outputs: Sequence[Output]) -> str:
    """The outputs as words: texts with the first letter of their stream, values of displays."""
    return " ".join(
        f"{output['name'][3]}:{output['text']}"
        if output["output_type"] == "stream"
        else output["data"]["text/plain"]
        for output in outputs
    )


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], ""),
        ([text("a"), text("b")], "o:ab"),
        ([text("a"), text("b", "stderr"), text("c")], "o:a e:b o:c"),
        ([text("a"), display("d"), text("b"), text("c")], "o:a d o:bc"),
        ([text("a"), CLEAR], ""),
        ([text("a"), CLEAR, text("b")], "o:b"),
        ([text("a"), CLEAR_WAIT], "o:a"),
        ([text("a"), CLEAR_WAIT, text("b"), text("c")], "o:bc"),
        ([text("a"), CLEAR_WAIT, CLEAR, text("b"), text("c")], "o:bc"),
        ([text("a"), CLEAR_WAIT, display("d")], "d"),
        ([display("a", "x"), CLEAR_WAIT, update("b", "x"), text("c")], "o:c"),
        ([display("a", "x"), update("b", "x")], "b"),
        ([display("a", "x"), display("a"), display("a", "x"), update("b", "x")], "b a b"),
        ([display("a", "x"), update("b", "y")], "a"),
        ([display("a"), update("b", None)], "a"),
        ([update("b", "x"), display("a", "x")], "a"),
        ([display("a", "x"), CLEAR, update("b", "x")], ""),
    ],
)
def test_outputs(record: Record, events: list[OutputChanged], expected: str) -> None:
    for event in events:
        record.apply(event)
    assert short(record.outputs) == expected


def test_an_update_keeps_what_the_output_is(record: Record) -> None:
    record.apply(display("a", "x", output_type="execute_result", execution_count=3))
    record.apply(update("b", "x"))
    assert tuple(record.outputs) == (
        {
            "output_type": "execute_result",
            "execution_count": 3,
            "data": {"text/plain": "b"},
            "metadata": {"m": 1},
        },
    )


def test_the_state(record: Record) -> None:
    assert (record.state, record.done, record.code) == ("queued", False, "code")
    record.apply(state("running", execution_count=4))
    record.apply(state("waitingInput"))
    record.apply(state("running"))
    assert (record.state, record.execution_count) == ("running", 4)
    error = {"ename": "E", "evalue": "v", "traceback": []}
    record.apply(state("error", error=error, duration_ms=2.5))
    assert (record.state, record.done, record.execution_count) == ("error", True, 4)
    assert (record.error, record.duration_ms) == (error, 2.5)


def test_the_expressions(record: Record) -> None:
    record.apply(state("ok", user_expressions={"x": 1}))
    assert record.user_expressions == {"x": 1}


def test_much_text_is_complete_on_the_disk(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "TEXT_LIMIT", 100)
    parts = [f"line {number}\n" for number in range(50)]
    for part in parts:
        record.apply(text(part))
    record.apply(display("d"))
    record.apply(text("tail"))
    record.apply(state("ok"))
    big, _, tail = record.outputs
    carpo = big["metadata"]["carpo"]
    assert Path(carpo["path"]).read_text() == "".join(parts)
    assert carpo["bytes"] == len("".join(parts))
    assert big["text"].startswith("line 0\n")
    assert tail == {"output_type": "stream", "name": "stdout", "text": "tail"}


def test_what_was_shrunk_before_is_an_output_of_its_own(record: Record, spool: Spool) -> None:
    big = spool.shrink({"output_type": "stream", "name": "stdout", "text": "x" * 100}, 10)
    for event in (text("a"), append(big), text("b")):
        record.apply(event)
    assert record.outputs[1] == big
    assert [output["text"] for output in record.outputs] == ["a", "x" * 100, "b"]


def test_events_find_their_record(transcript: Transcript, record: Record) -> None:
    transcript.apply(text("a"))
    transcript.apply(InputRequested(K, X, "", False))
    assert transcript.get(X) is record
    assert short(record.outputs) == "o:a"
    transcript.apply(state("queued", "external:1"))
    external = transcript.get("external:1")
    assert external is not None
    assert external.kernel_id == K
    assert transcript.records() == (record, external)
    assert transcript.get("other") is None


def test_old_ended_executions_give_way(
    transcript: Transcript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_EXECUTIONS", 3)
    for name in "abcd":
        transcript.open(K, name, "")
    assert [record.execution_id for record in transcript.records()] == list("abcd"), "none ended"
    for name in "bcd":
        transcript.apply(state("ok", name))
    transcript.open(K, "e", "")
    assert [record.execution_id for record in transcript.records()] == list("ade")
    transcript.open(K, "f", "")
    assert [record.execution_id for record in transcript.records()] == list("aef")


def test_an_update_of_what_is_forgotten_opens_no_record(transcript: Transcript) -> None:
    """It would never end, and a thousand of them would leave no room for those that do."""
    change = display("new", "d").output
    transcript.apply(OutputChanged(K, "forgotten", "update", change, "d"))
    assert transcript.records() == ()


def test_what_has_ended_can_be_forgotten(transcript: Transcript, record: Record) -> None:
    transcript.forget(X)
    assert transcript.get(X) is record
    transcript.apply(state("ok"))
    transcript.forget(X)
    transcript.forget(X)
    assert transcript.get(X) is None
    assert transcript.used(X), "so that nobody takes the id again"
