"""The shapes of the carpo protocol, right and wrong."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carpo_lsp import protocol
from carpo_lsp.errors import InvalidParams
from carpo_lsp.protocol import parse, to_wire

UUID = "0d4bd0a1-6d4b-4a86-9f0c-6b7f0f7a8b11"
DOCUMENT = {"uri": "file:///a.py"}
POSITION = {"line": 0, "character": 2}
RANGE = {"start": POSITION, "end": {"line": 3, "character": 0}}

# For each method: params that are right, among them every field.
RIGHT: dict[str, list[dict[str, Any]]] = {
    protocol.LIST_KERNEL_SPECS: [{}],
    protocol.START_KERNEL: [
        {
            "specName": "python3",
            "kernelId": UUID,
            "cwd": "/home",
            "env": {"A": "b"},
            "limits": {"memoryMb": 512, "executionSeconds": 1.5, "idleMinutes": 30},
            "timeout": 60,
        },
        {"specPath": "/kernels/python3"},
        {"language": "r"},
        {"textDocument": DOCUMENT, "limits": {}},
    ],
    protocol.ATTACH_KERNEL: [
        {"connectionFile": "/run/kernel.json"},
        {"serverUrl": "http://h", "token": "", "remoteKernelId": "k", "specName": "python3"},
    ],
    protocol.LIST_KERNELS: [{}],
    protocol.KERNEL_INFO: [{"kernelId": "k"}],
    protocol.SELECT_KERNEL: [
        {"textDocument": DOCUMENT, "kernelId": "k", "language": "r"},
        {"textDocument": DOCUMENT, "kernelId": None},
    ],
    protocol.EXECUTE: [
        {
            "kernelId": "k",
            "code": "",
            "executionId": "x" * 128,
            "silent": True,
            "storeHistory": False,
            "userExpressions": {"a": "1"},
            "allowStdin": False,
            "stopOnError": False,
        },
        {"textDocument": DOCUMENT, "code": "1"},
        {"textDocument": DOCUMENT, "range": RANGE},
        {"textDocument": DOCUMENT, "position": POSITION},
    ],
    protocol.STDIN: [{"kernelId": "k", "executionId": "e", "value": ""}],
    protocol.COMPLETE: [{"kernelId": "k", "code": "é", "cursorPos": 1}],
    protocol.INSPECT: [{"kernelId": "k", "code": "é", "cursorPos": 0, "detailLevel": 1}],
    protocol.IS_COMPLETE: [{"kernelId": "k", "code": ""}],
    protocol.HISTORY: [{"kernelId": "k", "n": 10, "pattern": "*"}],
    protocol.INTERRUPT: [{"kernelId": "k"}],
    protocol.RESTART_KERNEL: [{"kernelId": "k"}],
    protocol.SHUTDOWN_KERNEL: [{"kernelId": "k"}],
    protocol.KEEP_KERNEL: [
        {"kernelId": "k"},
        {"kernelId": "k", "keep": False},
        {"kernelId": "k", "keep": True, "minutes": 0},
    ],
    protocol.OUTPUTS: [{"executionId": "e"}, {"textDocument": DOCUMENT}],
    protocol.SEND: [
        {
            "kernelId": "k",
            "channel": "control",
            "msgType": "comm_msg",
            "content": {"comm_id": None},
            "metadata": {"a_b": 1},
            "buffers": ["", "AAEC"],
        }
    ],
}

REQUIRED = {
    protocol.KERNEL_INFO: ["kernelId"],
    protocol.SELECT_KERNEL: ["textDocument", "kernelId"],
    protocol.STDIN: ["kernelId", "value"],
    protocol.COMPLETE: ["kernelId", "code", "cursorPos"],
    protocol.INSPECT: ["kernelId", "code", "cursorPos"],
    protocol.IS_COMPLETE: ["kernelId", "code"],
    protocol.HISTORY: ["kernelId"],
    protocol.INTERRUPT: ["kernelId"],
    protocol.RESTART_KERNEL: ["kernelId"],
    protocol.SHUTDOWN_KERNEL: ["kernelId"],
    protocol.KEEP_KERNEL: ["kernelId"],
    protocol.SEND: ["kernelId", "channel", "msgType", "content"],
}

ONE_OF = {
    protocol.START_KERNEL: ["specPath", "specName", "language", "textDocument"],
    protocol.OUTPUTS: ["executionId", "textDocument"],
}

# A field of each method, a wrong value, and the message.
WRONG: list[tuple[str, dict[str, Any], str]] = [
    (protocol.EXECUTE, {"code": 5}, "code: expected a string, got a number"),
    (protocol.EXECUTE, {"code": True}, "code: expected a string, got a boolean"),
    (protocol.EXECUTE, {"executionId": ""}, "executionId: must not be empty"),
    (
        protocol.EXECUTE,
        {"executionId": "x" * 129},
        "executionId: must have at most 128 characters",
    ),
    (protocol.EXECUTE, {"silent": 1}, "silent: expected a boolean, got a number"),
    (protocol.EXECUTE, {"silent": "yes"}, "silent: expected a boolean, got a string"),
    (
        protocol.EXECUTE,
        {"userExpressions": {"a": 1}},
        "userExpressions.a: expected a string, got a number",
    ),
    (protocol.EXECUTE, {"textDocument": DOCUMENT}, "exactly one of kernelId, textDocument is"),
    (protocol.EXECUTE, {"kernelId": None}, "exactly one of kernelId, textDocument is needed"),
    (protocol.EXECUTE, {"code": None}, "exactly one of code, range, position is needed"),
    (protocol.EXECUTE, {"range": RANGE}, "exactly one of code, range, position is needed"),
    (
        protocol.EXECUTE,
        {"code": None, "range": RANGE},
        "textDocument: needed with range or position",
    ),
    (protocol.EXECUTE, {"range": {"start": POSITION}}, "range.end: missing"),
    (
        protocol.EXECUTE,
        {"position": {"line": -1, "character": 0}},
        "position.line: must not be negative",
    ),
    (
        protocol.EXECUTE,
        {"position": {"line": 0, "character": True}},
        "position.character: expected an integer, got a boolean",
    ),
    (protocol.START_KERNEL, {"timeout": 0}, "timeout: must be a positive, finite number"),
    (protocol.START_KERNEL, {"timeout": -1.5}, "timeout: must be a positive, finite number"),
    (protocol.START_KERNEL, {"timeout": float("nan")}, "timeout: must be a positive"),
    (protocol.START_KERNEL, {"timeout": float("inf")}, "timeout: must be a positive"),
    (protocol.START_KERNEL, {"timeout": 10**400}, "timeout: must be a positive"),
    (protocol.START_KERNEL, {"timeout": True}, "timeout: expected a number, got a boolean"),
    (protocol.START_KERNEL, {"timeout": "60"}, "timeout: expected a number, got a string"),
    (protocol.START_KERNEL, {"kernelId": "../evil"}, "kernelId: must be a UUID"),
    (protocol.START_KERNEL, {"kernelId": UUID + "\n"}, "kernelId: must be a UUID"),
    (protocol.START_KERNEL, {"env": {"A": 1}}, "env.A: expected a string, got a number"),
    (protocol.START_KERNEL, {"env": []}, "env: expected an object, got an array"),
    (protocol.START_KERNEL, {"limits": {"memoryMb": 0}}, "limits.memoryMb: must be a positive"),
    (protocol.START_KERNEL, {"limits": 5}, "limits: expected an object, got a number"),
    (protocol.START_KERNEL, {"cwd": ""}, "cwd: must not be empty"),
    (protocol.ATTACH_KERNEL, {"connectionFile": {}}, "connectionFile: expected a string, got an"),
    (protocol.ATTACH_KERNEL, {"token": 1}, "token: expected a string, got a number"),
    (protocol.KERNEL_INFO, {"kernelId": 1}, "kernelId: expected a string, got a number"),
    (protocol.SELECT_KERNEL, {"textDocument": "a"}, "textDocument: expected an object, got a"),
    (protocol.SELECT_KERNEL, {"textDocument": {}}, "textDocument.uri: missing"),
    (protocol.SELECT_KERNEL, {"textDocument": {"uri": None}}, "textDocument.uri: expected a str"),
    (protocol.SELECT_KERNEL, {"textDocument": {"uri": ""}}, "textDocument.uri: must not be empty"),
    (protocol.SELECT_KERNEL, {"kernelId": 1}, "kernelId: expected a string, got a number"),
    (protocol.STDIN, {"value": None}, "value: expected a string, got null"),
    (protocol.STDIN, {"value": 1}, "value: expected a string, got a number"),
    (protocol.COMPLETE, {"cursorPos": -1}, "cursorPos: must not be negative"),
    (protocol.COMPLETE, {"cursorPos": 1.5}, "cursorPos: expected an integer, got 1.5"),
    (protocol.COMPLETE, {"cursorPos": "1"}, "cursorPos: expected an integer, got a string"),
    (protocol.COMPLETE, {"cursorPos": False}, "cursorPos: expected an integer, got a boolean"),
    (protocol.INSPECT, {"detailLevel": 2}, "detailLevel: expected one of 0, 1"),
    (protocol.INSPECT, {"detailLevel": True}, "detailLevel: expected one of 0, 1"),
    (protocol.IS_COMPLETE, {"code": []}, "code: expected a string, got an array"),
    (protocol.HISTORY, {"n": -1}, "n: must not be negative"),
    (protocol.HISTORY, {"pattern": 1}, "pattern: expected a string, got a number"),
    (protocol.INTERRUPT, {"kernelId": []}, "kernelId: expected a string, got an array"),
    (protocol.RESTART_KERNEL, {"kernelId": {}}, "kernelId: expected a string, got an object"),
    (protocol.SHUTDOWN_KERNEL, {"kernelId": 0.5}, "kernelId: expected a string, got a number"),
    (
        protocol.KEEP_KERNEL,
        {"kernelId": "k", "minutes": -1},
        "minutes: must be a finite number, and not negative",
    ),
    (protocol.OUTPUTS, {"executionId": 1}, "executionId: expected a string, got a number"),
    (protocol.SEND, {"channel": "iopub"}, "channel: expected one of 'shell', 'control'"),
    (protocol.SEND, {"channel": []}, "channel: expected one of 'shell', 'control'"),
    (protocol.SEND, {"msgType": ""}, "msgType: must not be empty"),
    (protocol.SEND, {"content": []}, "content: expected an object, got an array"),
    (protocol.SEND, {"buffers": "AAEC"}, "buffers: expected an array, got a string"),
    (protocol.SEND, {"buffers": ["AAEC", 1]}, "buffers[1]: expected a string, got a number"),
    (protocol.SEND, {"buffers": ["AA?="]}, "buffers[0]: expected base64"),
    (protocol.SEND, {"buffers": ["AAE"]}, "buffers[0]: expected base64"),
    (protocol.SEND, {"buffers": ["é"]}, "buffers[0]: expected base64"),
]

ALL_RIGHT = [(method, params) for method, variants in RIGHT.items() for params in variants]


def parsed(method: str, params: Any) -> Any:
    return parse(protocol.PARAMS[method], params)


def refused(method: str, params: Any) -> str:
    with pytest.raises(InvalidParams) as caught:
        parsed(method, params)
    assert caught.value.code == -32602
    return caught.value.message


def without(params: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name not in names}


def test_every_request_is_tested() -> None:
    assert set(RIGHT) == set(protocol.PARAMS)
    assert set(REQUIRED) | set(ONE_OF) | {
        protocol.ATTACH_KERNEL,
        protocol.EXECUTE,
        protocol.LIST_KERNELS,
        protocol.LIST_KERNEL_SPECS,
    } == set(protocol.PARAMS)
    tested = {method for method, _, _ in WRONG}
    assert {method for method, cls in protocol.PARAMS.items() if attrs.fields(cls)} == tested


@pytest.mark.parametrize(("method", "params"), ALL_RIGHT)
def test_right_params_round_trip(method: str, params: dict[str, Any]) -> None:
    instance = parsed(method, params)
    wire = to_wire(instance)
    assert {name: wire[name] for name in params} == params
    assert parsed(method, json.loads(json.dumps(wire))) == instance


@pytest.mark.parametrize(("method", "params"), ALL_RIGHT)
def test_unknown_keys_are_ignored(method: str, params: dict[str, Any]) -> None:
    assert parsed(method, {**params, "later": {"a": 1}, "kernel_id": 5}) == parsed(method, params)


@pytest.mark.parametrize(("method", "params"), ALL_RIGHT)
def test_null_is_absent_where_a_field_is_optional(method: str, params: dict[str, Any]) -> None:
    fields = map(protocol_name, attrs.fields_dict(protocol.PARAMS[method]))
    nulls = dict.fromkeys(set(fields) - set(params))
    assert parsed(method, {**params, **nulls}) == parsed(method, params)


def protocol_name(attribute: str) -> str:
    head, *rest = attribute.split("_")
    return head + "".join(map(str.title, rest))


@pytest.mark.parametrize(
    ("method", "field"), [(method, field) for method, names in REQUIRED.items() for field in names]
)
def test_missing_fields(method: str, field: str) -> None:
    assert refused(method, without(RIGHT[method][0], field)) == f"{field}: missing"


@pytest.mark.parametrize(("method", "names"), ONE_OF.items())
def test_exactly_one_of_several(method: str, names: list[str]) -> None:
    message = f"exactly one of {', '.join(names)} is needed"
    assert refused(method, {}) == message
    by_name = {name: params for params in RIGHT[method] for name in names if name in params}
    assert set(by_name) == set(names)
    for name in names[1:]:
        assert refused(method, {**by_name[names[0]], **by_name[name]}) == message


def test_a_kernel_to_attach_to_is_named_in_one_way_or_none() -> None:
    assert parsed(protocol.ATTACH_KERNEL, {}) == protocol.AttachKernelParams()
    both = {"connectionFile": "f", "serverUrl": "u"}
    message = "at most one of connectionFile, serverUrl may be given"
    assert refused(protocol.ATTACH_KERNEL, both) == message


@pytest.mark.parametrize(("method", "change", "message"), WRONG)
def test_wrong_values(method: str, change: dict[str, Any], message: str) -> None:
    assert refused(method, {**RIGHT[method][0], **change}).startswith(message)


@pytest.mark.parametrize("method", protocol.PARAMS)
@pytest.mark.parametrize(
    ("params", "got"), [([], "an array"), ("x", "a string"), (1, "a number"), (True, "a boolean")]
)
def test_params_that_are_no_object(method: str, params: Any, got: str) -> None:
    assert refused(method, params) == f"params: expected an object, got {got}"


def test_no_params_are_an_empty_object() -> None:
    assert parsed(protocol.LIST_KERNELS, None) == protocol.ListKernelsParams()
    assert refused(protocol.KERNEL_INFO, None) == "kernelId: missing"


def test_defaults_of_execute() -> None:
    params = parsed(protocol.EXECUTE, {"kernelId": "k", "code": "1", "silent": None})
    assert params == protocol.ExecuteParams(
        kernel_id="k",
        code="1",
        silent=False,
        store_history=True,
        user_expressions={},
        allow_stdin=True,
        stop_on_error=True,
    )


def test_numbers_become_what_they_stand_for() -> None:
    params = parsed(protocol.START_KERNEL, {"language": "r", "timeout": 5})
    assert type(params.timeout) is float


def test_buffers_are_bytes() -> None:
    assert parsed(protocol.SEND, RIGHT[protocol.SEND][0]).buffers == (b"", b"\x00\x01\x02")


def test_stdin_does_not_show_its_value() -> None:
    assert "s3cret" not in repr(protocol.StdinParams(kernel_id="k", value="s3cret"))


KERNEL = protocol.Kernel(
    kernel_id="k",
    spec_name=None,
    spec_path=None,
    display_name="Python 3",
    language="python",
    status="idle",
    owned=True,
    connection_file=None,
    pid=None,
    documents=("file:///a.py",),
    execution_count=None,
    pending=0,
    started_at=None,
    last_activity=None,
    resources=None,
)


def test_kernel_keeps_its_nulls_and_drops_what_is_absent() -> None:
    wire = to_wire(KERNEL)
    assert wire == {
        "kernelId": "k",
        "specName": None,
        "specPath": None,
        "displayName": "Python 3",
        "language": "python",
        "status": "idle",
        "owned": True,
        "connectionFile": None,
        "pid": None,
        "documents": ["file:///a.py"],
        "executionCount": None,
        "pending": 0,
        "startedAt": None,
        "lastActivity": None,
        "resources": None,
        "kept": False,
    }
    assert parse(protocol.Kernel, wire) == KERNEL


def test_nested_payloads() -> None:
    status = protocol.KernelStatus(
        kernel_id="k",
        status="dead",
        exit_code=-9,
        kernel=attrs.evolve(
            KERNEL,
            resources=protocol.Resources(rss_bytes=5, cpu_percent=0.5),
            kernel_info={"language_info": {"file_extension": None}},
        ),
    )
    wire = to_wire(status)
    assert set(wire) == {"kernelId", "status", "exitCode", "kernel"}
    assert wire["kernel"]["resources"] == {"rssBytes": 5, "cpuPercent": 0.5}
    assert wire["kernel"]["kernelInfo"] == {"language_info": {"file_extension": None}}
    assert parse(protocol.KernelStatus, json.loads(json.dumps(wire))) == status


@pytest.mark.parametrize(
    ("payload", "wire"),
    [
        (
            protocol.ExecutionState(
                kernel_id="k",
                execution_id="e",
                text_document=protocol.TextDocument("u"),
                range=protocol.Range(protocol.Position(0, 1), protocol.Position(2, 3)),
                seq=0,
                state="error",
                error=protocol.ExecutionError(ename="E", evalue="", traceback=("a", "b")),
                duration_ms=0.5,
            ),
            {
                "kernelId": "k",
                "executionId": "e",
                "textDocument": {"uri": "u"},
                "range": {
                    "start": {"line": 0, "character": 1},
                    "end": {"line": 2, "character": 3},
                },
                "seq": 0,
                "state": "error",
                "error": {"ename": "E", "evalue": "", "traceback": ["a", "b"]},
                "durationMs": 0.5,
            },
        ),
        (
            protocol.Output(
                kernel_id="k",
                execution_id="e",
                seq=1,
                kind="append",
                output={"output_type": "execute_result", "execution_count": None},
            ),
            {
                "kernelId": "k",
                "executionId": "e",
                "seq": 1,
                "kind": "append",
                "output": {"output_type": "execute_result", "execution_count": None},
            },
        ),
        (
            protocol.InputRequest(kernel_id="k", execution_id="e", prompt="", password=False),
            {"kernelId": "k", "executionId": "e", "prompt": "", "password": False},
        ),
        (
            protocol.Message(
                kernel_id="k",
                channel="iopub",
                header={"msg_id": "m"},
                parent_header={},
                metadata={},
                content={"data": {"a_b": None}},
                buffers=(b"\x00\x01\x02",),
            ),
            {
                "kernelId": "k",
                "channel": "iopub",
                "header": {"msg_id": "m"},
                "parentHeader": {},
                "metadata": {},
                "content": {"data": {"a_b": None}},
                "buffers": ["AAEC"],
            },
        ),
        (
            protocol.OutputsResult(
                executions=(
                    protocol.ExecutionOutputs(
                        execution_id="e", state="running", execution_count=None, outputs=()
                    ),
                )
            ),
            {
                "executions": [
                    {"executionId": "e", "state": "running", "executionCount": None, "outputs": []}
                ]
            },
        ),
        (protocol.HistoryResult(history=((1, 2, "x"),)), {"history": [[1, 2, "x"]]}),
        (protocol.IsCompleteResult(status="incomplete", indent="  "), None),
        (protocol.SendResult(msg_id="m"), {"msgId": "m"}),
    ],
)
def test_payloads_on_the_wire(payload: Any, wire: dict[str, Any] | None) -> None:
    expected = {"status": "incomplete", "indent": "  "} if wire is None else wire
    assert json.loads(json.dumps(to_wire(payload))) == expected


def test_entries_of_the_history() -> None:
    wire = {"history": [[1, 2, "x"]]}
    assert parse(protocol.HistoryResult, wire).history == ((1, 2, "x"),)
    with pytest.raises(InvalidParams, match=r"history\[1\]: expected 3 items, got 1"):
        parse(protocol.HistoryResult, {"history": [[1, 2, "x"], [1]]})


def test_dicts_are_left_alone() -> None:
    output = {"output_type": "stream", "text": None, "nested": ({"a": 1},)}
    assert to_wire(output) is output


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@st.composite
def almost_right(draw: st.DrawFn) -> tuple[str, Any]:
    """A method, and right params of it with some fields changed."""
    method, params = draw(st.sampled_from(ALL_RIGHT))
    names = [protocol_name(name) for name in attrs.fields_dict(protocol.PARAMS[method])]
    changes = st.dictionaries(st.sampled_from([*names, "other"]), ANYTHING, max_size=3)
    return method, {**params, **draw(changes)}


@given(st.sampled_from(sorted(protocol.PARAMS)), ANYTHING)
def test_any_json_is_parsed_or_refused(method: str, params: Any) -> None:
    with contextlib.suppress(InvalidParams):
        parsed(method, params)


@given(almost_right())
def test_what_is_parsed_survives_the_wire(message: tuple[str, Any]) -> None:
    method, params = message
    with contextlib.suppress(InvalidParams):
        wire = to_wire(parsed(method, params))
        assert json.dumps(to_wire(parsed(method, wire))) == json.dumps(wire)
