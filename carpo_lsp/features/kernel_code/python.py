"""Run inside a Python kernel, of any Python from 3.8 on, by `features/queries.py`.

It must be quick and change nothing: names are looked up without calling anything, and only the
values of types that are known to be harmless are shown.
"""

from __future__ import annotations

import inspect
import json
import linecache
import re
import types
from typing import Any

LONGEST = 60
FEW = 8
MOST = 1000
SCALARS = (bool, int, float, complex, str, bytes, type(None))
SIZED = (list, tuple, dict, set, frozenset, bytearray, range)
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
    for name, value in list(namespace.items()):
        own = name not in hidden or hidden[name] is not value
        if name.startswith("_") or not own or is_a(value, types.ModuleType):
            continue
        found.append([name, kind_of(value), type_of(value), short(value)])
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
    if kind in SIZED:
        text = few(value)
        if text and len(text) <= LONGEST:
            return text
        return str(len(value)) + (" items" if len(value) != 1 else " item")
    if root_of(kind) in SHAPED.split():
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple):
            dtype = getattr(value, "dtype", None)
            text = " × ".join(map(str, shape)) if shape else "scalar"  # noqa: RUF001 - a times sign
            return text if dtype is None else text + " " + str(dtype)[:LONGEST]
    return ""


def few(value: Any) -> str:
    """A list, tuple, set or dict of a few scalars as it is written; empty for any other."""
    kind = type(value)
    if kind not in (list, tuple, set, dict) or len(value) > FEW:
        return ""
    # Copied first: other threads may change it meanwhile.
    items = list(value.items()) if kind is dict else [(item,) for item in list(value)]
    if not all(type(part) in SCALARS for item in items for part in item):
        return ""
    text = ", ".join(": ".join(map(scalar, item)) for item in items)
    if kind is list:
        return "[" + text + "]"
    if kind is tuple:
        return "(" + text + ("," if len(items) == 1 else "") + ")"
    return "{" + text + "}" if items or kind is dict else "set()"


def scalar(value: Any) -> str:
    if type(value) is int and value.bit_length() > 200:
        return "an integer of " + str(value.bit_length()) + " bits"
    text = repr(value[:LONGEST] if isinstance(value, (str, bytes)) else value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


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
