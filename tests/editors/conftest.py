"""What tests of real editors share: a home of their own, the server, a terminal, screenshots."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from screen import DEADLINE, Screen
from support import processes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from window import Window

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty home folder with a short path, as sockets are made in it."""
    folder = Path(tempfile.mkdtemp(prefix="ce-"))
    # The first completion of a kernel with jedi, whose cache is empty here, takes many seconds.
    config = folder / "ipython" / "profile_default" / "ipython_kernel_config.py"
    config.parent.mkdir(parents=True)
    config.write_text("c.Completer.use_jedi = False\n")
    yield folder
    # Servers and kernels end a little later than the editor; while they do, they use the folder.
    _, left = psutil.wait_procs(list(processes_of(folder)), timeout=DEADLINE)
    assert not left
    shutil.rmtree(folder)


@pytest.fixture
def project(home: Path) -> Path:
    """An empty folder to work in."""
    folder = home / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    """The environment of an editor: nothing of whoever runs the tests but Jupyter's folders, and
    `carpo-lsp` of the environment under test before all others."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("JUPYTER_")}
    beside = str(Path(sys.executable).parent)
    return kept | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_RUNTIME_DIR": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "TMPDIR": str(home),
        "PATH": os.pathsep.join([beside, os.environ["PATH"]]),
        "LANG": "C.UTF-8",
        "SHELL": "/bin/sh",
    }


@pytest.fixture
def terminal(home: Path, project: Path, env: dict[str, str]) -> Iterator[Callable[..., Screen]]:
    """Starts a program in a terminal, in the project's folder. Give it the command as a list, and
    `columns` and `rows` if they matter."""
    screens: list[Screen] = []

    def start(command: Sequence[str | Path], columns: int = 100, rows: int = 30) -> Screen:
        folder = home / f"screen{len(screens)}"
        folder.mkdir()
        screens.append(Screen(folder, command, env=env, cwd=project, columns=columns, rows=rows))
        return screens[-1]

    yield start
    for screen in screens:
        with screen:
            pass


@pytest.fixture
def picture(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[Screen | Window, str], Path]:
    """Takes a screenshot of a terminal or of VS Code: into docs/images with `--screenshots`, else
    to where nobody looks, so that it is known to work."""
    folder = IMAGES if request.config.getoption("--screenshots") else tmp_path

    def take(screen: Screen | Window, name: str) -> Path:
        path: Path = folder / f"{name}{screen.PICTURE}"
        screen.screenshot(path)
        return path

    return take
