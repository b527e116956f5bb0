"""What is built from the checkout works where there is nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import carpo_lsp

ROOT = Path(__file__).parents[2]
SECONDS = 600
"""Building and installing download packages."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist; the wheel is made from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT))
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel alone."""
    folder = tmp_path_factory.mktemp("alone")
    run(sys.executable, "-m", "venv", str(folder))
    (wheel,) = built.glob("*.whl")
    run(str(folder / "bin" / "pip"), "install", "--quiet", str(wheel))
    return folder / "bin"


def run(*command: str, cwd: Path | None = None) -> str:
    # Neither the checkout nor this environment is to help.
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    finished = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_the_wheel_has_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.partition("/")[0] for name in names}
    version = carpo_lsp.__version__
    assert folders == {"carpo_lsp", f"carpo_lsp-{version}.dist-info"}
    assert "carpo_lsp/py.typed" in names


def test_the_sdist_has_what_the_tests_need(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for path in ("tests/run", "tests/conftest.py", "docs/protocol.md", "CHANGELOG.md", "LICENSE"):
        assert path in names
    assert not any(".venv" in name or "__pycache__" in name for name in names)


def test_the_installed_program_tells_its_version(installed: Path, tmp_path: Path) -> None:
    output = run(str(installed / "carpo-lsp"), "--version", cwd=tmp_path)
    assert output == f"carpo-lsp {carpo_lsp.__version__}\n"


def test_the_installed_package_runs_two_kernels(installed: Path, tmp_path: Path) -> None:
    script = ROOT / "docs" / "examples" / "two_kernels.py"
    output = run(str(installed / "python"), str(script), cwd=tmp_path)
    assert "2 kernels run" in output
    assert output.endswith("exit code 0\n")
