"""Messages as the frames that kernels exchange: signed, and read with all that may be wrong."""

from __future__ import annotations

import json
import logging
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from jupyter_client.session import Session

from carpo_lsp.kernels.messages import Channel, Message, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

NESTED: Final = 200
"""Objects and arrays within each other that a message may have. Whoever reads or writes it later
has less of the stack left than the reader here, and must not fail where that one did not."""


class Codec:
    """Signs what goes to a kernel and checks what comes, by its connection file's content.

    `name` says in the log which kernel it is.
    """

    def __init__(self, info: Mapping[str, Any], name: str = "") -> None:
        self._name = name
        self._said: set[str] = set()
        key = info.get("key", b"")
        self._session = Session(
            key=key.encode() if isinstance(key, str) else key,
            signature_scheme=info.get("signature_scheme") or "hmac-sha256",
            # The check is for forks; it costs a system call for each message.
            check_pid=False,
            unpack=_read_json,
        )

    @property
    def identity(self) -> bytes:
        """A name for the sockets of this client of the kernel."""
        return self._session.bsession

    def encode(self, request: Request) -> list[bytes]:
        """The frames of a request."""
        header = self._session.msg_header(request.msg_type)
        header["msg_id"] = request.msg_id
        if request.subshell_id is not None:
            header["subshell_id"] = request.subshell_id
        message = {
            "header": header,
            "parent_header": request.parent_header,
            "metadata": request.metadata,
            "content": request.content,
        }
        return [*self._session.serialize(message), *request.buffers]

    def decode(self, channel: Channel, frames: list[bytes]) -> Message | None:
        """The message in the frames; None, and a line in the log, when there is none."""
        try:
            _, parts = self._session.feed_identities(frames)
            raw = self._session.deserialize(parts)
            return Message(
                channel=channel,
                header=_plain_dates(_dict(raw["header"])),
                parent_header=_plain_dates(_dict(raw["parent_header"])),
                metadata=_dict(raw["metadata"]),
                content=_dict(raw["content"]),
                buffers=tuple(bytes(buffer) for buffer in raw["buffers"]),
            )
        except Exception as error:
            # A kernel can send anything: a bad signature, broken JSON, too few parts. Whatever
            # the library makes of it must not end the reader.
            self._drop(channel, error)
            return None

    def _drop(self, channel: Channel, error: Exception) -> None:
        """Log each kind of fault once: a kernel that sends one sends thousands."""
        fault = _fault(error)
        level = logging.DEBUG if fault in self._said else logging.WARNING
        self._said.add(fault)
        log.log(
            level,
            "The kernel %s sent what is no message on %s (%s); it is dropped, as more of the kind",
            self._name,
            channel,
            fault,
        )
        log.debug("The dropped message", exc_info=error)


def _fault(error: Exception) -> str:
    """What is wrong, in few words; none of them from the message, so that kinds are few."""
    match error:
        case json.JSONDecodeError():
            return "broken JSON"
        case RecursionError():
            return "JSON nested too deep"
        case KeyError():
            return "a header without id or type"
        case ValueError() if "Signature" in str(error):
            return "a signature that is wrong or was used before"
        case ValueError() if "Unsigned" in str(error):
            return "no signature"
        case ValueError() | IndexError():
            return "frames that are not those of a message"
        case TypeError() | AttributeError():
            return "too few frames, or no object where one belongs"
    return type(error).__name__


def _finite(number: str) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None


# Numbers that JSON has no words for would end up in the JSON of editors and notebooks.
_DECODER: Final = json.JSONDecoder(parse_float=_finite, parse_constant=lambda _: None)


def _read_json(frame: bytes) -> Any:
    """The value in a frame. What is no text in it is replaced: bytes, and halves of characters."""
    value = _DECODER.decode(frame.decode("utf-8", "replace"))
    if frame.count(b"[") + frame.count(b"{") > NESTED:
        _check_depth(value)
    if b"\\ud" in frame or b"\\uD" in frame:  # half a surrogate pair, or a whole one
        text = json.dumps(value, ensure_ascii=False)
        value = json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(NESTED):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise RecursionError


def _dict(value: object) -> dict[str, Any]:
    """Some kernels send null or nothing where the specification has an object."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise TypeError(f"expected an object, got {json.dumps(value)[:40]}")


def _plain_dates(header: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in header.items()
    }
