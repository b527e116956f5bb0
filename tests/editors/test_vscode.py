"""The extension for VS Code, built, installed, and used in VS Code."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from plugin_components import VSCODE
from support import processes_of
from window import VIEW, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BIN = Path(sys.executable).parent
SOURCE = Path(__file__).parents[2] / "editors" / "vscode"

SCRIPT = """\
# %% Load
fish = {"carp": 4.2, "pike": 7.9, "perch": 0.6}
fish

# %% Draw
from IPython.display import HTML, Image, Markdown, display
display(Markdown("The *catch* of today"))
display(Image("catch.png"))

# %% Table
rows = "".join(f"<tr><th>{name}<td>{kilos}" for name, kilos in fish.items())
HTML(f"<table><thead><tr><th>fish<th>kg<tbody>{rows}</table><script>alert(1)</script>")

# %% Fail
fish["eel"]

# %% Ask
name = input("Who are you? ")
key = __import__("getpass").getpass("And the key? ")
print("hello", name, len(key))

# %% Sleep
import time
time.sleep(1000)
"""

NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"language_info": {"name": "python"}},
    "cells": [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(
            [
                "from IPython.display import display, clear_output\n"
                "shown = display('before', display_id=True)\n"
                "print('wiped'); clear_output(wait=True); print('kept')\n"
                "shown = display('first', display_id=True)\n"
                "shown.update('second')",
                "name = input('Who? ')\nname.upper()",
                "shown.update('third'); 1 / 0",
                "import time; time.sleep(1000)",
            ]
        )
    ],
}

pytestmark = [pytest.mark.needs_vscode]


@pytest.fixture(scope="module")
def tools() -> dict[str, str]:
    """The environment of npm and node."""
    path = os.pathsep.join([str(VSCODE / "bin"), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "NO_COLOR": "1", "FORCE_COLOR": "0"}


@pytest.fixture(scope="module")
def build(tools: dict[str, str]) -> Path:
    """The folder of a build, with the source of the extension as it is now."""
    folder = VSCODE / "extension"
    for old in folder.iterdir():
        if old.is_dir() and old.name != "node_modules":
            shutil.rmtree(old)
    ours = shutil.ignore_patterns("node_modules", "dist", "dist-test", "*.vsix")
    shutil.copytree(SOURCE, folder, ignore=ours, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def extension(build: Path, tools: dict[str, str]) -> Path:
    """The .vsix file that `npm run package` makes."""
    npm("run", "package", cwd=build, env=tools)
    return build / "carpo-lsp.vsix"


def npm(*arguments: str, cwd: Path, env: dict[str, str]) -> None:
    done = subprocess.run(
        ["npm", *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def open_window(
    home: Path, project: Path, env: dict[str, str], extension: Path
) -> Iterator[Callable[..., Window]]:
    """Opens VS Code with the project's folder. Give it settings, other variables than those of
    `env`, and further extensions, where they matter."""
    windows: list[Window] = []

    def start(
        settings: dict[str, Any] | None = None,
        env: dict[str, str] = env,
        others: Sequence[Path] = (),
    ) -> Window:
        extensions = [extension, *others]
        windows.append(
            Window(home, project, env=env, extensions=extensions, settings=settings or {})
        )
        return windows[-1]

    yield start
    for window in windows:
        window.close()


def open_file(window: Window, name: str) -> None:
    window.click(f".explorer-folders-view .monaco-list-row[aria-label^='{name}'] >> nth=0")


def run_cell(window: Window, number: int) -> None:
    """Click the lens of a cell."""
    window.click(f".codelens-decoration >> text=Run cell >> nth={number}")


def bars(path: Path, heights: list[int]) -> None:
    """Write a PNG picture of bars."""
    top, width = max(heights), 30
    blue, white = bytes([0x3B, 0x82, 0xF6]), bytes([255, 255, 255])
    rows = b""
    for row in range(top, 0, -1):
        pixels = (blue * width if height >= row else white * width for height in heights)
        rows += b"\0" + (white * 10).join(pixels)
    columns = width * len(heights) + 10 * (len(heights) - 1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", columns, top, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_its_own_tests(build: Path, tools: dict[str, str]) -> None:
    npm("test", cwd=build, env=tools)


def test_cells_of_a_script(
    open_window: Callable[..., Window], project: Path, picture: Callable[[Window, str], Path]
) -> None:
    (project / "fish.py").write_text(SCRIPT)
    bars(project / "catch.png", [42, 79, 6])
    window = open_window()
    open_file(window, "fish.py")

    run_cell(window, 0)
    window.until(".view-line >> text=/→.*carp/")  # beside its code
    window.until(".statusbar-item >> text=/Python 3.*: idle/")
    run_cell(window, 1)
    window.until("section img[src^='data:image/png;base64,']", frames=VIEW)
    assert window.text(".markdown", frames=VIEW) == "The catch of today"
    run_cell(window, 2)
    window.until("section table", frames=VIEW)
    assert (
        window.text("table", frames=VIEW).split() == "fish kg carp 4.2 pike 7.9 perch 0.6".split()
    )
    run_cell(window, 3)
    window.until(".cdr.squiggly-error")
    window.until("section .error >> text=/KeyError.*eel/", frames=VIEW)
    window.until(".codelens-decoration >> text=/error.In\\[4\\]/")
    window.press("Control+b")
    window.until(".explorer-folders-view", absent=True)
    picture(window, "vscode")

    # A click on a result's title leads to its code, and the cursor's cell is run by a key.
    window.click("section .title >> text=Draw", frames=VIEW)
    window.until(".statusbar-item >> text=/Ln 6, Col 1/")
    window.press("Control+Enter")
    window.until("section .title >> text=/\\[5\\] Draw/", frames=VIEW)

    window.press("Control+Home", "ArrowDown", "ArrowDown", "End")
    window.type(".setd")
    window.until(".suggest-widget .monaco-list-row >> text=setdefault")
    window.press("Enter")
    window.until(".view-line >> text=/fish\\.setdefault/")


def test_prompts_and_an_interrupt(open_window: Callable[..., Window], project: Path) -> None:
    (project / "fish.py").write_text(SCRIPT)
    window = open_window()
    open_file(window, "fish.py")
    run_cell(window, 4)
    window.until(".quick-input-widget >> text=Who are you?")
    window.press("Escape")
    window.click(".notification-toast >> text=Answer")
    window.until(".quick-input-widget >> text=Who are you?")
    window.type("Ada")
    window.press("Enter")
    window.until(".quick-input-widget >> text=And the key?")
    window.until(".quick-input-widget input[type=password]")
    window.type("secret")
    window.press("Enter")
    window.until(".view-line >> text=/hello.Ada.6/")

    run_cell(window, 5)
    window.until(".statusbar-item >> text=/Python 3.*: busy/")
    window.press("Control+1", "Control+End")
    window.press("Control+k", "Control+i")
    window.until(".statusbar-item >> text=/Python 3.*: idle/")
    window.until(".cdr.squiggly-error")


def test_another_kernel(open_window: Callable[..., Window], project: Path) -> None:
    (project / "fish.py").write_text("# %%\nimport os\nos.getpid()\n")
    (project / "other.py").write_text("# %%\nos.getpid() > 0\n")
    window = open_window()
    open_file(window, "fish.py")
    run_cell(window, 0)
    window.until(".view-line >> text=/→/")
    open_file(window, "other.py")
    window.click(".statusbar-item >> text=No kernel")
    window.click(".quick-input-list-row >> text=Select another kernel")
    window.until(".quick-input-list-row >> text=/ipykernel/ >> nth=1")
    window.click(".quick-input-list-row >> text=/idle, pid/")
    window.until(".statusbar-item >> text=/Python 3.*: idle/")
    run_cell(window, 0)
    window.until(".view-line >> text=/→.True/")


def test_a_notebook(
    open_window: Callable[..., Window], project: Path, picture: Callable[[Window, str], Path]
) -> None:
    file = project / "fish.ipynb"
    file.write_text(json.dumps(NOTEBOOK))
    (project / "start.py").write_text("# %%\n")
    window = open_window()
    # Before its extensions are there, VS Code opens a notebook as text.
    open_file(window, "start.py")
    window.until(".codelens-decoration >> text=Run cell")
    open_file(window, "fish.ipynb")
    window.until(".notebook-toolbar-container >> text=Carpo")
    window.click(".code-cell-row .view-lines >> nth=0")
    window.press("Control+Enter")
    window.until(".output_container >> text=kept", frames=VIEW)
    window.until(".output_container >> text=/'second'/", frames=VIEW)
    window.press("Escape", "ArrowDown", "Control+Enter")
    window.until(".quick-input-widget >> text=Who?")
    window.type("Ada")
    window.press("Enter")
    window.until(".output_container >> text=/'ADA'/", frames=VIEW)
    window.press("Escape", "ArrowDown", "Control+Enter")
    window.until(".output_container >> text=ZeroDivisionError", frames=VIEW)
    window.until(".output_container >> text=/'third'/", frames=VIEW)
    window.until(".codicon-notebook-state-error")
    window.until(".codicon-notebook-state-executing", absent=True)
    window.press("Control+b")
    window.until(".explorer-folders-view", absent=True)
    picture(window, "vscode-notebook")
    window.press("Escape", "ArrowDown", "Control+Enter")
    window.until(".statusbar-item >> text=/Python 3.*: busy/")
    window.click(".notebook-toolbar-container >> text=Interrupt")
    window.until(".output_container >> text=KeyboardInterrupt", frames=VIEW)
    window.press("Control+s")
    window.until(".dirty", absent=True)
    outputs = [cell["outputs"] for cell in json.loads(file.read_text())["cells"]]
    assert outputs[0][0]["text"] == ["kept\n"]
    assert outputs[0][1]["data"]["text/plain"] == ["'third'"]
    assert outputs[1][0]["output_type"] == "execute_result"
    assert outputs[1][0]["execution_count"] == 2
    assert [each[-1].get("ename") for each in outputs[2:]] == [
        "ZeroDivisionError",
        "KeyboardInterrupt",
    ]


def test_what_dies(open_window: Callable[..., Window], home: Path, project: Path) -> None:
    (project / "fish.py").write_text("# %%\n1 + 1\n\n# %%\nimport os\nos._exit(3)\n")
    window = open_window()
    open_file(window, "fish.py")
    run_cell(window, 1)
    window.until(".notification-toast >> text=/died.*exited with code 3/")
    window.click(".notification-toast >> text=Restart kernel")
    window.until(".statusbar-item >> text=/Python 3.*: idle/")
    run_cell(window, 0)
    window.until(".view-line >> text=/→.2/")

    (server,) = (each for each in processes_of(home) if "carpo-lsp" in " ".join(each.cmdline()))
    server.kill()
    window.until(".statusbar-item >> text=No kernel")
    run_cell(window, 0)
    window.until(".statusbar-item >> text=/Python 3.*: idle/")


@pytest.fixture
def env_without_server(env: dict[str, str]) -> dict[str, str]:
    """The environment of an editor that finds no server in it."""
    folders = [each for each in env["PATH"].split(os.pathsep) if each != str(BIN)]
    return {**env, "PATH": os.pathsep.join(folders)}


def test_a_server_that_is_missing_or_not_trusted(
    open_window: Callable[..., Window], project: Path, env_without_server: dict[str, str]
) -> None:
    (project / ".venv").symlink_to(BIN.parent)
    (project / "fish.py").write_text("# %%\n1 + 1\n")
    settings = {
        "security.workspace.trust.enabled": True,
        "security.workspace.trust.startupPrompt": "never",
        "security.workspace.trust.banner": "never",
    }
    window = open_window(settings, env_without_server)
    open_file(window, "fish.py")
    window.until(".notification-toast >> text=is not installed here")
    window.until(".notification-toast .monaco-button >> text=Install")
    # Not by the palette: its list may be older than the command.
    window.click(".statusbar-item >> text=Restricted Mode")
    window.click(".workspace-trust-editor .monaco-button >> text=Trust")
    window.until(".workspace-trust-editor >> text=You trust this folder")
    window.press("Control+w")
    window.until(".workspace-trust-editor", absent=True)
    run_cell(window, 0)
    window.until(".view-line >> text=/→.2/")


PYTHON_EXTENSION = """
const vscode = require("vscode");
exports.activate = () => ({ environments: {
  getActiveEnvironmentPath: () => ({ id: "x", path: "PYTHON" }),
  resolveEnvironment: async ({ path }) => ({ executable: { uri: vscode.Uri.file(path) } }),
  onDidChangeActiveEnvironmentPath: new vscode.EventEmitter().event,
} });
"""
"""Stands in for ms-python.python, which is in no package registry, with what we use of its API."""


def test_the_server_of_the_selected_environment(
    open_window: Callable[..., Window],
    home: Path,
    project: Path,
    env_without_server: dict[str, str],
) -> None:
    manifest = {
        "name": "python",
        "publisher": "ms-python",
        "version": "1.0.0",
        "engines": {"vscode": "^1.100.0"},
        "main": "./main.js",
    }
    python = home / "ms-python.vsix"
    with zipfile.ZipFile(python, "w") as archive:
        archive.writestr("extension/package.json", json.dumps(manifest))
        code = PYTHON_EXTENSION.replace("PYTHON", str(BIN / "python"))
        archive.writestr("extension/main.js", code)
    (project / "fish.py").write_text("# %%\n1 + 1\n")
    window = open_window(None, env_without_server, [python])
    open_file(window, "fish.py")
    run_cell(window, 0)
    window.until(".view-line >> text=/→.2/")


@pytest.mark.slow
def test_the_server_that_comes_with_it(
    open_window: Callable[..., Window], project: Path, env_without_server: dict[str, str]
) -> None:
    (project / "fish.py").write_text("# %%\n1 + 1\n")
    window = open_window(None, env_without_server)
    open_file(window, "fish.py")
    window.click(".notification-toast .monaco-button >> text=Explain")
    window.until("text=Get started with Carpo")
    window.click(".monaco-button >> text=Install carpo-lsp")
    # pip fetches and unpacks what the server needs.
    window.until(".codelens-decoration, .step-list-container .complete", seconds=300)
    open_file(window, "fish.py")
    run_cell(window, 0)
    window.until(".view-line >> text=/→.2/")
