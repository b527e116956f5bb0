"""Runs one cell at a time in a kernel and shows what comes of it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Literal, Protocol

from msgspec import Struct

from carpo_lsp.cli.errors import describe
from carpo_lsp.cli.show import STDERR, STDOUT, text_of_error
from carpo_lsp.cli.stdin import Stdin
from carpo_lsp.deadlines import Deadline
from carpo_lsp.errors import CarpoError, KernelDied, NoInputPending
from carpo_lsp.kernels.events import (
    TERMINAL,
    InputRequested,
    OutputChanged,
    StateChanged,
    StatusChanged,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from carpo_lsp.cli.screen import Screen
    from carpo_lsp.frontend import Frontend
    from carpo_lsp.kernels.events import Event
    from carpo_lsp.kernels.transcript.transcript import Record

OBEY: Final = 5.0
"""Seconds a kernel has to end a cell that was interrupted because its time was up."""


LINK: Final = frozenset({"disconnected", "reconnected", "outputLost"})
"""Causes of what is told of the way to a kernel."""

Kind = Literal["error", "aborted", "died", "timeout", "input"]

ENDS: Final[dict[str, Kind]] = {"error": "error", "aborted": "aborted", "died": "died"}
"""The kinds of problem by terminal state."""


class Shows(Protocol):
    """Where outputs are shown."""

    def show(self, event: OutputChanged) -> None:
        """Raises `OSError`."""


class Answers(Protocol):
    """Where answers come from when code asks for input."""

    is_terminal: bool
    exhausted: str
    """Said of why there is none, after "asks for input, and"."""

    def hidden(self) -> AbstractContextManager[None]:
        """Meanwhile what is typed is not shown."""

    async def read_line(self) -> str | None:
        """The next answer; None when there is none."""


class Outcome(Struct, frozen=True):
    """How a cell ended. `problem` is None when all went well, else what to say of it."""

    record: Record | None = None
    problem: str | None = None
    kind: Kind | None = None
    """What kind of problem it is; `input`: the code asked, and there was no answer."""
    kernel_gone: bool = False

    @property
    def expected(self) -> bool:
        """Whether the problem is an error of the code, which a cell may be there to show."""
        return self.kind == "error"


class _Notice(Struct, frozen=True):
    """Something to tell the user, in its place among the events."""

    text: str


class Executor:
    """Runs cells; `interrupt` may be called meanwhile, at any time."""

    def __init__(
        self,
        frontend: Frontend,
        screen: Screen,
        timeout: float | None,
        answers: Answers | None = None,
        prompts: int = STDOUT,
    ) -> None:
        """`answers` to what code asks for are by default the lines of stdin; `prompts` is where its
        questions are shown."""
        self._frontend = frontend
        self._screen = screen
        self._timeout = timeout
        self._answers = answers or Stdin()
        self._prompts = prompts
        self._events: asyncio.Queue[Event | _Notice] = asyncio.Queue()
        self._unsubscribe = frontend.subscribe(self._events.put_nowait)
        self._kernel_id: str | None = None
        self._execution_id: str | None = None
        self.interrupted = False
        """Whether the last cell was interrupted by the user."""
        self._interrupting: asyncio.Task[None] | None = None
        self._answering: asyncio.Task[None] | None = None
        self._error_shown = False
        # What went wrong outside the code, and is the reason whatever the code made of it.
        self._problem: str | None = None
        self._kind: Kind | None = None

    def interrupt(self) -> bool:
        """Interrupt the cell that runs; False when none does, or when that was tried before."""
        if self._kernel_id is None or self.interrupted:
            return False
        self.interrupted = True
        if self._execution_id is not None and self._frontend.drop(self._execution_id):
            return True  # what runs in the kernel is another client's
        self._interrupting = asyncio.create_task(self._interrupt(self._kernel_id))
        self._events.put_nowait(_Notice("interrupted; press Ctrl-C again to quit"))
        return True

    async def _interrupt(self, kernel_id: str) -> None:
        try:
            await self._frontend.interrupt(kernel_id)
        except CarpoError as error:  # no way to the kernel
            self._events.put_nowait(_Notice(f"could not be interrupted: {describe(error)}"))

    async def run(self, kernel_id: str, code: str, display: Shows) -> Outcome:
        """Run code to its end, with its output on the display. Raises `OSError` of the screen."""
        self._interrupting = self._problem = self._kind = None
        self.interrupted = False
        self._error_shown = False
        try:
            execution_id = self._frontend.submit(kernel_id, code)
        except KernelDied:
            return Outcome(problem="the kernel died before it", kind="died", kernel_gone=True)
        self._kernel_id, self._execution_id = kernel_id, execution_id
        try:
            end = await self._until_end(kernel_id, execution_id, display)
        finally:
            self._kernel_id = self._execution_id = None
            await self._stop_answering()
        record = self._frontend.record(execution_id)
        if end is None:
            return Outcome(record, self._problem, self._kind, kernel_gone=True)
        if end.error is not None and end.state == "error" and not self._error_shown:
            self._screen.write_coloured(STDERR, text_of_error(end.error) + "\n")
        problem, kind = self._problem, self._kind
        if problem is None and end.state != "ok":
            problem, kind = _problem_of(end), ENDS[end.state]
        return Outcome(record, problem, kind, kernel_gone=end.state == "died")

    async def _until_end(
        self, kernel_id: str, execution_id: str, display: Shows
    ) -> StateChanged | None:
        """The terminal state; None when the kernel had to be ended instead."""
        try:
            async with Deadline(self._timeout):
                return await self._follow(execution_id, display)
        except TimeoutError:
            self._kind = "timeout"
        if self._frontend.drop(execution_id):
            self._problem = f"did not begin within {self._timeout:g} s: the kernel runs other code"
            return await self._follow(execution_id, display)
        self._problem = f"ran longer than {self._timeout:g} s and was interrupted"
        await self._interrupt(kernel_id)
        try:
            async with Deadline(OBEY):
                return await self._follow(execution_id, display)
        except TimeoutError:
            self._problem = f"ran longer than {self._timeout:g} s and could not be interrupted"
        with contextlib.suppress(CarpoError):  # that it cannot be reached has been said
            await self._frontend.shutdown_kernel(kernel_id)
        return None

    async def _follow(self, execution_id: str, display: Shows) -> StateChanged:
        """Show events until the terminal state. It may be cancelled and called again."""
        while True:
            match await self._events.get():
                case StateChanged(execution_id=id_, state=state) as end if id_ == execution_id:
                    if state in TERMINAL:
                        await self._screen.flush()
                        return end
                case OutputChanged(execution_id=id_, output=output) as event:
                    error = output is not None and output["output_type"] == "error"
                    self._error_shown |= error and id_ == execution_id
                    display.show(event)
                case InputRequested(execution_id=id_) as request if id_ == execution_id:
                    await self._stop_answering()
                    self._answering = asyncio.create_task(self._answer(request))
                case StatusChanged(reason=str(reason), cause=cause) if cause in LINK:
                    self._screen.note(reason)
                case _Notice(text):
                    self._screen.note(text)
            await self._screen.flush()

    async def _answer(self, request: InputRequested) -> None:
        # What is typed is hidden before the prompt invites to type.
        answers = self._answers
        hidden = answers.hidden() if request.password else contextlib.nullcontext()
        with hidden, self._screen.reading():
            self._screen.write(self._prompts, request.prompt)
            await self._screen.flush()
            line = await answers.read_line()
        if line is None:
            self._problem, self._kind = f"asks for input, and {answers.exhausted}", "input"
            await self._interrupt(request.kernel_id)
            return
        if answers.is_terminal:
            if request.password:
                self._screen.write(STDOUT, "\n")
            else:
                self._screen.line_entered()
        # The cell may have been interrupted while the line was read.
        with contextlib.suppress(NoInputPending):
            await self._frontend.provide_stdin(request.kernel_id, line, request.execution_id)

    async def _stop_answering(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
            await asyncio.wait([self._answering])
            if not self._answering.cancelled():
                self._answering.result()
            self._answering = None


def _problem_of(end: StateChanged) -> str:
    error = end.error or {}
    if end.state == "error":
        parts = (error.get("ename"), (error.get("evalue") or "").strip().partition("\n")[0])
        return "failed: " + (": ".join(part for part in parts if part) or "an error")
    if end.state == "died":
        return f"the kernel died: {error.get('evalue') or 'it is gone'}"
    return "was aborted"
