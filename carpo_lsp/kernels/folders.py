"""What folders of this machine are called where a kernel runs that is elsewhere."""

from __future__ import annotations

from pathlib import PurePosixPath

Pairs = tuple[tuple[str, str], ...]
"""Folders here, and what the same folders are called there."""


def there(path: str, folders: Pairs) -> str | None:
    """What a path of this machine is called there; None where it is not."""
    for folder, other in sorted(folders, key=lambda pair: -len(pair[0])):
        if PurePosixPath(path).is_relative_to(folder):
            return str(PurePosixPath(other) / PurePosixPath(path).relative_to(folder))
    return None


def from_home(path: str, home: str | None) -> str:
    """A path there without `~`, which IPython writes into tracebacks, where the home is known."""
    return f"{home}{path[1:]}" if home is not None and path.startswith("~/") else path


def here(path: str, folders: Pairs) -> str | None:
    """What a path of the kernel's machine is called here; None where it is not."""
    return there(path, tuple((other, folder) for folder, other in folders))
