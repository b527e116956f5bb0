from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support import FAKE

from carpo_lsp.errors import KernelStartFailed, NoKernelForLanguage
from carpo_lsp.kernels.specs import SpecFinder, canonical, read_spec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of kernelspecs that Jupyter looks into first."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    folder = tmp_path / "jupyter" / "kernels"
    folder.mkdir(parents=True)
    return folder


def install(kernels: Path, name: str, content: dict[str, Any] | str) -> Path:
    folder = kernels / name
    folder.mkdir()
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "kernel.json").write_text(text)
    return folder


def lua(**more: Any) -> dict[str, Any]:
    return {"argv": ["lua", "{connection_file}"], "display_name": "Lua", "language": "Lua"} | more


def test_by_name_and_by_path_are_the_same(kernels: Path) -> None:
    content = lua(interrupt_mode="message", env={"A": "1"}, metadata={"debugger": True})
    folder = install(kernels, "lua", content)
    spec = SpecFinder().by_name("lua")
    assert spec.argv == ("lua", "{connection_file}")
    assert (spec.name, spec.path, spec.display_name) == ("lua", str(folder), "Lua")
    assert (spec.language, spec.interrupt_mode) == ("Lua", "message")
    assert (spec.env, spec.metadata) == ({"A": "1"}, {"debugger": True})
    assert SpecFinder().by_path(str(folder)) == spec
    assert SpecFinder().by_path(str(folder / "kernel.json")) == spec
    assert spec.to_wire().spec_path == str(folder)


def test_a_home_folder_in_a_path(kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(kernels, "lua", lua())
    monkeypatch.setenv("HOME", str(kernels))
    assert SpecFinder().by_path("~/lua").name == "lua"


def test_what_a_kernel_json_may_leave_out(tmp_path: Path) -> None:
    (tmp_path / "kernel.json").write_text('{"argv": ["x"], "env": null, "metadata": null}')
    spec = read_spec(tmp_path)
    assert (spec.display_name, spec.language) == (tmp_path.name, "")
    assert (spec.interrupt_mode, spec.env, spec.metadata) == ("signal", {}, {})
    (tmp_path / "kernel.json").write_text('{"argv": ["x"], "env": [1], "metadata": "m"}')
    assert read_spec(tmp_path) == spec
    (tmp_path / "kernel.json").write_text('{"argv": ["x"], "env": {"A": 1}}')
    assert read_spec(tmp_path).env == {"A": "1"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[]", "has no command"),
        (b"{}", "has no command"),
        (b'{"argv": []}', "has no command"),
        (b'{"argv": "python"}', "has no command"),
        (b'{"argv": [1]}', "has no command"),
    ],
)
def test_files_that_are_no_kernelspecs(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "kernel.json"
    if content is not None:
        file.write_bytes(content)
    for path in (tmp_path, file) if content is not None else (file,):
        with pytest.raises(KernelStartFailed) as caught:
            SpecFinder().by_path(str(path))
        assert message in caught.value.message
        assert str(file) in caught.value.message


@pytest.mark.parametrize("name", ["nobody", "", "../x", "a b"])
def test_a_name_that_is_not_installed(kernels: Path, name: str) -> None:
    install(kernels, "lua", lua())
    with pytest.raises(KernelStartFailed) as caught:
        SpecFinder().by_name(name)
    assert "lua" in caught.value.message, "it says what there is"


def test_broken_kernelspecs_are_left_out(kernels: Path, caplog: pytest.LogCaptureFixture) -> None:
    install(kernels, "broken", "{")
    install(kernels, "odd", {"display_name": "Odd"})
    install(kernels, "lua", lua())
    found = [spec.name for spec in SpecFinder().all()]
    assert "lua" in found
    assert not {"broken", "odd"} & set(found)
    assert found == sorted(found)
    assert "broken" in caplog.text
    for name, message in (("broken", "cannot be read"), ("odd", "has no command")):
        with pytest.raises(KernelStartFailed, match=message):
            SpecFinder().by_name(name)


def test_a_kernel_installed_meanwhile_is_found(kernels: Path) -> None:
    finder = SpecFinder()
    finder.all()
    install(kernels, "new", lua())
    assert "new" in [spec.name for spec in finder.all()]


@pytest.mark.parametrize("language", ["lua", "LUA", " Lua "])
def test_by_language(kernels: Path, language: str) -> None:
    install(kernels, "b", lua())
    install(kernels, "a", lua())
    assert SpecFinder().by_language(language).name == "a"


def test_jupyters_own_python_comes_first(kernels: Path) -> None:
    install(kernels, "a-python", lua(language="python"))
    assert SpecFinder().by_language("py").name == "python3"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("py", "Python"),
        ("js", "javascript"),
        ("sh", "bash"),
        ("shellscript", "zsh"),
        ("cpp", "C++"),
    ],
)
def test_other_names_of_languages(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("language", "hint"),
    [("octave", "pip install octave_kernel"), ("klingon", "install a Jupyter kernel for klingon")],
)
def test_a_language_without_a_kernel(kernels: Path, language: str, hint: str) -> None:
    with pytest.raises(NoKernelForLanguage) as caught:
        SpecFinder().by_language(language)
    assert caught.value.data == {"language": language, "hint": hint}
    assert hint in caught.value.message


@pytest.mark.parametrize("name", ["python", "python3.11", "akernel"])
def test_a_bare_name_means_a_program_of_the_kernelspecs_own_environment(
    tmp_path: Path, name: str
) -> None:
    environment = tmp_path / "environment"
    kernels = environment / "share" / "jupyter" / "kernels"
    kernels.mkdir(parents=True)
    folder = install(kernels, "python3", lua(argv=[name, "-m", "kernel"]))
    assert read_spec(folder).argv[0] == name, "there is none"
    program = environment / "bin" / name
    program.parent.mkdir()
    program.touch()
    assert read_spec(folder).argv[0] == name, "it is no program"
    program.chmod(0o700)
    assert read_spec(folder).argv == (str(program), "-m", "kernel")
    folder = install(kernels, "other", lua(argv=["/usr/bin/" + name, "-m", "kernel"]))
    assert read_spec(folder).argv[0] == "/usr/bin/" + name
    assert read_spec(FAKE).argv[0] == "python"
