"""The command: runs rows and prints a table. It never fails because something is slow."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))  # where the tests' own helpers are, as for pytest

from tests.benchmarks import (  # noqa: E402
    completions,
    executions,
    floods,
    many,
    neovim,
    rows,
    starts,
    table,
)
from tests.benchmarks.lab import Lab, jupyter_folders  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.rows import Result, Row

ROWS: tuple[Row, ...] = (
    *starts.ROWS,
    *completions.ROWS,
    *executions.ROWS,
    *floods.ROWS,
    *many.ROWS,
    *neovim.ROWS,
)

PEERS = ROOT / ".venv-peers/bin/python"

SHORT = 2
"""Rounds of each row in the short form."""


@click.command()
@click.argument("words", nargs=-1)
@click.option("--short", is_flag=True, help="Few rounds, and not the rows that take minutes.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds of each row.")
@click.option("--against", metavar="REV", help="Compare with another revision, not with limits.")
@click.option(
    "--peers",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Python of an environment with the peers; by default the one that "
    "tests/benchmarks/install_peers makes, if it is there.",
)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where to write all times.")
def main(
    words: Sequence[str],
    short: bool,
    rounds: int | None,
    against: str | None,
    peers: Path | None,
    file: Path | None,
) -> None:
    """Measure the rows whose names hold one of WORDS; without WORDS, all."""
    chosen = [
        row
        for row in ROWS
        if (row.short or not short) and (not words or any(word in row.name for word in words))
    ]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cb-")))
        stack.enter_context(jupyter_folders(folder))
        if peers is None and PEERS.exists() and not short:
            peers = PEERS
        labs = {rows.OURS: Lab(ROOT, folder, peers and peers.absolute())}
        if against is not None:
            source = stack.enter_context(worktree(against, folder))
            labs[against] = Lab(source, folder)
        for lab in labs.values():
            lab.compile()
        rounds = rounds or (SHORT if short else None)
        results, whole = asyncio.run(run_all(chosen, labs, rounds))
    if file is None:
        file = Path(tempfile.gettempdir()) / "carpo-benchmarks.json"
    file.write_text(table.to_json(results) + "\n")
    click.echo(f"\n{table.machine_line()} All times: {file}")
    if not whole:
        sys.exit(1)


async def run_all(
    chosen: Sequence[Row], labs: dict[str, Lab], rounds: int | None
) -> tuple[list[Result], bool]:
    """Run the rows and print each when it is there; and whether all could be measured."""
    click.echo("\n".join(table.head()))
    results = []
    whole = True
    for row in chosen:
        try:
            result = await rows.run(row, labs, rounds)
        except Exception as error:
            click.echo(f"| {row.name} | | | | | | | not measured: {error!r} |")
            for lab in labs.values():
                lab.take_notes()
            whole = False
            continue
        if result is not None:
            click.echo("\n".join(table.lines(result)))
            results.append(result)
    return results, whole


@contextlib.contextmanager
def worktree(revision: str, folder: Path) -> Iterator[Path]:
    """The tree of another revision in a temporary folder."""
    tree = folder / "tree"

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(ROOT), "worktree", *arguments], check=True)

    git("add", "--quiet", "--detach", str(tree), revision)
    try:
        yield tree
    finally:
        git("remove", "--force", str(tree))


if __name__ == "__main__":
    main()
