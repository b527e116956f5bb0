"""Helix in a terminal, set up as its page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from plugin_components import newer_helix, program

if TYPE_CHECKING:
    from collections.abc import Callable

    from screen import Screen

PAGE = Path(__file__).parents[2] / "editors" / "helix" / "README.md"

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

KEYS = """\
# %%
1 + 1

# %%
2 * 2
3 * 3

# %%
input("Who are you? ").upper()

# %%
__import__("time").sleep(1000)
"""

pytestmark = [pytest.mark.needs_helix, pytest.mark.needs_tmux]


@pytest.fixture
def editor(terminal: Callable[..., Screen], home: Path, project: Path) -> Callable[..., Screen]:
    """Helix in a terminal, and a file open in it that carpo-lsp knows of. Give it the name and the
    text of the file, and the name of a newer Helix."""
    first, settings, more = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    # One of the others is in the environment under test, and has opinions on these scripts.
    first = first.replace(', "basedpyright", "ruff"]', "]")
    config = home / "config" / "helix"
    config.mkdir(parents=True)
    (config / "languages.toml").write_text(first + more)
    (config / "config.toml").write_text(settings)
    log = home / "helix.log"

    def start(name: str, text: str, helix: str = "hx") -> Screen:
        (project / name).write_text(text)
        log.touch()
        # Helix does not show when a server is there; its log does.
        told = terminal(["tail", "-n", "+1", "-F", log], columns=200, rows=100)
        screen = terminal([program(helix), "-v", "--log", log, name], rows=18)
        told.until(r"carpo -> .*textDocument/didOpen")
        return screen

    return start


def run_cell(screen: Screen) -> None:
    """Take the first entry of the menu of actions."""
    screen.type(" a")
    screen.until(r" Run cell( |$)")
    screen.keys("Enter")


def leave(screen: Screen) -> None:
    screen.type(":qa!")
    screen.keys("Enter")
    screen.until_ended()


def to_normal(screen: Screen) -> None:
    screen.keys("Escape")
    screen.until(r"^ NOR ")


def test_a_script_on_the_screen(
    editor: Callable[..., Screen], picture: Callable[[Screen, str], Path]
) -> None:
    screen = editor("fish.py", SCRIPT)
    run_cell(screen)
    screen.until(r"^● +3  fish +→ \{'carp': 4.2, 'pike'")
    screen.type("6G")
    screen.until(r" 6:1 *$")
    run_cell(screen)
    screen.until(r"^● +7 .+ → perch ██ 0.6$")
    screen.type("5G")
    screen.until(r" 5:1 *$")
    screen.type(" k")
    screen.until(r" carp █████████████ 4.2")
    screen.keys("Escape")
    screen.until(r"carp █████████████ 4.2", absent=True)
    screen.type("10G")
    screen.until(r" 10:1 *$")
    run_cell(screen)
    screen.until(r'^● +10  fish\["eel"\]\n +└─+ ?KeyError: \'eel\'$')
    screen.until(r"● 1 +1 sel")
    picture(screen, "helix")
    leave(screen)


def test_completion_from_the_kernel(editor: Callable[..., Screen]) -> None:
    screen = editor("fish.py", 'fish = {"carp": 4.2}\nfish\n')
    run_cell(screen)
    screen.until(r"→ \{'carp': 4.2\}")
    screen.type("geofish.")
    screen.until(r"^ +~ +clear ")
    screen.type("setd")
    screen.until(r"clear", absent=True)
    screen.keys("Tab")
    screen.until(r"^ +3  fish\.setdefault")
    screen.keys("Enter")
    to_normal(screen)
    screen.type(":w")
    screen.keys("Enter")
    screen.until(r"fish.py' written")
    leave(screen)


@pytest.mark.needs_r
def test_a_fence_in_r(editor: Callable[..., Screen]) -> None:
    screen = editor("fish.qmd", QUARTO)
    screen.type("4G")
    screen.until(r" 4:1 *$")
    run_cell(screen)
    screen.until(r"^● +4 .+→ \[1\] 12\.7$")
    leave(screen)


@pytest.mark.needs_helix_25_07
def test_keys_of_a_newer_helix(editor: Callable[..., Screen]) -> None:
    """One key runs the cell at the cursor, another the statement; prompts are answered."""
    screen = editor("fish.py", KEYS, newer_helix())
    screen.keys("M-Enter")
    screen.until(r"^●? +2  1 \+ 1 .*→ 2$")
    screen.type("6G")
    screen.until(r" 6:1 *$")
    screen.keys("M-s")
    screen.until(r"^●? +6  3 \* 3 .*→ 9$")
    screen.type("9G")
    screen.until(r" 9:1 *$")
    screen.keys("M-Enter")
    screen.until(r"Who are you\?")
    screen.type(':lsp-workspace-command carpo.answer "Ada"')
    screen.keys("Enter")
    screen.until(r"→ 'ADA'$")
    screen.type("12G")
    screen.until(r" 12:1 *$")
    screen.keys("M-Enter")
    screen.until(r"In \[\d+\]|fish\.py:")
    screen.keys("M-q")
    screen.until(r"KeyboardInterrupt")
    screen.keys("M-o")
    screen.until(r"fish.*\.md")
    leave(screen)
