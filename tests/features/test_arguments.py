from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from carpo_lsp.documents.positions import Position, Range
from carpo_lsp.errors import InvalidParams
from carpo_lsp.features.arguments import HELP, option, resolve, resolve_document

if TYPE_CHECKING:
    from scripted import Scripted

URI = "file:///w/a.py"
TEXT = "# %%\n1\n# %%\n22\n# %%\n333\n"

LINE_3 = Position(3, 0)


@pytest.mark.parametrize(
    ("arguments", "position", "range_"),
    [
        ([{"uri": URI, "line": 3}], LINE_3, None),
        ([{"uri": URI, "line": "3"}], LINE_3, None),
        ([{"uri": URI, "line": 3, "character": "1"}], Position(3, 1), None),
        ([{"uri": URI, "position": {"line": 3, "character": 1}}], Position(3, 1), None),
        ([{"uri": URI, "position": {"line": "3", "character": "1"}}], Position(3, 1), None),
        ([{"textDocument": {"uri": URI}, "position": {"line": 3, "character": 0}}], LINE_3, None),
        ([{"textDocument": {"uri": URI}, "line": 3}], LINE_3, None),
        ([{"uri": "a.py", "line": 3}], LINE_3, None),
        ([URI, {"line": 3, "character": 0}], LINE_3, None),
        ([URI, {"line": "3"}], LINE_3, None),
        (
            [URI, {"start": {"line": 1, "character": 0}, "end": {"line": 3, "character": 2}}],
            Position(1, 0),
            Range(Position(1, 0), Position(3, 2)),
        ),
        (
            [{"uri": URI, "range": {"start": {"line": 3}, "end": {"line": "1"}}}],
            Position(1, 0),
            Range(Position(1, 0), LINE_3),
        ),
        # A selection of nothing is a cursor.
        ([URI, {"start": {"line": 3}, "end": {"line": 3}}], LINE_3, None),
        (["a.py", 4], LINE_3, None),
        (["./a.py", "4"], LINE_3, None),
        (["/w/a.py", 4], LINE_3, None),
        ([URI, 4], LINE_3, None),
        (["a.py", 2, 4], Position(1, 0), Range(Position(1, 0), Position(3, 2))),
        (["a.py", "4", "2"], Position(1, 0), Range(Position(1, 0), Position(3, 2))),
        (["a.py", 0], Position(0, 0), None),
        ([{"uri": URI, "line": -1}], Position(0, 0), None),
        # Both, as code actions have them; what belongs to others is let be.
        ([{"uri": URI, "version": 7, "position": {"line": 3}, "other": 1}], LINE_3, None),
        # The place is that of the last request when it was about this document.
        ([], Position(5, 1), None),
        ([URI], Position(5, 1), None),
        ([URI, None], Position(5, 1), None),
        ([{"uri": URI}], Position(5, 1), None),
        ([{}], Position(5, 1), None),
    ],
)
async def test_forms_of_arguments(
    bench: Scripted, arguments: list[Any], position: Position, range_: Range | None
) -> None:
    document = bench.open(TEXT, URI)
    bench.open("other\n", "file:///w/b.py")
    bench.workspace.last_place = (URI, Position(5, 1))

    target = resolve(bench.workspace, arguments)

    assert (target.document, target.position, target.range) == (document, position, range_)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "does not know which document"),
        ([{}], "does not know which document"),
        ([URI], "does not know where the cursor is"),
        ([{"uri": URI}], "does not know where the cursor is"),
        (["nowhere.py", 1], "no open document 'nowhere.py'"),
        (["", 1], "no open document ''"),
        ([7, 1], "no open document 7"),
        ([{"uri": 7}], "no open document 7"),
        ([{"uri": ["a.py"]}], r"no open document \['a.py'\]"),
        ([URI, "four"], "'four' is not a number"),
        ([URI, 1, "four"], "'four' is not a number"),
        ([URI, [4]], r"\[4\] is not a number"),
        ([URI, math.inf], "inf is not a number"),  # JSON has it as 1e999
        ([URI, {"character": 1}], "None is not a number"),
        ([{"uri": URI, "position": 4}], "4 is not a position"),
        ([{"uri": URI, "range": {"start": 1, "end": 2}}], "1 is not a position"),
    ],
)
async def test_what_cannot_be_resolved(bench: Scripted, arguments: list[Any], told: str) -> None:
    bench.open(TEXT, URI)
    bench.open("other\n", "file:///w/b.py")
    with pytest.raises(InvalidParams, match=told) as caught:
        resolve(bench.workspace, arguments)
    assert caught.value.message.endswith(HELP)


async def test_the_place_of_another_document_does_not_count(bench: Scripted) -> None:
    bench.open(TEXT, URI)
    bench.open("other\n", "file:///w/b.py")
    bench.workspace.last_place = ("file:///w/b.py", Position(0, 0))
    with pytest.raises(InvalidParams, match="where the cursor is"):
        resolve(bench.workspace, [URI])


async def test_a_place_stays_within_a_document_that_has_become_shorter(bench: Scripted) -> None:
    document = bench.open(TEXT, URI)
    bench.workspace.last_place = (URI, Position(5, 1))
    document.apply([(None, "1\n")], 2)
    assert resolve(bench.workspace, []).position == Position(1, 0)


async def test_a_closed_document_is_not_meant(bench: Scripted) -> None:
    bench.open(TEXT, URI)
    bench.workspace.last_place = ("file:///w/closed.py", Position(0, 0))
    with pytest.raises(InvalidParams, match=r"no open document 'file:///w/closed\.py'"):
        resolve(bench.workspace, [])


async def test_a_document_of_one_cell_needs_no_place(bench: Scripted) -> None:
    document = bench.open("1\n2\n", URI)
    assert resolve(bench.workspace, []).document is document
    assert resolve(bench.workspace, ["a.py"]).position == Position(0, 0)


async def test_the_only_document_needs_no_name(bench: Scripted) -> None:
    document = bench.open(TEXT, URI)
    assert resolve_document(bench.workspace, []) is document


def test_options_are_found_in_any_object() -> None:
    assert option([{"uri": URI, "overwrite": True}], "overwrite") is True
    assert option([URI, {"overwrite": True}], "overwrite") is True
    assert option([URI, 3], "overwrite") is None
