"""Records: what a keeper logs of its kernel, and what passes between it and servers.

A record is its size, its kind, the number of the client it came from (0: none) and frames of
bytes. What is read from the log goes to clients as it is.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HEAD: Final = struct.Struct(">QBIH")
_SIZE: Final = struct.Struct(">Q")


class Kind(enum.IntEnum):
    """What a record is. Frames of messages are those of ZeroMQ."""

    SHELL = 1
    """A message on that channel: from the kernel, or by a client to the kernel."""
    CONTROL = 2
    STDIN = 3
    IOPUB = 4
    SENT = 5
    """Logged: an execute request that a client has sent."""
    ANSWERED = 6
    """Logged: a client has answered the input request. Without the answer, which may be secret."""
    ENDED = 7
    """Logged: the kernel's process is gone. Frames: why, the last of what it printed, the cause."""
    LOST = 8
    """Logged: output could not be kept. One frame: how many bytes."""
    STATUS = 9
    """To a client, at once: the keeper's state, as JSON."""
    BEGIN = 10
    """By a client: it wants the log. One frame: its process id."""
    BEGUN = 11
    """To that client: the log follows; JSON."""
    ACK = 12
    """By a client: what comes before a position in the log is no longer needed."""
    KEEP = 13
    """By a client: how long to keep an idle kernel, and what it may use, as JSON."""
    OPEN = 14
    """By a client: take over the shell and stdin channels, by the identity in the frame."""
    LEAVE = 15
    """By a client: there is nothing to keep any more."""
    TOLD = 16
    """Logged: what the keeper has done about the kernel, for its user. One frame."""


class Record(NamedTuple):
    kind: int
    client: int
    frames: list[bytes]
    size: int
    """Bytes of the record itself."""


def pack(kind: Kind, frames: Sequence[bytes] = (), client: int = 0) -> bytes:
    """A record as bytes."""
    sizes = [_SIZE.pack(len(frame)) for frame in frames]
    body = b"".join([*sizes, *frames])
    return _HEAD.pack(_HEAD.size + len(body), kind, client, len(frames)) + body


def size_of(head: bytes) -> int:
    """The size of a record by its first 8 bytes; 0 for fewer."""
    return int(_SIZE.unpack(head)[0]) if len(head) == _SIZE.size else 0


class Reader:
    """Makes records of a stream of bytes."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Record]:
        """Take some bytes; yields the records that are whole by now."""
        self._data += data
        start = 0
        try:
            while len(self._data) - start >= _HEAD.size:
                size, kind, client, count = _HEAD.unpack_from(self._data, start)
                if len(self._data) - start < size:
                    break
                offset = start + _HEAD.size
                sizes = [
                    _SIZE.unpack_from(self._data, offset + 8 * number)[0] for number in range(count)
                ]
                offset += 8 * count
                frames = []
                for length in sizes:
                    frames.append(bytes(self._data[offset : offset + length]))
                    offset += length
                start += size
                yield Record(kind, client, frames, size)
        finally:
            del self._data[:start]
