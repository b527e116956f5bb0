"""What tests need besides Python packages: `@pytest.mark.needs_r` and the like.

A test whose component is missing is deselected, and the end of the run names the component.
Where `CI` is set, a missing component fails the run: there nothing may go untested unseen.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from hub import HUB, PROXY
from jupyter_servers import KINDS as SERVERS
from real_kernels import KERNELS
from sshd import sshd_program

COMPONENTS: Final = {
    "needs_r": "R with IRkernel",
    "needs_nvim": "Neovim 0.11 or newer",
    "needs_emacs": "Emacs 28.1 or newer with eglot, lsp-mode and markdown-mode",
    "needs_helix": "Helix 25.01 or newer",
    "needs_helix_25_07": "Helix 25.07 or newer",
    "needs_vim": "Vim 9 with jobs and ALE",
    "needs_vscode": "VS Code (code-server) and Chromium",
    "needs_tmux": "tmux",
    "needs_sshd": "OpenSSH's client and server",
    **{kernel.marker: f"the kernel {kernel.title}" for kernel in KERNELS if not kernel.system},
    **{kind.marker: kind.title for kind in SERVERS},
    "needs_jupyterhub": "JupyterHub with configurable-http-proxy",
}
"""Marker to component. `tests/run` installs them where it may."""

HELIX_25_07: Final = "hx-25.07"

VSCODE: Final = Path(__file__).parents[1] / ".venv-vscode"
"""Where `tests/install_vscode` puts VS Code and what builds its extension."""


@functools.cache
def missing() -> dict[str, str]:
    """The components that are not here, by their markers."""
    found = {
        "needs_r": _has_r(),
        "needs_nvim": _version("nvim") >= (0, 11),
        "needs_emacs": _has_emacs(),
        "needs_helix": _version("hx") >= (25, 1),
        "needs_helix_25_07": _version(newer_helix()) >= (25, 7),
        "needs_vim": _has_vim(),
        "needs_vscode": (VSCODE / "stamp").exists() and shutil.which("chromium") is not None,
        "needs_tmux": shutil.which("tmux") is not None,
        "needs_sshd": shutil.which("ssh") is not None and sshd_program() is not None,
        **{kernel.marker: kernel.installed for kernel in KERNELS if not kernel.system},
        **{kind.marker: kind.installed for kind in SERVERS},
        "needs_jupyterhub": HUB.exists() and PROXY.exists(),
    }
    return {marker: name for marker, name in COMPONENTS.items() if not found[marker]}


def program(name: str) -> str:
    """The path of a program, that of the environment under test before all others; only the name
    where there is none."""
    beside = Path(sys.executable).parent
    return shutil.which(name, path=beside) or shutil.which(name) or name


def newer_helix() -> str:
    """The name of the Helix that is 25.07 or newer: that of the tests, else the only one."""
    return HELIX_25_07 if Path(program(HELIX_25_07)).exists() else "hx"


def _version(name: str) -> tuple[int, ...]:
    """What a program's `--version` says; nothing where there is no such program."""
    try:
        done = subprocess.run(
            [program(name), "--version"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    version = done.stdout.split()[1].lstrip("v").split("-")[0]
    return tuple(map(int, version.split(".")))


def _has_vim() -> bool:
    found = "has('patch-9.0.0') && has('job') && exists(':ALEHover')"
    look = ["-c", "silent! packadd ale", "-c", f"if {found} | quitall! | else | cquit | endif"]
    try:
        subprocess.run(
            [program("vim"), "--clean", "-es", *look], capture_output=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _has_emacs() -> bool:
    found = """(progn (package-initialize)
        (kill-emacs (if (and (version<= "28.1" emacs-version) (locate-library "eglot")
                             (locate-library "lsp-mode") (locate-library "markdown-mode"))
                        0 1)))"""
    try:
        subprocess.run(
            [program("emacs"), "--batch", "--eval", found],
            capture_output=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _has_r() -> bool:
    from jupyter_client.kernelspec import KernelSpecManager

    specs = KernelSpecManager().get_all_specs().values()
    languages = {str(spec["spec"].get("language", "")).lower() for spec in specs}
    return shutil.which("R") is not None and "r" in languages


def pytest_configure(config: pytest.Config) -> None:
    for marker, component in COMPONENTS.items():
        config.addinivalue_line("markers", f"{marker}: needs {component}")
    if os.environ.get("CI") and missing():
        raise pytest.UsageError(f"missing: {', '.join(missing().values())}; CI skips nothing")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if any(map(item.get_closest_marker, missing()))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for component in missing().values():
        terminalreporter.write_line(f"missing: {component}, its tests are skipped")
