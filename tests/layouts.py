"""Python environments by their layout, and a world without any."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

VARIABLES = (
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_EXE",
    "CONDA_ENVS_PATH",
    "MAMBA_ROOT_PREFIX",
    "UV_PROJECT_ENVIRONMENT",
    "POETRY_CACHE_DIR",
    "POETRY_VIRTUALENVS_PATH",
)


def empty_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without environments, and none active."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    home = folder / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / ".state"))
    return home


def make(folder: Path, *, conda: bool = False, kernel: bool = True, config: str = "") -> Path:
    """An environment of Python 3.12; `config` goes into its pyvenv.cfg."""
    library = folder / "lib" / "python3.12" / "site-packages"
    library.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)
    if kernel:
        (library / "ipykernel").mkdir()
    if conda:
        (folder / "conda-meta").mkdir()
    else:
        (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\n{config}")
    return folder
