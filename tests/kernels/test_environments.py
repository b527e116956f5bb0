from __future__ import annotations

import json
import os
import sys
import venv
from pathlib import Path

import pytest
from layouts import empty_home, make

from carpo_lsp.errors import KernelStartFailed, NoKernelForLanguage
from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.environments import environment_at, jupyter_name, near, spec_at


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_home(tmp_path, monkeypatch)


@pytest.fixture
def project(home: Path) -> Path:
    folder = home / "project"
    folder.mkdir()
    return folder


def folders(start: Path, *roots: Path) -> list[Path]:
    return [environment.folder for environment in near(start, roots)]


def tool(start: Path) -> str:
    return next(near(start)).tool


def command(start: Path) -> str:
    return next(near(start)).install_command


# --- where they are


def test_without_any_there_is_none(project: Path) -> None:
    assert folders(project) == []


@pytest.mark.parametrize("name", [".venv", "venv", "env", ".env"])
def test_a_venv_of_the_project(project: Path, name: str) -> None:
    found = make(project / name)
    assert folders(project) == [found]
    assert tool(project) == "venv"


def test_a_folder_with_the_name_of_one_is_none(project: Path) -> None:
    (project / "env").mkdir()
    (project / ".env").write_text("KEY=value\n")
    assert folders(project) == []


def test_the_nearest_comes_first(project: Path, home: Path) -> None:
    inner = make(project / "packages" / "a" / ".venv")
    outer = make(project / ".venv")
    own = make(home / ".venv")
    assert folders(project / "packages" / "a" / "src") == [inner, outer, own]


def test_the_search_ends_at_home_or_the_workspace_whichever_is_higher(
    tmp_path: Path, home: Path
) -> None:
    above_home = make(tmp_path / ".venv")
    workspace = tmp_path / "elsewhere" / "workspace"
    outside = make(tmp_path / "elsewhere" / ".venv")
    assert above_home not in folders(home / "project")
    assert folders(workspace / "src", workspace) == []
    assert folders(workspace / "src", workspace.parent) == [outside]


def test_what_others_own_counts_in_the_workspace_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = make(tmp_path / "shared" / ".venv")
    assert folders(tmp_path / "shared") == [found]
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert folders(tmp_path / "shared") == []
    assert folders(tmp_path / "shared", tmp_path / "shared") == [found]


def test_a_file_inside_an_environment_means_that_one(project: Path) -> None:
    found = make(project / ".venv")
    assert folders(found / "lib" / "python3.12" / "site-packages" / "ipykernel") == [found]


def test_the_active_ones_come_last(
    project: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    active = make(home / "envs" / "active")
    conda = make(home / "conda", conda=True)
    monkeypatch.setenv("VIRTUAL_ENV", str(active))
    monkeypatch.setenv("CONDA_PREFIX", str(conda))
    assert folders(project) == [active, conda]
    own = make(project / ".venv")
    assert folders(project) == [own, active, conda]
    monkeypatch.setenv("VIRTUAL_ENV", str(own))
    monkeypatch.setenv("CONDA_PREFIX", str(home / "gone"))
    assert folders(project) == [own]


# --- uv


def test_a_project_of_uv(project: Path) -> None:
    make(project / ".venv", kernel=False)
    (project / "pyproject.toml").write_text("[project]\nname = 'a'\n")
    (project / "uv.lock").touch()
    assert tool(project) == "uv"
    assert command(project) == "uv add --dev ipykernel"


def test_a_venv_that_uv_made_has_no_pip(project: Path) -> None:
    made = make(project / ".venv", kernel=False, config="uv = 0.8.1\n")
    assert command(project) == f"uv pip install --python {made}/bin/python ipykernel"
    (project / "pyproject.toml").write_text("[project]\nname = 'a'\n")
    assert command(project) == "uv add --dev ipykernel"


@pytest.mark.parametrize("absolute", [True, False])
def test_uvs_environment_may_be_elsewhere(
    project: Path, home: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    folder = home / "uv" if absolute else project / "build" / "python"
    elsewhere = make(folder)
    own = make(project / ".venv")
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", str(folder) if absolute else "build/python")
    assert folders(project) == [own]
    (project / "pyproject.toml").write_text("[tool.uv]\n")
    assert folders(project) == [elsewhere, own]
    assert tool(project) == "uv"


# --- Poetry


def test_poetry_in_the_project(project: Path) -> None:
    make(project / ".venv", kernel=False)
    (project / "pyproject.toml").write_text('[tool.poetry]\nname = "a"\n')
    assert tool(project) == "poetry"
    assert command(project) == "poetry add --group dev ipykernel"


def test_poetry_in_its_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names are those that Poetry gives: of the project, a digest of its folder, the Python."""
    project = Path("/srv/projects/demo")
    digest = "n-L7f6T5"
    store = home / "store"
    monkeypatch.setenv("POETRY_VIRTUALENVS_PATH", str(store))
    manifest = home / "demo"
    manifest.mkdir()
    (manifest / "pyproject.toml").write_text('[tool.poetry]\nname = "My.Demo_project"\n')
    monkeypatch.setattr(os.path, "realpath", lambda path: str(project))
    old = make(store / f"my-demo-project-{digest}-py3.9")
    new = make(store / f"my-demo-project-{digest}-py3.12")
    make(store / "another-aaaaaaaa-py3.12")
    assert folders(manifest) == [new, old]
    assert tool(manifest) == "poetry"
    (store / "envs.toml").write_text(f'[my-demo-project-{digest}]\nminor = "3.9"\n')
    assert folders(manifest) == [old, new]


def test_poetrys_cache_is_not_for_other_projects(project: Path) -> None:
    (project / "pyproject.toml").write_text('[project]\nname = "a"\n')
    assert folders(project) == []
    (project / "pyproject.toml").write_text("[tool.poetry]\nname = [\n")
    assert folders(project) == []


# --- pixi and conda


def test_pixi(project: Path) -> None:
    found = make(project / ".pixi" / "envs" / "default", conda=True, kernel=False)
    assert folders(project) == [found]
    assert tool(project) == "pixi"
    assert command(project) == "pixi add ipykernel"


def test_conda_in_the_project(project: Path) -> None:
    found = make(project / ".conda", conda=True, kernel=False)
    assert folders(project) == [found]
    assert tool(project) == "conda"
    assert command(project) == f"conda install -p {found} ipykernel"


@pytest.mark.parametrize("where", ["CONDA_EXE", "CONDA_ENVS_PATH", "MAMBA_ROOT_PREFIX", "list", ""])
def test_the_conda_environment_that_environment_yml_names(
    project: Path, home: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    root = home / ("miniforge3" if not where else "somewhere")
    found = make(root / "envs" / "science", conda=True, kernel=False)
    if where == "CONDA_EXE":
        monkeypatch.setenv(where, str(root / "bin" / "conda"))
    elif where == "CONDA_ENVS_PATH":
        monkeypatch.setenv(where, f"{home / 'none'}:{root / 'envs'}")
    elif where == "MAMBA_ROOT_PREFIX":
        monkeypatch.setenv(where, str(root))
    elif where == "list":
        (home / ".conda").mkdir()
        (home / ".conda" / "environments.txt").write_text(f"{home}\n{found}\n")
    assert folders(project) == []
    (project / "environment.yml").write_text("# of the lab\nname: science\ndependencies: []\n")
    assert folders(project) == [found]
    assert command(project) == "conda install -n science ipykernel"


# --- what they tell of themselves


def test_its_display_name_and_version(project: Path) -> None:
    environment = environment_at(make(project / ".venv"))
    assert environment is not None
    assert environment.version == "3.12"
    assert environment.display_name == "Python 3.12 (.venv)"
    (project / ".venv" / "lib" / "python3.9").mkdir()
    assert environment.version == "3.12"


def test_without_ipykernel_it_says_what_installs_it(project: Path) -> None:
    made = make(project / ".venv", kernel=False)
    environment = environment_at(made)
    assert environment is not None
    with pytest.raises(NoKernelForLanguage) as caught:
        environment.require_kernel()
    hint = f"{made}/bin/python -m pip install ipykernel"
    assert caught.value.message == f"Python 3.12 (.venv) has no ipykernel; install it: {hint}"
    assert caught.value.data["hint"] == hint
    assert caught.value.data["environment"] == str(made)


def test_it_may_see_the_ipykernel_of_the_system(project: Path) -> None:
    environment = environment_at(
        make(project / ".venv", kernel=False, config="include-system-site-packages = true\n")
    )
    assert environment is not None
    environment.require_kernel()


def test_one_whose_python_is_gone(project: Path) -> None:
    made = make(project / ".venv")
    (made / "bin" / "python").unlink()
    (made / "bin" / "python").symlink_to(project / "gone")
    environment = environment_at(made)
    assert environment is not None
    with pytest.raises(KernelStartFailed, match="no Python that can be run"):
        environment.require_kernel()


def test_its_spec_takes_what_its_ipykernel_says_of_itself(project: Path) -> None:
    made = make(project / ".venv")
    assert spec_at(made) is not None
    assert spec_at(made).metadata == {}  # type: ignore[union-attr] # see the line above
    file = made / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"metadata": {"supported_encryption": ["curve"]}}))
    spec = spec_at(made / "bin" / "python")
    assert spec is not None
    assert spec.metadata == {"supported_encryption": ["curve"]}
    assert spec.path == str(made)
    assert spec.argv[0] == f"{made}/bin/python"
    assert spec.origin == "environment"


def test_the_spec_of_a_python_without_environment() -> None:
    python = Path(sys.base_prefix) / "bin" / "python3"
    spec = spec_at(python)
    assert spec is not None
    assert spec.argv[0] == spec.path == str(python)
    assert spec_at(Path("/nowhere/python3")) is None
    assert spec_at(Path("/bin/sh")) is None


async def test_the_kernel_of_an_environment_runs_as_if_it_had_been_activated(
    project: Path, runtime_dir: Path
) -> None:
    """A venv with `$` in its path, and ipykernel seen through a .pth file."""
    folder = project / "$HOME" / ".venv"
    venv.EnvBuilder(symlinks=True).create(folder)
    (library,) = folder.glob("lib/python*/site-packages")
    (library / "ipykernel").mkdir()  # is what is looked for; the real one comes first
    ours = Path(next(path for path in sys.path if path.endswith("site-packages")))
    (library / "ours.pth").write_text(f"import sys; sys.path.insert(0, {str(ours)!r})\n")
    code = (
        "import os, shutil, sys; "
        "print(sys.prefix, os.environ['VIRTUAL_ENV'], shutil.which('python'), sep='\\n')"
    )
    async with Frontend() as frontend:
        kernel_id = await frontend.start_kernel(str(folder))
        assert frontend.get_kernel(kernel_id).spec_name == ".venv"
        result = await frontend.execute_code(kernel_id, code)
    text = "".join(output["text"] for output in result.outputs)
    assert text.splitlines() == [str(folder), str(folder), f"{folder}/bin/python"]


def test_notebooks_name_ipykernel_as_jupyter_does(project: Path) -> None:
    made = make(project / ".venv")
    assert jupyter_name(".venv", str(made)) == "python3"
    assert jupyter_name("ir", str(project)) == "ir"
    assert jupyter_name("remote", None) == "remote"
