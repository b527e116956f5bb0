from __future__ import annotations

from typing import Any

import pytest

from carpo_lsp.features.tracebacks import Frame, calls, read

RULE = "-" * 75
HEAD = "ZeroDivisionError                         Traceback (most recent call last)"


def error(ename: str, evalue: str, *traceback: str) -> dict[str, Any]:
    return {"ename": ename, "evalue": evalue, "traceback": list(traceback)}


def zero(*frames: str) -> dict[str, Any]:
    last = "ZeroDivisionError: division by zero"
    return error("ZeroDivisionError", "division by zero", RULE, HEAD, *frames, last)


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        ("\x1b[36mCell\x1b[39m \x1b[32mIn[3]\x1b[39m, line 2\n      1 x=1\n----> 2 1/0\n", 1),
        ("Cell In [3], line 2\n----> 2 1/0\n", 1),
        ("Input In [3], in <cell line: 2>()\n      1 x=1\n----> 2 1/0\n", 1),
        ("<ipython-input-3-0ab1> in <module>\n      1 x=1\n----> 2 1/0\n", 1),
        ('File "<ipython-input-3-0ab1>", line 2, in <module>\n    1/0\n', 1),
    ],
)
def test_the_failing_line_in_every_format_of_ipython(frame: str, line: int) -> None:
    problem = read(zero(frame), "x=1\n1/0", 3, "python")
    assert (problem.title, problem.line) == ("ZeroDivisionError: division by zero", line)
    assert problem.frames == ()


def test_blank_lines_at_the_start_do_not_count() -> None:
    assert read(zero("Cell In[3], line 2\n"), "\n \nx=1\n1/0", 3, "python").line == 3


def test_lines_below_a_cell_magic() -> None:
    frames = ("Cell In[3], line 1\n----> 1 get_ipython()\n", "File <timed exec>:2\n")
    assert read(zero(*frames), "%%time\nx=1\n1/0", 3, "python").line == 2


def test_frames_elsewhere_are_told_and_the_deepest_here_is_the_failing_one() -> None:
    problem = read(
        zero(
            "Cell In[3], line 5\n",
            "Cell In[3], line 2, in f(x)\n",
            "Cell In[2], line 7, in g()\n",
            "File ~/lib/m.py:12, in Class.method(self)\n     11 a\n---> 12 b\n",
        ),
        "\n".join("abcdef"),
        3,
        "python",
    )
    assert problem.line == 1
    assert problem.frames == (
        Frame(5, count=3),
        Frame(7, count=2, function="g"),
        Frame(12, path="~/lib/m.py", function="Class.method"),
    )


def test_of_a_chain_the_last_exception_counts() -> None:
    problem = read(
        error(
            "KeyError",
            "'k'",
            RULE,
            HEAD,
            "Cell In[1], line 2\n",
            "ZeroDivisionError: division by zero",
            "\nThe above exception was the direct cause of the following exception:\n",
            "KeyError                                  Traceback (most recent call last)",
            "Cell In[1], line 4\n",
        ),
        "try:\n  1/0\nexcept Exception as e:\n  raise KeyError('k') from e",
        1,
        "python",
    )
    assert (problem.title, problem.line, problem.frames) == ("KeyError: 'k'", 3, ())


@pytest.mark.parametrize(
    ("traceback", "evalue"),
    [
        (
            "  Cell In[5], line 2\n    for i in x\n              ^\nSyntaxError: expected ':'\n",
            "expected ':' (3521570167.py, line 2)",
        ),
        (
            '  File "<ipython-input-5-aa>", line 2\n    for i in x\n              ^\n',
            "expected ':' (<ipython-input-5-aa>, line 2)",
        ),
    ],
)
def test_a_syntax_error_has_a_column(traceback: str, evalue: str) -> None:
    problem = read(
        error("SyntaxError", evalue, traceback), "if 1:\n  for i in x\n    pass", 5, "python"
    )
    assert (problem.line, problem.column) == (1, 12)
    assert problem.title == "SyntaxError: expected ':'"


def test_an_error_of_several_lines_has_one_as_its_title() -> None:
    problem = read(error("ValueError", "a\nb", "Cell In[1], line 1\n"), "x", 1, "python")
    assert (problem.title, problem.detail) == ("ValueError: a", "b")


@pytest.mark.parametrize("line", [0, 7])
def test_a_line_outside_the_code_is_none(line: int) -> None:
    assert read(zero(f"Cell In[1], line {line}\n"), "1/0", 1, "python").line is None


@pytest.mark.parametrize(
    ("ename", "evalue", "title"),
    [
        ("", "", "The code failed."),
        ("", "127", "The code failed with status 127."),
        ("E", "", "E"),
        ("ERROR", "Error: x\n", "Error: x"),
    ],
)
def test_errors_without_a_place(ename: str, evalue: str, title: str) -> None:
    problem = read(error(ename, evalue), "code", 1, "bash")
    assert (problem.title, problem.line, problem.column, problem.frames) == (title, None, None, ())


def r_error(message: str, *frames: str) -> dict[str, Any]:
    return error("ERROR", f"{message}\n", f"{message}\nTraceback:\n", *frames)


@pytest.mark.parametrize(
    ("failed", "code", "line", "column"),
    [
        (
            r_error("Error in eval(expr, envir, enclos): a", '1. stop("a")'),
            "y <- 1\nstop('a')",
            1,
            None,
        ),
        (r_error("Error in g(x): deep", "1. f(1)", "2. g(x)"), "x <- 1\ny <- f( 1 )", 1, None),
        (r_error("Error in m(x): d", "1. m(x, y)"), "x <- 1\nm(x,\n  y)", 1, None),
        (
            r_error("Error in eval(expr, envir, enclos): object 'u' not found"),
            "uu <- 1\nu + 1",
            1,
            None,
        ),
        (r_error('Error in f(): could not find function "h"'), "1\nh(2)", 1, None),
        (r_error("Error in parse(text = x): <text>:2:3: unexpected ')'"), "x <- c(1,\n2))", 1, 2),
        (r_error("Error: something else"), "x", None, None),
    ],
)
def test_r(failed: dict[str, Any], code: str, line: int | None, column: int | None) -> None:
    problem = read(failed, code, 1, "r")
    assert (problem.line, problem.column) == (line, column)
    assert problem.title == failed["evalue"].strip()


def test_r_frames_are_told_by_their_calls() -> None:
    frames = ("1. f(1)", "2. g(x)   # at line 3 of file <text>")
    problem = read(r_error("Error in g(x): deep", *frames), "f(1)", 1, "r")
    assert problem.frames == (Frame(3, function="g(x)"),)
    assert calls("f <- function(x) {\n  log(x)\n  g(x)\n}", problem.frames[0])
    assert not calls("1\n2\n3", problem.frames[0])
    assert not calls("1", problem.frames[0])


def test_julia() -> None:
    text = "UndefVarError: x not defined\n\nStacktrace:\n [1] top-level scope\n   @ In[4]:2"
    assert read(error("UndefVarError", "x not defined", text), "y = 1\nx", 4, "julia").line == 1
