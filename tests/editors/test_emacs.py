"""The package in the real Emacs: its own tests, in batch, and what is on a terminal's screen."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from plugin_components import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from screen import Screen

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "editors" / "emacs"
TESTS = PACKAGE / "tests"
SOURCES = sorted(PACKAGE.glob("*.el"))

pytestmark = pytest.mark.needs_emacs


def cases() -> Iterator[object]:
    """A file of the package's tests, and the name of one in it."""
    for path in sorted(TESTS.glob("*-tests.el")):
        for part in path.read_text().split("\n(ert-deftest ")[1:]:
            name = part.split()[0]
            marks = [pytest.mark.needs_r] if ":tags '(needs-r)" in part else []
            yield pytest.param(path, name, id=name.removeprefix("carpo-test-"), marks=marks)


def batch(env: dict[str, str], cwd: Path, *arguments: str | Path) -> str:
    """Run Emacs without a screen; what it has printed. It has to succeed."""
    done = subprocess.run(
        [program("emacs"), "--batch", *map(str, arguments)],
        env=env,
        cwd=cwd,
        input="Ada\n",  # what a prompt gets
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize(("file", "case"), [*cases()])
def test_elisp(env: dict[str, str], project: Path, file: Path, case: str) -> None:
    run = f'(ert-run-tests-batch-and-exit "^{case}$")'
    printed = batch(
        env, project, "-l", TESTS / "support.el", "-L", TESTS, "-l", file, "--eval", run
    )
    assert "Ran 1 tests, 1 results as expected" in printed, printed


COMPILE = """(progn
  (package-initialize)
  (setq byte-compile-error-on-warn t
        byte-compile-dest-file-function
        (lambda (file) (expand-file-name (concat (file-name-base file) ".elc"))))
  (batch-byte-compile))"""


def test_it_compiles_without_a_warning(env: dict[str, str], project: Path) -> None:
    printed = batch(env, project, "-L", PACKAGE, "--eval", COMPILE, *SOURCES)
    assert "Warning" not in printed, printed
    assert {path.stem for path in project.glob("*.elc")} == {path.stem for path in SOURCES}


CHECKDOC = """(progn
  (require 'checkdoc)
  (mapc #'checkdoc-file command-line-args-left)
  (setq command-line-args-left nil))"""


def test_checkdoc_has_nothing_to_say(env: dict[str, str], project: Path) -> None:
    bad = project / "bad.el"
    bad.write_text("(defun bad (argument) argument)\n")
    assert "bad.el:1" in batch(env, project, "--eval", CHECKDOC, bad)
    printed = batch(env, project, "--eval", CHECKDOC, *SOURCES, *TESTS.glob("support.el"))
    assert not re.search(r"\.el:\d+", printed), printed


def blocks(heading: str) -> list[str]:
    """The Emacs Lisp in a section of the README, with the paths of this checkout."""
    text = (PACKAGE / "README.md").read_text()
    section = re.search(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    found = re.findall(r"```elisp\n(.*?)```", section[1], re.DOTALL)
    return [block.replace("~/carpo-lsp", str(ROOT)) for block in found]


EARLY_INIT = """\
;; Compiling takes what the test needs, and opens a window with warnings.
(setq native-comp-deferred-compilation nil
      native-comp-jit-compilation nil)
"""

INIT = """\
(setq inhibit-startup-screen t
      make-backup-files nil
      auto-save-default nil
      create-lockfiles nil
      python-indent-guess-indent-offset nil
      eldoc-echo-area-use-multiline-p nil)
(menu-bar-mode -1)
(define-key key-translation-map (kbd "<f5>") (kbd "C-c , ,"))
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
) -> Callable[[str, str, str], Screen]:
    """Emacs in a terminal with an init file, and a file open in it."""

    def start(init: str, name: str, text: str) -> Screen:
        (home / ".emacs.d").mkdir()
        (home / ".emacs.d" / "early-init.el").write_text(EARLY_INIT)
        (home / ".emacs.d" / "init.el").write_text(INIT + init)
        (project / ".git").mkdir()
        (project / name).write_text(text)
        return terminal([program("emacs"), "-nw", name], rows=40)

    return start


@pytest.mark.needs_tmux
def test_the_shortest_set_up(
    editor: Callable[[str, str, str], Screen], picture: Callable[[Screen, str], Path]
) -> None:
    """The one the README begins with."""
    screen = editor(blocks("Emacs")[0], "fish.py", SCRIPT)
    screen.until(r"fish\.py.* carpo\b")
    screen.keys("F5")
    screen.until(r"▏ \{'carp': 4.2, 'pike': 7.9, 'perch': 0.6\}")
    screen.until(r"✓ \[1\]")
    screen.until(r"\[Python 3.* idle\]")
    screen.keys("C-s")
    screen.type("Look\n")
    screen.keys("F5")
    screen.until(r"▏  perch ██ 0.6$")
    screen.keys("C-s")
    screen.type("Fail\n")
    screen.keys("F5")
    screen.until(r"✗ KeyError \[3\]")
    screen.keys("C-s")
    screen.type("Ask\n")
    screen.keys("F5")
    screen.until(r"^Who are you\?")
    screen.type("Ada\n")
    screen.until(r"▏ 'Hello Ada'")
    screen.until(r"✓ \[4\]")
    screen.keys("M-<")
    screen.until(r" L1 ")
    screen.until(r"Flymake\[1 0( 0)?\]")  # the error alone
    picture(screen, "emacs")
    shown = screen.text()
    assert shown.index("{'carp'") < shown.index("# %% Look") < shown.index("perch ██")


@pytest.mark.needs_tmux
def test_a_password_is_not_seen(editor: Callable[[str, str, str], Screen]) -> None:
    script = "import getpass\nword = getpass.getpass('Word? ')\nlen(word)\n"
    screen = editor(blocks("Emacs")[0], "secret.py", script)
    screen.until(r"secret\.py.* carpo\b")
    screen.keys("F5")
    screen.until(r"^Word\?")
    screen.type("fishy")
    screen.until(r"^Word\? \S{5}")
    assert "fishy" not in screen.text()
    screen.keys("Enter")
    screen.until(r"▏ 5$")
    assert "fishy" not in screen.text()


@pytest.mark.needs_tmux
def test_a_prompt_waits_for_the_minibuffer(editor: Callable[[str, str, str], Screen]) -> None:
    screen = editor(blocks("Emacs")[0], "ask.py", "name = input('Who? ')\nname * 2\n")
    screen.until(r"ask\.py.* carpo\b")
    screen.keys("F5", "M-x")
    screen.until(r"^M-x$")
    screen.until(r"\? waits for input")
    assert "Who?" not in screen.text().splitlines()[-1]
    screen.keys("C-g")
    screen.until(r"^Who\?")
    screen.type("Ada\n")
    screen.until(r"▏ 'AdaAda'$")


LSP_MODE = """
(setq lsp-auto-guess-root t
      lsp-lens-enable t
      lsp-lens-place-position 'end-of-line
      lsp-headerline-breadcrumb-enable nil
      lsp-enable-suggest-server-download nil)
(add-hook 'python-mode-hook #'lsp)
"""


@pytest.mark.needs_tmux
def test_lenses_in_lsp_mode(editor: Callable[[str, str, str], Screen]) -> None:
    """Without the package, as the README has it."""
    screen = editor(
        LSP_MODE + "".join(blocks("lsp-mode")), "lens.py", "# %% One\n1\n# %% Two\n6 * 7\n"
    )
    screen.until(r"# %% One ▶ Run cell")
    screen.until(r"# %% Two ▶ Run cell.*Run above")
    screen.keys("C-s")
    screen.type("Two\n")
    screen.keys("M-x")
    screen.until(r"^M-x$")
    screen.type("lsp-carpo-run-cell\n")
    screen.until(r"# %% Two ▶ Run cell.*✓")


@pytest.mark.needs_tmux
def test_results_in_lsp_mode(editor: Callable[[str, str, str], Screen]) -> None:
    """With the package, beside the lenses."""
    first, second = blocks("Emacs")[:2]
    init = LSP_MODE + first.replace("(carpo-setup)", second + "(carpo-setup)")
    screen = editor(init, "both.py", "# %% One\n6 * 7\n")
    screen.until(r"▶ Run cell")
    screen.keys("F5")
    screen.until(r"▏ 42$")
    screen.until(r"▶ Run cell.*✓")
