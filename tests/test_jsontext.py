"""What is kept as JSON comes back as it was, be it what orjson writes or what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carpo_lsp import jsontext

TEXT = st.text(st.characters() | st.sampled_from("\ud83d\ude00\ud800\udfff\u2028\x85\r"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT.filter(lambda text: "\ud83d\ude00" not in text),  # which JSON takes for one character
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON)
def test_it_is_read_back_as_it_was_and_takes_one_line(value: Any) -> None:
    body = jsontext.encode(value)
    assert json.loads(body) == value
    assert b"\n" not in body


@pytest.mark.parametrize("depth", [10, 300])
def test_nests(depth: int) -> None:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    assert json.loads(jsontext.encode(value)) == value


def test_what_is_no_json_is_an_error() -> None:
    with pytest.raises(TypeError):
        jsontext.encode({"value": object()})
