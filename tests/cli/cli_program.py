"""The real program, run as a user or an editor would."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = [sys.executable, "-m", "carpo_lsp"]
LONG = 60.0
"""Seconds after which a program that should have ended is taken for hung."""


class Program:
    """Starts the program in `folder`, with the connection files of its kernels in `runtime`."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder = folder
        self.runtime = runtime
        self.env = {
            **os.environ,
            "JUPYTER_RUNTIME_DIR": str(runtime),
            "IPYTHONDIR": str(runtime.parent / "ipython"),
            "PYTHONWARNINGS": "error::RuntimeWarning",
        }
        for name in ("NO_COLOR", "FORCE_COLOR"):
            self.env.pop(name, None)
        self.started: list[subprocess.Popen[Any]] = []

    def run(self, *args: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        done = subprocess.run(
            [*PROGRAM, *map(str, args)],
            input=stdin.encode(),
            capture_output=True,
            cwd=self.folder,
            env=self.env,
            timeout=LONG,
            check=False,
        )
        # Decoded here, for text mode would turn "\r" into "\n".
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def start(self, *args: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        """Start it in a session of its own, with pipes where the options say nothing."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen(
            [*PROGRAM, *map(str, args)],
            cwd=self.folder,
            env=self.env,
            start_new_session=True,
            **{**pipes, **options},
        )
        self.started.append(process)
        return process

    def kernels(self) -> list[psutil.Process]:
        """The kernels that run: their command names their connection file."""
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if str(self.runtime) in " ".join(process.info["cmdline"] or ())
        ]
