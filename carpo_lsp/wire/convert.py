"""LSP's types from JSON: lsprotocol's converter, where it would guess at what a client meant."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

import cattrs
from cattrs.cols import is_sequence, list_structure_factory
from lsprotocol import converters

if TYPE_CHECKING:
    from collections.abc import Callable


def make_converter() -> cattrs.Converter:
    """lsprotocol's converter, which by itself makes a text of anything, a number of a text, and
    an array of the letters of one."""
    converter = converters.get_converter()
    # For enums too, whose values then stay as they are: a client may be newer than we.
    converter.register_structure_hook(str, _only_text)
    converter.register_structure_hook_func(_is_open_enum, _only_text)
    # A bool is an int to Python, and so to the converter.
    of_bool = converter.get_structure_hook(bool)
    converter.register_structure_hook(int, _only_whole_number)
    converter.register_structure_hook(bool, of_bool)
    converter.register_structure_hook_factory(is_sequence, _only_array)
    return converter


def describe(error: Exception) -> str:
    """What the converter did not like first, as "textDocument.uri: expected a string"."""
    problem, _, path = cattrs.transform_error(error)[0].partition(" @ $")
    path = re.sub(r"_([a-z])", lambda found: found[1].upper(), path.removeprefix("."))
    problem = problem.replace("required field missing", "missing")
    return f"{path or 'params'}: {problem}"


def _is_open_enum(hint: Any) -> bool:
    """Whether this is `Kind | str`, for which lsprotocol takes any value."""
    if get_origin(hint) is not Union or type(None) in get_args(hint):
        return False
    found = get_args(hint)
    return str in found and all(issubclass(each, (str, enum.Enum)) for each in found)


def _only_text(value: Any, _: type[str]) -> str:
    if not isinstance(value, str):
        raise TypeError("expected a string")
    return value


def _only_whole_number(value: Any, _: type[int]) -> int:
    # Clients whose language has no integers send 1.0.
    if isinstance(value, bool) or not (
        isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    ):
        raise TypeError("expected an integer")
    return int(value)


def _only_array(hint: Any, converter: cattrs.BaseConverter) -> Callable[[Any, Any], Any]:
    structure = list_structure_factory(hint, converter)

    def checked(value: Any, hint: Any) -> Any:
        # An empty table of Lua may be written as an empty object.
        if not isinstance(value, (list, tuple)) and value != {}:
            raise TypeError("expected an array")
        return structure(value, hint)

    return checked
