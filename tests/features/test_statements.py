from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import pytest

from carpo_lsp.features import running
from carpo_lsp.features.commands import COMMANDS
from carpo_lsp.features.statements import (
    ASKS,
    REACH,
    Rows,
    around,
    blocks_of,
    by_asking,
    by_grammar,
    by_shape,
    near,
)

if TYPE_CHECKING:
    from scripted import Scripted

    from carpo_lsp.frontend import Frontend

# Each text has its statements marked: a line that begins with "> " is the first of one, a line
# that begins with "| " goes on with it, and other lines belong to the next one. "! " marks what
# the shape of the lines gets wrong, which is for grammars and kernels to know.
STATEMENTS = {
    "python": """
  # a comment above
> @decorated
| @twice(1,
|        2)
! def f():
|     '''Text

|     more'''

|     return 1

> if a:
|     x
| # in between
| elif b:
|     y
| else:
|     z

> %matplotlib inline
> !ls -l
> x = 1; y = 2
> call(a,
|   b)
> z = '''
! first

! second
! '''
> help?
> last = [
|     1,
| ]
""",
    "r": """
> library(dplyr)
  # a comment
> d <- e %>%
|   filter(a) |>
|   # inside
|   f()

> if (a) {
|   b
| } else {
|   c
| }

> x <- 1; y <- 2
> h <- function(a) {

|   a
| }
> ggplot(d) +
|   geom_line()
> s <- "one
! two"
""",
    "javascript": """
  // a comment
> const a = 1, b =
|   2
> function f() {

|   return `
|     text`
| }
> if (a) { b }
| else { c }
> promise
|   .then(f)
|   .catch(g)
> const t = `
! text
! `
""",
    "bash": """
  # a comment
> for i in 1 2; do
|   echo $i
| done
> cat <<EOF | sort
! b

! a
! EOF
> a && \\
|   b
> if x; then
|   y
| else
|   z
| fi
> f() {
|   a
| }
""",
    "julia": """
> using X
> function f(x)
|   x
| end

> x = [1
! 2]
> if a
|   b
| else
|   c
| end
> f(1) |>
|   println
> @time begin
|   1
| end
""",
}


def read(language: str) -> tuple[list[str], list[tuple[Rows, bool]]]:
    """The lines of a text and its statements, each with whether its shape is all it takes."""
    marked = STATEMENTS[language].strip("\n").split("\n")
    starts = [number for number, line in enumerate(marked) if line.startswith(">")]
    statements = []
    for start, following in zip(starts, [*starts[1:], len(marked)], strict=True):
        marks = [(number, marked[number][:1]) for number in range(start, following)]
        end = 1 + max(number for number, mark in marks if mark in (">", "|", "!"))
        statements.append((Rows(start, end), all(mark != "!" for _, mark in marks)))
    return [line[2:] for line in marked], statements


def expected(language: str) -> list[tuple[int, Rows]]:
    """Each row with the statement that runs from it: its own, else the next one below."""
    lines, statements = read(language)
    return [
        (row, next(rows for rows, _ in statements if rows.end > row))
        for row in range(len(lines))
        if row < statements[-1][0].end
    ]


@pytest.mark.parametrize("language", STATEMENTS)
def test_by_grammar(language: str) -> None:
    lines, _ = read(language)
    found = [(row, by_grammar(language, lines, row)) for row, _ in expected(language)]
    assert found == expected(language)


@pytest.mark.parametrize("language", STATEMENTS)
def test_by_shape(language: str) -> None:
    lines, statements = read(language)
    blocks = blocks_of(language, lines)
    for rows, sound in statements:
        for row in range(rows.first, rows.end):
            if sound:
                assert by_shape(blocks, row) == rows


@pytest.mark.parametrize("language", STATEMENTS)
async def test_by_asking(language: str) -> None:
    """A kernel that knows its language finds what the shape gets wrong."""
    lines, statements = read(language)
    known = {"\n".join([*lines[rows.first : rows.end], ""]) for rows, _ in statements}

    async def ask(code: str) -> str:
        return "complete" if code in known else "incomplete"

    blocks = blocks_of(language, lines)
    for row, rows in expected(language):
        assert await by_asking(near(blocks, row), lines, row, ask) == rows


@pytest.mark.parametrize(
    ("language", "text", "row", "rows"),
    [
        ("python", "%%bash\nls\n\nls", 2, Rows(0, 4)),
        ("python", "\n%%time\nf()", 1, Rows(1, 3)),
        ("python", "x = 1\n\n\n", 2, None),
        ("python", "# nothing", 0, None),
        ("python", "", 0, None),
        # What cannot be parsed is for the kernel to judge, what stands beside it is not.
        ("python", "good = 1\nbad = = 2\n", 0, Rows(0, 1)),
        ("python", "good = 1\nbad = = 2\n", 1, None),
        ("python", "a\nx = !ls\nb", 2, Rows(2, 3)),
        ("python", "é𝒳 = '''\n\n'''\nx", 1, Rows(0, 3)),
        ("python", "x = '\ud800'\ny", 0, Rows(0, 1)),
        ("r", "f <- function(x) {\n  x\n", 1, None),
        ("brainfuck", "+++", 0, None),
    ],
)
def test_edges_of_grammars(language: str, text: str, row: int, rows: Rows | None) -> None:
    assert by_grammar(language, text.split("\n"), row) == rows


@pytest.mark.parametrize("version", [None, "1.25.0"])
def test_a_pack_that_would_fetch_its_grammars_is_not_used(
    monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    def installed(name: str) -> str:
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", installed)
    # A language of its own for each case: what has been found is remembered.
    assert by_grammar("lua" if version else "ruby", ["x = 1"], 0) is None


def test_shapes_at_the_edges() -> None:
    assert by_shape(blocks_of("python", ["# a", "", "# b"]), 0) is None
    assert by_shape(blocks_of("python", []), 0) is None
    # A blank line ends what was left open; brackets in comments open nothing.
    assert blocks_of("python", ["f(", "", "x", "# (", "y"]) == [Rows(0, 1), Rows(2, 3), Rows(4, 5)]
    assert blocks_of("lua", ["-- a", "x = 1", "y = 2"]) == [Rows(1, 2), Rows(2, 3)]


@pytest.mark.parametrize(
    ("statuses", "rows"),
    [
        ({"a": "complete", "b": "complete"}, Rows(1, 2)),
        ({"a": "incomplete", "a b": "complete"}, Rows(0, 2)),
        # What came before may well be wrong.
        ({"a": "invalid", "b": "complete"}, Rows(1, 2)),
        ({"a": "complete", "b": "incomplete", "b c": "complete"}, Rows(1, 3)),
        ({"a": "complete", "b": "invalid"}, None),
        ({"a": "unknown"}, None),
        ({}, None),
    ],
)
async def test_answers_of_a_kernel(statuses: dict[str, str], rows: Rows | None) -> None:
    lines = ["a", "b", "c"]

    async def ask(code: str) -> str:
        return statuses.get(" ".join(code.split()), "incomplete")

    assert await by_asking(blocks_of("r", lines), lines, 1, ask) == rows


async def test_a_kernel_is_asked_a_bounded_number_of_times() -> None:
    lines = ["x"] * 1000
    asked = []

    async def ask(code: str) -> str:
        asked.append(code)
        return "incomplete"

    assert await by_asking(near(blocks_of("r", lines), 500), lines, 500, ask) is None
    assert len(asked) == ASKS


LONG = [
    *["a = 1"] * REACH,
    *("def f():", '    """It\'s a text', *["text # '"] * (REACH // 2), '    """', "    return 1"),
    *("b = [", *["    1,"] * REACH, "]"),
    *["c = 1"] * REACH,
]
"""Too long to be parsed for one statement."""

FUNCTION, LIST, LAST = (LONG.index(line) for line in ("def f():", "b = [", "c = 1"))


@pytest.mark.parametrize(
    ("row", "part"),
    [
        (0, Rows(0, REACH)),
        (FUNCTION, Rows(0, LAST)),  # not between the lines of the list
        (FUNCTION + REACH + 10, Rows(FUNCTION, FUNCTION + 2 * REACH + 10)),  # nor of the text
        (LAST - 1, Rows(LIST, LAST + REACH - 1)),
        (len(LONG), Rows(LAST, len(LONG))),
    ],
)
def test_only_what_is_around_a_statement_is_parsed(row: int, part: Rows) -> None:
    assert around("python", LONG, row) == part


def test_a_magic_takes_its_cell_however_long() -> None:
    lines = ["%%bash", *LONG]
    assert around("python", lines, len(LONG)) == Rows(0, len(lines))


# The command


async def run(bench: Scripted, text: str, line: int, language: str) -> str:
    document = bench.open(text, "file:///w/a.txt", language)
    await bench.call("runStatement", {"uri": document.uri, "line": line})
    return bench.codes[-1]


async def test_only_the_cell_is_parsed(bench: Scripted) -> None:
    text = "# %%\nx = (\n# %%\ny = [1,\n  2]\nz\n# %%\n'''\n"
    assert await run(bench, text, 3, "python") == "y = [1,\n  2]"


async def test_a_statement_of_a_long_file(bench: Scripted) -> None:
    code = await run(bench, "\n".join(LONG), LAST - 1, "python")
    assert code == "\n".join(LONG[LIST:LAST])
    assert places(bench) == [((LIST, 0), (LAST - 1, 1))]


async def test_a_statement_in_a_quote(bench: Scripted) -> None:
    text = "> ```python\n> def f():\n>     return 1\n> f()\n> ```\n"
    assert await run(bench, text, 2, "markdown") == "def f():\n    return 1"


async def test_from_the_marker_runs_the_first_statement(bench: Scripted) -> None:
    assert await run(bench, "# %%\n\nx\ny\n", 0, "python") == "x"


async def test_nothing_below(bench: Scripted) -> None:
    document = bench.open("# %%\nx\n\n# end\n# %%\ny\n")
    told = await bench.refused("runStatement", {"uri": document.uri, "line": 2})
    assert told.startswith("No code is here or below")
    assert bench.kernels == []


async def test_a_statement_has_a_place_and_is_no_run_of_its_cell(bench: Scripted) -> None:
    document = bench.open("# %%\nx\ny\n")
    await bench.call("runStatement", {"uri": document.uri, "line": 2})
    assert list(bench.workspace.runs.of(document)) == []
    assert places(bench) == [((2, 0), (2, 1))]


LOGO = "repeat 4 [\n\nfd 10\n]\nprint 1\n"
"""No grammar knows it, and its shape alone does not tell its statements."""


async def test_without_a_grammar_the_kernel_is_asked(bench: Scripted) -> None:
    bench.is_complete = balanced
    bench.open(LOGO, "file:///w/a.logo", "logo")
    await bench.call("runCell", "a.logo", 1)
    await bench.call("runStatement", "a.logo", 2)
    await bench.call("runStatement", "a.logo", 5)
    assert bench.codes[1:] == ["repeat 4 [\n\nfd 10\n]", "print 1"]
    assert places(bench)[1:] == [((0, 0), (3, 1)), ((4, 0), (4, 7))]
    assert bench.kernels[0].asked[:2] == ["repeat 4 [\n", "repeat 4 [\n\nfd 10\n]\n"]


async def test_what_is_typed_meanwhile_is_not_run(bench: Scripted) -> None:
    document = bench.open(LOGO, "file:///w/a.logo", "logo")
    await bench.call("runCell", "a.logo", 1)
    bench.kernels[0].is_complete = balanced
    waiting = COMMANDS["runStatement"](bench.workspace, ["a.logo", 1])
    assert waiting is not None
    document.apply([(None, "\n\n\nother\n")], 2)
    await waiting
    await bench.settle()
    assert bench.codes[1:] == ["repeat 4 [\n\nfd 10\n]"]
    assert places(bench)[1:] == [((0, 0), (3, 1))]


@pytest.mark.parametrize("when", ["starting", "busy", "mute", "clueless"])
async def test_a_kernel_that_does_not_tell_is_not_waited_for(
    bench: Scripted, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shape decides: at once where a later command could otherwise run before this one."""
    monkeypatch.setattr(running, "ASKING", 0.01)
    bench.open(LOGO, "file:///w/a.logo", "logo")
    if when != "starting":
        bench.run = (lambda code: None) if when == "busy" else bench.run
        await bench.call("runCell", "a.logo", 1)
    if when == "mute":
        bench.kernels[0].is_complete = lambda code: None
    waiting = COMMANDS["runStatement"](bench.workspace, ["a.logo", 3])
    assert (waiting is None) == (when in ("starting", "busy"))
    if when == "busy":
        bench.kernels[0].finish()
    if when == "clueless":
        bench.kernels[0].is_complete = lambda code: "unknown"
    if waiting is not None:
        await waiting
    await bench.settle()
    if bench.kernels[0].running is not None:
        bench.kernels[0].finish()
    assert bench.codes[-1] == "fd 10\n]"


def balanced(code: str) -> str:
    return "complete" if code.count("[") == code.count("]") else "incomplete"


def places(bench: Scripted) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The ranges of all executions, in order."""
    records = bench.workspace.frontend.transcript.records()
    found = [bench.workspace.place(record.execution_id) for record in records]
    ranges = [place.range for place in found if place is not None and place.range is not None]
    return [
        ((each.start.line, each.start.character), (each.end.line, each.end.character))
        for each in ranges
    ]


@pytest.mark.parametrize("language", ["python", pytest.param("r", marks=pytest.mark.needs_r)])
async def test_real_kernels_tell_where_statements_end(frontend: Frontend, language: str) -> None:
    kernel_id = await frontend.start_kernel(language=language)

    async def ask(code: str) -> str:
        return (await frontend.is_complete(kernel_id, code)).status

    lines, _ = read(language)
    blocks = blocks_of(language, lines)
    for row, rows in expected(language):
        assert await by_asking(near(blocks, row), lines, row, ask) == rows
