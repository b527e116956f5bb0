"""The code of a scripted session: what each cell shows when it ends by itself, in full."""

from __future__ import annotations

import attrs

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5E"
    "rkJggg=="
)


@attrs.frozen
class Cell:
    """A cell, the text it prints on stdout, how it ends, and what is done while it runs."""

    name: str
    code: str
    text: str
    state: str = "ok"
    asks: bool = False
    """Answered with `ANSWER`."""
    hangs: bool = False
    """Runs until it is interrupted."""
    cleared: str = ""
    """What it prints first and then clears."""


ANSWER = "Ada"


def numbers(count: int) -> str:
    return "".join(f"{number}\n" for number in range(count))


PYTHON = (
    Cell("prints", "for i in range(20): print(i)", numbers(20)),
    Cell("fails", "print(0)\n1 / 0", "0\n", state="error"),
    Cell("asks", 'print("hello", input("name? "))', f"hello {ANSWER}\n", asks=True),
    Cell(
        "hangs",
        'import time\nprint("begun", flush=True)\nwhile True: time.sleep(0.002)',
        "begun\n",
        state="error",
        hangs=True,
    ),
    Cell("floods", "for i in range(4000): print(i)", numbers(4000)),
    Cell(
        "counts",
        "import time\nfor i in range(60):\n    print(i, flush=True)\n    time.sleep(0.005)",
        numbers(60),
    ),
    Cell(
        "draws",
        f'shown = display({{"image/png": "{PNG}"}}, raw=True, display_id=True)\n'
        'print(0)\nshown.update({"text/plain": "updated"}, raw=True)\n40 + 2',
        "0\n",
    ),
    Cell(
        "clears",
        'from IPython.display import clear_output\nprint("gone")\nclear_output()\nprint(0)',
        "0\n",
        cleared="gone\n",
    ),
    Cell("bulk", 'print("x" * 1_500_000)', "x" * 1_500_000 + "\n"),
)

FAKE = (
    Cell("prints", "\n".join(f"stream stdout {i}" for i in range(20)), numbers(20)),
    Cell("fails", "stream stdout 0\nerror ValueError wrong", "0\n", state="error"),
    Cell("asks", "input name?", f"{ANSWER}\n", asks=True),
    Cell(
        "hangs",
        "stream stdout begun\nsleep-until-interrupted",
        "begun\n",
        state="error",
        hangs=True,
    ),
    Cell("floods", "flood 2000", numbers(2000)),
    Cell("draws", "display 1 first\nstream stdout 0\nupdate 1 second\nresult 42", "0\n"),
    Cell("clears", "stream stdout gone\nclear\nstream stdout 0", "0\n", cleared="gone\n"),
)

CELLS = {"python": PYTHON, "fake": FAKE}


def document(language: str) -> str:
    return "".join(f"# %% {cell.name}\n{cell.code}\n" for cell in CELLS[language])


def line_of(language: str, cell: Cell) -> int:
    """The line of a cell's marker in `document`."""
    cells = CELLS[language]
    return sum(2 + each.code.count("\n") for each in cells[: cells.index(cell)])
