"""The frames of messages: what comes out of any, and that ours are understood."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.session import Session

from carpo_lsp.kernels.codec import NESTED, Codec
from carpo_lsp.kernels.messages import Message, Request

KEY = "secret"
DELIMITER = b"<IDS|MSG>"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=8), json_values, max_size=4)
parts = st.binary(max_size=20) | json_values.map(lambda value: json.dumps(value).encode())


@pytest.fixture(autouse=True, scope="module")
def _no_log() -> Any:
    """Hypothesis reports what is logged; here it is a line for each example."""
    logging.getLogger("carpo_lsp.kernels.codec").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("carpo_lsp.kernels.codec").setLevel(logging.NOTSET)


def signed(*frames: bytes) -> list[bytes]:
    signature = Session(key=KEY.encode()).sign(list(frames[:4]))
    return [b"topic", DELIMITER, signature, *frames]


def is_plain(message: Message) -> bool:
    """Whether a message can be read by whoever relies on its type, and written as JSON."""
    parts = (message.header, message.parent_header, message.metadata, message.content)
    assert all(isinstance(part, dict) for part in parts)
    names = (message.msg_type, message.msg_id, message.parent_id, message.parent_type)
    assert all(isinstance(name, str) for name in names)
    assert all(isinstance(buffer, bytes) for buffer in message.buffers)
    json.dumps(parts, allow_nan=False, ensure_ascii=False).encode()
    return True


@given(frames=st.lists(st.binary(max_size=30) | st.just(DELIMITER), max_size=9))
def test_any_frames(frames: list[bytes]) -> None:
    assert Codec({"key": KEY}).decode("iopub", frames) is None
    message = Codec({"key": ""}).decode("iopub", frames)
    assert message is None or is_plain(message)


@given(header=parts, parent=parts, metadata=parts, content=parts, buffers=st.lists(parts))
def test_any_signed_parts(
    header: bytes, parent: bytes, metadata: bytes, content: bytes, buffers: list[bytes]
) -> None:
    frames = signed(header, parent, metadata, content, *buffers)
    message = Codec({"key": KEY}).decode("shell", frames)
    assert message is None or is_plain(message)


@given(header=objects, parent=objects | st.none(), metadata=objects, content=objects)
def test_any_objects_are_a_message(
    header: dict[str, Any], parent: dict[str, Any] | None, metadata: Any, content: Any
) -> None:
    header = {"msg_id": "1", "msg_type": "stream", **header}
    bodies = [json.dumps(part).encode() for part in (header, parent, metadata, content)]
    message = Codec({"key": KEY}).decode("iopub", signed(*bodies))
    assert message is not None
    assert is_plain(message)
    assert message.content.keys() == content.keys()


@given(content=objects, metadata=objects, buffers=st.lists(st.binary(max_size=9), max_size=3))
def test_what_we_send_is_read_by_jupyter_and_by_us(
    content: dict[str, Any], metadata: dict[str, Any], buffers: list[bytes]
) -> None:
    content, metadata = (
        json.loads(json.dumps(part), parse_constant=str) for part in (content, metadata)
    )
    request = Request(
        "shell", "execute_request", content, metadata=metadata, buffers=tuple(buffers)
    )
    frames = Codec({"key": KEY}).encode(request)
    session = Session(key=KEY.encode())
    read = session.deserialize(session.feed_identities(list(frames))[1])
    # Jupyter reads integers of more than 64 bits as floats.
    as_read = session.unpack(json.dumps(content).encode())
    assert (read["msg_id"], read["content"]) == (request.msg_id, as_read)
    message = Codec({"key": KEY}).decode("shell", frames)
    assert message is not None
    assert (message.msg_id, message.content, message.metadata) == (
        request.msg_id,
        content,
        metadata,
    )
    assert message.buffers == tuple(buffers)


def body(content: bytes) -> list[bytes]:
    return signed(b'{"msg_id": "1", "msg_type": "stream"}', b"{}", b"{}", content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"null", {}),
        (
            b'{"a": NaN, "b": -Infinity, "c": 1e999, "d": 1.5}',
            {"a": None, "b": None, "c": None, "d": 1.5},
        ),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (
            b'{"a": "<\\ud83d>", "b": "\\ud83d\\ude00", "\\udc00": 1}',
            {"a": "<\ufffd>", "b": "\U0001f600", "\ufffd": 1},
        ),
        (b'{"a": ' + b"[" * (NESTED - 1) + b"]" * (NESTED - 1) + b"}", ...),
        (b'{"a": ' + b"[" * NESTED + b"]" * NESTED + b"}", None),
        (b'{"a": "' + b"[{" * NESTED + b'"}', {"a": "[{" * NESTED}),
    ],
)
def test_what_is_no_json_or_no_text(content: bytes, expected: Any) -> None:
    message = Codec({"key": KEY}).decode("iopub", body(content))
    if expected is None:
        assert message is None
    else:
        assert message is not None
        assert expected is ... or message.content == expected


def test_a_message_is_taken_once() -> None:
    codec = Codec({"key": KEY})
    assert codec.decode("iopub", body(b"{}")) is not None
    assert codec.decode("iopub", body(b"{}")) is None


def test_a_message_without_a_version() -> None:
    content = b'{"name": "stdout", "text": "a"}'
    message = Codec({"key": KEY}).decode("iopub", body(content))
    assert message is not None
    assert message.content == json.loads(content)


def test_another_key() -> None:
    assert Codec({"key": "other"}).decode("iopub", body(b"{}")) is None
