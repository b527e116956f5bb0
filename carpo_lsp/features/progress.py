"""$/progress for each execution of a document that takes its time; its cancellation interrupts."""

from __future__ import annotations

import asyncio
import re
from itertools import count
from typing import TYPE_CHECKING, Final

from lsprotocol import types
from msgspec import Struct, field

from carpo_lsp.errors import KernelNotFound
from carpo_lsp.features import prompts, texts
from carpo_lsp.features.hints import duration
from carpo_lsp.features.shown import find_execution, name_of

if TYPE_CHECKING:
    from carpo_lsp.kernels.events import InputRequested, OutputChanged, StateChanged
    from carpo_lsp.workspace.workspace import Workspace

PATIENCE: Final = 0.5
"""Seconds an execution runs before its progress is shown: what is quick would flicker."""

INTERVAL: Final = 1.0
"""Seconds between two reports."""

COLUMNS: Final = 80
"""Columns of a report."""

_BAR = re.compile(r"\d%\||\d ?(?:it|s|[kMG]?i?B)/(?:s|it)\b|\b\d{1,3}(?:\.\d+)?%|^\S.*\b\d+/\d+\b")
_PERCENT = re.compile(r"(?<![\d.])(\d{1,3})(?:\.\d+)?%")


class _Running(Struct, eq=False):
    """An execution under way."""

    kernel_id: str
    started: float
    token: str
    """Names its display, also to the user: Helix shows it before every report."""
    text: str = ""
    """What it has printed last."""
    question: str = ""
    """What it waits for, empty while it does not wait."""
    shown: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Progress:
    """A progress display per execution of a document that runs."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._running: dict[str, _Running] = {}
        self._numbers = count(1)

    def on_state(self, event: StateChanged, *, done: bool) -> None:
        """An execution of a document entered a state."""
        running = self._running.get(event.execution_id)
        if done:
            if running is not None:
                del self._running[event.execution_id]
                running.ended.set()
                if running.shown:
                    # At once: Helix clears with the display what is said of the end before.
                    self._workspace.client.progress(running.token, types.WorkDoneProgressEnd())
        elif running is not None:
            running.question = ""
        elif event.state == "running" and self._workspace.client.shows_progress:
            now = asyncio.get_running_loop().time()
            running = _Running(event.kernel_id, now, f"carpo-{next(self._numbers)}")
            self._running[event.execution_id] = running
            self._workspace.client.spawn(self._follow(event.execution_id, running))

    def on_output(self, event: OutputChanged) -> None:
        """Keep what has been printed last; it is looked at when a report is due."""
        running = self._running.get(event.execution_id)
        if running is not None and event.output and event.output["output_type"] == "stream":
            running.text = event.output["text"]

    def on_input(self, event: InputRequested) -> None:
        """Code asks for something. Reports tell what: they may cover the message about it."""
        running = self._running.get(event.execution_id)
        if running is not None:
            running.question = "for a password" if event.password else prompts.line(event.prompt)

    def cancel(self, token: int | str) -> None:
        """The user has cancelled a display: interrupt its execution if it still runs."""
        for running in self._running.values():
            if token == running.token:
                self._workspace.client.spawn(self._interrupt(running.kernel_id))

    async def _interrupt(self, kernel_id: str) -> None:
        try:
            await self._workspace.frontend.interrupt(kernel_id)
        except KernelNotFound:
            return  # the kernel has been shut down meanwhile, and its executions with it

    async def _follow(self, execution_id: str, running: _Running) -> None:
        if await _happens(running.ended, PATIENCE):
            return
        client, token = self._workspace.client, running.token
        found = find_execution(self._workspace, execution_id)
        title = (
            f"Running {name_of(self._workspace, found[0], found[1].cell)}" if found else "Running"
        )
        if not await client.begin_progress(token, title, cancellable=True):
            return
        if running.ended.is_set():
            client.progress(token, types.WorkDoneProgressEnd())
            return
        running.shown = True
        while not running.ended.is_set():
            client.progress(token, self._report(running))
            await _happens(running.ended, INTERVAL)

    def _report(self, running: _Running) -> types.WorkDoneProgressReport:
        bar = "" if running.question else bar_of(running.text)
        percent = _PERCENT.search(bar) if bar else None
        return types.WorkDoneProgressReport(
            cancellable=True,
            message=bar or self._words(running),
            percentage=min(100, int(percent[1])) if percent else None,
        )

    def _words(self, running: _Running) -> str:
        try:
            number = self._workspace.frontend.get_kernel(running.kernel_id).execution_count
        except KernelNotFound:
            number = None
        name = f"In [{number}] " if number else ""
        if running.question:
            return f"{name}asks {running.question} (answer: carpo.answer)"
        return name + duration(round(asyncio.get_running_loop().time() - running.started))


def bar_of(text: str) -> str:
    """The progress bar that printed text ends with, in one line; empty when it is no such."""
    parts = [part for part in re.split(r"[\r\n]", text[-2000:]) if part.strip()]
    last = texts.without_escapes(parts[-1]) if parts else ""
    return texts.clipped(last, COLUMNS) if _BAR.search(last) else ""


async def _happens(event: asyncio.Event, within: float) -> bool:
    """Whether an event happens within some seconds."""
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True
