"""What a command was called on: arguments in any of the forms that editors can send.

Forms: nothing; `[{uri, line}]`, `[{uri, position}]`, `[{uri, range}]`; `[uri, Position]`,
`[uri, Range]`; `["relative or absolute path", line counted from 1]`. Numbers may be strings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from carpo_lsp.documents.positions import Position, Range
from carpo_lsp.errors import InvalidParams

if TYPE_CHECKING:
    from carpo_lsp.documents.document import Document
    from carpo_lsp.workspace import Workspace

HELP = (
    "Place the cursor in a document and run the command from the code action menu, or give it "
    "arguments: a URI and a position, or a path and a line."
)


@attrs.frozen
class Target:
    """A place in an open document, with the selection where there is one."""

    document: Document
    position: Position
    range: Range | None = None


def resolve(workspace: Workspace, arguments: list[Any]) -> Target:
    """The place a command means; without arguments that of the client's last request about one.

    Raises `InvalidParams` with a sentence that says what to do.
    """
    if not arguments:
        if workspace.last_place is None:
            raise InvalidParams(f"carpo does not know where the cursor is. {HELP}")
        uri, position = workspace.last_place
        return Target(_document(workspace, uri), position)
    first, second = arguments[0], arguments[1] if len(arguments) > 1 else None
    if isinstance(first, dict):
        name = first.get("uri") or (first.get("textDocument") or {}).get("uri")
        where = first.get("range") or first.get("position")
        if where is None and first.get("line") is not None:
            where = {"line": first["line"], "character": 0}
        return _target(workspace, _document(workspace, name), where)
    document = _document(workspace, first)
    if isinstance(second, dict) or second is None:
        return _target(workspace, document, second)
    return Target(document, Position(max(0, _number(second) - 1), 0))


def _target(workspace: Workspace, document: Document, where: Any) -> Target:
    if where is None:
        last = workspace.last_place
        known = last is not None and last[0] == document.uri
        return Target(document, last[1] if last is not None and known else Position(0, 0))
    if not isinstance(where, dict):
        raise InvalidParams(f"arguments: {where!r} is not a position. {HELP}")
    if "start" in where and "end" in where:
        range_ = Range(_position(where["start"]), _position(where["end"]))
        return Target(document, range_.start, None if range_.start == range_.end else range_)
    return Target(document, _position(where))


def _document(workspace: Workspace, name: Any) -> Document:
    document = workspace.find_document(name) if isinstance(name, str) and name else None
    if document is None:
        raise InvalidParams(f"carpo has no open document {name!r}. {HELP}")
    return document


def _position(value: Any) -> Position:
    if not isinstance(value, dict):
        raise InvalidParams(f"arguments: {value!r} is not a position. {HELP}")
    return Position(max(0, _number(value.get("line"))), max(0, _number(value.get("character", 0))))


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise InvalidParams(f"arguments: {value!r} is not a number. {HELP}") from None
