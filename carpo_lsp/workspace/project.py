"""The settings of a project: `carpo.toml`, or `[tool.carpo]` in pyproject.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from carpo_lsp.files import read_text
from carpo_lsp.workspace.settings import Layer


def read_project(folder: Path) -> tuple[Layer | None, list[str]]:
    """The settings of the project a folder belongs to, and what is wrong with its file.

    The nearest file counts, from the folder up to the user's home; carpo.toml goes before
    pyproject.toml. None where there is none.
    """
    home = Path.home()
    for above in (folder, *folder.parents):
        for name, keys in (("carpo.toml", ()), ("pyproject.toml", ("tool", "carpo"))):
            try:
                text = read_text(above / name)
            except OSError:
                continue
            except UnicodeDecodeError:
                return None, [f"{name}: not UTF-8 text; its settings are left out."]
            if keys and "carpo" not in text:
                continue
            import tomllib  # few projects have such settings, and each start would pay for it

            try:
                section = _section(tomllib.loads(text), *keys)
            except tomllib.TOMLDecodeError as error:
                return None, [f"{name}: {error}; its settings are left out."]
            if section is not None:
                return Layer(section, name), []
        if above == home:
            break
    return None, []


def _section(content: Any, *keys: str) -> Any:
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content
