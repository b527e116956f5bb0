from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli_program import Program


def test_json_is_the_wire_form(program: Program) -> None:
    done = program.run("kernels", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    specs = {spec["name"]: spec for spec in json.loads(done.stdout)}
    python = specs["python3"]
    assert set(python) == {
        "name",
        "specPath",
        "displayName",
        "language",
        "interruptMode",
        "origin",
    }
    assert (python["language"], python["origin"]) == ("python", "jupyter")


def test_the_table_has_a_line_for_each_kernel(program: Program) -> None:
    done = program.run("kernels")
    specs = json.loads(program.run("kernels", "--json").stdout)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    for spec in specs:
        (line,) = (line for line in lines if line.split()[:1] == [spec["name"]])
        assert line.rstrip().endswith(spec["specPath"])
        assert spec["displayName"] in line
