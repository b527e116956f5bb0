from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scripted import Scripted, install_kernelspecs, scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LANGUAGES = ("python", "r", "bash", "logo")


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scripted]:
    """A workspace with scripted kernels of some languages and none of any other."""
    install_kernelspecs(tmp_path, *LANGUAGES)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # choices are remembered
    bench = scripted()
    yield bench
    bench.workspace.client.close()
    await bench.workspace.frontend.close()
