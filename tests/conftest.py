from __future__ import annotations

import contextlib
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
pytest_plugins = ["plugin_components", "plugin_screenshots", "plugin_sshd"]

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
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        # Kernels that are killed while they write there spoil jedi's cache for all that follow.
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv(MARK, str(runtime))
        yield runtime
    shutil.rmtree(folder)


MARK = "CARPO_TEST_RUN"
"""A variable in the environment of all that a run of the tests starts: what is kept is nobody's
child."""


@pytest.fixture(autouse=True)
def _no_process_left(jupyter_folders: Path) -> Iterator[None]:
    """A test ends the processes it started. Those of a wider fixture are older than the test."""
    before = {process.pid for process in started(jupyter_folders)}
    yield
    left = [process for process in started(jupyter_folders) if process.pid not in before]
    assert not left


def started(folder: Path) -> list[psutil.Process]:
    """What runs because of this run of the tests: below this process, or marked with a folder."""
    me = psutil.Process()
    below = {child.pid for child in me.children(recursive=True)}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid in below or (
                process.pid != me.pid
                and process.create_time() >= me.create_time()
                and process.environ().get(MARK) == str(folder)
            ):
                found.append(process)
    return found


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
