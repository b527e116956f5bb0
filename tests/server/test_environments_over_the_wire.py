"""Environments and settings as a client meets them: a real server and a real ipykernel."""

from __future__ import annotations

import sys
import venv
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from lsp_clients import Wire


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a venv that has the ipykernel of these tests."""
    folder = tmp_path / "project"
    venv.EnvBuilder(symlinks=True).create(folder / ".venv")
    (library,) = (folder / ".venv").glob("lib/python*/site-packages")
    (library / "ipykernel").mkdir()  # is what is looked for; the real one comes first
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (library / "ours.pth").write_text(f"import sys; sys.path.insert(0, {ours!r})\n")
    return folder


@pytest.fixture
async def client(spawn: Callable[..., Awaitable[Wire]], project: Path, tmp_path: Path) -> Wire:
    client = await spawn(env={"XDG_STATE_HOME": str(tmp_path / "state"), "VIRTUAL_ENV": ""})
    await client.initialize(project)
    return client


async def test_the_environment_of_the_workspace_is_listed(client: Wire, project: Path) -> None:
    specs = (await client.request("carpo/listKernelSpecs", {}))["specs"]
    environment = next(spec for spec in specs if spec["origin"] == "environment")
    version = ".".join(map(str, sys.version_info[:2]))
    assert environment == {
        "name": ".venv",
        "specPath": str(project / ".venv"),
        "displayName": f"Python {version} (.venv)",
        "language": "python",
        "interruptMode": "signal",
        "origin": "environment",
    }
    assert "python3" in {spec["name"] for spec in specs if spec["origin"] == "jupyter"}


@pytest.mark.parametrize("how", ["specPath", "python", "specName", "language", "textDocument"])
async def test_a_kernel_is_started_in_it(client: Wire, project: Path, how: str) -> None:
    folder = project / ".venv"
    uri = client.open((project / "a.py").as_uri(), "1")
    params = {
        "specPath": {"specPath": str(folder)},
        "python": {"specPath": str(folder / "bin" / "python")},
        "specName": {"specName": ".venv"},
        "language": {"language": "python"},
        "textDocument": {"textDocument": {"uri": uri}},
    }[how]
    kernel = await client.start(**params)
    assert kernel["specPath"] == str(folder)
    assert kernel["specName"] == ".venv"
    await client.request(
        "carpo/execute",
        {
            "kernelId": kernel["kernelId"],
            "executionId": how,
            "code": "import sys; print(sys.prefix)",
        },
    )
    await client.until_done(how)
    assert client.text(how).strip() == str(folder)


async def test_an_environment_without_ipykernel_is_refused(client: Wire, project: Path) -> None:
    (library,) = (project / ".venv").glob("lib/python*/site-packages")
    (library / "ipykernel").rmdir()
    uri = client.open((project / "a.py").as_uri(), "1")
    for params in (
        {"specPath": str(project / ".venv")},
        {"language": "python"},
        {"textDocument": {"uri": uri}},
    ):
        error = await client.fail("carpo/startKernel", params)
        assert error.code == 1007
        assert error.data["name"] == "NoKernelForLanguage"
        assert error.data["hint"] == f"{project}/.venv/bin/python -m pip install ipykernel"
    kernel = await client.start(specName="python3")
    assert kernel["specPath"] != str(project / ".venv")
