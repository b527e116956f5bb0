from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from cli_program import Program

    Write = Callable[[str, str], Path]

# One grey pixel.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAC"
    "hwGA60e6kgAAAABJRU5ErkJggg=="
)


def read(path: Path) -> Any:
    """A notebook, which must be valid."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def read_until(process: subprocess.Popen[bytes], text: bytes, stream: str = "stdout") -> bytes:
    """What the process writes up to and with `text`."""
    seen = b""
    while text not in seen:
        byte = os.read(getattr(process, stream).fileno(), 1)
        assert byte, f"{text!r} never came after {seen!r}"
        seen += byte
    return seen


def notes(stderr: str) -> list[str]:
    """The lines that are ours."""
    return [line for line in stderr.splitlines() if line.startswith("carpo-lsp: ")]


SCRIPT = """\
# %% [markdown]
# # A title

# %% setup
import sys
print("to stdout")
print("to stderr", file=sys.stderr)
[1, 2]

# %%
#| eval: false
print("never")

# %% tags=["raises-exception"]
raise ValueError("expected")

# %% shows
from IPython.display import HTML, display
display(HTML("<p>some <b>html</b></p><script>hidden()</script>"))
shown = display("first", display_id=True)
shown.update("second")
shown.update("second")
print("\\rone\\rtwo", end="")
"""


def test_a_script_shows_what_a_terminal_would(program: Program, write: Write) -> None:
    write("script.py", SCRIPT)
    done = program.run("run", "script.py")
    assert done.returncode == 0
    assert done.stdout == "to stdout\n[1, 2]\nsome html\n'first'\n'second'\n\rone\rtwo"
    assert notes(done.stderr) == [
        "carpo-lsp: script.py [1/3] setup",
        'carpo-lsp: script.py [2/3] raise ValueError("expected")',
        "carpo-lsp: script.py [3/3] shows",
    ]
    assert "to stderr\n" in done.stderr
    assert "ValueError: expected" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_script_becomes_a_notebook(program: Program, write: Write) -> None:
    image = f"""
# %% plot
from base64 import b64decode
from IPython.display import Image
print("x" * 3_000_000)
Image(b64decode("{PNG}"))
"""
    write("script.py", SCRIPT + image)
    done = program.run("run", "script.py", "--output", "out.ipynb")
    assert done.returncode == 0
    saved = program.folder / "out_files" / "cell-4-1.png"
    assert f"carpo-lsp: image saved: {saved.relative_to(program.folder)}" in notes(done.stderr)
    assert saved.read_bytes().startswith(b"\x89PNG")

    notebook = read(program.folder / "out.ipynb")
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info.name == "python"
    title, setup, skipped, expected, shows, plot = notebook.cells
    assert (title.cell_type, title.source) == ("markdown", "# A title")
    assert [output.output_type for output in setup.outputs] == [
        "stream",
        "stream",
        "execute_result",
    ]
    assert setup.outputs[2].data == {"text/plain": "[1, 2]"}
    assert (skipped.execution_count, skipped.outputs) == (None, [])
    assert (expected.execution_count, expected.outputs[0].ename) == (2, "ValueError")
    assert [output.get("data", {}).get("text/plain") for output in shows.outputs][1:] == [
        "'second'",
        None,
    ]
    assert len(plot.outputs[0].text) == 3_000_001
    assert plot.outputs[1].data["image/png"].strip() == PNG


@pytest.mark.needs_r
def test_each_language_of_a_document_has_its_own_kernel(program: Program, write: Write) -> None:
    text = """\
---
title: Two languages
---

Some prose.

```{python}
x = "from Python"
```

```{r}
x <- "from R"
```

```{python}
print(x)
```

```{r}
#| label: last
cat(x, "\\n")
```

More prose.
"""
    write("two.qmd", text)
    done = program.run("run", "two.qmd", "-o", ".")
    assert (done.returncode, done.stdout) == (0, "from Python\nfrom R \n")
    assert notes(done.stderr)[-1] == "carpo-lsp: two.qmd [4/4] last"

    notebook = read(program.folder / "two.ipynb")
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", *["code"] * 4, "markdown"]
    assert notebook.metadata.kernelspec.language == "python"
    assert notebook.cells[2].metadata.vscode.languageId == "r"
    assert notebook.cells[2].execution_count == 1


def test_a_notebook_runs_again_and_keeps_what_is_not_output(program: Program, write: Write) -> None:
    cells = [
        nbformat.v4.new_markdown_cell("# Text", id="text"),
        nbformat.v4.new_code_cell("import os\nos.getcwd()", id="where", metadata={"kept": 1}),
        nbformat.v4.new_code_cell("print('never')", metadata={"tags": ["skip-execution"]}),
    ]
    metadata = {"kernelspec": {"name": "elsewhere", "display_name": "X"}, "mine": True}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    cells[1].outputs = [nbformat.v4.new_output("stream", text="old")]
    folder = program.folder / "books"
    folder.mkdir()
    path = write("books/book.ipynb", nbformat.writes(notebook))
    done = program.run("run", path, "-o", path)
    assert (done.returncode, done.stdout) == (0, f"{str(folder)!r}\n")
    assert "The kernel 'elsewhere', asked for by the document's header, is not" in done.stderr
    after = read(path)
    assert after.metadata.mine is True
    assert after.metadata.kernelspec.name == "python3"
    assert [cell.id for cell in after.cells[:2]] == ["text", "where"]
    assert after.cells[1].metadata == {"kept": 1}
    assert [output.output_type for output in after.cells[1].outputs] == ["execute_result"]


FAILING = """\
# %%
print("before")
# %%
1 / 0
# %%
print("after")
"""


def test_the_first_error_stops_everything(program: Program, write: Write) -> None:
    write("one.py", FAILING)
    write("two.py", "print('another')")
    done = program.run("run", "one.py", "two.py", "--output", ".")
    assert (done.returncode, done.stdout) == (1, "before\n")
    assert notes(done.stderr)[-1] == (
        "carpo-lsp: one.py: cell 2 of 3 (line 3): failed: ZeroDivisionError: division by zero"
    )
    assert "1 / 0" in done.stderr
    counts = [cell.execution_count for cell in read(program.folder / "one.ipynb").cells]
    assert counts == [1, 2, None]
    assert not (program.folder / "two.ipynb").exists()


def test_keep_going_runs_everything(program: Program, write: Write) -> None:
    write("one.py", FAILING)
    write("two.md", "```python\nprint('another')\n```\n\n```json\n{}\n```\n")
    done = program.run("run", "one.py", "two.md", "--keep-going", "--output", program.folder)
    assert (done.returncode, done.stdout) == (1, "before\nafter\nanother\n")
    assert [cell.cell_type for cell in read(program.folder / "two.ipynb").cells] == [
        "code",
        "markdown",
    ]


def test_stdin_answers_input_to_its_end(program: Program, write: Write) -> None:
    write("ask.py", "print(input('name? '), input())\n# %%\ninput('more? ')\n# %%\nprint('never')")
    done = program.run("run", "ask.py", stdin="Ädä\r\nx")
    assert (done.returncode, done.stdout) == (1, "name? Ädä x\nmore? ")
    assert notes(done.stderr)[-1] == (
        "carpo-lsp: ask.py: cell 2 of 3 (line 2): asks for input, and stdin is at its end"
    )


LOOP = """\
import time
try:
    print("running", flush=True)
    while True:
        time.sleep(0.01)
except KeyboardInterrupt:
    print("stopped", flush=True)
    {after}
# %%
print("next")
"""


def test_ctrl_c_interrupts_the_cell(program: Program, write: Write) -> None:
    write("loop.py", LOOP.format(after="pass"))
    process = program.start("run", "loop.py")
    read_until(process, b"running\n")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (0, b"stopped\nnext\n")
    assert "carpo-lsp: interrupted; press Ctrl-C again to quit" in notes(stderr.decode())


def test_ctrl_c_twice_quits(program: Program, write: Write) -> None:
    write("loop.py", LOOP.format(after="while True: time.sleep(0.01)"))
    process = program.start("run", "loop.py", "-o", "loop.ipynb")
    read_until(process, b"running\n")
    process.send_signal(signal.SIGINT)
    read_until(process, b"stopped\n")
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate()
    assert (process.returncode, stdout) == (130, b"")
    assert read(program.folder / "loop.ipynb").cells[0].outputs == []


def test_signals_are_heard_while_nobody_reads(program: Program, write: Write) -> None:
    write("flood.py", "while True: print('x' * 1000)")
    process = program.start("run", "flood.py")
    read_until(process, b"xxx")
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143


def test_a_closed_stdout_ends_the_run(program: Program, write: Write) -> None:
    write("flood.py", "while True: print('x' * 1000)")
    process = program.start("run", "flood.py")
    read_until(process, b"xxx")
    process.stdout.close()
    assert process.wait() == 1
    assert b"Traceback" not in process.stderr.read()


def test_a_cell_that_takes_too_long_is_interrupted(program: Program, write: Write) -> None:
    write("slow.py", "import time\ntime.sleep(60)\n# %%\nprint('next')")
    done = program.run("run", "slow.py", "--timeout", "0.5", "--keep-going")
    assert (done.returncode, done.stdout) == (1, "next\n")
    assert (
        "carpo-lsp: slow.py: cell 1 of 2 (line 1): ran longer than 0.5 s and was interrupted"
        in notes(done.stderr)
    )


def test_a_kernel_that_dies_ends_its_document(program: Program, write: Write) -> None:
    write("dies.py", "import os; os._exit(3)\n# %%\n1")
    done = program.run("run", "dies.py", "--keep-going")
    assert (done.returncode, done.stdout) == (1, "")
    assert notes(done.stderr)[-1] == (
        "carpo-lsp: dies.py: cell 1 of 2 (line 1): the kernel died: The kernel exited with code 3."
    )


def test_a_kernel_that_does_not_start_is_told(program: Program, write: Write) -> None:
    write("doc.py", "1")
    spec = {"argv": ["false", "{connection_file}"], "display_name": "Broken", "language": "x"}
    write("kernel.json", json.dumps(spec))
    done = program.run("run", "doc.py", "--kernel", "./kernel.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "carpo-lsp: doc.py: Broken did not start: The kernel exited with code 1.\n"
    )


def test_the_kernel_and_its_folder_can_be_chosen(program: Program, write: Write) -> None:
    write("doc.txt", "import os\nprint(os.getcwd())")
    folder = program.folder / "elsewhere"
    folder.mkdir()
    done = program.run("run", "doc.txt", "--kernel", "python", "--cwd", folder)
    assert (done.returncode, done.stdout) == (0, f"{folder}\n")


def test_what_was_chosen_for_the_project_runs_it(program: Program, write: Write) -> None:
    write("doc.py", "print('ran')")
    chosen = {str(program.folder): {"python": {"name": "chosen"}}}
    state = program.folder / "state" / "carpo-lsp"
    state.mkdir(parents=True)
    (state / "choices.json").write_text(json.dumps(chosen))
    spec = program.folder / "jupyter" / "kernels" / "chosen"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-c", "raise SystemExit('this is the one')", "{connection_file}"]
    about = {"argv": argv, "display_name": "Chosen", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(about))
    folders = {"XDG_STATE_HOME": str(state.parent), "JUPYTER_PATH": str(spec.parent.parent)}
    program.env |= folders
    done = program.run("run", "doc.py")
    assert done.returncode == 1
    assert "this is the one" in done.stderr
    done = program.run("run", "doc.py", "--kernel", "python3")
    assert (done.returncode, done.stdout) == (0, "ran\n")


def test_a_document_without_code_is_well(program: Program, write: Write) -> None:
    write("prose.md", "# Only\n\nprose\n")
    done = program.run("run", "prose.md", "-o", "prose.ipynb")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "carpo-lsp: prose.md: no code cells to run\n"
    assert read(program.folder / "prose.ipynb").cells[0].source == "# Only\n\nprose"
