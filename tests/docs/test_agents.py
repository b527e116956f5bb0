"""What docs/agents.md shows of the shell is what a shell shows."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "agents.md"

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)

VARIES = {"kernelId", "durationMs"}
"""What is another each time."""


def examples() -> list[tuple[list[str], str]]:
    """Commands, and what they print, in the order of the page."""
    found = []
    for block in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        for each in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = each.partition("\n")
            found.append((shlex.split(command), printed))
    return found


def fixed(printed: str) -> Any:
    """What does not vary of an object in JSON."""
    return {key: value for key, value in json.loads(printed).items() if key not in VARIES}


def test_the_examples(tmp_path: Path) -> None:
    bin_ = Path(sys.executable).parent
    env = {
        **os.environ,
        "JUPYTER_RUNTIME_DIR": str(tmp_path),
        "PATH": f"{bin_}:{os.environ['PATH']}",
    }
    kernel = subprocess.Popen(
        ["jupyter", "kernel", "--kernel=python3"], stderr=subprocess.PIPE, text=True, env=env
    )
    assert kernel.stderr is not None
    try:
        while "To connect a client" not in kernel.stderr.readline():
            assert kernel.poll() is None
        shown = examples()
        assert len(shown) == 4
        for command, printed in shown:
            assert command[0] == "carpo-lsp"
            program = [sys.executable, "-m", "carpo_lsp", *command[1:]]
            done = subprocess.run(program, capture_output=True, text=True, env=env, check=True)
            if "--json" in command:
                assert fixed(done.stdout) == fixed(printed), command
            else:
                assert done.stdout.startswith(printed), command
    finally:
        kernel.terminate()
        kernel.communicate()
