"""`carpo-lsp execute`: runs code in a kernel that runs already."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from carpo_lsp.cli.target import (
    GONE,
    attach,
    code_of,
    json_option,
    kernel_argument,
    known_id,
    print_json,
)

if TYPE_CHECKING:
    from carpo_lsp.cli.executor import Kind, Outcome
    from carpo_lsp.kernels.events import Output, OutputChanged

BUSY: Final = "the kernel runs other code, and answers nothing meanwhile"

UNBEGUN: Final[dict[Kind | None, str]] = {"timeout": "aborted", "died": "died"}
"""States of what was never sent."""

CODES: Final[dict[Kind, int]] = {"error": 1, "aborted": 1, "timeout": 3, "died": GONE, "input": 5}


@click.command("execute", short_help="Run code in a kernel that runs already.")
@kernel_argument
@click.argument("code")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Interrupt the code when it runs longer than this, or drop it when it has not begun.",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="TEXT",
    help="Answer what the code asks for, once for each question. Without it a terminal is asked.",
)
@click.option(
    "--images",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Save images into this folder, which is made; with --json in place of their content.",
)
@json_option
def execute(
    kernel: str,
    code: str,
    timeout: float | None,
    inputs: tuple[str, ...],
    images: Path | None,
    as_json: bool,
) -> int:
    """Run CODE in a running kernel and show what comes of it.

    KERNEL is the id of a kernel or the beginning of one, as `carpo-lsp kernels --running` prints
    it, be it that of an editor or of another program; or the name or path of a connection file; or
    `newest`, for the kernel that was started last. CODE is `-` for stdin.

    What the code prints comes on stdout and stderr as it is printed, results as text on stdout.
    With --json it is, at the end, an object with kernelId, state ("ok", "error", "aborted",
    "died"), executionCount, outputs (as in a notebook), error, problem and durationMs. While the
    kernel runs other code, CODE waits for its end. Ctrl-C interrupts CODE, a second Ctrl-C quits.

    \b
    Examples:
      carpo-lsp execute newest 'df.describe()'
      carpo-lsp execute 3f0c - --json < query.py

    \b
    Exit codes:
      0      the code ran without an error
      1      it failed, or was dropped
      2      a wrong option, or no such kernel
      3      it took longer than --timeout
      4      the kernel died
      5      it asked for input, and there was no answer
      128+N  ended by signal N: 130 by Ctrl-C
    """
    import asyncio

    return asyncio.run(_execute(kernel, code_of(code), timeout, inputs, images, as_json))


async def _execute(
    kernel: str,
    code: str,
    seconds: float | None,
    inputs: tuple[str, ...],
    images: Path | None,
    as_json: bool,
) -> int:
    from carpo_lsp.cli.executor import Executor, Outcome
    from carpo_lsp.cli.screen import Screen
    from carpo_lsp.cli.show import STDERR, STDOUT, Display
    from carpo_lsp.cli.signals import Lifetime
    from carpo_lsp.cli.stdin import Given, Stdin
    from carpo_lsp.frontend import Frontend

    frontend = Frontend()
    screen = Screen()
    stdin = Stdin()
    answers = stdin if stdin.is_terminal and not inputs else Given(inputs)
    executor = Executor(frontend, screen, seconds, answers, STDERR if as_json else STDOUT)
    async with Lifetime(frontend, executor.interrupt) as lifetime:
        kernel_id, ready = await attach(frontend, kernel, seconds)
        known = known_id(frontend, kernel_id, kernel)
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        display = Display(screen, images, "", images=images is not None)
        display.begin_cell(stamp)
        if ready:
            outcome = await executor.run(kernel_id, code, NOWHERE if as_json else display)
        else:
            outcome = Outcome(problem=f"did not begin within {seconds:g} s: {BUSY}", kind="timeout")
        if as_json:
            print_json(_result(known, outcome, images, stamp))
        elif outcome.problem is not None and outcome.kind != "error":
            screen.note(outcome.problem)
        await screen.flush()
        if executor.interrupted:
            return 130
        return CODES[outcome.kind] if outcome.kind is not None else 0
    return lifetime.exit_code


class _Nowhere:
    """What is shown comes all at once, at the end."""

    def show(self, event: OutputChanged) -> None:
        """Nothing is shown now."""


NOWHERE: Final = _Nowhere()


def _result(kernel_id: str, outcome: Outcome, images: Path | None, stamp: str) -> dict[str, Any]:
    record = outcome.record
    return {
        "kernelId": kernel_id,
        "state": record.state if record is not None else UNBEGUN[outcome.kind],
        "executionCount": record.execution_count if record is not None else None,
        "outputs": [
            _output(output, images, f"{stamp}-{number}")
            for number, output in enumerate(record.outputs if record is not None else (), 1)
        ],
        "error": record.error if record is not None else None,
        "problem": outcome.problem,
        "durationMs": record.duration_ms if record is not None else None,
    }


def _output(output: Output, images: Path | None, name: str) -> Output:
    """An output with the path of a file in place of its image, where there is a folder for it."""
    from carpo_lsp.cli.show import IMAGES, image_of

    found = image_of(output.get("data") or {}) if images is not None else None
    if images is None or found is None:
        return output
    content, suffix = found
    images.mkdir(parents=True, exist_ok=True)
    path = images / f"{name}{suffix}"
    path.write_bytes(content)
    data = {mime: value for mime, value in output["data"].items() if mime not in IMAGES}
    metadata = {**output["metadata"], "carpo": {"image": str(path)}}
    return {**output, "data": data, "metadata": metadata}
