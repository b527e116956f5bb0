"""Vim with ALE in a terminal, set up as its page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from plugin_components import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from screen import Screen

PAGE = Path(__file__).parents[2] / "editors" / "vim" / "README.md"

SCRIPT = """\
# %% Load
fish = {"carp": 4.2, "pike": 7.9, "perch": 0.6}
fish

# %% Look
for name, kilos in fish.items():
    print(f"{name:>6} {'█' * round(kilos * 3)} {kilos}")

# %% Fail
fish["eel"]
"""

QUARTO = """\
# Fish

```{r}
sum(c(4.2, 7.9, 0.6))
```
"""

pytestmark = [pytest.mark.needs_vim, pytest.mark.needs_tmux]


@pytest.fixture
def editor(
    terminal: Callable[..., Screen], home: Path, project: Path
) -> Callable[[str, str], Screen]:
    """Vim in a terminal, and a file open in it."""
    section = PAGE.read_text().split("\n## ")[1]
    assert section.startswith("ALE\n")
    blocks = re.findall(r"```vim\n(.*?)```", section, re.DOTALL)
    looks = ["syntax on", "set ruler termguicolors background=dark", "colorscheme habamax"]
    (home / ".vimrc").write_text("\n".join(["packadd! ale", *blocks, *looks]))

    def start(name: str, text: str) -> Screen:
        (project / name).write_text(text)
        screen = terminal([program("vim"), name], rows=16)
        screen.until(re.escape(text.split("\n")[0]))
        return screen

    return start


def leave(screen: Screen) -> None:
    screen.type(":qa!\n")
    screen.until_ended()


def test_a_script_on_the_screen(
    editor: Callable[[str, str], Screen], picture: Callable[[Screen, str], Path]
) -> None:
    screen = editor("fish.py", SCRIPT)
    screen.type(":ALECodeAction\n")
    screen.until(r"^1\) Run cell$")
    screen.type("1\n")
    screen.until(r"^--fish > → \{'carp': 4.2, 'pike'")
    screen.type("6G")
    screen.keys("F5")
    screen.until(r"^-- .+\)  ?> → perch ██ 0.6$")
    screen.type("10G")
    screen.keys("F5")
    screen.until(r"^>>fish\[\"eel\"\]  ?> KeyError: 'eel'$")
    screen.until(r"^KeyError: 'eel' ")  # the line of the cursor, in the last line
    picture(screen, "vim")
    screen.type(":lopen\n")
    screen.until(r"^fish.py\|10 col 1-11 error\| KeyError: 'eel'$")
    screen.type(":lclose\n")
    screen.until(r"error\|", absent=True)
    screen.type("5GK")
    screen.until(r"^ +carp █████████████ 4.2$")
    screen.type(":pclose\n")
    screen.until(r"█ 4.2", absent=True)
    leave(screen)


def test_what_was_changed_last_is_run(editor: Callable[[str, str], Screen]) -> None:
    screen = editor("fish.py", "print('nothing')\n")
    screen.keys("F5")
    screen.until(r"^-- ?print\('nothing'\) +> → nothing$")
    screen.type("$2hx")  # ALE would tell this a moment later
    screen.keys("F5")
    screen.until(r"> → nothin$")
    leave(screen)


def test_completion_from_the_kernel(editor: Callable[[str, str], Screen]) -> None:
    screen = editor("fish.py", 'fish = {"carp": 4.2}\nfish\n')
    screen.keys("F5")
    screen.until(r"> → \{'carp': 4.2\}")
    screen.type("Gofish.setd")
    screen.keys("C-x", "C-o")
    screen.until(r"^ +fish\.setdefault$")
    screen.keys("Escape")
    leave(screen)


def test_words_for_a_prompt(editor: Callable[[str, str], Screen]) -> None:
    screen = editor("ask.py", 'name = input("Who are you? ")\n"Hello " + name\n')
    screen.keys("F5")
    screen.until(r"The running code asks: Who are you\?")
    screen.type("\\ka")
    screen.until(r"^Input:")
    screen.type("Ada\n")
    screen.type(":pclose\n")
    screen.until(r"> → 'Hello Ada'$")
    leave(screen)


@pytest.mark.needs_r
def test_a_fence_in_r(editor: Callable[[str, str], Screen]) -> None:
    screen = editor("fish.qmd", QUARTO)
    screen.type("4G")
    screen.keys("F5")
    screen.until(r"^--sum\(c\(4.2, 7.9, 0.6\)\) > → \[1\] 12\.7$")
    leave(screen)
