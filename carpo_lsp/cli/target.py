"""What the commands that use a running kernel have in common: how it is named, and reached."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from carpo_lsp.cli.errors import UserError, describe
from carpo_lsp.errors import CarpoError
from carpo_lsp.kernels.elsewhere.addresses import SCHEME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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


def ask(kernel: str, question: Callable[[Frontend, str], Awaitable[None]]) -> int:
    """Ask a running kernel something; returns the exit code."""
    return asyncio.run(_ask(kernel, question))


async def _ask(kernel: str, question: Callable[[Frontend, str], Awaitable[None]]) -> int:
    from carpo_lsp.cli.signals import Lifetime
    from carpo_lsp.frontend import Frontend

    frontend = Frontend()
    async with Lifetime(frontend) as lifetime:
        kernel_id = await attach(frontend, kernel)
        try:
            await question(frontend, kernel_id)
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


async def attach(frontend: Frontend, kernel: str) -> str:
    """The id in the frontend of a running kernel by its name. Raises `UserError`."""
    try:
        return await frontend.attach_kernel(kernel)
    except CarpoError as error:
        raise UserError(describe(error)) from error
