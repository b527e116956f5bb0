"""Real kernels, each led through one life: start, run, complete, inspect, input, interrupt,
restart, kill, shutdown. What it does there are the facts that docs/kernels.md lists.

`tests/install_kernels` puts the kernels into `.venv-kernels`; R's is the system's.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from support import Events, check_order, gone

from carpo_lsp.errors import KernelTimeout
from carpo_lsp.frontend import Frontend

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from carpo_lsp.handle import ExecutionHandle, ExecutionResult

ENVIRONMENT: Final = Path(__file__).parent.parent / ".venv-kernels"

PATIENCE: Final = 8.0
"""Seconds for what a kernel may never do. What it does comes far sooner."""

NO_ANSWER: Final = "no answer"

DEADLINE: Final = 60.0
"""Seconds for what every kernel is to do."""


@attrs.frozen(kw_only=True)
class RealKernel:
    """A kernel and how to say a thing in its language."""

    name: str
    """That of its kernelspec."""
    title: str
    language: str
    system: bool = False
    """Whether it is installed for the machine, not in `ENVIRONMENT`."""
    program: str | None = None
    """What it needs of the machine."""
    result: str
    """Shows 42."""
    error: str
    """Fails with the word `bad`."""
    prefix: str
    completion: str
    """One of what the prefix completes to."""
    known: str
    """A name that there is help on."""
    unfinished: str
    """Code that needs more lines."""
    ask: str
    """Asks for a line and shows it."""
    busy: str
    """Makes the file or folder `{file}`, then runs until it is interrupted."""
    forgets: str = "nothing"
    """Which end of an execution it may not send."""

    @property
    def marker(self) -> str:
        """The marker of tests that need it."""
        return "needs_r" if self.language == "R" else f"needs_{self.name}"

    @property
    def installed(self) -> bool:
        has_program = self.program is None or shutil.which(self.program) is not None
        return has_program and self.spec is not None

    @property
    def spec(self) -> Path | None:
        """The folder of its kernelspec, if it is installed."""
        if not self.system:
            folder = ENVIRONMENT / "share" / "jupyter" / "kernels" / self.name
            return folder if (folder / "kernel.json").is_file() else None
        from jupyter_client.kernelspec import KernelSpecManager

        found = KernelSpecManager().find_kernel_specs().get(self.name)
        return Path(found) if found is not None else None


_PYTHON: Final[dict[str, Any]] = {
    "language": "Python",
    "result": "6 * 7",
    "error": "raise ValueError('bad')",
    "prefix": "enumera",
    "completion": "enumerate",
    "known": "len",
    "unfinished": "for x in y:",
    "ask": "print(input('who? '))",
    "busy": "import time\nopen('{file}', 'w').close()\ntime.sleep(600)",
}
_SHELL: Final[dict[str, Any]] = {
    "result": "echo 42",
    "error": "echo bad; false",
    "prefix": "ech",
    "completion": "echo",
    "known": "echo",
    "ask": "read x; echo $x",
    # One process: between two commands of its own a shell may miss an interrupt.
    "busy": "sh -c 'touch {file}; exec sleep 600'",
}
_JAVASCRIPT: Final[dict[str, Any]] = {
    "language": "TypeScript",
    "result": "6 * 7",
    "error": "throw new Error('bad')",
    "prefix": "Mat",
    "completion": "Math",
    "known": "Math",
    "unfinished": "for (;;) {",
    "ask": "prompt('who?')",
}

KERNELS: Final = (
    RealKernel(name="python3", title="ipykernel", **_PYTHON),
    RealKernel(
        name="ir",
        title="IRkernel",
        language="R",
        system=True,
        result="6 * 7",
        error="stop('bad')",
        prefix="prin",
        completion="print",
        known="print",
        unfinished="for (x in 1:3) {",
        ask="cat(readline('who? '))",
        busy="invisible(file.create('{file}')); Sys.sleep(600)",
    ),
    RealKernel(
        name="bash", title="bash_kernel", language="Bash", unfinished="for x in a; do", **_SHELL
    ),
    RealKernel(
        name="fish",
        title="fish-kernel",
        language="fish",
        program="fish",
        unfinished="for x in a",
        **_SHELL,
    ),
    RealKernel(name="xpython", title="xeus-python", **_PYTHON),
    RealKernel(name="akernel", title="akernel", **_PYTHON),
    RealKernel(
        name="deno",
        title="Deno",
        busy="Deno.writeTextFileSync('{file}', ''); for (;;) {}",
        **_JAVASCRIPT,
    ),
    RealKernel(
        name="tslab",
        title="tslab",
        busy="declare var require: any\nrequire('fs').mkdirSync('{file}')\nfor (;;) {}",
        forgets="idle",  # of what it aborts at the moment when it takes code again
        **_JAVASCRIPT,
    ),
    RealKernel(
        name="octave",
        title="octave_kernel",
        language="Octave",
        program="octave",
        result="6 * 7",
        error="error('bad')",
        prefix="print_us",
        completion="print_usage",
        known="sin",
        unfinished="for x = 1:3",
        ask="disp(input('who? ', 's'))",
        busy="mkdir('{file}'); pause(600)",
    ),
    RealKernel(
        name="calysto_scheme",
        title="calysto-scheme",
        language="Scheme",
        result="(* 6 7)",
        error='(error \'bad "bad")',
        prefix="(string-app",
        completion="string-append",
        known="car",
        unfinished="(define (f",
        ask='(input "who? ")',
        busy='(begin (import "os") (import "time") (os.mkdir "{file}") (time.sleep 600))',
    ),
)


@attrs.frozen(kw_only=True)
class Facts:
    """What a kernel does, in the words of the page. The names are those of its columns."""

    results: str
    errors: str
    completion: str
    help: str
    unfinished_code: str
    input: str
    interrupt: str
    restart: str
    shutdown: str


class Life:
    """One kernel's life. Raises `AssertionError` where carpo-lsp breaks a promise."""

    def __init__(self, frontend: Frontend, kernel: RealKernel, folder: Path) -> None:
        self._frontend = frontend
        self._kernel = kernel
        self._folder = folder
        self._events = Events(frontend)
        self._id = ""
        self._files = 0

    async def live(self) -> Facts:
        """Lead it from start to shutdown."""
        await self._start()
        results = await self._results()
        errors = await self._errors()
        answers = await self._answers()
        if NO_ANSWER in answers:
            # The first completion of a new installation may load, and compile, half of it.
            await self._recover()
            answers = await self._answers()
        completion, help_, unfinished = answers
        facts = Facts(
            results=results,
            errors=errors,
            completion=completion,
            help=help_,
            unfinished_code=unfinished,
            input=await self._input(),
            interrupt=await self._interrupt(),
            restart=await self._restart(),
            shutdown=await self._shutdown(),
        )
        executions = {getattr(event, "execution_id", None) for event in self._events.all} - {None}
        for execution_id in executions:
            check_order(self._events.of(execution_id))
        return facts

    async def _start(self) -> None:
        spec = self._kernel.spec
        assert spec is not None, f"{self._kernel.title} is not installed"
        self._id = await self._frontend.start_kernel(str(spec), timeout=DEADLINE)
        assert self._frontend.get_kernel(self._id).status == "idle"

    def _execute(self, code: str) -> ExecutionHandle:
        return self._frontend.execute_code(self._id, code)

    async def _run(self, code: str) -> ExecutionResult:
        async with asyncio.timeout(DEADLINE):
            return await self._execute(code)

    async def _results(self) -> str:
        result = await self._run(self._kernel.result)
        assert (result.state, result.execution_count) == ("ok", 1)
        kinds = {"execute_result": "result", "display_data": "display", "stream": "text"}
        (kind,) = {kinds[output["output_type"]] for output in result.outputs if "42" in str(output)}
        return kind

    async def _errors(self) -> str:
        result = await self._run(self._kernel.error)
        assert "bad" in str(result.outputs)
        return "error" if result.state == "error" else "text"

    async def _recover(self) -> None:
        """Wait until the kernel takes code again: tslab aborts it for a while after an error."""
        while (result := await self._run(self._kernel.result)).state == "aborted":
            pass
        assert result.state == "ok"

    async def _answer(self, question: Coroutine[Any, Any, bool]) -> str:
        try:
            return "yes" if await question else "no"
        except KernelTimeout:
            return NO_ANSWER

    async def _answers(self) -> list[str]:
        """Whether it completes, helps, and tells unfinished code."""
        return await asyncio.gather(self._completion(), self._help(), self._unfinished())

    async def _completion(self) -> str:
        async def question() -> bool:
            code = self._kernel.prefix
            found = await self._frontend.get_completions(self._id, code, len(code))
            return self._kernel.completion in found.matches

        return await self._answer(question())

    async def _help(self) -> str:
        async def question() -> bool:
            name = self._kernel.known
            return (await self._frontend.inspect(self._id, name, len(name))).found

        return await self._answer(question())

    async def _unfinished(self) -> str:
        async def question() -> bool:
            told = await self._frontend.is_complete(self._id, self._kernel.unfinished)
            return told.status == "incomplete"

        return await self._answer(question())

    async def _input(self) -> str:
        await self._recover()
        handle = self._execute(self._kernel.ask)
        asked = asyncio.create_task(self._events.until_input(handle.execution_id))
        ended = asyncio.ensure_future(handle)
        try:
            await asyncio.wait(
                [asked, ended], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
            if not asked.done():
                return "no"
            await self._frontend.provide_stdin(self._id, "somebody")
            async with asyncio.timeout(DEADLINE):
                result = await ended
            assert result.state == "ok"
            await self._events.until_text("somebody")
            return "yes"
        finally:
            asked.cancel()
            if not ended.done():  # it reads from somewhere else
                ended.cancel()
                await self._frontend.restart_kernel(self._id)

    async def _begin(self) -> ExecutionHandle:
        """Run code that does not end, and wait until the kernel is at it."""
        self._files += 1
        file = self._folder / f"{self._kernel.name}-{self._files}"
        handle = self._execute(self._kernel.busy.replace("{file}", str(file)))
        async with asyncio.timeout(DEADLINE):
            while not file.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.01)
        return handle

    async def _interrupt(self) -> str:
        await self._recover()
        handle = await self._begin()
        await self._frontend.interrupt(self._id)
        try:
            async with asyncio.timeout(PATIENCE):
                result = await handle
        except TimeoutError:
            return "no"
        if result.state == "died":
            assert result.error is not None
            assert "interrupt" in result.error["evalue"]
            await self._events.until_status("dead", self._id)
            await self._frontend.restart_kernel(self._id)
            return "ends the kernel"
        await self._recover()
        return "yes"

    async def _restart(self) -> str:
        await self._frontend.restart_kernel(self._id)
        before = self._frontend.get_kernel(self._id)
        handle = await self._begin()
        assert before.pid is not None
        os.kill(before.pid, signal.SIGKILL)
        result = await handle
        assert result.state == "died"
        assert result.error is not None
        assert "SIGKILL" in result.error["evalue"]
        await self._events.until_status("dead", self._id)
        await self._frontend.restart_kernel(self._id)
        result = await self._run(self._kernel.result)
        assert (result.state, result.execution_count) == ("ok", 1)
        assert "42" in str(result.outputs)
        return "yes"

    async def _shutdown(self) -> str:
        pid = self._frontend.get_kernel(self._id).pid
        assert pid is not None
        async with asyncio.timeout(DEADLINE):
            await self._frontend.shutdown_kernel(self._id)
        await gone(pid)
        assert self._frontend.list_kernels() == []
        assert self._events.statuses(self._id)[-1] == "stopped"
        return "yes"


# The page

BEGIN: Final = "<!-- measured: tests/real_kernels.py -->\n"
END: Final = "<!-- end of what is measured -->\n"
PAGE: Final = Path(__file__).parent.parent / "docs" / "kernels.md"


def row(kernel: RealKernel, facts: Facts) -> str:
    """The kernel's line in the table."""
    return f"| {' | '.join((kernel.title, kernel.language, *attrs.astuple(facts)))} |"


def table(measured: dict[str, Facts]) -> str:
    """The table of facts by kernel name."""
    names = [field.name.replace("_", " ") for field in attrs.fields(Facts)]
    head = ["kernel", "language", *names]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [row(kernel, measured[kernel.name]) for kernel in KERNELS]
    return "\n".join(lines) + "\n"


async def measure() -> dict[str, Facts]:
    """Lead all kernels through their lives, one after the other."""
    measured = {}
    for kernel in KERNELS:
        with tempfile.TemporaryDirectory() as folder:
            async with Frontend() as frontend:
                measured[kernel.name] = await Life(frontend, kernel, Path(folder)).live()
        print(row(kernel, measured[kernel.name]))
    return measured


def main() -> None:
    """Measure and write the table into the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{table(asyncio.run(measure()))}{END}{after}")


if __name__ == "__main__":
    main()
