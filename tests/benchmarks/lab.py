"""What rows are measured with: servers to be started, a folder, and notes beside the times."""

from __future__ import annotations

import asyncio
import compileall
import contextlib
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import attrs
import psutil
from lsp_clients import TERMINAL, Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

MB = 1_000_000

SERVERS = {"python-lsp-server": "pylsp", "jedi-language-server": "jedi-language-server"}
"""Other language servers for Python, and their programs."""

SAMPLING = 0.02
"""Seconds between two looks at a process's memory."""


@attrs.frozen
class Lab:
    """The server that is measured, by the folder its package is in, and the peers' interpreter."""

    source: Path
    folder: Path
    """For files of the rows."""
    peers: Path | None = None
    """An interpreter of an environment with the peers; None leaves them out."""
    _notes: dict[str, float] = attrs.field(factory=dict)

    def note(self, name: str, value: float) -> None:
        """A figure beside the times; the worst of all is kept."""
        self._notes[name] = max(value, self._notes.get(name, value))

    def take_notes(self) -> dict[str, float]:
        notes = dict(self._notes)
        self._notes.clear()
        return notes

    @contextlib.asynccontextmanager
    async def client(
        self,
        command: Sequence[str] = (sys.executable, "-m", "carpo_lsp"),
        kind: type[Client] | None = None,
    ) -> AsyncIterator[Client]:
        """A client of a new server, which has not been initialized."""
        client = await (kind or Client).spawn_command(
            *command, env={"PYTHONPATH": str(self.source)}, cwd=self.folder
        )
        try:
            yield client
        finally:
            await client.close()

    @contextlib.asynccontextmanager
    async def server(self, kind: type[Client] | None = None) -> AsyncIterator[Client]:
        """A client of a new server of ours, initialized."""
        async with self.client(kind=kind) as client:
            await client.initialize(self.folder)
            yield client

    @contextlib.asynccontextmanager
    async def kernel(
        self, *, kind: type[Client] | None = None
    ) -> AsyncIterator[tuple[Client, dict[str, Any]]]:
        """A client of a new server of ours and a Python kernel in it."""
        async with self.server(kind) as client:
            kernel = await client.start(specName="python3")
            await client.finish(kernel["kernelId"], "1")
            yield client, kernel

    def program(self, name: str) -> str | None:
        """A program of the peers' environment; None where it is not there."""
        return shutil.which(name, path=self.peers.parent) if self.peers is not None else None

    def checkout(self, name: str) -> Path | None:
        """A repository in the folder of the peers' environment; None where it is not there."""
        if self.peers is None:
            return None
        folder = self.peers.parents[1] / name
        return folder if folder.is_dir() else None

    def compile(self) -> None:
        """Have bytecode of the package, as an installed one has."""
        compileall.compile_dir(self.source / "carpo_lsp", quiet=1)


class Client(Wire):
    """A client that tells when what it waits for has come, not some time after."""

    @classmethod
    async def spawn_command(cls, *command: str, env: dict[str, str], cwd: Path) -> Client:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.DEVNULL,
            env=os.environ | env,
            cwd=cwd,  # not where this one was started, which is on the path of `python -m`
            limit=MB,
        )
        assert process.stdin
        assert process.stdout
        return cls(process.stdout, process.stdin, process)

    async def finish(self, kernel_id: str, code: str) -> str:
        """Run code to its end, without a look at what it prints; returns the execution's id."""
        execution_id = await self.execute(kernel_id, code)
        await self.until_state(execution_id, *TERMINAL)
        self.notes.clear()
        return execution_id

    @property
    def memory(self) -> float:
        """The server's memory in MB."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / MB

    @contextlib.asynccontextmanager
    async def memory_peak(self, note: Callable[[float], None]) -> AsyncIterator[None]:
        """Notes how many MB the server takes meanwhile beyond what it takes now."""
        before = self.memory
        most = 0.0

        async def sample() -> None:
            nonlocal most
            while True:
                most = max(most, self.memory - before)
                await asyncio.sleep(SAMPLING)

        sampling = asyncio.create_task(sample())
        try:
            yield
        finally:
            sampling.cancel()
            note(most)


@contextlib.contextmanager
def jupyter_folders(folder: Path) -> Iterator[None]:
    """Jupyter's, IPython's and our folders are in this one meanwhile."""
    names = {
        "JUPYTER_RUNTIME_DIR": "run",
        "JUPYTER_CONFIG_DIR": "config",
        "IPYTHONDIR": "ipython",
        "XDG_STATE_HOME": "state",
    }
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: str(folder / part) for name, part in names.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Watch:
    """The milliseconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def ms(self) -> float:
        return 1000 * (time.perf_counter() - self._start)


@contextlib.contextmanager
def timed(into: list[float]) -> Iterator[None]:
    """Append how long it takes, in milliseconds."""
    watch = Watch()
    yield
    into.append(watch.ms)
