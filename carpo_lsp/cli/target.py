"""What the commands that use a running kernel have in common: how it is named, and reached."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import click

from carpo_lsp.cli.errors import UserError, describe
from carpo_lsp.deadlines import Deadline
from carpo_lsp.errors import CarpoError
from carpo_lsp.kernels.elsewhere.addresses import SCHEME

if TYPE_CHECKING:
    from carpo_lsp.frontend import Frontend

GONE: Final = 4
"""Exit code when the kernel has died, or does not answer."""

kernel_argument = click.argument("kernel", metavar="KERNEL")

json_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead.")

cursor_option = click.option(
    "--cursor",
    type=click.IntRange(min=0),
    metavar="N",
    help="Where in CODE, in characters from its beginning; at its end, if not given.",
)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def code_of(code: str) -> str:
    """The code that an argument means: `-` is all of stdin. Raises `UserError`."""
    if code != "-":
        return code
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError("the code on stdin is not UTF-8 text.") from error


Question = Callable[["Frontend", str, bool], Awaitable[None]]
"""What is asked of a frontend about the kernel of an id, which is ready or has not answered yet."""


def ask(kernel: str, question: Question, patience: float | None = None) -> int:
    """Ask a running kernel something, once it is ready, or has not answered for some seconds;
    returns the exit code."""
    return asyncio.run(_ask(kernel, question, patience))


async def _ask(kernel: str, question: Question, patience: float | None) -> int:
    from carpo_lsp.cli.signals import Lifetime
    from carpo_lsp.frontend import Frontend

    frontend = Frontend()
    async with Lifetime(frontend) as lifetime:
        kernel_id, ready = await attach(frontend, kernel, patience)
        try:
            await question(frontend, kernel_id, ready)
        except CarpoError as error:
            click.echo(f"carpo-lsp: {describe(error)}", err=True)
            return GONE
        return 0
    return lifetime.exit_code


def known_id(frontend: Frontend, kernel_id: str, name: str) -> str:
    """What a kernel that was attached to by a name is called, for other commands: one that is
    elsewhere has an id of its own here, which ends with this program."""
    remote_id = frontend.get_kernel(kernel_id).remote_kernel_id
    if remote_id is not None:
        return f"{remote_id}@{name.rpartition('@')[2]}"
    return name if name.startswith(SCHEME) else kernel_id


async def attach(
    frontend: Frontend, kernel: str, patience: float | None = None
) -> tuple[str, bool]:
    """The id in the frontend of a running kernel by its name, and whether it has answered, within
    `patience` seconds: some answer nothing while they run code. Raises `UserError`."""
    try:
        kernel_id = await frontend.begin_attach(kernel)
        try:
            async with Deadline(patience):
                await frontend.wait_ready(kernel_id)
        except TimeoutError:
            return kernel_id, False
        return kernel_id, True
    except CarpoError as error:
        raise UserError(describe(error)) from error
