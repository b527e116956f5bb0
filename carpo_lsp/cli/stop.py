"""`carpo-lsp stop`: end kernels that are kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from carpo_lsp.cli.errors import UserError
from carpo_lsp.errors import CarpoError

if TYPE_CHECKING:
    from carpo_lsp.frontend import Frontend
    from carpo_lsp.kernels.kept.registry import Entry

LIST_HINT = "`carpo-lsp kernels --running` lists them."


@click.command("stop")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "all_", is_flag=True, help="End all kept kernels.")
@click.option("--force", is_flag=True, help="End kernels that an editor uses, too.")
def stop(ids: tuple[str, ...], all_: bool, force: bool) -> int:
    """End kept kernels, and all that they have started.

    ID is the id of a kernel or the beginning of one, as `carpo-lsp kernels --running` prints it.
    A kernel that an editor uses is left alone, unless --force is given.

    \b
    Exit codes:
      0    they have ended
      2    nothing has been ended, and why
    """
    if bool(ids) == all_ or "" in ids:  # an empty one is a variable that is not set
        raise UserError(f"give the id of a kernel, or --all; {LIST_HINT}")
    return asyncio.run(_stop(ids, force=force))


async def _stop(ids: tuple[str, ...], *, force: bool) -> int:
    from carpo_lsp.frontend import Frontend
    from carpo_lsp.kernels.kept.census import census

    async with Frontend() as frontend:
        registry = frontend.manager.registry
        entries = list(registry.entries())
        residents = {each.kernel_id: each for each in await census(registry)}
        if ids:
            known = {entry.kernel_id: entry for entry in entries}
            chosen = [_one(prefix, list(residents)) for prefix in dict.fromkeys(ids)]
            for kernel_id in chosen:
                if not residents[kernel_id].kept:
                    server = residents[kernel_id].servers[0]
                    raise UserError(
                        f"the kernel {kernel_id} is not kept: it ends with its server, process "
                        f"{server}; end it in that editor."
                    )
            entries = [known[kernel_id] for kernel_id in dict.fromkeys(chosen)]
        for entry in entries:
            servers = residents[entry.kernel_id].servers
            if servers and not force:
                raise UserError(
                    f"the kernel {entry.kernel_id} is in use by the server with process id "
                    f"{', '.join(map(str, servers))}; end it in that editor, or give --force."
                )
        await asyncio.gather(*[_end(frontend, entry) for entry in entries])
    if not entries:
        click.echo("No kernel is kept.", err=True)
    return 0


def _one(prefix: str, ids: list[str]) -> str:
    """The id that begins with a prefix. Raises `UserError`."""
    found = [each for each in ids if each.startswith(prefix)]
    if not found:
        raise UserError(f"no kernel has an id that begins with {prefix!r}; {LIST_HINT}")
    if len(found) > 1:
        raise UserError(f"{prefix!r} could be {' or '.join(found)}; give more of it.")
    return found[0]


async def _end(frontend: Frontend, entry: Entry) -> None:
    from carpo_lsp.kernels.kept import taken

    state = frontend.manager.take_up(entry)
    try:
        await state.wait_ready()
    except CarpoError as error:
        click.echo(f"{entry.kernel_id}  {error.message}", err=True)
        await taken.end(entry)
    if state.status != "stopped":
        await state.shutdown()
    frontend.manager.registry.remove(entry.kernel_id)
    click.echo(f"{entry.kernel_id}  {entry.spec.display_name}: ended")
