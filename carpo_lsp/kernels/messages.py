"""Jupyter messages as this package passes them around: plain data, no sockets.

Source: the Jupyter messaging specification, version 5.4.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import uuid4

from msgspec import Struct, field

Channel = Literal["shell", "control", "iopub", "stdin"]


class Message(Struct, frozen=True):
    """A message received from a kernel. Dates in headers are ISO 8601 strings."""

    channel: Channel
    header: dict[str, Any]
    parent_header: dict[str, Any]
    metadata: dict[str, Any]
    content: dict[str, Any]
    buffers: tuple[bytes, ...] = ()

    @property
    def msg_type(self) -> str:
        return str(self.header.get("msg_type") or "")

    @property
    def msg_id(self) -> str:
        return str(self.header.get("msg_id") or "")

    @property
    def session(self) -> str:
        """What the sender calls its session: for most kernels, that of the process."""
        return str(self.header.get("session") or "")

    @property
    def parent_id(self) -> str:
        """Id of the request this message belongs to; empty when it belongs to none."""
        return str(self.parent_header.get("msg_id") or "")

    @property
    def parent_type(self) -> str:
        return str(self.parent_header.get("msg_type") or "")


class Request(Struct, frozen=True):
    """A message to a kernel. Its id is known before it is sent, so that whoever waits for the
    answer is registered first."""

    channel: Channel
    msg_type: str
    content: dict[str, Any]
    msg_id: str = field(default_factory=lambda: uuid4().hex)
    parent_header: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    buffers: tuple[bytes, ...] = ()
    subshell_id: str | None = None
    """JEP 91: the subshell that is to answer; None is the main shell."""
