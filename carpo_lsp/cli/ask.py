"""`carpo-lsp complete`, `inspect` and `interrupt`: what a running kernel is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from carpo_lsp.cli.errors import UserError
from carpo_lsp.cli.target import (
    ask,
    code_of,
    cursor_option,
    json_option,
    kernel_argument,
    known_id,
    print_json,
)

if TYPE_CHECKING:
    from carpo_lsp.frontend import Frontend


ANSWER: Final = 2.0
"""Seconds a kernel that is to be interrupted has to answer."""


@click.command("complete", short_help="Complete code in a running kernel.")
@kernel_argument
@click.argument("code")
@cursor_option
@json_option
def complete(kernel: str, code: str, cursor: int | None, as_json: bool) -> int:
    """Complete CODE by what is in the memory of a running kernel, a line for each match.

    KERNEL is as for `carpo-lsp execute`. CODE is `-` for stdin. With --json it is an object with
    matches, cursorStart and cursorEnd (what they replace, in characters of CODE) and metadata.

    \b
    Exit codes:
      0    there is an answer, which may be without matches
      2    a wrong option, or no such kernel
      4    the kernel died, or did not answer
    """
    text = code_of(code)
    place = _place(cursor, text)

    async def question(frontend: Frontend, kernel_id: str, ready: bool) -> None:
        found = await frontend.get_completions(kernel_id, text, place)
        if as_json:
            _print(found)
        else:
            for match in found.matches:
                click.echo(match)

    return ask(kernel, question)


@click.command("inspect", short_help="Look something up in a running kernel.")
@kernel_argument
@click.argument("code")
@cursor_option
@click.option("--detail", is_flag=True, help="With the source, where the kernel has it.")
@json_option
def inspect(kernel: str, code: str, cursor: int | None, detail: bool, as_json: bool) -> int:
    """Show what a running kernel knows of the thing at the end of CODE.

    KERNEL is as for `carpo-lsp execute`. CODE is `-` for stdin. With --json it is an object with
    found, data (texts by their MIME types) and metadata.

    \b
    Exit codes:
      0    it is known
      1    it is not
      2    a wrong option, or no such kernel
      4    the kernel died, or did not answer
    """
    text = code_of(code)
    place = _place(cursor, text)
    known = False

    async def question(frontend: Frontend, kernel_id: str, ready: bool) -> None:
        nonlocal known
        found = await frontend.inspect(kernel_id, text, place, int(detail))
        known = found.found
        if as_json:
            _print(found)
        elif known:
            from carpo_lsp.cli.show import text_of, without_ansi

            click.echo(without_ansi(text_of(found.data) or "").rstrip("\n"))

    return ask(kernel, question) or (0 if known else 1)


@click.command("interrupt")
@kernel_argument
@json_option
def interrupt(kernel: str, as_json: bool) -> int:
    """Interrupt what a running kernel runs, whoever has asked for it.

    KERNEL is as for `carpo-lsp execute`. With --json it is an object with kernelId and status, that
    of the kernel before it.

    \b
    Exit codes:
      0    the kernel has been told, or ran nothing
      2    a wrong option, or no such kernel
      4    the kernel died, or did not answer
    """

    async def question(frontend: Frontend, kernel_id: str, ready: bool) -> None:
        # One that answers nothing runs code, and looks at nothing else.
        status = frontend.get_kernel(kernel_id).status if ready else "busy"
        known = known_id(frontend, kernel_id, kernel)
        await frontend.interrupt(kernel_id)
        if as_json:
            print_json({"kernelId": known, "status": status})
        else:
            click.echo("interrupted" if status == "busy" else "nothing ran")

    return ask(kernel, question, ANSWER)


def _place(cursor: int | None, code: str) -> int:
    """Raises `UserError`."""
    if cursor is None:
        return len(code)
    if cursor > len(code):
        raise UserError(f"--cursor: {cursor} is behind the end of CODE, at {len(code)}.")
    return cursor


def _print(value: object) -> None:
    from carpo_lsp.structure import to_wire

    print_json(to_wire(value))
