"""The program `carpo-lsp`: what is common to its commands, and its exit code."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

import click

from carpo_lsp import __version__
from carpo_lsp.cli.errors import UserError, describe
from carpo_lsp.cli.serve import serve_options, start_server
from carpo_lsp.errors import CarpoError

COMMANDS: Final = {
    "complete": "ask",
    "doctor": "doctor",
    "execute": "execute",
    "history": "history",
    "inspect": "ask",
    "interrupt": "ask",
    "kernels": "kernels",
    "run": "run",
    "serve": "serve",
    "stop": "stop",
}
"""The module of `cli` that each command is in."""


class _Commands(click.Group):
    """An editor that starts the server waits for none but that, so a command is imported when it
    is used, or told of."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            return _load(cmd_name)
        for name in COMMANDS:  # click suggests one of those it has
            self.add_command(_load(name))
        return None


def _load(name: str) -> click.Command:
    module = importlib.import_module(f"carpo_lsp.cli.{COMMANDS[name]}")
    command: click.Command = getattr(module, name)
    return command


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@serve_options
@click.version_option(__version__, prog_name="carpo-lsp", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context, /, **options: Any) -> int | None:
    """Live Jupyter kernels for every editor, and for the shell.

    Without a command this is the language server, as editors start it: LSP on stdin and stdout.

    \b
    carpo-lsp                       serve one editor (the same as `carpo-lsp serve`)
    carpo-lsp run analysis.py       run the code cells of a document
    carpo-lsp kernels               show which kernels are installed, or run
    carpo-lsp execute KERNEL CODE   run code in a kernel that runs already
    carpo-lsp complete KERNEL CODE  complete code, and `inspect` looks it up
    carpo-lsp interrupt KERNEL      interrupt what a kernel runs
    carpo-lsp stop KERNEL           end a kernel
    carpo-lsp history               show what has been run, and what came of it
    carpo-lsp doctor                find what keeps kernels from running
    """
    given = [
        f"--{name.replace('_', '-')}"
        for name in options
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if context.invoked_subcommand is None:
        return start_server(**options)
    if given and context.invoked_subcommand != "serve":
        raise click.UsageError(f"{given[0]} is an option of `carpo-lsp serve`.")
    context.default_map = {"serve": options}
    return None


def main() -> None:
    """Run the program and exit: every error of the user is one line on stderr and exit code 2."""
    try:
        code = cli.main(prog_name="carpo-lsp", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        help_hint = f" See `{context.command_path} --help`." if context else ""
        code = _refuse(error.format_message() + help_hint)
    except UserError as error:
        code = _refuse(str(error))
    except CarpoError as error:
        code = _refuse(describe(error))
    except click.Abort:  # Ctrl-C before there is anything to end
        code = 130
    sys.exit(code)


def _refuse(message: str) -> int:
    click.echo("carpo-lsp: " + " ".join(message.split()), err=True)
    return 2


if __name__ == "__main__":
    main()
