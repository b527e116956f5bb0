from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carpo_lsp.wire.bodies import Encoder, decode

TEXT = st.text(st.characters() | st.sampled_from("\ud83d\ude00\ud800\udfff"))
NUMBER = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=10,
)
ENCODER = Encoder(str)


@given(JSON, st.booleans())
def test_what_is_read_can_be_written_and_is_as_wide(message: Any, ascii_only: bool) -> None:
    text = json.dumps(message, ensure_ascii=ascii_only)
    found = decode(text.encode("utf-8", "surrogatepass"))
    body = ENCODER.encode(found)
    assert decode(body) == found
    if isinstance(found, str):
        written = json.loads(text)  # where an escaped pair is one character already
        assert len(found.encode("utf-16-le")) == len(written.encode("utf-16-le", "surrogatepass"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'"a\\ud83d"', "a\ufffd"),
        (b'"\\ude00\\ud83d"', "\ufffd\ufffd"),
        (b'"\\uD83D\\uDE00"', "😀"),
        (b'"\xed\xa0\xbd"', "\ufffd"),
        (b'{"\\udc00": 1}', {"\ufffd": 1}),
        (b'"\\\\ud83d"', "\\ud83d"),
    ],
)
def test_halves_of_surrogate_pairs(body: bytes, message: Any) -> None:
    assert decode(body) == message


@pytest.mark.parametrize("body", [b"NaN", b'{"a": Infinity}', b"[-Infinity]"])
def test_what_json_has_no_numbers_for(body: bytes) -> None:
    with pytest.raises(ValueError, match="is no number in JSON"):
        decode(body)
