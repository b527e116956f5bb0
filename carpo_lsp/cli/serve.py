"""`carpo-lsp serve`: the language server, for one editor."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from carpo_lsp.cli import logs
from carpo_lsp.cli.errors import UserError
from carpo_lsp.cli.heap import return_large_blocks
from carpo_lsp.loading import without_collections

if TYPE_CHECKING:
    from collections.abc import Callable

    from carpo_lsp.cli.signals import Lifetime
    from carpo_lsp.frontend import Frontend
    from carpo_lsp.server import Transport
    from carpo_lsp.wire.traffic import TrafficLog

_Command = TypeVar("_Command", bound="Callable[..., Any]")

log = logging.getLogger(__name__)

HELP_HINT: Final = "`carpo-lsp --help` tells what else there is."

MAX_FILES: Final = 65536
"""Open files we ask the system for; each kernel takes about ten."""


class _Address(click.ParamType[tuple[str, int]]):
    """`HOST:PORT`, `[HOST]:PORT` or `PORT`, the last on this machine only."""

    name = "HOST:PORT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(?:(?:\[([^\[\]]+)\]|([^:\[\]]+)):)?(\d{1,5})", value)
        if match is None or int(match[3]) > 65535:
            self.fail(f"{value!r} is not HOST:PORT or PORT (0 to 65535).", param, ctx)
        return match[1] or match[2] or "127.0.0.1", int(match[3])


_OPTIONS: Final = (
    click.option(
        "--stdio",
        is_flag=True,
        help="Speak LSP on stdin and stdout. The default; some editors pass it.",
    ),
    click.option(
        "--tcp",
        type=_Address(),
        metavar="[HOST:]PORT",
        help="Listen here instead of stdio, for one client; without a HOST on 127.0.0.1. PORT 0 "
        "takes a free port. The address is printed on stderr. A client needs the token: that of "
        "--token-file or of the variable CARPO_TOKEN, else a new one, printed on stderr.",
    ),
    click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="PATH",
        help="With --tcp: the file that holds the token; it is made, with a new token, if there is "
        "none.",
    ),
    click.option(
        "--log-file",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Append the log to this file instead of stderr.",
    ),
    click.option(
        "--log-level",
        type=click.Choice(logs.LEVELS, case_sensitive=False),
        default="warning",
        show_default=True,
        help="The least severe messages to log.",
    ),
    click.option(
        "--trace",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Append every LSP message to this file, one JSON object a line, less passwords.",
    ),
)


def serve_options(command: _Command) -> _Command:
    """Adds the options of the server to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command("serve", short_help="Run the language server.")
@serve_options
def serve(**options: Any) -> int:
    """Run the language server; the same as `carpo-lsp` without a command.

    An editor starts it and speaks LSP with it on stdin and stdout. It ends, and all its kernels
    with it, when the editor says so or goes away, or on SIGTERM, SIGINT and SIGHUP.

    \b
    Exit codes:
      0    the editor asked for the end, as LSP has it
      1    the editor went away without asking
      2    a wrong option, or an address or file that cannot be used
      128+N  ended by signal N
    """
    return start_server(**options)


def start_server(
    *,
    stdio: bool,
    tcp: tuple[str, int] | None,
    token_file: Path | None,
    log_file: Path | None,
    log_level: str,
    trace: Path | None,
) -> int:
    """Serve one client until it is gone; returns the exit code. Raises `UserError`."""
    import asyncio

    from carpo_lsp.wire.transport import serve_stdio

    if stdio and tcp is not None:
        raise UserError("--stdio and --tcp exclude each other.")
    if token_file is not None and tcp is None:
        raise UserError("--token-file is for --tcp alone.")
    logs.configure(log_level, log_file)
    _raise_file_limit()
    transport: Transport = serve_stdio
    place = "stdio"
    if tcp is not None:
        transport = _on_tcp(*tcp, token_file)
        place = f"{tcp[0]}:{tcp[1]}"
    elif os.isatty(0):
        click.echo(f"carpo-lsp: waiting for an editor on stdin; {HELP_HINT}", err=True)
    try:
        return asyncio.run(_serve(transport, trace))
    except OSError as error:
        raise UserError(f"cannot serve on {place}: {error.strerror or error}") from error


def _on_tcp(host: str, port: int, token_file: Path | None) -> Transport:
    from carpo_lsp.cli.tokens import take_token
    from carpo_lsp.wire.tcp import serve_tcp

    token, is_new = take_token(token_file)
    return functools.partial(serve_tcp, host=host, port=port, token=token, tell_token=is_new)


async def _serve(transport: Transport, trace: Path | None) -> int:
    with without_collections():
        from carpo_lsp import server as lsp
        from carpo_lsp.cli.signals import Lifetime

    lifetime = Lifetime()
    code = None
    with contextlib.ExitStack() as stack:
        async with lifetime:
            server = lsp.create_server(functools.partial(_open_frontend, lifetime))
            if trace is not None:
                traffic = _open_trace(trace)
                stack.callback(traffic.close)
                server.protocol.endpoint.traffic = traffic
            code = await lsp.serve(server, transport)
    if code is None:
        code = lifetime.exit_code
    journal = lifetime.frontend.journal if lifetime.frontend is not None else None
    if journal is not None and journal.stalled:  # Python would wait for its thread, and that for
        logging.shutdown()  # the disk
        os._exit(code)
    return code


def _open_frontend(lifetime: Lifetime) -> Frontend:
    from carpo_lsp.frontend import Frontend
    from carpo_lsp.journal.journal import Journal

    return_large_blocks()
    lifetime.frontend = Frontend(journal=Journal())
    return lifetime.frontend


def _open_trace(path: Path) -> TrafficLog:
    from carpo_lsp.wire.traffic import TrafficLog

    try:
        return TrafficLog(path)
    except OSError as error:
        raise UserError(f"the trace file {str(path)!r}: {error.strerror}") from error


def _raise_file_limit() -> None:
    """Let the process open as many files as the system allows it, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:
            # macOS has a lower limit that it does not tell.
            log.info("the limit of %d open files stays: %s", soft, error)
