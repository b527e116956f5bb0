"""What a command was called on: arguments in any of the forms that editors can send.

Forms: nothing; `[{uri, line}]`, `[{uri, position}]`, `[{uri, range}]`, the URI also as
`textDocument.uri`; `[uri, Position]`, `[uri, Range]`; `["relative or absolute path", line counted
from 1]`, with a third argument the last line of a selection. Numbers may be strings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from carpo_lsp.documents.positions import Position, Range
from carpo_lsp.errors import InvalidParams

if TYPE_CHECKING:
    from carpo_lsp.documents.document import Document
    from carpo_lsp.workspace.workspace import Workspace

HELP = (
    "Place the cursor in a document and run the command from the code action menu, or give it "
    "arguments: a URI and a position, or a path and a line."
)


class Target(Struct, frozen=True):
    """A place in an open document, with the selection where there is one."""

    document: Document
    position: Position
    range: Range | None = None


def resolve(workspace: Workspace, arguments: list[Any]) -> Target:
    """The place a command means; without arguments that of the client's last request about one.

    A document without a place will do where it has no more than one cell. Raises `InvalidParams`
    with a sentence that says what to do.
    """
    document = resolve_document(workspace, arguments)
    where = _place(document, arguments)
    if where is not None:
        start, end = sorted((where.start, where.end))
        return Target(document, start, None if start == end else Range(start, end))
    if workspace.last_place is not None and workspace.last_place[0] == document.uri:
        # The document may have become shorter since.
        return Target(document, min(workspace.last_place[1], document.end))
    if document.has_markers:
        raise InvalidParams(f"carpo does not know where the cursor is. {HELP}")
    return Target(document, Position(0, 0))


def resolve_document(workspace: Workspace, arguments: list[Any]) -> Document:
    """The document a command means, for commands to which the place in it is nothing.

    Without arguments that of the client's last request about a place, or the only one that is
    open. Raises `InvalidParams` with a sentence that says what to do.
    """
    name = _name(arguments)
    if name is None and workspace.last_place is not None:
        name = workspace.last_place[0]
    if name is None and len(workspace.documents) == 1:
        return next(iter(workspace.documents))
    if name is None:
        raise InvalidParams(f"carpo does not know which document is meant. {HELP}")
    document = workspace.find_document(name) if isinstance(name, str) and name else None
    if document is None:
        raise InvalidParams(f"carpo has no open document {name!r}. {HELP}")
    return document


def means_document(workspace: Workspace, arguments: list[Any]) -> bool:
    """Whether a document is meant, by the arguments or by the client's last request."""
    return _name(arguments) is not None or workspace.last_place is not None


def option(arguments: list[Any], name: str) -> Any:
    """What one of the arguments that are objects holds under a name; None where none does."""
    values = (argument.get(name) for argument in arguments if isinstance(argument, dict))
    return next((value for value in values if value is not None), None)


def _name(arguments: list[Any]) -> Any:
    """What stands where the document should, None when nothing does."""
    if not arguments or not isinstance(arguments[0], dict):
        return arguments[0] if arguments else None
    document = arguments[0].get("textDocument")
    nested = document.get("uri") if isinstance(document, dict) else document
    uri = arguments[0].get("uri")
    return uri if uri is not None else nested


def _place(document: Document, arguments: list[Any]) -> Range | None:
    """The place in the arguments, None when they have none; an empty range for a position."""
    if not arguments:
        return None
    first, *rest = arguments
    if isinstance(first, dict):
        where = first.get("range") or first.get("position")
        if where is None and first.get("line") is not None:
            where = {"line": first["line"], "character": first.get("character", 0)}
        return None if where is None else _range(where)
    if not rest or rest[0] is None:
        return None
    if isinstance(rest[0], dict):
        return _range(rest[0])
    line = _number(rest[0]) - 1
    if len(rest) > 1 and rest[1] is not None:
        line, last = sorted((line, _number(rest[1]) - 1))
        return document.range_of_lines(max(0, line), last + 1)
    position = Position(max(0, line), 0)
    return Range(position, position)


def _range(value: Any) -> Range:
    if isinstance(value, dict) and "start" in value and "end" in value:
        return Range(_position(value["start"]), _position(value["end"]))
    position = _position(value)
    return Range(position, position)


def _position(value: Any) -> Position:
    if not isinstance(value, dict):
        raise InvalidParams(f"arguments: {value!r} is not a position. {HELP}")
    return Position(max(0, _number(value.get("line"))), max(0, _number(value.get("character", 0))))


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidParams(f"arguments: {value!r} is not a number. {HELP}") from None
