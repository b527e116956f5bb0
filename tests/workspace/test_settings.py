from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from carpo_lsp.workspace.project import read_project
from carpo_lsp.workspace.settings import Layer, Settings, fields_of, item_of, read

if TYPE_CHECKING:
    from pathlib import Path


def client(**values: Any) -> Layer:
    return Layer(values)


def project(**values: Any) -> Layer:
    return Layer(values, "carpo.toml")


def test_what_is_not_set_has_its_default() -> None:
    assert read() == (Settings(), [])
    assert read(Layer(None), client(kernel=None), client(kernel={"name": None})) == (Settings(), [])


def test_a_later_source_goes_before_an_earlier_one() -> None:
    settings, problems = read(
        project(kernel={"name": "ir", "scope": "document", "timeout": 10}),
        client(kernel={"scope": "workspace", "timeout": 20}),
        client(kernel={"scope": "auto"}),
    )
    assert settings.kernel.scope == "auto"
    assert settings.kernel.timeout == 20
    assert settings.kernel.name == "ir"
    assert problems == []


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("kernel", "scope", "all", "one of 'auto', 'document', 'workspace'"),
        ("kernel", "scope", ["auto"], "one of 'auto', 'document', 'workspace'"),
        ("kernel", "timeout", 0, "a positive number"),
        ("kernel", "timeout", True, "a positive number"),
        ("kernel", "timeout", float("inf"), "a positive number"),
        ("kernel", "name", 3, "a text"),
        ("kernel", "name", "../ir", "the name of an installed kernelspec, not a path"),
        ("kernel", "python", ["python"], "a text"),
        ("output", "maxPushBytes", 1.5, "a positive whole number"),
        ("output", "maxPushBytes", "1", "a positive whole number"),
    ],
)
def test_a_wrong_value_is_said_and_left_out(
    section: str, key: str, value: object, expected: str
) -> None:
    settings, problems = read(client(**{section: {key: value}}))
    assert settings == Settings()
    (problem,) = problems
    assert problem.startswith(f"carpo.{section}.{key}: expected {expected}, got ")


def test_a_wrong_value_does_not_hide_the_one_below() -> None:
    settings, problems = read(
        client(kernel={"scope": "document"}), client(kernel={"scope": 3, "timeout": 5})
    )
    assert settings.kernel.scope == "document"
    assert settings.kernel.timeout == 5
    assert "using 'document'" in problems[0]


def test_a_section_that_is_no_object_is_said() -> None:
    settings, problems = read(client(kernel="python"), Layer("carpo"))
    assert settings == Settings()
    assert [problem.partition(":")[0] for problem in problems] == ["carpo.kernel", "carpo"]


def test_what_a_client_keeps_there_is_left_alone() -> None:
    assert read(client(notifications=True, kernel={"colour": "red"})) == (Settings(), [])


def test_what_a_project_misspells_is_said() -> None:
    settings, problems = read(project(kernel={"scop": "auto"}, kernl={"name": "ir"}))
    assert settings == Settings()
    assert problems == [
        "carpo.toml: kernel.scop: there is no such setting.",
        "carpo.toml: kernl: there is no such setting.",
    ]


def test_a_project_chooses_among_installed_kernels_only() -> None:
    settings, problems = read(
        project(kernel={"name": "ir"}), project(kernel={"name": "evil/", "python": "./evil"})
    )
    assert settings.kernel.name == "ir"
    assert settings.kernel.python == ""
    assert "not a path" in problems[0]
    assert problems[1] == (
        "carpo.toml: kernel.python: a project cannot set this; set it in the editor."
    )


def test_no_setting_that_names_something_to_run_is_open_to_projects() -> None:
    """Free text from a project would be a command or a path sooner or later."""
    open_texts = [
        f"{section.wire}.{field.wire}"
        for section in fields_of(Settings)
        for field in fields_of(item_of(section.hint) or section.hint)
        if field.project and field.hint is str
    ]
    assert open_texts == []


def test_all_settings_are_immutable() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Settings().kernel.name = "ir"  # type: ignore[misc] # that is what is tested


# --- the file of a project


def write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_a_project_has_carpo_toml_or_a_table_in_pyproject(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", '[tool.carpo.kernel]\nname = "a"\n')
    assert read_project(tmp_path) == (Layer({"kernel": {"name": "a"}}, "pyproject.toml"), [])
    write(tmp_path, "carpo.toml", '[kernel]\nname = "b"\n')
    assert read_project(tmp_path) == (Layer({"kernel": {"name": "b"}}, "carpo.toml"), [])


def test_the_nearest_file_counts(tmp_path: Path) -> None:
    write(tmp_path, "carpo.toml", '[kernel]\nname = "far"\n')
    write(tmp_path / "package", "pyproject.toml", '[project]\nname = "carpo"\n')
    layer, _ = read_project(tmp_path / "package" / "src")
    assert layer == Layer({"kernel": {"name": "far"}}, "carpo.toml")
    write(tmp_path / "package", "pyproject.toml", '[tool.carpo]\nkernel.name = "near"\n')
    layer, _ = read_project(tmp_path / "package" / "src")
    assert layer == Layer({"kernel": {"name": "near"}}, "pyproject.toml")


@pytest.mark.parametrize("text", [b"[kernel", b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "carpo.toml").write_bytes(text)
    layer, problems = read_project(tmp_path)
    assert layer is None
    (problem,) = problems
    assert problem.startswith("carpo.toml: ")


def test_a_pyproject_of_others_that_is_broken_is_none_of_our_business(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "[tool.black\n")
    assert read_project(tmp_path)[1] == []


@pytest.mark.parametrize("value", [-1, "1000", True, float("inf")])
def test_a_limit_is_a_number_from_zero(value: object) -> None:
    settings, problems = read(client(kernel={"limits": {"memoryMb": value}}))
    assert settings == Settings()
    assert problems == [
        f"carpo.kernel.limits.memoryMb: expected a number, with 0 for none, got {value!r}; using 0."
    ]


def test_a_project_may_limit_its_kernels_and_its_user_may_lift_the_limit() -> None:
    limited = project(kernel={"limits": {"idleMinutes": 5, "executionSeconds": 2.5}})
    settings, problems = read(limited, client(kernel={"limits": {"idleMinutes": 0}}))
    assert problems == []
    assert settings.kernel.limits.idle_minutes == 0
    assert settings.kernel.limits.execution_seconds == 2.5
