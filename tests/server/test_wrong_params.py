"""Params of the wrong shape, for every standard method: one error that names the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lsprotocol import types
from messages import notifications, requests

from carpo_lsp.features import capabilities, commands, kernels
from carpo_lsp.features.capabilities import COMMANDS
from carpo_lsp.protocol import PARAMS
from carpo_lsp.service import FEATURES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lsp_clients import Wire

pytestmark = pytest.mark.asyncio(loop_scope="module")

REQUESTS = requests("file:///x.py", "00000000-0000-4000-8000-000000000000")
NOTIFICATIONS = notifications("file:///x.py")
STANDARD = {method: params for method, params in REQUESTS.items() if method not in PARAMS}

FREE = {("completionItem/resolve", "data"), ("completionItem/resolve", "data.list")}
"""What clients send back as they have got it."""

NEEDED = {
    "textDocument",
    "textDocument.uri",
    *("position", "position.line", "position.character"),
    *("range", "range.start", "range.start.line", "range.end", "range.end.character"),
    *("label", "query", "command"),
}
"""What may not be left out where there is such a field."""


def fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The path and the value of each field in params."""
    if isinstance(value, dict):
        for key, item in value.items():
            name = f"{path}.{key}" if path else key
            yield name, item
            yield from fields(item, name)


def replaced(value: Any, path: str, change: Any) -> Any:
    """Params with another value at a path; Ellipsis takes the field out."""
    key, _, rest = path.partition(".")
    if rest:
        return {**value, key: replaced(value[key], rest, change)}
    if change is ...:
        return {name: item for name, item in value.items() if name != key}
    return {**value, key: change}


WRONG: dict[type, list[Any]] = {
    str: [5, True, [[]], {"x": []}],
    int: ["1", 1.5, True, [1], {"x": 1}],
    list: ["text", 5, True, {"x": 1}],
    dict: ["text", 5, True, [[]]],
}
"""For a right value's type, values that are none of its kind."""


async def test_the_tables_have_every_method() -> None:
    assert set(STANDARD) == {*capabilities.REQUESTS, types.WORKSPACE_EXECUTE_COMMAND}
    assert set(REQUESTS) - set(STANDARD) == set(PARAMS)
    assert {*capabilities.NOTIFICATIONS} - {types.INITIALIZED} <= set(NOTIFICATIONS)


async def test_what_is_declared_is_what_there_is() -> None:
    declared = {*capabilities.REQUESTS, *capabilities.NOTIFICATIONS}
    assert declared == {*FEATURES, types.WINDOW_WORK_DONE_PROGRESS_CANCEL}
    assert set(kernels.HANDLERS) == set(PARAMS)
    assert set(COMMANDS) == set(commands.COMMANDS)


@pytest.mark.parametrize("method", STANDARD)
@pytest.mark.parametrize("params", [None, [], "text", 7, True], ids=repr)
async def test_params_must_be_an_object(server: Wire, method: str, params: object) -> None:
    assert (await server.fail(method, params)).code == -32602


@pytest.mark.parametrize(
    ("method", "path", "value"),
    [
        (method, path, wrong)
        for method, params in STANDARD.items()
        for path, value in fields(params)
        for wrong in WRONG[type(value)]
        if (method, path) not in FREE
    ],
)
async def test_a_field_of_the_wrong_type_is_named(
    server: Wire, method: str, path: str, value: object
) -> None:
    error = await server.fail(method, replaced(STANDARD[method], path, value))
    assert error.code == -32602
    assert path in error.message


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method, path)
        for method, params in STANDARD.items()
        for path, _ in fields(params)
        if path in NEEDED or (method, path) == ("textDocument/codeAction", "context")
    ],
)
async def test_a_missing_field_is_named(server: Wire, method: str, path: str) -> None:
    error = await server.fail(method, replaced(STANDARD[method], path, ...))
    assert error.code == -32602
    assert f"{path}: missing" in error.message


@pytest.mark.parametrize("params", [None, [], "text", {}, {"x": 1}, {"textDocument": 5}], ids=repr)
async def test_notifications_of_the_wrong_shape_change_nothing(
    server: Wire, params: object
) -> None:
    uri = server.open("file:///kept.py", "# %%\n1\n", "fake")
    for method in NOTIFICATIONS:
        server.notify(method, params)
    symbols = await server.request("textDocument/documentSymbol", {"textDocument": {"uri": uri}})
    assert len(symbols) == 1


# Not the one that has kernels outlive the server.
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "keepKernel"])
@pytest.mark.parametrize(
    "arguments",
    [
        *([None], [7], [True], [[]], [""], ["~nobody/x.py"], ["\x00"], ["no such file", "x"]),
        *([{}], [{"uri": 5}], [{"uri": "file:///no.py"}], ["file:///no.py", {"line": "x"}]),
        *([{"uri": "file:///kept.py", "range": 5}], ["file:///kept.py", {"start": {}, "end": {}}]),
        ["file:///kept.py", 10**30, -(10**30)],
    ],
    ids=repr,
)
async def test_arguments_of_commands_get_words_and_no_internal_error(
    server: Wire, name: str, arguments: list[object]
) -> None:
    # To a client it is done: what cannot be done is told to the user.
    assert await server.command(name, *arguments) is None
