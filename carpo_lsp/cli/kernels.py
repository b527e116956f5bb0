"""`carpo-lsp kernels`: the installed kernelspecs, and the kernels that run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carpo_lsp.frontend import Frontend
    from carpo_lsp.kernels.elsewhere.census import Resident
    from carpo_lsp.protocol import KernelSpec


@click.command("kernels")
@click.option("--running", is_flag=True, help="List the kernels that run instead.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
def kernels(running: bool, as_json: bool) -> int:
    """List the kernels there are.

    These are the installed Jupyter kernels, the Python environments in and above the current
    folder, and the kernels of the Jupyter servers and of the hosts in your settings.
    NAME, PATH and LANGUAGE are what `carpo-lsp run --kernel` takes. With --json each kernel is an
    object with name, specPath, displayName, language, interruptMode and origin, as in the
    `carpo/listKernelSpecs` request of the language server.

    With --running these are the kernels that run: those that go on without an editor, which
    `carpo-lsp stop` ends, those of editors, and those that other programs have started, by their
    connection files in Jupyter's runtime folder, by your Jupyter servers or on your hosts. Each
    is an object with kernelId, displayName, language, pid, state (idle, busy, ended, unknown),
    rssBytes, documents, since, servers (process ids), kept, ours and connectionFile.
    """
    if running:
        return _print_running(as_json)
    import asyncio

    from carpo_lsp.frontend import Frontend
    from carpo_lsp.protocol import to_wire

    frontend = Frontend()
    specs = frontend.list_kernel_specs(near=[Path.cwd()])
    if frontend.is_more_elsewhere:
        specs += asyncio.run(_remote_specs(frontend))
    if as_json:
        click.echo(json.dumps(to_wire(specs), indent=2, ensure_ascii=False))
    elif specs:
        _print_table(specs)
    else:
        click.echo("No kernel is installed; for Python: pip install ipykernel", err=True)
    return 0


async def _remote_specs(frontend: Frontend) -> list[KernelSpec]:
    """Those of named Jupyter servers and hosts; which one cannot be asked is said on stderr."""
    async with frontend:
        offers = await frontend.list_remote()
    for offer in offers:
        if offer.error is not None:
            click.echo(f"carpo-lsp: {offer.error}", err=True)
    return [spec.to_wire() for offer in offers for spec in offer.specs]


def _print_running(as_json: bool) -> int:
    import asyncio

    from carpo_lsp.protocol import to_wire

    found = asyncio.run(_running())
    if as_json:
        click.echo(json.dumps(to_wire(found), indent=2, ensure_ascii=False))
    elif found:
        _print_rows(
            ("ID", "LANGUAGE", "NAME", "PID", "STATE", "MEMORY", "SINCE", "SERVED BY", "DOCUMENTS"),
            [
                (
                    each.kernel_id,
                    each.language,
                    each.display_name,
                    str(each.pid or ""),
                    each.state,
                    f"{each.rss_bytes / 1024**2:.0f} MB" if each.rss_bytes is not None else "",
                    (each.since or "")[:19].replace("T", " "),
                    ", ".join(map(str, each.servers)) or ("(kept)" if each.kept else "(others)"),
                    " ".join(each.documents),
                )
                for each in found
            ],
        )
    else:
        click.echo("No kernel runs.", err=True)
    return 0


async def _running() -> list[Resident]:
    from carpo_lsp.frontend import Frontend

    async with Frontend() as frontend:
        frontend.manager.registry.sweep()
        return await frontend.list_running()


def _print_table(specs: Sequence[KernelSpec]) -> None:
    _print_rows(
        ("NAME", "LANGUAGE", "DISPLAY NAME", "PATH"),
        [(spec.name, spec.language, spec.display_name, spec.spec_path) for spec in specs],
    )


def _print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of which the first two columns are never wrapped."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Into a pipe or file a row is a line, however long.
    console = Console(width=None if sys.stdout.isatty() else 1000)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        style = "bold" if number == 0 else ""
        table.add_column(column, style=style, no_wrap=number < 2, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
