"""What is run inside kernels, here without one: it tells much and touches nothing."""

from __future__ import annotations

import functools
import json
import types
from typing import Any

import pytest

from carpo_lsp.features.kernel_code import python


class Trap:
    """Whatever is done with it is too much."""

    def __repr__(self) -> str:
        raise AssertionError

    __len__ = __iter__ = __bool__ = __eq__ = __call__ = __repr__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(name)


class Known:
    @property
    def watched(self) -> int:
        raise AssertionError

    @staticmethod
    def fixed() -> None: ...

    @functools.cache  # noqa: B019 - it is never called
    def cached(self) -> None: ...


def shown(**namespace: Any) -> dict[str, list[str]]:
    return {entry[0]: entry[1:] for entry in json.loads(python.variables(namespace))}


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    [
        (41, "int", "41"),
        (1 << 999, "int", "an integer of 1000 bits"),
        ("é" * 1000, "str", "'" + "é" * 58 + "…"),
        (b"x", "bytes", "b'x'"),
        (None, "NoneType", "None"),
        ([1, "a"], "list", "[1, 'a']"),
        ((1,), "tuple", "(1,)"),
        ([1] * 100, "list", "100 items"),
        ([], "list", "[]"),
        (["x" * 60], "list", "1 item"),
        ({"a": 1, 2: None}, "dict", "{'a': 1, 2: None}"),
        ({}, "dict", "{}"),
        ({"a": Trap()}, "dict", "1 item"),
        ({(): 1}, "dict", "1 item"),
        ({number: 0 for number in range(9)}, "dict", "9 items"),
        ({1}, "set", "{1}"),
        (set(), "set", "set()"),
        (frozenset({1}), "frozenset", "1 item"),
        ([Trap()], "list", "1 item"),
        (range(10**9), "range", "1000000000 items"),
    ],
)
def test_short_values(value: object, type_: str, text: str) -> None:
    assert shown(x=value) == {"x": ["variable", type_, text]}


def test_nothing_is_called() -> None:
    assert shown(trap=Trap(), Trap=Trap, f=shown) == {
        "trap": ["variable", "test_queries.Trap", ""],
        "Trap": ["class", "type", ""],
        "f": ["function", "function", ""],
    }


def test_shapes_of_arrays_only() -> None:
    array = type("ndarray", (), {"__module__": "numpy", "shape": (3, 4), "dtype": "float64"})()
    other = type("thing", (), {"__module__": "mine", "shape": (3, 4)})()
    assert shown(a=array, o=other) == {
        "a": ["variable", "numpy.ndarray", "3 \u00d7 4 float64"],
        "o": ["variable", "mine.thing", ""],
    }


def test_only_what_the_user_has_defined() -> None:
    hidden: dict[str, Any] = {"exit": 1, "mine": 2}
    shell = types.SimpleNamespace(user_ns_hidden=hidden)
    names = shown(get_ipython=lambda: shell, _x=1, exit=1, mine=3, json=json)
    assert set(names) == {"get_ipython", "mine"}


def test_many_names_are_cut() -> None:
    assert len(shown(**{f"x{number}": number for number in range(5000)})) == 1000


def definition(name: str) -> Any:
    return json.loads(python.definition({"Known": Known, "json": json, "trap": Trap()}, name))


def test_definitions() -> None:
    assert definition("Known")["source"].startswith("class Known:\n")
    assert definition("Known")["file"] == __file__
    assert "staticmethod" in definition("Known.fixed")["source"]
    assert "raise AssertionError" in definition("Known.watched")["source"]
    assert definition("json.dumps")["file"].endswith("json/__init__.py")
    assert definition("json")["line"] == 0


@pytest.mark.parametrize("name", ["nothing", "Known.nothing", "len", "trap", "trap.x", "json.x.y"])
def test_no_definition(name: str) -> None:
    assert definition(name) is None
