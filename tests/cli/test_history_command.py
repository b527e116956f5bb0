from __future__ import annotations

import asyncio
import json
import subprocess
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from support import Events

from carpo_lsp.frontend import Frontend
from carpo_lsp.journal.journal import Journal
from carpo_lsp.journal.lines import Place
from carpo_lsp.kernels.events import TERMINAL, StateChanged
from carpo_lsp.protocol import Position, Range

if TYPE_CHECKING:
    from pathlib import Path

    from cli_program import Program

PICTURE = """\
from IPython.display import Image, display
display(Image(data=b"\\x89PNG picture", format="png"))"""

PRINTS = "print('\\x1b[31mred\\x1b[0m'); print('10 %\\r20 %\\r', end=''); print('done')\n1 + 1"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with a journal of three executions."""
    folder = tmp_path_factory.mktemp("state")

    async def fill() -> None:
        journal = Journal(folder / "carpo-lsp" / "journal")
        frontend = Frontend(journal=journal)
        kernel_id = await frontend.start_kernel(spec_name="python3")

        async def run(code: str, path: Path | None, line: int = 0) -> None:
            range_ = Range(Position(line, 0), Position(line, 9))
            place = Place(uri=path.as_uri(), range=range_) if path is not None else None
            events = Events(frontend)
            execution_id = frontend.submit(kernel_id, code, place=place)
            await events.until(
                lambda event: isinstance(event, StateChanged) and event.state in TERMINAL
            )
            assert frontend.record(execution_id).done

        await run(PRINTS, folder / "a.py", 4)
        await run("1 / 0", folder / "b.py")
        await run(PICTURE, None)
        await frontend.close()

    asyncio.run(fill())
    return folder


@pytest.fixture
def here(program: Program, state: Path) -> Program:
    program.env["XDG_STATE_HOME"] = str(state)
    program.folder = state
    return program


def heads(text: str) -> list[list[str]]:
    """The words of the first line of each execution, without its time."""
    found = [line.split("  ") for line in text.splitlines() if line[:2] == "20" and "  In[" in line]
    return [words[1:3] + words[4:] for words in found]


def test_it_prints_code_and_text(here: Program, state: Path) -> None:
    done = here.run("history")
    assert (done.returncode, done.stderr) == (0, "")
    assert heads(done.stdout) == [
        ["ok", "In[1]", "python3", f"{state}/a.py:5"],
        ["error", "In[2]", "python3", f"{state}/b.py:1"],
        ["ok", "In[3]", "python3"],
    ]
    lines = done.stdout.splitlines()
    code = [f"> {line}" for line in PRINTS.splitlines()]
    assert lines[1:6] == [*code, "red", "done", "2"]
    assert "ZeroDivisionError: division by zero" in lines
    assert lines[-1] == "[png image, 12 bytes]"
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["a.py"], ["1"]),
        (["."], ["1", "2"]),
        (["--last", "1"], ["3"]),
        (["--last", "2", "."], ["1", "2"]),
        (["--state", "error"], ["2"]),
        (["--state", "error", "--state", "ok"], ["1", "2", "3"]),
        (["--since", "1h"], ["1", "2", "3"]),
        (["--since", "2020-01-31T09:45"], ["1", "2", "3"]),
        (["--kernel", "python3"], ["1", "2", "3"]),
        (["--kernel", "Python", "b.py"], ["2"]),
    ],
)
def test_what_is_chosen(here: Program, options: list[str], expected: list[str]) -> None:
    done = here.run("history", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert [words[1] for words in heads(done.stdout)] == [f"In[{count}]" for count in expected]


@pytest.mark.parametrize(
    "options",
    [["none.py"], ["--kernel", "ir"], ["--state", "died"], ["--since", "2999-01-01"]],
)
def test_what_was_not_run(here: Program, options: list[str]) -> None:
    done = here.run("history", *options)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Nothing like that was run; the journal is in ")


def test_nothing_was_ever_run(program: Program, tmp_path: Path) -> None:
    program.env["XDG_STATE_HOME"] = str(tmp_path)
    done = program.run("history")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Nothing was run; the journal is in {tmp_path}/carpo-lsp/journal\n"
    assert json.loads(program.run("history", "--json").stdout) == []


def test_json_has_everything(here: Program, state: Path) -> None:
    first, _, third = json.loads(here.run("history", "--json").stdout)
    assert (first["state"], first["executionCount"], first["code"]) == ("ok", 1, PRINTS)
    assert first["textDocument"] == {"uri": (state / "a.py").as_uri()}
    assert first["range"]["start"] == {"line": 4, "character": 0}
    assert first["kernel"]["specName"] == "python3"
    assert first["durationMs"] > 0
    assert first["outputs"][1]["data"] == {"text/plain": "2"}
    assert third["textDocument"] is None
    assert "image/png" in third["outputs"][0]["data"]


def test_a_notebook_of_it(here: Program, tmp_path: Path) -> None:
    path = tmp_path / "all.ipynb"
    done = here.run("history", "--notebook", path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"Wrote 3 cells to {path}\n"
    notebook: Any = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert [cell.source for cell in notebook.cells] == [PRINTS, "1 / 0", PICTURE]
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, 3]
    kinds = [[output.output_type for output in cell.outputs] for cell in notebook.cells]
    assert kinds == [["stream", "execute_result"], ["error"], ["display_data"]]
    assert "image/png" in notebook.cells[2].outputs[0].data
    assert notebook.metadata.kernelspec.name == "python3"
    done = here.run("history", "--notebook", path)
    assert done.returncode == 2
    assert "is there already; see --overwrite" in done.stderr
    assert here.run("history", "b.py", "--notebook", path, "--overwrite").returncode == 0
    assert len(nbformat.read(path, as_version=4).cells) == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--since", "yesterday"], "'yesterday' is neither a time such as"),
        (["--last", "0"], "0 is not in the range"),
        (["--state", "fine"], "'fine' is not one of"),
        (["--notebook", "x.txt"], "'x.txt' is not a .ipynb file"),
        (["--notebook", "x.ipynb", "--json"], "--json and --notebook exclude each other"),
        (["--notebook", "none/x.ipynb"], "none/x.ipynb cannot be written: No such file"),
    ],
)
def test_mistakes(here: Program, options: list[str], problem: str) -> None:
    done = here.run("history", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_line_that_is_none_is_told_and_passed_over(here: Program, state: Path) -> None:
    (file,) = (state / "carpo-lsp" / "journal").glob("*/none.1.jsonl")
    whole = file.read_bytes()
    file.write_bytes(b"garbage\n" + whole)
    try:
        done = here.run("history")
    finally:
        file.write_bytes(whole)
    assert done.returncode == 0
    assert len(heads(done.stdout)) == 3
    assert "none.1.jsonl:1: left out: " in done.stderr


def test_a_pipe_that_is_closed_early(here: Program) -> None:
    process = here.start("history", "--json", stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    process.wait()
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
