"""Both forms of a message on a server's websocket: there and back, and what is no message."""

from __future__ import annotations

import struct

import pytest

from carpo_lsp.kernels.messages import Request
from carpo_lsp.kernels.remote.frames import V1, Frame, decode, encode

BUFFERS = (b"", b"\x00\xff", b"x" * 1000)


@pytest.mark.parametrize("protocol", [V1, None])
@pytest.mark.parametrize("buffers", [(), BUFFERS])
def test_there_and_back(protocol: str | None, buffers: tuple[bytes, ...]) -> None:
    content = {"code": "Zoë 😀 \ud800", "silent": False}
    request = Request("control", "x_request", content, buffers=buffers, subshell_id="s")
    frame = encode(request, "session", protocol)
    assert isinstance(frame, str) == (protocol is None and not buffers)
    message = decode(frame, protocol)
    assert (message.channel, message.msg_type, message.msg_id) == (
        "control",
        "x_request",
        request.msg_id,
    )
    assert (message.session, message.header["subshell_id"]) == ("session", "s")
    assert message.content["code"].startswith("Zoë 😀 ")
    assert message.buffers == buffers


@pytest.mark.parametrize(
    ("frame", "protocol"),
    [
        ("{}", V1),
        (b"", V1),
        (b"\x01", V1),
        (struct.pack("<QQ", 2**63, 0), V1),
        (struct.pack("<4Q", 3, 32, 99, 98), V1),
        ("", None),
        ("[]", None),
        ("{}", None),
        ('{"channel": "iopub", "header": null}', None),
        ('{"channel": "x", "header": {"msg_id": "1", "msg_type": "status"}}', None),
        ("[" * 100_000, None),
        (struct.pack("!II", 1, 999), None),
    ],
)
def test_what_is_no_message(frame: Frame, protocol: str | None) -> None:
    with pytest.raises((ValueError, RecursionError)):
        decode(frame, protocol)
