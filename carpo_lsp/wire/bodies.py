"""The bodies of messages: JSON in UTF-8, where JSON and Python do not quite agree.

Half a surrogate pair, as an editor may send that counts in UTF-16, is no text that could be sent on
or written anywhere. It becomes U+FFFD, in both directions, which is as wide in every encoding of
positions.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

# What may be a surrogate: its escape, or its three bytes, which `json` lets pass.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")


def decode(body: bytes) -> Any:
    """What a body says. Raises ValueError for what is no JSON, RecursionError for nests of it."""
    message = json.loads(body, parse_constant=_refuse)
    # The search takes longer than to read a large text without any.
    if (b"\\u" in body or not body.isascii()) and _SURROGATE.search(body):
        text = json.dumps(message, ensure_ascii=False)
        return json.loads(_whole(text))
    return message


class Encoder:
    """Makes bodies; `to_json` turns an object that JSON does not know into one it does."""

    def __init__(self, to_json: Callable[[Any], Any]) -> None:
        self._to_json = to_json
        self._strict = json.JSONEncoder(
            ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=to_json
        )
        self._lenient = json.JSONEncoder(default=to_json)

    def encode(self, message: Any) -> bytes:
        """Raises TypeError, ValueError or RecursionError for what cannot be sent."""
        # Of what cannot be sent it refuses integers beyond 64 bits, deep nests and halves of
        # surrogate pairs, and makes null of NaN.
        with contextlib.suppress(orjson.JSONEncodeError):
            return orjson.dumps(message, self._to_json)
        try:
            text = self._strict.encode(message)
        except ValueError:
            # NaN or an infinity, most likely. JSON has none, so they become null.
            lenient = self._lenient.encode(message)
            text = self._strict.encode(json.loads(lenient, parse_constant=lambda _: None))
        try:
            return text.encode()
        except UnicodeEncodeError:
            return _whole(text).encode()


def _whole(text: str) -> str:
    """Text in which two halves that belong together are joined, and others are replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number in JSON")
