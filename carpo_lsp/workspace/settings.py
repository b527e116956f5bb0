"""The settings a user can choose, under `carpo.*`: typed, with defaults, tolerant of mistakes."""

from __future__ import annotations

import functools
import math
import re
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import attrs

PROJECT: Final = "project"
"""Key of a field's metadata: true where the file of a project may set it."""

HIDDEN: Final = "hidden"
"""Key of a field's metadata: true where no message is to show the value."""

T = TypeVar("T")


def _project(default: T) -> T:
    """A default that the file of a project may replace.

    Projects are cloned from anywhere and opened before they are read: what they set must be
    harmless. A command, a path or an interpreter to run is not, nor is what shows them elsewhere.
    """
    field: T = attrs.field(default=default, metadata={PROJECT: True})
    return field


def _bare_name(value: object) -> str:
    if not isinstance(value, str):
        return "a text"
    fits = re.fullmatch(r"[A-Za-z0-9._-]*", value)
    return "" if fits else "the name of an installed kernelspec, not a path"


def _limit(value: object) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = number and 0 <= value < math.inf  # type: ignore[operator] # a number, as it says
    return "" if fits else "a number, with 0 for none"


@attrs.frozen(kw_only=True)
class Limits:
    """What a kernel may take; 0 is without limit."""

    memory_mb: Annotated[float, _limit] = _project(0)
    """Megabytes of memory of a kernel and its child processes: it is warned of at 80 %,
    interrupted at 100 % and killed at 120 %. What they share counts once on Linux."""
    execution_seconds: Annotated[float, _limit] = _project(0)
    """Seconds after which an execution is interrupted."""
    idle_minutes: Annotated[float, _limit] = _project(0)
    """Minutes without work after which a kernel is shut down."""


@attrs.frozen(kw_only=True)
class Kernel:
    """Which kernels are started, and when."""

    name: Annotated[str, _bare_name] = _project("")
    """Name of the installed kernelspec to use for documents of its language; empty: what a
    document's header says, else the nearest Python environment, else one for the language."""
    python: str = ""
    """Path of the Python interpreter, or of the environment, whose ipykernel runs Python; goes
    before `name`."""
    start: Literal["auto", "onUse", "onRun", "never"] = "auto"
    """When a document's kernel starts: with its first completion or run (onUse), with its first
    run (onRun), only by a request for it (never), or with its first completion where you have run
    code of the project before, else with its first run (auto)."""
    scope: Literal["auto", "document", "workspace"] = _project("auto")
    """Which documents share a kernel: plain files of one workspace, language and environment but
    no others (auto), none (document), or all of them (workspace)."""
    timeout: float = _project(60.0)
    """Seconds a kernel has to start."""
    auto_restart: bool = _project(False)
    """Whether a kernel that has died is restarted by itself, at most three times in a minute; not
    after a shutdown, a kill by one of its limits, or a restart that failed."""
    keep_alive: bool = False
    """Whether kernels go on when the editor quits, and are taken up when a document of theirs is
    opened again."""
    keep_minutes: Annotated[float, _limit] = 1440
    """Minutes that such a kernel may be idle without an editor before it is ended; 0 is for ever.
    """
    limits: Limits = attrs.field(factory=Limits)


@attrs.frozen(kw_only=True)
class Completion:
    """Completion from the live kernel."""

    budget: float = _project(200.0)
    """Milliseconds after which an unanswered completion becomes an empty, incomplete list."""


@attrs.frozen(kw_only=True)
class Output:
    """What running code prints and shows."""

    max_push_bytes: int = 4 * 1024 * 1024
    """Bytes beyond which one output is kept on disk and the client gets its beginning."""


@attrs.frozen(kw_only=True)
class Results:
    """What is shown of results in the document."""

    show: Literal["auto", "hint", "diagnostic", "off"] = _project("auto")
    """How a short result stands beside its cell: as an inlay hint where the client can refresh
    them and asks for them, which it does not while its user has switched them off, and else as a
    diagnostic (auto), always as one of the two, or not at all (off)."""
    notify_after: float = _project(10.0)
    """Seconds after which the end of an execution is told by a message."""


@attrs.frozen(kw_only=True)
class Journal:
    """What has been run, kept on disk for after a restart, see [the journal](journal.md)."""

    enabled: bool = True
    """Whether what is run is written to the journal, and shown again after a restart."""
    max_megabytes: int = 500
    """Megabytes beyond which the oldest entries are removed."""
    max_days: int = 30
    """Days after which entries are removed."""


@attrs.frozen(kw_only=True)
class Server:
    """A Jupyter Server or a gateway, by a name of your choice, see
    [kernels of Jupyter servers](remote.md). What it wants to see is the first of `token`,
    `tokenFile`, `tokenEnv` and `keyring` that is given."""

    url: str = ""
    """Where it is, as `jupyter server list` prints it."""
    token: str = attrs.field(default="", metadata={HIDDEN: True}, repr=False)
    """Its token; better one of the next three."""
    token_file: str = ""
    """A file of which the first line is the token."""
    token_env: str = ""
    """The name of an environment variable that has the token."""
    keyring: str = ""
    """Service and user name, with a blank between them, under which the token is in your keyring;
    this needs the package keyring."""
    login: Literal["token", "password"] = "token"
    """Whether that is a token or a password."""
    ca_file: str = ""
    """Certificates, in PEM format, of the authority that vouches for it; empty: those of the
    system."""
    paths: dict[str, str] = attrs.field(factory=dict)
    """Folders of this machine, and what the same folders are called where the kernels run, from
    `/` on."""
    env: dict[str, str] = attrs.field(factory=dict, metadata={HIDDEN: True}, repr=False)
    """Variables for the kernels that it starts; gateways take those that begin with `KERNEL_`."""


@attrs.frozen(kw_only=True)
class Host:
    """A host that is [reached by ssh](other-kernels.md#by-ssh), by the name that ssh has for it:
    its kernels are listed with those of this machine. An empty object will do."""

    paths: dict[str, str] = attrs.field(factory=dict)
    """Folders of this machine, and what the same folders are called there, from `/` on."""


@attrs.frozen(kw_only=True)
class Settings:
    """All settings. Wire names are camelCase: `carpo.output.maxPushBytes`."""

    kernel: Kernel = attrs.field(factory=Kernel)
    completion: Completion = attrs.field(factory=Completion)
    output: Output = attrs.field(factory=Output)
    results: Results = attrs.field(factory=Results)
    journal: Journal = attrs.field(factory=Journal)
    servers: dict[str, Server] = attrs.field(factory=dict)
    hosts: dict[str, Host] = attrs.field(factory=dict)


@attrs.frozen
class Layer:
    """The settings of one source: the `carpo` section of a client, or the file of a project or of
    the user."""

    values: object
    file: str | None = None
    """Name of the file; None for a client."""
    is_project: bool = True
    """Whether the file is a project's, which sets nothing that could do harm."""


def read(*layers: Layer) -> tuple[Settings, list[str]]:
    """Settings from their sources, of which a later one goes before an earlier, and what is wrong.

    A wrong value is as if it were not there, and becomes one sentence. So does what a project may
    not set, or misspells; unknown keys of a client are left alone, for it may keep settings of
    its own there.
    """
    settings = Settings()
    problems: list[str] = []
    for layer in layers:
        settings = _section(settings, layer.values, "", layer, problems)
    return settings, problems


def _section(base: Any, values: object, path: str, layer: Layer, problems: list[str]) -> Any:
    """`base` with the values that fit. `path` is that of the section, with a dot at its end."""
    file = layer.file
    where = f"{file}: {path}" if file else f"carpo.{path}"
    if values is None:
        return base
    if not isinstance(values, dict):
        problems.append(f"{where.rstrip('. :')}: expected an object; it is left out.")
        return base
    cls: Any = type(base)
    fields = {field.wire: field for field in fields_of(cls)}
    chosen: dict[str, Any] = {}
    for key, value in values.items():
        field = fields.get(key)
        if field is None:
            if file:
                problems.append(f"{where}{key}: there is no such setting.")
        elif value is None:
            continue
        elif attrs.has(field.hint):
            section = getattr(base, field.name)
            chosen[field.name] = _section(section, value, f"{path}{key}.", layer, problems)
        elif file and layer.is_project and not field.project:
            problems.append(f"{where}{key}: a project cannot set this; set it in the editor.")
        elif (item := item_of(field.hint)) is not None:
            chosen[field.name] = _named(
                getattr(base, field.name), item, value, f"{path}{key}.", layer, problems
            )
        elif (expected := _mismatch(field.hint, value)) is not None:
            used = getattr(base, field.name)
            got = f", got {value!r}; using {used!r}" if not field.hidden else ""
            problems.append(f"{where}{key}: expected {expected}{got}.")
        else:
            chosen[field.name] = value
    return attrs.evolve(base, **chosen)


def _named(
    base: dict[str, Any],
    item: Any,
    values: object,
    path: str,
    layer: Layer,
    problems: list[str],
) -> dict[str, Any]:
    """`base` with sections under names that users choose."""
    where = f"{layer.file}: {path}" if layer.file else f"carpo.{path}"
    if not isinstance(values, dict):
        problems.append(f"{where.rstrip('.')}: expected an object; it is left out.")
        return base
    found = dict(base)
    for name, value in values.items():
        if not re.fullmatch(r"[A-Za-z0-9._-]+", str(name)):
            problems.append(f"{where}{name}: a name has letters, digits, dots and dashes only.")
        elif value is None:
            found.pop(name, None)
        else:
            section = found.get(name, item())
            found[name] = _section(section, value, f"{path}{name}.", layer, problems)
    return found


def item_of(hint: Any) -> Any:
    """The class of the sections of a setting that has them by names; None for all others."""
    item = get_args(hint)[1] if get_origin(hint) is dict else None
    return item if item is not None and attrs.has(item) else None


def _mismatch(hint: Any, value: object) -> str | None:
    """What a value should have been, None when it fits."""
    if get_origin(hint) is Annotated:
        _, check = get_args(hint)
        return check(value) or None
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        return None if value in choices else "one of " + ", ".join(map(repr, choices))
    if get_origin(hint) is dict:
        fits = isinstance(value, dict) and all(
            isinstance(text, str) for pair in value.items() for text in pair
        )
        return None if fits else "an object of texts"
    if hint is str:
        return None if isinstance(value, str) else "a text"
    if hint is bool:
        return None if isinstance(value, bool) else "true or false"
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = number and 0 < value < math.inf  # type: ignore[operator] # a number, as it says
    if hint is float:
        return None if fits else "a positive number"
    return None if fits and isinstance(value, int) else "a positive whole number"


@attrs.frozen
class Field:
    """A setting, or a section of settings, as it is found in a class above."""

    name: str
    wire: str
    hint: Any
    default: Any
    project: bool
    hidden: bool


@functools.cache
def fields_of(section: Any) -> tuple[Field, ...]:
    """The settings of a section, or the sections of `Settings`."""
    hints = get_type_hints(section, include_extras=True)
    return tuple(
        Field(
            name=each.name,
            wire=re.sub(r"_([a-z])", lambda match: match[1].upper(), each.name),
            hint=hints[each.name],
            default=each.default,
            project=each.metadata.get(PROJECT, False),
            hidden=each.metadata.get(HIDDEN, False),
        )
        for each in attrs.fields(section)
    )
