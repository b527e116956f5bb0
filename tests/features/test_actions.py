from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lsprotocol import types
from lsprotocol.converters import get_converter

from carpo_lsp.documents.positions import Position
from carpo_lsp.features import capabilities
from carpo_lsp.features.action_kinds import KINDS
from carpo_lsp.features.actions import code_actions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripted import Scripted

URI = "file:///w/a.py"
CELLS = "# %%\none\n# %%\ntwo\n\n# %% [markdown]\n# text\n# %%\nlast\n"
PROSE = "# Text\n\n```{python}\none\n```\n\nmore\n\n```{r}\ntwo\n```\n"

RUN = ["run.selection", "run.cell", "run.statement", "run.above", "run.below", "run.all"]
REST = ["kernel.select"]


@pytest.fixture(autouse=True)
def _literals(bench: Scripted) -> None:
    declare(bench)


def declare(bench: Scripted, **window: Any) -> None:
    literals = {"codeActionKind": {"valueSet": [""]}}
    document = {"codeAction": {"codeActionLiteralSupport": literals}}
    bench.declare(textDocument=document, window=window)


def ask(
    bench: Scripted,
    start: tuple[int, int],
    end: tuple[int, int] | None = None,
    *,
    only: Sequence[str] | None = None,
    uri: str = URI,
) -> list[Any]:
    places = [dict(zip(("line", "character"), at, strict=True)) for at in (start, end or start)]
    params = {
        "textDocument": {"uri": uri},
        "range": {"start": places[0], "end": places[1]},
        "context": {"diagnostics": [], "only": only},
    }
    # As the server gets them: kinds that LSP knows may come as its enumeration.
    structured = get_converter().structure(params, types.CodeActionParams)
    return code_actions(bench.workspace, structured)


def kinds(actions: Sequence[Any]) -> list[str]:
    return [str(action.kind).removeprefix("carpo.") for action in actions]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ((0, 0), None, ["run.cell", "run.statement", "run.below", "run.all"]),
        ((1, 0), None, ["run.cell", "run.statement", "run.below", "run.all"]),
        ((3, 0), None, ["run.cell", "run.statement", "run.above", "run.below", "run.all"]),
        ((4, 0), None, ["run.cell", "run.above", "run.below", "run.all"]),
        ((6, 0), None, ["run.all"]),
        ((8, 0), None, ["run.cell", "run.statement", "run.above", "run.all"]),
        ((3, 0), (3, 2), RUN),
        # A selection of what is not code.
        ((4, 0), (5, 0), ["run.cell", "run.above", "run.below", "run.all"]),
        ((5, 2), (6, 2), ["run.all"]),
        # From prose into code.
        ((6, 0), (8, 1), ["run.selection", "run.all"]),
        ((99, 0), None, ["run.all"]),
    ],
)
async def test_what_makes_sense_at_a_place(
    bench: Scripted, start: tuple[int, int], end: tuple[int, int] | None, expected: list[str]
) -> None:
    bench.open(CELLS, URI)
    actions = ask(bench, start, end)
    assert kinds(actions) == [*expected, *REST]
    assert [action.is_preferred for action in actions] == [True, *[None] * len(expected)]
    assert bench.workspace.last_place == (URI, Position(*start))


async def test_in_prose_only_fences_run(bench: Scripted) -> None:
    bench.open(PROSE, URI, "quarto")
    assert kinds(ask(bench, (3, 0))) == [
        *("run.cell", "run.statement", "run.below", "run.all"),
        *REST,
    ]
    assert ask(bench, (0, 0)) == ask(bench, (6, 0)) == []


async def test_outside_a_fence_what_runs_can_be_answered_and_interrupted(bench: Scripted) -> None:
    bench.run = lambda code: None
    bench.open(PROSE, URI, "quarto")
    await bench.call("runCell", URI, 4)
    assert kinds(ask(bench, (0, 0))) == ["kernel.interrupt"]
    bench.kernels[0].ask("Name? ")
    assert kinds(ask(bench, (0, 0))) == ["input.answer", "kernel.interrupt"]
    bench.kernels[0].finish("done\n")
    await bench.settle()
    assert ask(bench, (0, 0)) == []


async def test_nothing_in_prose_without_code(bench: Scripted) -> None:
    bench.open("# Text\n\n```\nplain\n```\n", URI, "markdown")
    assert ask(bench, (3, 0)) == []


async def test_one_cell_needs_no_others(bench: Scripted) -> None:
    bench.open("one\n", URI)
    assert kinds(ask(bench, (0, 0))) == ["run.cell", "run.statement", *REST]


async def test_nothing_for_a_document_that_is_not_open(bench: Scripted) -> None:
    assert ask(bench, (0, 0), uri="file:///w/b.py") == []


async def test_a_notebook_runs_beyond_its_cell(bench: Scripted) -> None:
    uris = [f"vscode-notebook-cell:/w/n.ipynb#{number}" for number in range(2)]
    cells = [(uri, "code", "python") for uri in uris]
    bench.workspace.documents.open_notebook("file:///w/n.ipynb", "jupyter-notebook", cells)
    for uri in uris:
        bench.open("x", uri)
    assert kinds(ask(bench, (0, 0), uri=uris[0])) == [
        *("run.cell", "run.statement", "run.below", "run.all"),
        *REST,
    ]


async def test_a_key_can_run_and_advance(bench: Scripted) -> None:
    declare(bench, showDocument={"support": True})
    bench.open(CELLS, URI)
    assert kinds(ask(bench, (1, 0), only=["carpo.run.cell"])) == ["run.cell"]
    assert kinds(ask(bench, (1, 0), only=["carpo.run.cellAndAdvance"])) == ["run.cellAndAdvance"]
    assert ask(bench, (8, 0), only=["carpo.run.cellAndAdvance"]) == []


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (None, [*RUN, *REST]),
        ([], []),
        ([""], [*RUN, *REST]),
        (["carpo"], [*RUN, *REST]),
        (["carpo.run"], RUN),
        (["carpo.run.cell"], ["run.cell"]),
        (["carpo.run.ce"], []),
        (["carpo.run.cell.more"], []),
        (["carpo.kernel", "carpo.run.all"], ["run.all", "kernel.select"]),
        (["source", "carpo.run.cell"], ["run.cell"]),
        (["source"], []),
        (["source.organizeImports"], []),
        (["quickfix"], []),
        (["refactor", "refactor.extract"], []),
    ],
)
async def test_only_the_kinds_that_are_asked_for(
    bench: Scripted, only: list[str] | None, expected: list[str]
) -> None:
    bench.open(CELLS, URI)
    actions = ask(bench, (3, 0), (3, 2), only=only)
    assert kinds(actions) == expected
    assert [action.is_preferred for action in actions[:1]] == [True] * bool(expected)


async def test_an_action_carries_its_command(bench: Scripted) -> None:
    bench.open(CELLS, URI)
    selection, cell, *rest = ask(bench, (3, 0), (3, 2))
    start, end = {"line": 3, "character": 0}, {"line": 3, "character": 2}
    assert selection.command.command == "carpo.runSelection"
    assert selection.command.arguments == [
        {"uri": URI, "range": {"start": start, "end": end}, "version": 1}
    ]
    assert cell.command.command == "carpo.runCell"
    assert cell.command.arguments == [{"uri": URI, "position": start, "version": 1}]
    assert all(action.command.arguments == cell.command.arguments for action in rest)


async def test_the_actions_do_what_they_say(bench: Scripted) -> None:
    bench.open(CELLS, URI)
    for kind, codes in [
        ("carpo.run.selection", ["wo"]),
        ("carpo.run.cell", ["two"]),
        ("carpo.run.statement", ["two"]),
        ("carpo.run.above", ["one"]),
        ("carpo.run.below", ["two", "last"]),
        ("carpo.run.all", ["one", "two", "last"]),
    ]:
        before = len(bench.codes)
        (action,) = ask(bench, (3, 1), (3, 3), only=[kind])
        command = action.command
        await bench.call(command.command.removeprefix("carpo."), *command.arguments)
        assert [code.strip() for code in bench.codes[before:]] == codes


async def test_a_client_without_literals_gets_commands(bench: Scripted) -> None:
    bench.declare(textDocument={"codeAction": {}})
    bench.open(CELLS, URI)
    first, *_ = ask(bench, (1, 0))
    assert isinstance(first, types.Command)
    assert (first.title, first.command) == ("Run cell", "carpo.runCell")


@pytest.mark.parametrize(
    ("name", "end", "expected"),
    [
        ("helix", (3, 1), ["run.cell"]),
        ("Helix", (4, 0), ["run.cell"]),
        ("helix", (3, 2), ["run.selection"]),
        ("Neovim", (3, 1), ["run.selection"]),
    ],
)
async def test_the_cursor_of_helix_is_no_selection(
    bench: Scripted, name: str, end: tuple[int, int], expected: list[str]
) -> None:
    bench.workspace.client.name = name
    declare(bench)
    bench.open(CELLS, URI)
    start = (3, 3) if end == (4, 0) else (3, 0)
    assert kinds(ask(bench, start, end))[:1] == expected


async def test_what_depends_on_the_kernel(bench: Scripted) -> None:
    bench.run = lambda code: None
    bench.open(CELLS, URI)
    await bench.call("runCell", URI, 2)
    (kernel,) = bench.kernels
    document_level = ["run.all", "kernel.interrupt", "kernel.restart", "kernel.select"]
    assert kinds(ask(bench, (6, 0))) == document_level

    kernel.ask("Go on? ")
    answer, *others = ask(bench, (8, 0))
    assert (answer.title, answer.is_preferred) == ('Send this line as input: "last"', True)
    assert answer.command.arguments == [{"uri": URI, "kernelId": kernel.kernel_id, "value": "last"}]
    assert kinds(others)[0] == "run.cell"
    assert ask(bench, (8, 0), (8, 2))[0].title == 'Send the selection as input: "la"'
    assert ask(bench, (4, 0))[0].title == 'Send this line as input: ""'
    # Only in the document whose code asks.
    bench.open("x\n", "file:///w/b.py")
    assert "input.answer" not in kinds(ask(bench, (0, 0), uri="file:///w/b.py"))

    await bench.call("answer", *answer.command.arguments)
    kernel.finish("done\n")
    await bench.settle()
    assert kernel.answers == ["last"]
    assert kinds(ask(bench, (6, 0))) == [
        *("run.all", "output.show", "kernel.restart", "kernel.select")
    ]
    assert "output.clear" in kinds(ask(bench, (1, 0)))
    assert "output.clear" not in kinds(ask(bench, (3, 0)))


async def test_no_line_is_sent_as_a_password(bench: Scripted) -> None:
    bench.run = lambda code: None
    bench.open(CELLS, URI)
    await bench.call("runCell", URI, 2)
    (kernel,) = bench.kernels
    kernel.ask("Password: ", password=True)
    assert "input.answer" not in kinds(ask(bench, (1, 0)))
    await bench.call("answer", "secret")
    kernel.ask("Name? ")
    assert kinds(ask(bench, (1, 0)))[0] == "input.answer"
    kernel.finish()


async def test_a_long_answer_is_shown_in_part(bench: Scripted) -> None:
    bench.run = lambda code: None
    bench.open("x" * 100 + "\n", URI)
    await bench.call("runCell", URI)
    bench.kernels[0].ask("?")
    answer = ask(bench, (0, 0))[0]
    assert answer.title == f'Send this line as input: "{"x" * 39}…"'
    assert answer.command.arguments[0]["value"] == "x" * 100
    bench.kernels[0].finish()


def test_all_kinds_are_declared() -> None:
    options = capabilities.REQUESTS[types.TEXT_DOCUMENT_CODE_ACTION]
    assert options.code_action_kinds == list(KINDS)
    assert options.resolve_provider is False
