from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from layouts import VARIABLES, make
from support import fake_spec

from carpo_lsp.cli.editors import ALIASES, SETUPS, setup_text

if TYPE_CHECKING:
    from pathlib import Path

    from cli_program import Program


@pytest.fixture
def kernels(program: Program, tmp_path: Path) -> Path:
    """A folder for kernelspecs of this test, and a world without environments."""
    for name in VARIABLES:
        program.env.pop(name, None)
    home = tmp_path / "home"
    home.mkdir()
    program.env |= {
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "JUPYTER_PATH": str(tmp_path / "jupyter"),
    }
    folder = tmp_path / "jupyter" / "kernels"
    folder.mkdir(parents=True)
    return folder


def install(kernels: Path, name: str, **fields: Any) -> Path:
    file = kernels / name / "kernel.json"
    file.parent.mkdir()
    content = {"argv": ["true", "{connection_file}"], "display_name": name, "language": "x"}
    file.write_text(json.dumps(content | fields))
    return file


def examine(program: Program, *options: str) -> tuple[int, dict[tuple[str, str], dict[str, Any]]]:
    """The exit code, and what was found by check and subject."""
    done = program.run("doctor", "--json", *options)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    for finding in found:
        assert set(finding) == {"check", "subject", "state", "message", "fix"}
        assert finding["state"] == "ok" or finding["fix"]
    return done.returncode, {(each["check"], each["subject"]): each for each in found}


# --- what is well


def test_a_sound_installation_has_nothing_to_mend(program: Program, kernels: Path) -> None:
    fake_spec(kernels / "fake", display_name="Fake", language="fake", metadata={})
    code, found = examine(program)
    assert code == 0
    assert {finding["state"] for finding in found.values()} == {"ok"}
    python, fake = found["start", "python3"]["message"], found["start", "fake"]["message"]
    assert python.startswith("ready after ")
    assert python.endswith("over sockets of this machine")
    assert fake.endswith("over TCP, unencrypted: the kernel offers nothing else")


def test_its_report_for_people(program: Program, kernels: Path) -> None:
    install(kernels, "gone", argv=["/none/kernel", "{connection_file}"])
    done = program.run("doctor", "--no-start")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    at = lines.index("  broken   gone")
    assert lines[at + 1].strip().startswith("its program '/none/kernel' does not exist")
    assert lines[at + 2].strip() == "fix: jupyter kernelspec remove gone"
    assert lines[-1] == "1 broken."


# --- kernelspecs


def test_what_is_wrong_with_kernelspecs(program: Program, kernels: Path) -> None:
    script = kernels / "script"
    script.write_text("#!/bin/sh\n")
    install(kernels, "program", argv=["/none/kernel", "{connection_file}"])
    install(kernels, "mode", argv=[str(script), "{connection_file}"])
    install(kernels, "file", argv=["true"])
    install(kernels, "argv", argv=[])
    install(kernels, "json").write_text("{")
    install(kernels, "open").chmod(0o666)
    code, found = examine(program, "--no-start")
    specs = {name: found["kernelspec", name] for name in ("program", "mode", "file", "argv")}
    assert code == 1
    assert {finding["state"] for finding in specs.values()} == {"broken"}
    assert "does not exist" in specs["program"]["message"]
    assert specs["mode"]["fix"] == f"chmod +x {script}"
    assert "no {connection_file}" in specs["file"]["message"]
    assert "has no command" in specs["argv"]["message"]
    assert found["kernelspec", "json"]["state"] == "broken"
    assert found["kernelspec", "open"]["state"] == "warning"
    assert found["kernelspec", "open"]["fix"].startswith("chmod o-w ")


def test_a_kernel_that_does_not_start(program: Program, kernels: Path) -> None:
    fake_spec(kernels / "dies", "--die", "No module named 'frob'", language="fake")
    fake_spec(kernels / "mute", "--mute", "kernel_info_request", language="fake")
    code, found = examine(program, "--timeout", "1")
    assert code == 1
    assert "pip install frob" in found["start", "dies"]["fix"]
    assert "did not answer within 1 s" in found["start", "mute"]["message"]


# --- folders


def test_folders_that_cannot_be_used(program: Program, kernels: Path) -> None:
    blocked = kernels / "blocked"
    blocked.touch()
    program.env["JUPYTER_RUNTIME_DIR"] = str(blocked / "runtime")
    program.env["XDG_STATE_HOME"] = str(kernels / "made" / "later")
    code, found = examine(program, "--no-start")
    assert code == 1
    runtime = found["folder", str(blocked / "runtime")]
    assert runtime["fix"] == f"mv {blocked} {blocked}.old"
    state = found["folder", str(kernels / "made" / "later" / "carpo-lsp")]
    assert state["message"] == "the state folder; it will be made"


def test_a_runtime_folder_that_others_can_write(program: Program, kernels: Path) -> None:
    folder = kernels / "runtime"
    folder.mkdir()
    folder.chmod(0o777)
    program.env["JUPYTER_RUNTIME_DIR"] = str(folder)
    code, found = examine(program, "--no-start")
    assert code == 0
    assert found["folder", str(folder)]["fix"] == f"chmod 700 {folder}"


def test_a_temporary_folder_with_a_long_path(program: Program, kernels: Path) -> None:
    folder = kernels / ("long" * 20)
    folder.mkdir()
    program.env["TMPDIR"] = str(folder)
    code, found = examine(program, "--no-start")
    assert code == 1
    assert found["folder", str(folder)]["fix"] == "export TMPDIR=/tmp"


# --- Pythons


def test_the_environments_near_the_current_folder(program: Program, kernels: Path) -> None:
    sound = make(program.folder / "venv")
    bare = make(program.folder / ".venv", kernel=False)
    code, found = examine(program, "--no-start")
    assert code == 1
    fix = f"{bare}/bin/python -m pip install ipykernel"
    assert found["environment", str(sound)]["message"] == "Python 3.12 (venv), kept with venv"
    assert found["environment", str(bare)]["state"] == "warning"
    assert found["environment", str(bare)]["fix"] == fix
    assert found["python", str(program.folder)]["state"] == "broken"
    assert found["python", str(program.folder)]["fix"] == fix


# --- editors


@pytest.mark.parametrize("editor", [*SETUPS, *ALIASES])
def test_the_set_up_of_an_editor(program: Program, editor: str) -> None:
    done = program.run("doctor", "--editor", editor)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == setup_text(editor)
    assert "carpo" in done.stdout


@pytest.mark.parametrize("editor", ["coc", "sublime", "zed"])
def test_set_ups_that_are_json(editor: str) -> None:
    assert "carpo-lsp" in str(json.loads("{" + SETUPS[editor].text + "}"))


def test_the_set_up_of_helix_is_toml() -> None:
    content = tomllib.loads(SETUPS["helix"].text)
    assert content["language-server"]["carpo"]["command"] == "carpo-lsp"
    assert "carpo" in content["language"][0]["language-servers"]


def test_a_program_that_is_not_on_the_path_is_named_in_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "carpo-lsp").touch()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert f"cmd = {{ '{tmp_path}/carpo-lsp' }}" in setup_text("neovim")
