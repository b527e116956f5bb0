from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest
from layouts import empty_home, make
from msgspec import structs

from carpo_lsp.choice import Choice, Choices, Wish, choose, environments_near, find_named
from carpo_lsp.errors import KernelStartFailed, NoKernelForLanguage
from carpo_lsp.kernels.specs import SpecFinder
from carpo_lsp.workspace.settings import Kernel

if TYPE_CHECKING:
    from pathlib import Path

INSTALLED = {"ir": "R", "other-r": "R", "lab": "python"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, language in INSTALLED.items():
        folder = tmp_path / "jupyter" / "kernels" / name
        folder.mkdir(parents=True)
        content = {"argv": ["none"], "display_name": name, "language": language}
        (folder / "kernel.json").write_text(json.dumps(content))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    return empty_home(tmp_path, monkeypatch)


@pytest.fixture
def wish(home: Path) -> Wish:
    """For Python code in a project without anything."""
    folder = home / "project"
    folder.mkdir()
    return Wish(language="python", folder=folder)


def chosen(wish: Wish, **changes: Any) -> Choice:
    return choose(SpecFinder(), structs.replace(wish, **changes))


# --- the order


def test_what_is_installed_comes_last(wish: Wish) -> None:
    assert chosen(wish).spec.name == "python3"
    assert chosen(wish, language="r").spec.name == "ir"


def test_the_nearest_environment_goes_before_what_is_installed(wish: Wish) -> None:
    found = make(wish.folder / ".venv")
    choice = chosen(wish)
    assert choice.spec.path == str(found)
    assert choice.spec.display_name == "Python 3.12 (.venv)"
    assert choice.reason == f"found at {found}"
    assert chosen(wish, language="r").spec.name == "ir"


def test_an_earlier_choice_goes_before_the_environment(wish: Wish) -> None:
    make(wish.folder / ".venv")
    lab = SpecFinder().by_name("lab")
    assert chosen(wish, chosen=lab).spec == lab


def test_the_header_goes_before_an_earlier_choice(wish: Wish) -> None:
    make(wish.folder / ".venv")
    python = SpecFinder().by_name("python3")
    choice = chosen(wish, chosen=python, header="lab")
    assert choice.spec.name == "lab"
    assert choice.reason == "by the document's header"


def test_the_settings_go_before_the_header(wish: Wish) -> None:
    found = make(wish.folder / ".venv")
    by_name = chosen(wish, header="lab", setting=Kernel(name="python3"))
    assert by_name.spec.name == "python3"
    assert by_name.reason == "by the setting carpo.kernel.name"
    setting = Kernel(name="lab", python=str(found / "bin" / "python"))
    by_path = chosen(wish, header="lab", setting=setting)
    assert by_path.spec.path == str(found)
    assert by_path.reason == "by the setting carpo.kernel.python"


# --- what does not fit


@pytest.mark.parametrize("name", ["python3", "python"])
def test_a_header_with_ipykernels_own_name_means_the_python_at_hand(wish: Wish, name: str) -> None:
    assert chosen(wish, header=name).spec.name == "python3"
    found = make(wish.folder / ".venv")
    assert chosen(wish, header=name).spec.path == str(found)


def test_names_count_for_their_language_only(wish: Wish) -> None:
    """A Quarto document with chunks of two languages names the kernel of one."""
    setting = Kernel(name="other-r")
    assert chosen(wish, setting=setting, header="lab").spec.name == "lab"
    assert chosen(wish, setting=setting, header="lab", language="r").spec.name == "other-r"
    assert chosen(wish, setting=Kernel(python="/none"), language="r").spec.name == "ir"


def test_what_is_named_and_not_installed_is_said(wish: Wish) -> None:
    choice = chosen(wish, setting=Kernel(name="a"), header="b")
    assert choice.spec.name == "python3"
    assert choice.notes == (
        "The kernel 'a', asked for by the setting carpo.kernel.name, is not installed.",
        "The kernel 'b', asked for by the document's header, is not installed.",
    )


def test_no_other_python_takes_the_place_of_one_without_ipykernel(wish: Wish) -> None:
    make(wish.folder.parent / ".venv")
    made = make(wish.folder / ".venv", kernel=False)
    with pytest.raises(NoKernelForLanguage, match="has no ipykernel; install it: "):
        chosen(wish)
    with pytest.raises(NoKernelForLanguage):
        chosen(wish, setting=Kernel(python=str(made)))


def test_a_setting_that_names_no_python(wish: Wish) -> None:
    with pytest.raises(KernelStartFailed, match=r"carpo\.kernel\.python: '~/none'"):
        chosen(wish, setting=Kernel(python="~/none"))


def test_a_language_that_nothing_runs(wish: Wish) -> None:
    with pytest.raises(NoKernelForLanguage):
        chosen(wish, language="cobol")


# --- by name


def test_environments_have_names(wish: Wish, home: Path) -> None:
    near = make(wish.folder / ".venv")
    make(home / ".venv")
    other = make(home / "venv", kernel=False)
    specs = SpecFinder()
    assert [each.folder for each in environments_near([wish.folder])] == [near, other]
    assert find_named(specs, ".venv", [wish.folder]).path == str(near)
    assert find_named(specs, "lab", [wish.folder]).origin == "jupyter"
    with pytest.raises(NoKernelForLanguage):
        find_named(specs, "venv", [wish.folder])
    with pytest.raises(KernelStartFailed, match="No kernelspec is named 'none'"):
        find_named(specs, "none", [wish.folder])


# --- what is remembered


def test_a_choice_is_there_in_the_next_session(wish: Wish, home: Path) -> None:
    specs = SpecFinder()
    environment = chosen(wish, setting=Kernel(python=str(make(home / "venv")))).spec
    project, other = home / "project", home / "other"
    assert Choices().get(specs, project, "python") is None
    Choices().remember(project, "python", environment)
    Choices().remember(project, "r", specs.by_name("other-r"))
    assert Choices().get(specs, project, "python") == environment
    assert Choices().get(specs, project, "r") == specs.by_name("other-r")
    assert Choices().get(specs, other, "r") is None
    Choices().remember(project, "python", specs.by_name("lab"))
    assert Choices().get(specs, project, "python") == specs.by_name("lab")


def test_a_choice_is_for_all_folders_of_its_project(wish: Wish, home: Path) -> None:
    specs = SpecFinder()
    project, inner = home / "project", home / "project" / "parts" / "inner"
    choices = Choices()
    choices.remember(project, "r", specs.by_name("other-r"))
    choices.remember(inner, "r", specs.by_name("ir"))
    nearest = [
        choices.nearest(specs, folder, "r")
        for folder in (home, project, project / "parts", inner, inner / "deeper")
    ]
    assert [spec and spec.name for spec in nearest] == [None, "other-r", "other-r", "ir", "ir"]
    assert choices.nearest(specs, inner, "python") is None


def test_it_is_kept_in_the_state_folder_of_the_user_alone(home: Path) -> None:
    Choices().remember(home, "r", SpecFinder().by_name("ir"))
    (file,) = (home / ".state" / "carpo-lsp").iterdir()
    assert file == Choices().file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_gone_is_forgotten(wish: Wish, home: Path) -> None:
    made = make(home / "venv")
    specs = SpecFinder()
    Choices().remember(home, "python", chosen(wish, setting=Kernel(python=str(made))).spec)
    Choices().remember(home, "r", specs.by_name("ir"))
    made.rename(home / "renamed")
    (Choices().file).write_text(Choices().file.read_text().replace('"ir"', '"gone"'))
    assert Choices().get(specs, home, "python") is None
    assert Choices().get(specs, home, "r") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"PROJECT": 3}', '{"PROJECT": {"r": "ir"}}'])
def test_a_file_that_somebody_broke_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "choices.json"
    file.write_text(text.replace("PROJECT", str(tmp_path)))
    specs = SpecFinder()
    assert Choices(file).get(specs, tmp_path, "r") is None
    Choices(file).remember(tmp_path, "r", specs.by_name("ir"))
    assert Choices(file).get(specs, tmp_path, "r") == specs.by_name("ir")


def test_a_folder_that_cannot_be_written_costs_the_memory_only(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    choices = Choices(tmp_path / "file" / "choices.json")
    choices.remember(tmp_path, "r", SpecFinder().by_name("ir"))
    assert choices.get(SpecFinder(), tmp_path, "r") is None
