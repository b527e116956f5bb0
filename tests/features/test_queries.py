"""What is run inside kernels, here without one: it tells much and touches nothing."""

from __future__ import annotations

import collections
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
        ([1] * 100, "list", "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, …] (100 items)"),
        ([], "list", "[]"),
        (["x" * 60, "y"], "list", f"['{'x' * 22}…, 'y']"),
        (["x" * 60] * 9, "list", f"['{'x' * 22}…, '{'x' * 22}…, …] (9 items)"),
        ({"a": 1, 2: None}, "dict", "{'a': 1, 2: None}"),
        ({}, "dict", "{}"),
        ({"a": Trap()}, "dict", "{'a': <test_queries.Trap>}"),
        ({(): 1}, "dict", "{(): 1}"),
        (
            {n: 0 for n in range(99)},
            "dict",
            f"{{{''.join(f'{n}: 0, ' for n in range(9))}9: 0, …}} (99 items)",
        ),
        ({1}, "set", "{1}"),
        (set(), "set", "set()"),
        (frozenset({1}), "frozenset", "frozenset({1})"),
        ([Trap(), 2], "list", "[<test_queries.Trap>, 2]"),
        ([[1, 2], {"a": [3]}], "list", "[[1, 2], {'a': […]}]"),
        ([[0] * 99] * 2, "list", "[[0, 0, 0, 0, 0, 0, 0, 0, …] (99 items), …] (2 items)"),
        (range(10**9), "range", "range(0, 1000000000)"),
        ([range(3)], "list", "[range(0, 3)]"),
        (collections.deque([1, 2]), "collections.deque", "deque([1, 2])"),
        (collections.Counter("aab"), "collections.Counter", "Counter({'a': 2, 'b': 1})"),
        (bytearray(b"ab"), "bytearray", "bytearray([97, 98])"),
    ],
)
def test_short_values(value: object, type_: str, text: str) -> None:
    assert shown(x=value) == {"x": ["variable", type_, text]}


def test_of_huge_containers_only_the_first_items_are_looked_at() -> None:
    recursive: list[Any] = []
    recursive.append(recursive)
    assert shown(x=recursive) == {"x": ["variable", "list", "[[[…]]]"]}
    texts = shown(x=[[[1] * 1000] * 1000] * 1000, y="x" * 10**7, z=b"x" * 10**7)
    assert all(len(value) < 100 for _, _, value in texts.values())


def test_names_without_values_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python, "LONG", -1)
    assert shown(x=1, y=[2]) == {"x": ["variable", "int", ""], "y": ["variable", "list", ""]}


def test_nothing_is_called() -> None:
    assert shown(trap=Trap(), Trap=Trap, f=shown) == {
        "trap": ["variable", "test_queries.Trap", ""],
        "Trap": ["class", "type", ""],
        "f": ["function", "function", ""],
    }


def test_shapes_of_arrays_only() -> None:
    array = type("ndarray", (), {"__module__": "numpy", "shape": (3, 4), "dtype": "float64"})()
    other = type("thing", (), {"__module__": "mine", "shape": (3, 4)})()
    dtype = types.SimpleNamespace(kind="f")
    number = {"__module__": "numpy", "shape": (), "dtype": dtype, "item": lambda self: 1.5}
    assert shown(a=array, o=other, n=type("float64", (), number)()) == {
        "a": ["variable", "numpy.ndarray", "3 \u00d7 4 float64"],
        "n": ["variable", "numpy.float64", "1.5"],
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
