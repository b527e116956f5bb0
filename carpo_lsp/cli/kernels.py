"""`carpo-lsp kernels`: the installed kernelspecs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carpo_lsp.protocol import KernelSpec


@click.command("kernels")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
def kernels(as_json: bool) -> int:
    """List the kernels there are.

    These are the installed Jupyter kernels and the Python environments in and above the current
    folder. NAME, PATH and LANGUAGE are what `carpo-lsp run --kernel` takes. With
    --json each kernel is an object with name, specPath, displayName, language, interruptMode and
    origin, as in the `carpo/listKernelSpecs` request of the language server.
    """
    from carpo_lsp.frontend import Frontend
    from carpo_lsp.protocol import to_wire

    specs = Frontend().list_kernel_specs(near=[Path.cwd()])
    if as_json:
        click.echo(json.dumps(to_wire(specs), indent=2, ensure_ascii=False))
    elif specs:
        _print_table(specs)
    else:
        click.echo("No kernel is installed; for Python: pip install ipykernel", err=True)
    return 0


def _print_table(specs: Sequence[KernelSpec]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Into a pipe or file a row is a line, however long.
    console = Console(width=None if sys.stdout.isatty() else 1000)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("NAME", style="bold", no_wrap=True)
    table.add_column("LANGUAGE", no_wrap=True)
    table.add_column("DISPLAY NAME")
    table.add_column("PATH", overflow="fold")
    for spec in specs:
        cells = (spec.name, spec.language, spec.display_name, spec.spec_path)
        table.add_row(*map(Text, cells))
    console.print(table)
