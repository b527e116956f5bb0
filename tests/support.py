"""What tests of kernels share: waiting for events, kernelspecs of the fake kernel, processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import signal
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from carpo_lsp.kernels.events import (
    TERMINAL,
    Event,
    InputRequested,
    OutputChanged,
    StateChanged,
    StatusChanged,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from carpo_lsp.frontend import Frontend

FAKE = Path(__file__).parent / "fake_kernel"
MISBEHAVING = Path(__file__).parent / "misbehaving"

DEADLINE = 15.0
"""Seconds after which a test stops waiting for what should have come long ago."""


class Events:
    """Everything a Frontend tells, in order, and a way to wait for some of it."""

    def __init__(self, frontend: Frontend) -> None:
        self.all: list[Event] = []
        self._arrived = asyncio.Event()
        frontend.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        self.all.append(event)
        self._arrived.set()

    async def until(self, wanted: Callable[[Event], object]) -> Any:
        """The first event that is wanted, whether it has come already or not."""
        seen = 0
        async with asyncio.timeout(DEADLINE):
            while True:
                for event in self.all[seen:]:
                    if wanted(event):
                        return event
                seen = len(self.all)
                self._arrived.clear()
                await self._arrived.wait()

    async def until_state(self, state: str, execution_id: str | None = None) -> StateChanged:
        event = await self.until(
            lambda event: (
                isinstance(event, StateChanged)
                and event.state == state
                and execution_id in (None, event.execution_id)
            )
        )
        assert isinstance(event, StateChanged)
        return event

    async def until_status(self, status: str, kernel_id: str | None = None) -> StatusChanged:
        event = await self.until(
            lambda event: (
                isinstance(event, StatusChanged)
                and event.status == status
                and kernel_id in (None, event.kernel_id)
            )
        )
        assert isinstance(event, StatusChanged)
        return event

    async def until_input(self, execution_id: str) -> InputRequested:
        event = await self.until(
            lambda event: isinstance(event, InputRequested) and event.execution_id == execution_id
        )
        assert isinstance(event, InputRequested)
        return event

    async def until_text(self, text: str) -> OutputChanged:
        """The first output whose stream text or plain text holds `text`."""
        event = await self.until(
            lambda event: isinstance(event, OutputChanged) and text in plain_text(event)
        )
        assert isinstance(event, OutputChanged)
        return event

    def of(self, execution_id: str) -> list[Event]:
        return [event for event in self.all if getattr(event, "execution_id", None) == execution_id]

    def states(self, execution_id: str) -> list[str]:
        return [event.state for event in self.of(execution_id) if isinstance(event, StateChanged)]

    def statuses(self, kernel_id: str) -> list[str]:
        return [
            event.status
            for event in self.all
            if isinstance(event, StatusChanged) and event.kernel_id == kernel_id
        ]


def plain_text(event: OutputChanged) -> str:
    output = event.output or {}
    return str(output.get("text") or output.get("data", {}).get("text/plain", ""))


def text_of(outputs: tuple[dict[str, Any], ...], name: str = "stdout") -> str:
    """All text of one stream."""
    return "".join(output["text"] for output in outputs if output.get("name") == name)


def check_order(events: list[Event]) -> None:
    """The promises of one execution: queued first, one terminal state, nothing behind it."""
    states = [event.state for event in events if isinstance(event, StateChanged)]
    assert states[0] == "queued"
    assert [state for state in states if state in TERMINAL] == states[-1:]
    assert isinstance(events[0], StateChanged)
    assert isinstance(events[-1], StateChanged)


def fake_spec(folder: Path, *flags: str, **fields: Any) -> str:
    """A kernel.json in `folder` for the fake kernel with command line flags; returns its path.

    `fields` replace those of the kernel.json.
    """
    return _spec(folder, FAKE / "fake_kernel.py", flags, fields)


def liar_spec(folder: Path, *flags: str, **fields: Any) -> str:
    """The same for the kernel that lies."""
    return _spec(folder, MISBEHAVING / "liar.py", flags, fields)


def _spec(folder: Path, program: Path, flags: tuple[str, ...], fields: dict[str, Any]) -> str:
    content = json.loads((program.parent / "kernel.json").read_text())
    content["argv"] = [sys.executable, str(program), "-f", "{connection_file}", *flags]
    file = folder / "kernel.json"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content | fields))
    return str(file)


async def gone(pid: int) -> None:
    """Wait for the end of a process that is not a child of ours: nothing else tells of it.

    An orphan that nobody reaps stays as a zombie, which is as gone as it gets.
    """
    async with asyncio.timeout(DEADLINE):
        while is_alive(pid):  # noqa: ASYNC110 - no event exists to wait for
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def processes_of(home: Path) -> Iterator[psutil.Process]:
    """The processes that have a home folder as theirs."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it has ended, or is not ours to look at
            if process.environ().get("HOME") == str(home):
                yield process


def names(folder: Path) -> list[str]:
    """The names in a folder."""
    return sorted(entry.name for entry in folder.iterdir())


def mode(path: Path) -> int:
    """Who may do what with a file or folder. Jupyter adds the sticky bit to it."""
    return stat.S_IMODE(path.stat().st_mode) & 0o777


def read_json(path: Path | str | None) -> Any:
    assert path is not None
    return json.loads(Path(path).read_text())


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file that this process writes may have more bytes meanwhile, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


class Clock:
    """One that a test turns."""

    time = 100.0

    def __call__(self) -> float:
        return self.time
