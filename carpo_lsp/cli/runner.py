"""Runs documents, each in kernels of its own, and writes them as notebooks."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from msgspec import Struct

from carpo_lsp.cli.errors import UserError, describe
from carpo_lsp.cli.executor import Executor
from carpo_lsp.cli.screen import Screen
from carpo_lsp.cli.show import Display
from carpo_lsp.cli.signals import Lifetime
from carpo_lsp.errors import CarpoError, KernelNotFound
from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.manager import StartOptions
from carpo_lsp.notebooks import notebook_text, write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from carpo_lsp.cli.sources import Source
    from carpo_lsp.kernels.specs import Spec
    from carpo_lsp.kernels.transcript.transcript import Record
    from carpo_lsp.protocol import Kernel


class Job(Struct, frozen=True):
    """A document to run. `specs` has a kernelspec for each language of the cells that run;
    languages with the same one share a kernel. `output` is the notebook to write, if any."""

    source: Source
    specs: dict[str, Spec]
    cwd: str
    output: Path | None
    existing: str | None = None
    """The name of a kernel that runs already, for all cells."""

    @property
    def folder(self) -> Path | None:
        """Where its images go, if not into a temporary folder."""
        return self.output and self.output.with_name(f"{self.output.stem}_files")


async def run_jobs(jobs: list[Job], *, keep_going: bool, cell_seconds: float | None) -> int:
    """Run the documents; returns the exit code. A cell may take `cell_seconds`.

    Raises `OSError` when stdout or stderr cannot be written, `UserError` when a notebook cannot.
    """
    frontend = Frontend()
    screen = Screen()
    executor = Executor(frontend, screen, cell_seconds)
    async with Lifetime(frontend, executor.interrupt) as lifetime:
        ok = True
        for job in jobs:
            ok = await _Run(job, frontend, screen, executor).run(keep_going) and ok
            if not ok and not keep_going:
                break
        return 0 if ok else 1
    return lifetime.exit_code


class _Run:
    """One run of one document."""

    def __init__(self, job: Job, frontend: Frontend, screen: Screen, executor: Executor) -> None:
        self._job = job
        self._frontend = frontend
        self._screen = screen
        self._executor = executor
        self._path = job.source.path
        self._kernels: dict[str, Kernel] = {}
        """By language, in the order of the languages' first cells."""
        self._records: dict[int, Record] = {}
        """By index of the cell."""

    async def run(self, keep_going: bool) -> bool:
        """Returns whether all went well."""
        try:
            await self._start_kernels()
        except CarpoError as error:
            await self._say(f"{self._path}: {describe(error)}")
            return False
        try:
            ok = await self._run_cells(keep_going)
        finally:
            self._write()
        for kernel in self._kernels.values():
            # Gone already: one that served two languages, or could not be interrupted.
            with contextlib.suppress(KernelNotFound):
                await self._frontend.shutdown_kernel(kernel.kernel_id)
        return ok

    async def _start_kernels(self) -> None:
        if self._job.existing is not None:
            kernel_id = await self._frontend.attach_kernel(self._job.existing)
            kernel = await self._frontend.get_kernel_info(kernel_id)
            self._kernels = dict.fromkeys(self._job.source.languages, kernel)
            return
        specs = {spec.key: spec for spec in self._job.specs.values()}
        names = ", ".join(spec.display_name for spec in specs.values())
        with self._screen.progress(f"{self._path.name}: starting {names}", brief=True):
            started = await asyncio.gather(*map(self._start_kernel, specs.values()))
        by_path = dict(zip(specs, started, strict=True))
        for language, spec in self._job.specs.items():
            self._kernels[language] = by_path[spec.key]

    async def _start_kernel(self, spec: Spec) -> Kernel:
        kernel_id = self._frontend.begin_kernel(spec, StartOptions(cwd=self._job.cwd))
        return await self._frontend.get_kernel_info(kernel_id)

    async def _run_cells(self, keep_going: bool) -> bool:
        runnable = [(i, cell) for i, cell in enumerate(self._job.source.cells) if cell.runs]
        if not runnable:
            await self._say(f"{self._path}: no code cells to run")
        display = Display(self._screen, self._job.folder, self._path.stem)
        ok = True
        for number, (index, cell) in enumerate(runnable, 1):
            display.begin_cell(f"cell-{number}")
            progress = f"{self._path.name} [{number}/{len(runnable)}] {cell.label}"
            with self._screen.progress(progress):
                await self._screen.flush()
                kernel_id = self._kernels[cell.language].kernel_id
                outcome = await self._executor.run(kernel_id, cell.text, display)
            if outcome.record is not None:
                self._records[index] = outcome.record
            if outcome.problem is None or (cell.may_fail and outcome.expected):
                continue
            place = f" (line {cell.line})" if cell.line else ""
            cell_name = f"cell {number} of {len(runnable)}{place}"
            await self._say(f"{self._path}: {cell_name}: {outcome.problem}")
            ok = False
            if outcome.kernel_gone or not keep_going:
                break
        return ok

    def _write(self) -> None:
        if self._job.output is not None:
            source, kernels = self._job.source, list(self._kernels.values())
            text = notebook_text(source.cells, self._records, kernels, source.metadata)
            try:
                write_whole(self._job.output, text)
            except OSError as error:
                raise UserError(f"{self._job.output}: {error.strerror}") from error

    async def _say(self, text: str) -> None:
        self._screen.note(text)
        await self._screen.flush()
