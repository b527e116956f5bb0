from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs
import pytest

from carpo_lsp.documents.positions import Position, Range
from carpo_lsp.features.commands import COMMANDS, Commands
from carpo_lsp.features.selected_code import pieces

if TYPE_CHECKING:
    from typing import Any

    from scripted import Scripted

URI = "file:///w/a.py"
CELLS = "# %%\none\n# %%\ntwo\n# %% [markdown]\n# text\n# %% eval=false\nnot\n# %%\nlast\n\n"
PROSE = (
    "# Text\n\n```{python}\none\n```\n\nmore\n\n"
    "```{r}\n#| eval: false\nno\n```\n\n```{r}\ntwo\n```\n"
)


def line(number: int) -> dict[str, Any]:
    return {"uri": URI, "line": number}


@pytest.mark.parametrize(
    ("command", "at", "codes"),
    [
        ("runCell", 0, ["one"]),
        ("runCell", 1, ["one"]),
        ("runCell", 3, ["two"]),
        ("runCell", 7, ["not"]),
        ("runAbove", 3, ["one"]),
        ("runAbove", 5, ["one", "two"]),
        ("runAbove", 9, ["one", "two"]),
        ("runBelow", 0, ["one", "two", "last"]),
        ("runBelow", 3, ["two", "last"]),
        ("runBelow", 5, ["last"]),
        ("runBelow", 9, ["last"]),
        ("runAll", 0, ["one", "two", "last"]),
        ("runCellAndAdvance", 1, ["one"]),
        ("restartAndRunAll", 1, ["one", "two", "last"]),
    ],
)
async def test_which_cells_run(bench: Scripted, command: str, at: int, codes: list[str]) -> None:
    bench.open(CELLS, URI)
    await bench.call(command, line(at))
    assert [code.strip() for code in bench.codes] == codes


@pytest.mark.parametrize(
    ("command", "at", "told"),
    [
        ("runCell", 5, "No code cell is at line 6"),
        ("runCellAndAdvance", 5, "No code cell is at line 6"),
        ("runStatement", 5, "No code cell is at line 6"),
        ("runAbove", 1, "No code cell is above this place."),
        ("runSelection", 1, "Nothing is selected."),
        ("interrupt", 1, "Nothing runs."),
        ("restartKernel", 1, "The document has no kernel yet"),
        ("shutdownKernel", 1, "The document has no kernel yet"),
        ("answer", 1, "No kernel waits for input."),
    ],
)
async def test_what_cannot_be_done_is_said(
    bench: Scripted, command: str, at: int, told: str
) -> None:
    bench.open(CELLS, URI)
    Commands(bench.workspace).call(command, line(at))
    assert len(bench.messages) == 1
    assert bench.messages[0].startswith(told)
    assert bench.kernels == []


@pytest.mark.parametrize("command", sorted(COMMANDS))
async def test_every_command_says_what_is_wrong_with_its_arguments(
    bench: Scripted, command: str
) -> None:
    Commands(bench.workspace).call(command, {"uri": "file:///w/nowhere.py", "value": []})
    assert len(bench.messages) == 1


@pytest.mark.parametrize(
    ("at", "above", "below"),
    [
        (3, [], ["one", "two"]),
        (6, ["one"], ["two"]),
        (14, ["one"], ["two"]),
        (0, [], ["one", "two"]),
    ],
)
async def test_prose_runs_in_the_kernels_of_its_languages(
    bench: Scripted, at: int, above: list[str], below: list[str]
) -> None:
    document = bench.open(PROSE, "file:///w/a.qmd", "quarto")
    await bench.call("runBelow", {"uri": document.uri, "line": at})
    assert bench.codes == below
    languages = [kernel.spec.language.lower() for kernel in bench.kernels]
    assert languages == ["python", "r"][-len(below) :]
    if above:
        await bench.call("runAbove", {"uri": document.uri, "line": at})
        assert sorted(bench.codes) == sorted(below + above)
    else:
        assert "above" in await bench.refused("runAbove", {"uri": document.uri, "line": at})


async def test_a_language_without_a_kernel_keeps_no_other_from_running(bench: Scripted) -> None:
    shell = "```forth\n{}\n```\n\n"
    fence = "```python\n{}\n```\n\n"
    text = shell.format("a") + fence.format("one") + shell.format("b") + fence.format("two")
    document = bench.open(text, "file:///w/a.md", "markdown")
    Commands(bench.workspace).call("runAll", {"uri": document.uri})
    await bench.settle()
    assert bench.codes == ["one", "two"]
    assert [told for told in bench.messages if "forth" in told] == [
        "No installed kernel runs forth: install a Jupyter kernel for forth."
    ]


async def test_a_hint_is_told_with_what_went_wrong(bench: Scripted) -> None:
    kernel = attrs.evolve(bench.workspace.settings.kernel, start="never")
    bench.workspace.settings = attrs.evolve(bench.workspace.settings, kernel=kernel)
    bench.open("1", URI)
    Commands(bench.workspace).call("runCell", line(0))
    assert bench.messages == [
        "The document has no kernel, and by carpo.kernel.start a run starts none.\n"
        "Hint: start one with the command carpo.selectKernel"
    ]


async def test_what_is_under_way_ends_with_the_client(
    bench: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the kernels do, whose sockets it may be using."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setitem(COMMANDS, "interrupt", lambda workspace, arguments: wait())
    commands = Commands(bench.workspace)
    commands.call("interrupt")
    await begun.wait()
    await commands.close()
    assert ended.is_set()
    assert bench.messages == []


async def test_runs_what_is_on_the_screen(bench: Scripted) -> None:
    document = bench.open("# %%\nold\n", URI)
    await bench.call("runCell", line(1))
    bench.workspace.documents.change(URI, 2, [(None, "# %%\nmore\n# %%\nnew\n")])
    await bench.call("runCell", {**line(3), "version": 1})
    assert [code.strip() for code in bench.codes] == ["old", "new"]
    assert document.version == 2


async def test_cells_of_a_notebook_run_together(bench: Scripted) -> None:
    uris = [f"vscode-notebook-cell:/w/n.ipynb#{number}" for number in range(3)]
    kinds = ("code", "markdown", "code")
    cells = [(uri, kind, "python") for uri, kind in zip(uris, kinds, strict=True)]
    bench.workspace.documents.open_notebook("file:///w/n.ipynb", "jupyter-notebook", cells)
    for number, uri in enumerate(uris):
        bench.open(f"code {number}", uri)
    await bench.call("runAll", {"uri": uris[2], "line": 0})
    await bench.call("runAbove", {"uri": uris[2], "line": 0})
    assert bench.codes == ["code 0", "code 2", "code 0"]
    assert len(bench.kernels) == 1


async def test_advance_moves_the_cursor_to_the_next_code(bench: Scripted) -> None:
    bench.declare(window={"showDocument": {"support": True}})
    bench.open("# %%\none\n# %% [markdown]\n# text\n# %%\n#| label: x\n\n  two\n# %%\n", URI)

    await bench.call("runCellAndAdvance", line(1))
    (shown,) = bench.shown
    assert (shown.uri, shown.take_focus, shown.external) == (URI, True, False)
    assert shown.selection is not None
    assert shown.selection.start == shown.selection.end
    assert (shown.selection.start.line, shown.selection.start.character) == (7, 2)

    await bench.call("runCellAndAdvance", line(7))
    selection = bench.shown[1].selection
    assert selection is not None
    assert selection.start.line == 9  # the empty cell at the end

    await bench.call("runCellAndAdvance", line(8))
    assert len(bench.shown) == 2


async def test_advance_moves_nothing_where_documents_are_not_shown(bench: Scripted) -> None:
    bench.open(CELLS, URI)
    await bench.call("runCellAndAdvance", line(1))
    assert (bench.codes, bench.shown) == (["one"], [])


# Selections


@pytest.mark.parametrize(
    ("text", "start", "end", "codes"),
    [
        # Half of a line, some lines, and lines as Helix and Vim select them.
        ("a = 1 + 2\n", (0, 4), (0, 9), ["1 + 2"]),
        ("a\nb\nc\n", (0, 0), (1, 1), ["a\nb"]),
        ("a\nb\nc\n", (0, 0), (2, 0), ["a\nb"]),
        # The body of a block, with and without the indent of its first line.
        ("if x:\n    a\n    if y:\n        b\n", (1, 0), (3, 9), ["a\nif y:\n    b"]),
        ("if x:\n    a\n    if y:\n        b\n", (1, 4), (3, 9), ["a\nif y:\n    b"]),
        # Backwards, and beyond the end.
        ("a\nb\n", (1, 1), (0, 0), ["a\nb"]),
        ("a\nb\n", (1, 0), (99, 0), ["b"]),
        # Several cells, with markers and text between.
        (CELLS, (1, 0), (9, 2), ["one", "two", "not", "la"]),
        (CELLS, (1, 1), (3, 1), ["ne", "t"]),
        ("é𝒳 = 1; b\n", (0, 9), (0, 10), ["b"]),
    ],
)
async def test_selections(
    bench: Scripted, text: str, start: tuple[int, int], end: tuple[int, int], codes: list[str]
) -> None:
    bench.open(text, URI)
    places = [dict(zip(("line", "character"), place, strict=True)) for place in (start, end)]
    await bench.call("runSelection", URI, {"start": places[0], "end": places[1]})
    assert [code.rstrip() for code in bench.codes] == codes


async def test_a_selection_in_a_quote_has_no_prefixes(bench: Scripted) -> None:
    document = bench.open("> ```r\n> if (a) {\n>   b\n> }\n> ```\n", "file:///w/a.md", "markdown")
    await bench.call("runSelection", "a.md", 1, 4)
    assert bench.codes == ["if (a) {\n  b\n}"]
    assert document.cells()[0].key in bench.workspace.runs.states(document)


async def test_a_selection_of_prose_is_not_code(bench: Scripted) -> None:
    bench.open(PROSE, "file:///w/a.qmd", "quarto")
    assert await bench.refused("runSelection", "a.qmd", 1, 3) == "No code is selected."


async def test_only_a_whole_cell_counts_as_its_run(bench: Scripted) -> None:
    document = bench.open(CELLS, URI)
    await bench.call("runSelection", URI, 2, 4)
    ran = [cell.index for cell, _ in bench.workspace.runs.of(document)]
    assert ran == [0, 1]
    await bench.call(
        "runSelection", URI, {"start": {"line": 9}, "end": {"line": 9, "character": 2}}
    )
    assert [cell.index for cell, _ in bench.workspace.runs.of(document)] == [0, 1]


async def test_the_range_of_a_piece_is_within_the_selection(bench: Scripted) -> None:
    document = bench.open(CELLS, URI)
    target = {"start": {"line": 0}, "end": {"line": 3, "character": 1}}
    await bench.call("runSelection", URI, target)
    found = pieces(document, Range(Position(0, 0), Position(3, 1)))
    assert [piece.range for piece in found] == [
        Range(Position(1, 0), Position(1, 3)),
        Range(Position(3, 0), Position(3, 1)),
    ]


# Kernels


async def test_interrupts_what_the_document_runs(bench: Scripted) -> None:
    bench.run = lambda code: None
    bench.open(CELLS, URI)
    bench.open("# %%\nx\n", "file:///w/b.py")
    await bench.call("runAll", URI)
    await bench.call("runAll", "b.py")
    first, second = bench.kernels
    await bench.call("interrupt", "b.py")
    assert (first.interrupts, second.interrupts) == (0, 1)
    await bench.call("interrupt", URI)
    assert (first.interrupts, second.interrupts) == (1, 1)
    for kernel in bench.kernels:
        kernel.finish()


async def test_without_arguments_interrupts_whatever_runs(bench: Scripted) -> None:
    bench.run = lambda code: None
    bench.open("# %%\nx\n", URI)
    bench.open("# %%\nx\n", "file:///w/b.py")
    await bench.call("runAll", URI)
    await bench.call("interrupt")
    bench.workspace.last_place = ("file:///w/b.py", Position(0, 0))
    await bench.call("interrupt")
    assert bench.kernels[0].interrupts == 2
    assert await bench.refused("interrupt", "b.py") == "Nothing runs."
    bench.kernels[0].finish()


async def test_restarts_the_kernels_of_the_document_alone(bench: Scripted) -> None:
    bench.open(CELLS, URI)
    bench.open("# %%\nx\n", "file:///w/b.py")
    await bench.call("runAll", URI)
    await bench.call("runAll", "b.py")
    await bench.call("restartKernel", URI)
    assert [kernel.starts for kernel in bench.kernels] == [2, 1]
    assert "which document" in await bench.refused("restartKernel")


async def test_restart_and_run_all_starts_from_nothing(bench: Scripted) -> None:
    bench.open(CELLS, URI)
    await bench.call("runCell", line(9))
    await bench.call("restartAndRunAll", URI)
    (kernel,) = bench.kernels
    assert kernel.starts == 2
    assert [code.strip() for code in kernel.codes] == ["last", "one", "two", "last"]


async def test_shuts_the_kernels_of_the_document_down(bench: Scripted) -> None:
    document = bench.open(CELLS, URI)
    bench.open("# %%\nx\n", "file:///w/b.py")
    await bench.call("runAll", URI)
    await bench.call("runAll", "b.py")
    await bench.call("shutdownKernel", URI)
    assert bench.workspace.kernels_of(document) == set()
    assert len(bench.workspace.frontend.manager.all()) == 1
    await bench.call("shutdownKernel")
    assert bench.workspace.frontend.manager.all() == ()


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["yes"], "yes"),
        ([], ""),
        ([3], "3"),
        ([{"value": "yes"}], "yes"),
        ([{"value": "yes", "uri": URI}], "yes"),
    ],
)
async def test_answers_the_prompt(bench: Scripted, arguments: list[Any], value: str) -> None:
    bench.run = lambda code: None
    bench.open(CELLS, URI)
    await bench.call("runCell", line(1))
    (kernel,) = bench.kernels
    kernel.ask("Go on? ")
    await bench.call("answer", *arguments)
    kernel.finish()
    assert kernel.answers == [value]


async def test_answers_the_prompt_of_the_document_in_hand_first(bench: Scripted) -> None:
    bench.run = lambda code: None
    for name in ("a", "b"):
        bench.open("# %%\nx\n", f"file:///w/{name}.py")
        await bench.call("runAll", f"{name}.py")
    first, second = bench.kernels
    first.ask("?")
    second.ask("?")
    bench.workspace.last_place = ("file:///w/b.py", Position(0, 0))
    await bench.call("answer", "to b")
    await bench.call("answer", {"value": "to a", "kernelId": first.kernel_id})
    for kernel in bench.kernels:
        kernel.finish()
    assert (first.answers, second.answers) == (["to a"], ["to b"])
