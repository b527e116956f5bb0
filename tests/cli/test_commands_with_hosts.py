"""The commands with a host that is named in the user's file of settings: a real server, here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import sshd
from sshd import HOST, STRANGER

if TYPE_CHECKING:
    from pathlib import Path

    from cli_program import Program

pytestmark = pytest.mark.needs_sshd


@pytest.fixture(autouse=True)
def _named(program: Program, ssh_server: sshd.Sshd, ssh: None, tmp_path: Path) -> None:
    """One host that lets the user in, and one that does not."""
    config = tmp_path / "config" / "carpo-lsp" / "carpo.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f"[hosts.{HOST}]\n[hosts.{STRANGER}]\n")
    path = f"{ssh_server.bin}:{program.env['PATH']}"
    program.env |= {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PATH": path}


def test_the_lists_have_what_the_host_has(program: Program, ssh_server: sshd.Sshd) -> None:
    done = program.run("kernels", "--json")
    assert done.returncode == 0
    specs = {spec["name"]: spec for spec in json.loads(done.stdout)}
    assert specs[f"ssh:{HOST}/python3"]["language"] == "python"
    assert done.stderr.startswith("carpo-lsp: ssh cannot reach stranger: ")
    with sshd.kernel(ssh_server):
        listed = json.loads(program.run("kernels", "--running", "--json").stdout)
        (row,) = (each for each in listed if each["kernelId"].startswith(f"ssh:{HOST}/"))
        assert (row["language"], row["ours"]) == ("python", False)
        name = row["kernelId"]
        done = program.run("execute", name, "print('there')")
        assert (done.returncode, done.stdout) == (0, "there\n"), done.stderr
        done = program.run("execute", "--json", f"ssh:{HOST}", "1")
        assert json.loads(done.stdout)["kernelId"] == f"ssh:{HOST}"
        for other in (f"ssh:{HOST[:3]}", f"/elsewhere/kernel-{name.rpartition('/')[2]}.json"):
            assert program.run("stop", "--force", other).returncode == 2, other
        assert program.run("stop", name).returncode == 2
        done = program.run("stop", "--force", name)
        assert (done.returncode, done.stdout.split()[0]) == (0, name), done.stderr


def test_the_doctor_looks_at_hosts(program: Program) -> None:
    done = program.run("doctor", "--no-start", "--json")
    found = {
        finding["subject"]: finding
        for finding in json.loads(done.stdout)
        if finding["check"] == "host"
    }
    assert found[f"ssh:{HOST}"]["state"] == "ok"
    assert f"ssh:{HOST}/python3" in found[f"ssh:{HOST}"]["message"]
    bad = found[f"ssh:{STRANGER}"]
    assert bad["state"] == "broken"
    assert "ssh -o BatchMode=yes" in bad["fix"]
    assert done.returncode == 1
