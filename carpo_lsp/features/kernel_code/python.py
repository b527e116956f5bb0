"""Run inside a Python kernel, of any Python from 3.8 on, by `features/queries.py`.

It must be quick and change nothing: names are looked up without calling anything, and only the
values of types that are known to be harmless are shown.
"""

from __future__ import annotations

import collections
import inspect
import itertools
import json
import linecache
import re
import time
import types
from typing import Any

# Characters of a value, and of one in it; items of a container that are looked at; how deep.
LONGEST = 60
ITEM = 24
FEW = 10
DEEPEST = 1
MOST = 1000
# Seconds of work after which names are told without their values.
LONG = 0.3
SCALARS = (bool, int, float, complex, str, bytes, type(None))
BRACKETS: dict[Any, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    dict: ("{", "}"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    bytearray: ("bytearray([", "])"),
    collections.deque: ("deque([", "])"),
    collections.defaultdict: ("defaultdict({", "})"),
    collections.OrderedDict: ("OrderedDict({", "})"),
    collections.Counter: ("Counter({", "})"),
}
EMPTY: dict[Any, str] = {set: "set()", frozenset: "frozenset()"}
FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
SHAPED = (
    "cupy dask geopandas jax jaxlib modin numpy pandas polars pyarrow scipy tensorflow torch xarray"
)


def variables(namespace: dict[str, Any]) -> str:
    """Name, kind, type and short value of what the user has defined, as JSON."""
    hidden: Any = {}
    if "get_ipython" in namespace:
        hidden = getattr(namespace["get_ipython"](), "user_ns_hidden", {})
    found = []
    until = time.thread_time() + LONG
    for name, value in list(namespace.items()):
        own = name not in hidden or hidden[name] is not value
        if name.startswith("_") or not own or is_a(value, types.ModuleType):
            continue
        text = short(value) if time.thread_time() < until else ""
        found.append([name, kind_of(value), type_of(value), text])
        if len(found) == MOST:
            break
    return json.dumps(found)


def is_a(value: Any, kinds: Any) -> bool:
    """As isinstance, which would ask a proxy for its `__class__` and so wake it."""
    return issubclass(type(value), kinds)


def kind_of(value: Any) -> str:
    if is_a(value, type):
        return "class"
    return "function" if is_a(value, FUNCTIONS) else "variable"


def type_of(value: Any) -> str:
    kind = type(value)
    root = root_of(kind)
    return kind.__name__ if root in ("builtins", "__main__") else root + "." + kind.__name__


def root_of(kind: type) -> str:
    return str(kind.__module__).partition(".")[0]


def short(value: Any) -> str:
    """A value in a few words; empty when that could cost something."""
    kind = type(value)
    if kind in SCALARS:
        return scalar(value)
    if kind is range:
        return repr(value)
    if kind in BRACKETS:
        return items(value, LONGEST)
    if root_of(kind) in SHAPED.split():
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple):
            dtype = getattr(value, "dtype", None)
            if shape == () and root_of(kind) == "numpy" and getattr(dtype, "kind", "O") in "biufc":
                return scalar(value.item())
            text = " × ".join(map(str, shape)) if shape else "scalar"  # noqa: RUF001 - a times sign
            return text if dtype is None else text + " " + str(dtype)[:LONGEST]
    return ""


def items(value: Any, room: int, depth: int = 0) -> str:
    """The first items of a container, in about `room` characters: `[1, 2, …] (100 items)`."""
    kind = type(value)
    opening, closing = BRACKETS[kind]
    pairs = issubclass(kind, dict)
    try:
        first = list(itertools.islice(value.items() if pairs else value, FEW))
    except RuntimeError:  # another thread has changed it meanwhile
        first = []
    texts: list[str] = []
    for entry in first:
        text = ": ".join(item(part, depth) for part in (entry if pairs else (entry,)))
        room -= len(text) + 2
        if room < 0:
            break
        texts.append(text)
    count = len(value)
    if kind is tuple and count == len(texts) == 1:
        closing = ",)"
    if count == 0:
        return EMPTY.get(kind, opening + closing)
    if len(texts) == count:
        return opening + ", ".join(texts) + closing
    size = str(count) + (" items" if count != 1 else " item")
    return opening + ", ".join([*texts, "…"]) + closing + " (" + size + ")"


def item(value: Any, depth: int) -> str:
    """An item of a container, `depth` containers deep."""
    kind = type(value)
    if kind in SCALARS:
        return clipped(scalar(value), ITEM)
    if kind is range:
        return repr(value)
    if kind in BRACKETS:
        opening, closing = BRACKETS[kind]
        return items(value, ITEM, depth + 1) if depth < DEEPEST else opening + "…" + closing
    return "<" + clipped(type_of(value), ITEM) + ">"


def scalar(value: Any) -> str:
    if type(value) is int and value.bit_length() > 200:
        return "an integer of " + str(value.bit_length()) + " bits"
    text = repr(value[:LONGEST] if isinstance(value, (str, bytes)) else value)
    return clipped(text, LONGEST)


def clipped(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def definition(namespace: dict[str, Any], name: str) -> str:
    """File, first line (from 0) and source of what a dotted name stands for, as JSON."""
    thing = find(namespace, name)
    if is_a(thing, types.ModuleType):
        file = vars(thing).get("__file__")
        return json.dumps({"file": file, "line": 0, "source": ""}) if file else "null"
    if not is_a(thing, (type, *FUNCTIONS)):
        return "null"
    try:
        lines, line = inspect.getsourcelines(thing)
        file = inspect.getsourcefile(thing) or inspect.getfile(thing)
    except (OSError, TypeError):
        place = class_place(thing) if is_a(thing, type) else None
        if place is None:
            return "null"
        file, lines, line = place
    return json.dumps({"file": file, "line": max(0, line - 1), "source": "".join(lines)})


def find(namespace: dict[str, Any], name: str) -> Any:
    """What a dotted name stands for; no property, no `__getattr__` is called."""
    first, *rest = name.split(".")
    builtins = vars(__import__("builtins"))
    thing = namespace.get(first, builtins.get(first))
    for attribute in rest:
        thing = inspect.getattr_static(thing, attribute, None)
        if isinstance(thing, (staticmethod, classmethod)):
            thing = thing.__func__
        elif isinstance(thing, property):
            thing = thing.fget
    return thing


def class_place(kind: type) -> tuple[str, list[str], int] | None:
    """Where a class of the main module stands, which `inspect` may not know: its methods do."""
    for value in vars(kind).values():
        code = getattr(getattr(value, "__func__", value), "__code__", None)
        if code is None:
            continue
        lines = linecache.getlines(code.co_filename)
        for number in range(min(code.co_firstlineno, len(lines)) - 1, -1, -1):
            if re.match(r"\s*class\s+" + re.escape(kind.__name__) + r"\b", lines[number]):
                return code.co_filename, [lines[number]], number + 1
    return None
