"""The plugin in the real Neovim: its Lua tests, and what is on the screen of a terminal."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from plugin_components import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from screen import Screen

PLUGIN = Path(__file__).parents[2] / "editors" / "neovim"
TESTS = PLUGIN / "tests"

LUA = [
    pytest.param(path.name, name, marks=[pytest.mark.needs_r] if path.stem == "quarto" else [])
    for path in sorted(TESTS.glob("*.lua"))
    for name in re.findall(r'^case\("(.+?)", function', path.read_text(), re.MULTILINE)
]

pytestmark = pytest.mark.needs_nvim


def nvim(*arguments: str | Path) -> list[str]:
    return [program("nvim"), *map(str, arguments)]


def run_lua(env: dict[str, str], cwd: Path, *arguments: str | Path) -> str:
    """Run a Lua file in a Neovim without a screen; what it has printed. It has to succeed."""
    done = subprocess.run(
        nvim("--clean", "-l", *arguments),
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    # Neovim shows an error in a callback, and goes on.
    assert "Error" not in done.stdout, done.stdout
    return done.stdout


@pytest.mark.needs_r
def test_two_kernels_at_once(env: dict[str, str], project: Path) -> None:
    printed = run_lua(env, project, TESTS / "test_multi_kernel.lua")
    assert "two kernels, each with its own state" in printed


@pytest.mark.parametrize(("file", "case"), LUA)
def test_lua(env: dict[str, str], project: Path, file: str, case: str) -> None:
    run_lua(env, project, TESTS / "run.lua", TESTS / file, case)


INIT = """\
vim.opt.runtimepath:prepend({plugin!r})
require("carpo").setup({{ settings = {{ completion = {{ budget = 20000 }} }} }})
vim.keymap.set({{ "n", "x" }}, "<F5>", "<Plug>(carpo-run-cell)")
vim.keymap.set("n", "<F6>", "<Plug>(carpo-output)")
vim.o.swapfile = false
vim.o.number = true
vim.o.cmdheight = 2
vim.o.termguicolors = true
"""

SCRIPT = """\
# %% Load
fish = {"carp": 4.2, "pike": 7.9, "perch": 0.6}
fish

# %% Look
for number, (name, weight) in enumerate(fish.items(), 1):
    print(f"\\033[3{number}m{name:>6}\\033[0m", "█" * round(4 * weight), weight)

# %% Fail
fish["eel"]

# %% Ask
name = input("Who are you? ")
f"Hello {name}"
"""


@pytest.fixture
def editor(
    terminal: Callable[..., Screen], home: Path, project: Path
) -> Callable[[str, str], Screen]:
    """Neovim in a terminal with the plugin, and a file open in it."""
    init = home / "config" / "nvim" / "init.lua"
    init.parent.mkdir(parents=True)
    init.write_text(INIT.format(plugin=str(PLUGIN)))

    def start(name: str, text: str) -> Screen:
        (project / name).write_text(text)
        return terminal(nvim(name), rows=32)

    return start


@pytest.mark.needs_tmux
def test_a_script_on_the_screen(
    editor: Callable[[str, str], Screen], picture: Callable[[Screen, str], Path]
) -> None:
    screen = editor("fish.py", SCRIPT)
    screen.until(r"# %% Load")
    screen.keys("F5")
    screen.until(r"^✓ +2 fish = \{")
    screen.until(r"▏ \{'carp': 4.2, 'pike': 7.9, 'perch': 0.6\}")
    screen.type("/Look\n")
    screen.keys("F5")
    screen.until(r"▏  perch ██ 0.6$")
    screen.type("/Fail\n")
    screen.keys("F5")
    screen.until(r"✗ KeyError \[3\]")
    screen.until(r"^E +\d+ fish\[|^✗ +\d+ fish\[")
    screen.type("/Ask\n")
    screen.keys("F5")
    screen.until(r"^Who are you\?")
    screen.type("Ada")
    screen.keys("Enter")
    screen.until(r"▏ 'Hello Ada'")
    screen.until(r"✓ \[4\]")
    screen.keys("C-l")
    screen.type("4G")
    screen.until(r"4,0-1")
    picture(screen, "neovim")
    shown = screen.text()
    assert shown.index("{'carp'") < shown.index("# %% Look") < shown.index("perch ██")
    screen.type(":qa!\n")
    screen.until_ended()


@pytest.mark.needs_tmux
def test_a_long_output_in_a_window(
    editor: Callable[[str, str], Screen], picture: Callable[[Screen, str], Path]
) -> None:
    screen = editor("long.py", 'for n in range(5000):\n    print(f"line {n}")\n')
    screen.until(r"print\(f")
    screen.keys("F5")
    screen.until(r"▏ ⋯ 4989 more lines")
    screen.until(r"▏ line 4999")
    screen.keys("F6")
    screen.until(r"5000 lines · q closes")
    screen.until(r"│line 7 ")
    screen.type("G")
    screen.until(r"│line 4999 ")
    screen.type("q")
    screen.until(r"5000 lines", absent=True)
    screen.type(":qa!\n")
    screen.until_ended()


@pytest.mark.needs_tmux
def test_completion_from_the_kernel(editor: Callable[[str, str], Screen]) -> None:
    screen = editor("complete.py", "animal = 'carp'\n\n")
    screen.until(r"animal = 'carp'")
    screen.keys("F5")
    screen.until(r"✓ \[1\]")
    screen.type("Goanimal.upp")
    screen.keys("C-x", "C-o")
    screen.until(r"animal\.upper")
    screen.keys("Escape")
    screen.type(":qa!\n")
    screen.until_ended()
