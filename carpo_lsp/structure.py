"""From JSON to the frozen classes of `protocol.py` and back, by the hints of their fields."""

from __future__ import annotations

import base64
import binascii
import functools
import math
import types
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs

from carpo_lsp.errors import InvalidParams

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


def parse(cls: type[T], params: object) -> T:
    """An instance of `cls`, a class of `protocol.py`, from what `json.loads` made of the wire.

    No params at all are taken for `{}`, unknown keys are ignored.
    Raises InvalidParams; its message starts with the path of the field, as in
    "textDocument.uri: expected a string, got a number".
    """
    value: T = _structure(cls, {} if params is None else params, "")
    return value


def to_wire(value: Any) -> Any:
    """JSON values for an instance of such a class; dicts are left as they are."""
    cls: type[object] = type(value)
    if attrs.has(cls):
        return {
            field.wire: to_wire(item)
            for field in _fields(cls)
            if (item := getattr(value, field.name)) is not None or field.required
        }
    if isinstance(value, (list, tuple)):
        return [to_wire(item) for item in value]
    if isinstance(value, (bytes, memoryview)):
        return base64.b64encode(value).decode("ascii")
    return value


@attrs.frozen
class _Field:
    name: str
    wire: str
    hint: Any
    required: bool


@functools.cache
def _fields(cls: type[attrs.AttrsInstance]) -> tuple[_Field, ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        _Field(a.name, camel_case(a.name), hints[a.name], a.default is attrs.NOTHING)
        for a in attrs.fields(cls)
    )


def camel_case(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _structure(hint: Any, value: Any, path: str) -> Any:
    """`value` as `hint` wants it; the hints used in `protocol.py` are all it knows."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _checked(hint, value, path)
    if origin in (Union, types.UnionType):
        (inner,) = (arg for arg in get_args(hint) if arg is not types.NoneType)
        return None if value is None else _structure(inner, value, path)
    if origin is Literal:
        choices = get_args(hint)
        # The type is compared too, since True == 1.
        if not any(value == choice and type(value) is type(choice) for choice in choices):
            raise _invalid(path, "expected one of " + ", ".join(map(repr, choices)))
        return value
    if origin is tuple:
        hints = get_args(hint)
        items = _expect(list, value, path)
        if hints[-1] is Ellipsis:
            hints = hints[:1] * len(items)
        elif len(items) != len(hints):
            raise _invalid(path, f"expected {len(hints)} items, got {len(items)}")
        return tuple(
            _structure(item_hint, item, f"{path}[{i}]")
            for i, (item_hint, item) in enumerate(zip(hints, items, strict=True))
        )
    if origin is dict:
        item_hint = get_args(hint)[1]
        items = _expect(dict, value, path)
        return {k: _structure(item_hint, item, f"{path}.{k}") for k, item in items.items()}
    if hint is Any:
        return value
    if hint is bytes:
        return _decode_base64(_expect(str, value, path), path)
    if attrs.has(hint):
        return _instance(hint, _expect(dict, value, path), path)
    return _expect(hint, value, path)


def _instance(cls: type[attrs.AttrsInstance], value: dict[str, Any], path: str) -> Any:
    prefix = path + "." if path else ""
    arguments = {}
    for field in _fields(cls):
        item = value.get(field.wire)
        if item is not None or (field.required and field.wire in value):
            arguments[field.name] = _structure(field.hint, item, prefix + field.wire)
        elif field.required:
            raise _invalid(prefix + field.wire, "missing")
    return cls(**arguments)


def _checked(hint: Any, value: Any, path: str) -> Any:
    inner, *checks = get_args(hint)
    value = _structure(inner, value, path)
    for check in checks:
        if problem := check(value):
            raise _invalid(path, problem)
    return value


_JSON_NAMES: Final[Mapping[type, str]] = types.MappingProxyType(
    {
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        list: "an array",
        dict: "an object",
        types.NoneType: "null",
    }
)


def _expect(expected: type, value: Any, path: str) -> Any:
    # By exact type: bool is a subclass of int, and JSON makes no other subclasses.
    if type(value) is expected:
        return value
    if expected is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return math.inf
    got = "a number" if type(value) is int else _JSON_NAMES[type(value)]
    if expected is int and type(value) is float:
        got = str(value)
    raise _invalid(path, f"expected {_JSON_NAMES[expected]}, got {got}")


def _decode_base64(value: str, path: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _invalid(path, "expected base64") from None


def _invalid(path: str, problem: str) -> InvalidParams:
    return InvalidParams(f"{path or 'params'}: {problem}")
