"""The settings a user can choose, under `carpo.*`: typed, with defaults, tolerant of mistakes."""

from __future__ import annotations

import functools
import re
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs


@attrs.frozen(kw_only=True)
class Kernel:
    """Which kernels are started, and when."""

    start: Literal["onUse", "onRun", "never"] = "onUse"
    """When a document's kernel starts: with its first completion or run, with its first run, or
    only by a request for it."""
    scope: Literal["auto", "document", "workspace"] = "auto"
    """Which documents share a kernel: plain files of one workspace, language and environment but
    no others (auto), none (document), or all of them (workspace)."""
    timeout: float = 60.0
    """Seconds a kernel has to start."""


@attrs.frozen(kw_only=True)
class Completion:
    """Completion from the live kernel."""

    budget: float = 200.0
    """Milliseconds after which an unanswered completion becomes an empty, incomplete list."""


@attrs.frozen(kw_only=True)
class Output:
    """What running code prints and shows."""

    max_push_bytes: int = 4 * 1024 * 1024
    """Bytes beyond which one output is kept on disk and the client gets its beginning."""


@attrs.frozen(kw_only=True)
class Settings:
    """All settings. Wire names are camelCase: `carpo.output.maxPushBytes`."""

    kernel: Kernel = attrs.field(factory=Kernel)
    completion: Completion = attrs.field(factory=Completion)
    output: Output = attrs.field(factory=Output)


def read(values: object) -> tuple[Settings, list[str]]:
    """Settings from the `carpo` section of a client's configuration, and what is wrong with it.

    A wrong value gets its default and one sentence. Unknown keys are left to others: a client
    may keep settings of its own there.
    """
    problems: list[str] = []
    settings = _section(Settings, values, "carpo", problems)
    return settings, problems


def _section(cls: Any, values: object, path: str, problems: list[str]) -> Any:
    if values is None:
        return cls()
    if not isinstance(values, dict):
        problems.append(f"{path}: expected an object; using the defaults.")
        return cls()
    chosen: dict[str, Any] = {}
    fields: dict[str, tuple[str, Any, Any]] = _fields(cls)
    for name, (wire, hint, default) in fields.items():
        if wire not in values or values[wire] is None:
            continue
        value, where = values[wire], f"{path}.{wire}"
        if attrs.has(hint):
            chosen[name] = _section(hint, value, where, problems)
        elif (expected := _mismatch(hint, value)) is not None:
            problems.append(f"{where}: expected {expected}, got {value!r}; using {default!r}.")
        else:
            chosen[name] = value
    return cls(**chosen)


def _mismatch(hint: Any, value: object) -> str | None:
    """What a value should have been, None when it fits."""
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        return None if value in choices else "one of " + ", ".join(map(repr, choices))
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
    if hint is float:
        return None if number else "a positive number"
    return None if number and isinstance(value, int) else "a positive whole number"


@functools.cache
def _fields(cls: Any) -> dict[str, tuple[str, Any, Any]]:
    hints = get_type_hints(cls)
    return {
        field.name: (_camel_case(field.name), hints[field.name], field.default)
        for field in attrs.fields(cls)
    }


def _camel_case(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
