"""Messages as the frames that kernels exchange: signed, and read with all that may be wrong."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jupyter_client.session import Session

from carpo_lsp.kernels.messages import Channel, Message, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)


class Codec:
    """Signs what goes to a kernel and checks what comes, by its connection file's content."""

    def __init__(self, info: Mapping[str, Any]) -> None:
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
            log.warning("Dropped a malformed message on %s: %s", channel, type(error).__name__)
            log.debug("The malformed message", exc_info=True)
            return None


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
