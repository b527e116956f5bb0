"""Messages as the frames that kernels exchange: signed, and read with all that may be wrong."""

from __future__ import annotations

import json
import logging
import math
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final

import msgspec
from jupyter_client.session import DELIM, Session

from carpo_lsp.kernels.messages import Channel, Message, Request
from carpo_lsp.kernels.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

log = logging.getLogger(__name__)

PARTS: Final = 4
"""Header, parent header, metadata and content. Buffers follow."""

REMEMBERED: Final = 10_000
"""Messages that are not taken for a second time."""

NESTED: Final = 200
"""Objects and arrays within each other that a message may have. Whoever reads or writes it later
has less of the stack left than the reader here, and must not fail where that one did not."""


class Codec:
    """Signs what goes to a kernel and checks what comes, by its connection file's content.

    `name` says in the log which kernel it is.
    """

    def __init__(self, info: Mapping[str, Any], name: str = "") -> None:
        self._faults = Faults(name)
        self._taken: Recent[bytes, None] = Recent(REMEMBERED)
        key = info.get("key", b"")
        self._session = Session(
            key=key.encode() if isinstance(key, str) else key,
            signature_scheme=info.get("signature_scheme") or "hmac-sha256",
            # The check is for forks; it costs a system call for each message.
            check_pid=False,
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
        return self._faults.attempt(channel, lambda: self._read(channel, frames))

    def _read(self, channel: Channel, frames: list[bytes]) -> Message:
        """Not `Session.deserialize`: that takes a message without a version for one of 2014."""
        if DELIM not in frames:
            raise NoMessage("no delimiter between the frames")
        signature, *parts = frames[frames.index(DELIM) + 1 :] or [b""]
        bodies, buffers = parts[:PARTS], parts[PARTS:]
        if len(bodies) < PARTS:
            raise NoMessage("too few frames")
        if self._session.auth is not None:
            if signature in self._taken:
                raise NoMessage("a signature for the second time")
            if not compare_digest(signature, self._session.sign(bodies)):
                raise NoMessage("a wrong signature")
            self._taken[signature] = None
        return message_of(channel, [read_object(body) for body in bodies], buffers)


class NoMessage(ValueError):
    """What is wrong with frames, in words that are none of theirs, so that its kinds are few."""


class Faults:
    """Reads what may be no message. `name` says in the log which kernel sent it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said: set[str] = set()

    def attempt(self, channel: str, read: Callable[[], Message]) -> Message | None:
        """The message; None, and a line in the log, when there is none."""
        try:
            return read()
        except NoMessage as error:
            fault = str(error)
        except RecursionError:
            fault = "JSON nested too deep"
        except ValueError:
            fault = "broken JSON"
        # Each kind of fault once: a kernel that sends one sends thousands.
        level = logging.DEBUG if fault in self._said else logging.WARNING
        self._said.add(fault)
        log.log(
            level,
            "The kernel %s sent what is no message on %s (%s); it is dropped, as more of the kind",
            self._name,
            channel,
            fault,
        )
        return None


def message_of(
    channel: Channel, bodies: Sequence[dict[str, Any]], buffers: Sequence[bytes]
) -> Message:
    """The message of a header, a parent header, metadata and content. Raises `NoMessage`."""
    header, parent_header, metadata, content = bodies
    if "msg_id" not in header or "msg_type" not in header:
        raise NoMessage("a header without id or type")
    return Message(channel, header, parent_header, metadata, content, tuple(buffers))


def _finite(number: str) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None


# Numbers that JSON has no words for would end up in the JSON of editors and notebooks.
_DECODER: Final = json.JSONDecoder(parse_float=_finite, parse_constant=lambda _: None)


def read_object(frame: bytes) -> dict[str, Any]:
    """The object in a frame. Some kernels send null where the specification has one.

    What is no text is replaced: bytes, and halves of characters. Raises `ValueError` or
    `RecursionError`.
    """
    try:
        value = msgspec.json.decode(frame)
    except (ValueError, RecursionError):
        value = _read_leniently(frame)
    if value is not None and not isinstance(value, dict):
        raise NoMessage("no object where one belongs")
    if len(frame) >= 2 * NESTED:  # less is no room for so many
        _check_depth(value)
    return value or {}


def _read_leniently(frame: bytes) -> Any:
    """What a frame says that is not quite JSON."""
    value = _DECODER.decode(frame.decode("utf-8", "replace"))
    if b"\\ud" in frame or b"\\uD" in frame:  # half a surrogate pair, or a whole one
        text = json.dumps(value, ensure_ascii=False)
        value = json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return value


def _check_depth(value: dict[str, Any] | None) -> None:
    level: list[Any] = [value or {}]
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
