"""Writes what repeats the code: docs/settings.md, docs/commands.md and the settings of the
extension for VS Code. Run it as `python docs/write_reference.py`."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import attrs

from carpo_lsp.features.commands import COMMANDS
from carpo_lsp.workspace import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent

SETTINGS_HEAD = """\
# Settings

<!-- Written by docs/write_reference.py from carpo_lsp/workspace/settings.py; do not edit. -->

They come from these places, of which a later one goes before an earlier:

1. your own file: `carpo.toml` in your configuration folder, which is `~/.config/carpo-lsp` on Linux
   and `~/Library/Application Support/carpo-lsp` on macOS; the command line reads the servers in it
   too;
2. the file of a project: `carpo.toml`, or the table `[tool.carpo]` in `pyproject.toml`, in the
   first workspace folder or the nearest folder above it;
3. `initializationOptions` of the client's `initialize`, under `carpo`;
4. the client's configuration: the section `carpo` of its answer to `workspace/configuration`, or
   the `settings` of its `workspace/didChangeConfiguration`, under `carpo`.

These are the defaults, as a client gives them:

```json
{example}
```

And this is the file of a project; in `pyproject.toml` the table is `[tool.carpo.kernel]`:

```toml
# carpo.toml
[kernel]
name = "python3"
scope = "document"
```

A wrong value is as if it had not been given, and the user is told so once. A project's file sets
what is harmless, and nothing that is marked *not for projects* below: it chooses among the
installed kernels, and cannot name a command, a path or an interpreter to run. Keys that are not
listed are left to the client: `carpo.notifications` is one that the [protocol](protocol.md) uses.
"""

COMMANDS_HEAD = """\
# Commands

<!-- Written by docs/write_reference.py from carpo_lsp/features/commands.py; do not edit. -->

For `workspace/executeCommand`. Each returns at once; what goes wrong comes as a message that says
what to do.

A command that needs a place takes it in any of these forms, with numbers as numbers or text:

| arguments | meaning |
|---|---|
| none | where the client's last request about a position was |
| `[{"uri", "line"}]`, `[{"uri", "position"}]`, `[{"uri", "range"}]` | LSP's: lines from 0 |
| `[uri, Position]`, `[uri, Range]` | the same, as Sublime Text has them |
| `["path", line]`, `["path", line, last]` | a path and lines **from 1**, as Helix has them |

| command | what it does |
|---|---|
"""


def settings_page() -> str:
    """The whole of settings.md."""
    example = json.dumps({"carpo": _defaults(settings.Settings)}, indent=2)
    parts = [SETTINGS_HEAD.replace("{example}", example)]
    for path, section in _sections("carpo", settings.Settings):
        texts = _docstrings(section)
        parts.append(f"## {path}\n\n{inspect.getdoc(section)}\n")
        parts += [
            f"**`{path}.{field.wire}`**: {_type(field.hint)}, "
            f"default `{json.dumps(_default(field))}`"
            f"{'' if field.project else ' (*not for projects*)'}\n\n{texts[field.name]}\n"
            for field in settings.fields_of(section)
            if not attrs.has(field.hint) and settings.item_of(field.hint) is None
        ]
    return "\n".join(parts)


def _sections(path: str, section: Any) -> Iterator[tuple[str, Any]]:
    """The sections below one, each before those inside it."""
    for field in settings.fields_of(section):
        if attrs.has(field.hint):
            yield f"{path}.{field.wire}", field.hint
            yield from _sections(f"{path}.{field.wire}", field.hint)
        elif (item := settings.item_of(field.hint)) is not None:
            yield f"{path}.{field.wire}.NAME", item


def _defaults(section: Any) -> dict[str, Any]:
    return {
        field.wire: _defaults(field.hint) if attrs.has(field.hint) else _default(field)
        for field in settings.fields_of(section)
    }


def commands_page() -> str:
    """The whole of commands.md."""
    rows = []
    for name, function in COMMANDS.items():
        text = " ".join((inspect.getdoc(function) or "").split()).replace("|", "\\|")
        rows.append(f"| `carpo.{name}` | {text} |\n")
    return COMMANDS_HEAD + "".join(rows)


MANIFEST = FOLDER.parent / "editors" / "vscode" / "package.json"


def vscode_manifest() -> str:
    """The whole of VS Code's package.json, of which the server's settings are written here."""
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    fields = {
        f"{path}.{field.wire}": (field, _docstrings(section)[field.name])
        for path, section in _sections("carpo", settings.Settings)
        for field in settings.fields_of(section)
        if not attrs.has(field.hint) and not path.endswith(".NAME")
    }
    own, generated = manifest["contributes"]["configuration"]
    generated["properties"] = {key: _vscode_setting(*field) for key, field in fields.items()}
    generated["properties"] |= {
        f"carpo.{field.wire}": _vscode_sections(item)
        for field in settings.fields_of(settings.Settings)
        if (item := settings.item_of(field.hint)) is not None
    }
    manifest["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"] = [
        *(key for key in own["properties"] if key.startswith("carpo.server.")),
        *(key for key, (field, _) in fields.items() if not field.project),
    ]
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"


def _vscode_sections(item: Any) -> dict[str, Any]:
    """A setting that has sections by names, for the user's own settings and no workspace's."""
    texts = _docstrings(item)
    properties = {
        field.wire: {
            key: value
            for key, value in _vscode_setting(field, texts[field.name]).items()
            if key != "scope"
        }
        for field in settings.fields_of(item)
    }
    return {
        "type": "object",
        "default": {},
        "scope": "machine",
        "markdownDescription": " ".join((inspect.getdoc(item) or "").split()),
        "additionalProperties": {"type": "object", "properties": properties},
    }


def _vscode_setting(field: settings.Field, text: str) -> dict[str, Any]:
    hint = get_args(field.hint)[0] if get_origin(field.hint) is Annotated else field.hint
    schema: dict[str, Any]
    if get_origin(hint) is Literal:
        schema = {"type": "string", "enum": list(get_args(hint))}
    elif get_origin(hint) is dict:
        schema = {"type": "object", "additionalProperties": {"type": "string"}}
    else:
        schema = {"type": {bool: "boolean", int: "integer", float: "number", str: "string"}[hint]}
        if hint in (int, float):
            schema["minimum"] = 0
    # What a project's file cannot set, a workspace can once it is trusted.
    scope = "window" if field.project else "machine-overridable"
    description = " ".join(text.split())
    return schema | {
        "default": _default(field),
        "scope": scope,
        "markdownDescription": description,
    }


PAGES = {
    FOLDER / "settings.md": settings_page,
    FOLDER / "commands.md": commands_page,
    MANIFEST: vscode_manifest,
}


def _default(field: settings.Field) -> Any:
    if get_origin(field.hint) is dict:
        return {}
    # 60 reads better than 60.0, and is the same in JSON.
    return int(field.default) if field.hint is float else field.default


def _docstrings(section: Any) -> dict[str, str]:
    """The strings that follow the attributes in the source of a class."""
    (class_,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(class_, ast.ClassDef)
    found = {}
    for attribute, text in zip(class_.body, class_.body[1:], strict=False):
        if isinstance(attribute, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(attribute.target, ast.Name)
            found[attribute.target.id] = inspect.cleandoc(ast.literal_eval(text.value))
    return found


def _type(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        return _type(get_args(hint)[0])
    if get_origin(hint) is dict:
        return "an object of texts"
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(f"`{json.dumps(choice)}`" for choice in get_args(hint))
    return {bool: "true or false", int: "whole number", float: "number", str: "text"}[hint]


if __name__ == "__main__":
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")
