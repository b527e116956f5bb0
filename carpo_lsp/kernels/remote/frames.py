"""Messages as they go through a Jupyter server's websocket, in either of its two forms.

`v1.kernel.websocket.jupyter.org` sends the parts of a message as kernels do, behind the places
where they begin; the older form is one JSON text, or with buffers a binary frame of JSON and these.
"""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from carpo_lsp.kernels.codec import PARTS, NoMessage, message_of, read_object
from carpo_lsp.kernels.messages import Channel
from carpo_lsp.kernels.remote.api import V1

if TYPE_CHECKING:
    from carpo_lsp.kernels.messages import Message, Request

VERSION: Final = "5.4"
"""Of Jupyter's messages."""

CHANNELS: Final = get_args(Channel)

Frame = str | bytes


def encode(request: Request, session: str, protocol: str | None) -> Frame:
    """The frame of a request; a text or bytes, and to be sent as such."""
    header: dict[str, Any] = {
        "msg_id": request.msg_id,
        "msg_type": request.msg_type,
        "session": session,
        "username": "carpo",
        "date": datetime.now(UTC).isoformat(),
        "version": VERSION,
    }
    if request.subshell_id is not None:
        header["subshell_id"] = request.subshell_id
    bodies = (header, request.parent_header, request.metadata, request.content)
    if protocol == V1:
        parts = [json.dumps(body).encode() for body in bodies]
        return _join_v1([request.channel.encode(), *parts, *request.buffers])
    names = ("header", "parent_header", "metadata", "content")
    message: dict[str, Any] = {
        "channel": request.channel,
        **dict(zip(names, bodies, strict=True)),
        "buffers": [],
    }
    if not request.buffers:
        return json.dumps(message)
    del message["buffers"]
    return _join([json.dumps(message).encode(), *request.buffers])


def decode(frame: Frame, protocol: str | None) -> Message:
    """The message in a frame. Raises `ValueError` or `RecursionError` where there is none."""
    if protocol == V1:
        if isinstance(frame, str):
            raise NoMessage("text in the place of bytes")
        channel, *parts = _split_v1(frame)
        bodies = [read_object(part) for part in parts[:PARTS]]
        if len(bodies) < PARTS:
            raise NoMessage("too few parts")
        return message_of(_channel(channel.decode("utf-8", "replace")), bodies, parts[PARTS:])
    text, *buffers = [frame.encode()] if isinstance(frame, str) else _split(frame)
    message = read_object(text)
    bodies = [
        value if isinstance(value := message.get(key), dict) else {}
        for key in ("header", "parent_header", "metadata", "content")
    ]
    return message_of(_channel(message.get("channel")), bodies, buffers)


def _channel(name: object) -> Channel:
    if name not in CHANNELS:
        raise NoMessage("an unknown channel")
    return cast("Channel", name)


def _join_v1(parts: list[bytes]) -> bytes:
    """Each place is a number of eight bytes, little-endian, as is their count before them; the
    last is the end."""
    places = [8 * (len(parts) + 2)]
    for part in parts:
        places.append(places[-1] + len(part))
    return b"".join([struct.pack(f"<{len(places) + 1}Q", len(places), *places), *parts])


def _split_v1(frame: bytes) -> list[bytes]:
    return _cut(frame, "<", "Q", ends=True)


def _join(parts: list[bytes]) -> bytes:
    """Places of four bytes, big-endian, without the end."""
    places = [4 * (len(parts) + 1)]
    for part in parts[:-1]:
        places.append(places[-1] + len(part))
    return b"".join([struct.pack(f"!{len(places) + 1}I", len(places), *places), *parts])


def _split(frame: bytes) -> list[bytes]:
    return _cut(frame, "!", "I", ends=False)


def _cut(frame: bytes, order: str, kind: str, *, ends: bool) -> list[bytes]:
    """The parts of a frame that begins with the places of its parts. Raises `NoMessage`."""
    size = struct.calcsize(order + kind)
    try:
        (count,) = struct.unpack_from(order + kind, frame)
        if not 0 < count <= len(frame) // size:
            raise NoMessage("a wrong number of parts")
        places = list(struct.unpack_from(f"{order}{count}{kind}", frame, size))
    except struct.error:
        raise NoMessage("too short a frame") from None
    if not ends:
        places.append(len(frame))
    if places != sorted(places) or places[-1] > len(frame) or len(places) < 2:
        raise NoMessage("parts in wrong places")
    return [frame[start:end] for start, end in pairwise(places)]
