"""A user's folders for one round, and what runs and lies about because of them."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, TypeVar

import psutil
from lsp_clients import SERVER, Wire
from support import fake_spec, names

from carpo_lsp.journal import reading
from carpo_lsp.kernels.kept.registry import Entry, Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

GONE = 5.0
"""Seconds after its death in which all is gone that a server has started."""

LOG = "log"
"""The log of all servers of a home."""

AnyWire = TypeVar("AnyWire", bound=Wire)


class Home:
    """The folders of a user; their paths are short, for the sake of ipc addresses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.state, self.runtime, self.tmp, self.work, jupyter = (
            folder / name for name in ("s", "r", "t", "w", "j")
        )
        for each in (self.tmp, self.work):
            each.mkdir()
        fake_spec(jupyter / "kernels" / "fake", display_name="fake", language="fake")
        # With an empty cache, or one that a killed kernel has spoiled, jedi takes many seconds.
        profile = folder / "i" / "profile_default"
        profile.mkdir(parents=True)
        (profile / "ipython_kernel_config.py").write_text("c.Completer.use_jedi = False\n")
        self.log = folder / LOG
        self.env = {
            "XDG_STATE_HOME": str(self.state),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_PATH": str(jupyter),
            "IPYTHONDIR": str(profile.parent),
            "TMPDIR": str(self.tmp),
        }

    async def server(self, kind: type[AnyWire], program: Sequence[str] = SERVER) -> AnyWire:
        """A client of a new server that has these folders."""
        options = ("--log-file", str(self.log))
        client = await kind.spawn(*options, env=self.env, program=program, own_group=True)
        assert isinstance(client, kind)
        return client

    def uri(self, name: str) -> str:
        return (self.work / name).as_uri()

    # Processes

    def processes(self) -> list[psutil.Process]:
        """Kernels, watchdogs and keepers: they have one of these folders in their arguments."""
        folder = str(self._folder)
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if any(folder in argument for argument in process.info["cmdline"] or ())
            and process.status() != psutil.STATUS_ZOMBIE
        ]

    def watchdogs(self) -> list[psutil.Process]:
        return [each for each in self.processes() if has(each, "watchdog.py")]

    def keepers(self) -> list[psutil.Process]:
        return [each for each in self.processes() if has(each, "carpo_lsp.kernels.kept.keeper")]

    def kernels(self) -> list[psutil.Process]:
        return [each for each in self.processes() if has(each, "-f")]

    def kept(self) -> list[Entry]:
        """The kernels that are kept."""
        return list(Registry(self.state / "carpo-lsp" / "kept").entries())

    async def until_only_kept_run(self) -> None:
        """Wait for the end of all but kept kernels and their keepers. Nothing tells of it."""

        def left() -> list[psutil.Process]:
            spared = {entry.pid for entry in self.kept() if entry.alive}
            folders = [entry.kernel_id for entry in self.kept() if entry.alive]
            return [
                process
                for process in self.processes()
                if process.pid not in spared
                and not any(has(process, name, part=True) for name in folders)
            ]

        await until(lambda: not left(), GONE, lambda: [(each, _arguments(each)) for each in left()])

    # Files

    def left(self, *, swept: bool = True) -> list[str]:
        """What of kernels and servers is on the disk, less what belongs to kept kernels.

        `swept`: a server has been started since, which removes entries of kernels that are gone.
        """
        kept = [entry for entry in self.kept() if entry.alive or not swept]
        spared = {name for entry in kept for name in (entry.kernel_id, entry.folder)}
        spared |= {entry.connection_file for entry in kept}
        folders = [self.runtime, self.tmp]
        if swept:
            folders.append(self.state / "carpo-lsp" / "kept")
        found = [folder / name for folder in folders if folder.exists() for name in names(folder)]
        # Not ours: ipykernel and the like make folders of their own in TMPDIR.
        ours = [path for path in found if path.parent != self.tmp or path.name.startswith("carpo-")]
        return [str(path) for path in ours if not {path.name, str(path)} & spared]

    def log_problems(self) -> list[str]:
        """What of the servers' log tells of a fault in our code."""
        words = ("Traceback", "never awaited", "never retrieved", "was destroyed")
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        found = [number for number, line in enumerate(lines) if any(word in line for word in words)]
        return ["\n".join(lines[max(0, number - 3) : number + 25]) for number in found]

    def journal_problems(self) -> list[str]:
        """What a reader of the journal has to complain about."""
        problems: list[str] = []
        found = reading.executions(self.state / "carpo-lsp" / "journal", problem=problems.append)
        reading.outputs_of(found.files, found.entries, problem=problems.append)
        return problems


def has(process: psutil.Process, word: str, *, part: bool = False) -> bool:
    """Whether a process has an argument that ends in, or with `part` contains, a word."""
    return any(word in each if part else each.endswith(word) for each in _arguments(process))


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def until(
    condition: Callable[[], object], deadline: float, found: Callable[[], object]
) -> None:
    """Wait for what nothing tells of; `found` is for the message when it does not come."""
    try:
        async with asyncio.timeout(deadline):
            while not condition():  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"after {deadline} s there is still {found()}") from None


def kill(process: psutil.Process, number: int) -> None:
    """Send a signal to a process that may have gone by now."""
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return
