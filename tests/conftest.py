from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import HealthCheck, settings
from support import Events

from carpo_lsp.frontend import Frontend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# Markers for what a test needs of the system, such as `needs_r`; the option --screenshots.
pytest_plugins = ["plugin_components", "plugin_screenshots"]

# No test is about time: how long an example takes says how busy the machine is.
settings.register_profile("carpo", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("carpo")


@pytest.fixture(scope="session", autouse=True)
def jupyter_folders() -> Iterator[Path]:
    """Jupyter's, IPython's and our folders of their own for the whole run, with a short path: an
    ipc address must stay under 108 bytes. Gives the runtime folder."""
    folder = Path(tempfile.mkdtemp(prefix="ct-"))
    runtime = folder / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_RUNTIME_DIR", str(runtime))
        patch.setenv("JUPYTER_CONFIG_DIR", str(folder / "config"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        yield runtime
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    """A test ends the processes it started. Those of a wider fixture are older than the test."""
    me = psutil.Process()
    before = {child.pid for child in me.children(recursive=True)}
    yield
    left = [child for child in me.children(recursive=True) if child.pid not in before]
    assert not left


@pytest.fixture
def runtime_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime folder for one test, not made yet."""
    folder = tmp_path / "runtime"
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
async def frontend() -> AsyncIterator[Frontend]:
    async with Frontend() as frontend:
        yield frontend


@pytest.fixture
def events(frontend: Frontend) -> Events:
    return Events(frontend)
