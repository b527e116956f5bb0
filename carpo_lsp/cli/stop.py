"""`carpo-lsp stop`: end kernels that run."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from carpo_lsp.cli.errors import UserError, describe
from carpo_lsp.cli.target import GONE, attach, known_id, print_json
from carpo_lsp.errors import CarpoError
from carpo_lsp.kernels.elsewhere.addresses import SCHEME

if TYPE_CHECKING:
    from carpo_lsp.frontend import Frontend
    from carpo_lsp.kernels.elsewhere.census import Resident
    from carpo_lsp.kernels.kept.registry import Entry

ANSWER = 2.0
"""Seconds a kernel that is to end has to answer; one that runs code need not."""

LIST_HINT = "`carpo-lsp kernels --running` lists them."


class _Target(Struct, frozen=True):
    """A kernel to end: a kept one by its entry, or any other by its name."""

    name: str
    entry: Entry | None = None


@click.command("stop")
@click.argument("kernels", nargs=-1, metavar="[KERNEL]...")
@click.option("--all", "all_", is_flag=True, help="End all kept kernels.")
@click.option(
    "--force", is_flag=True, help="End kernels that an editor uses or others have started, too."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of what has ended.")
def stop(kernels: tuple[str, ...], all_: bool, force: bool, as_json: bool) -> int:
    """End kernels, and all that they have started.

    KERNEL is as for `carpo-lsp execute`. A kernel that an editor uses, or that was not started by
    carpo, is left alone, unless --force is given. With --json each is an object with kernelId and
    displayName.

    \b
    Exit codes:
      0    they have ended
      2    nothing has been ended, and why
      4    one did not end
    """
    if bool(kernels) == all_ or "" in kernels:  # an empty one is a variable that is not set
        raise UserError(f"give the id of a kernel, or --all; {LIST_HINT}")
    return asyncio.run(_stop(kernels, force=force, as_json=as_json))


async def _stop(names: tuple[str, ...], *, force: bool, as_json: bool) -> int:
    from carpo_lsp.frontend import Frontend

    async with Frontend() as frontend:
        entries = {entry.kernel_id: entry for entry in frontend.manager.registry.entries()}
        residents = {each.kernel_id: each for each in await frontend.list_running_here()}
        if names:
            chosen = {_one(name, residents): None for name in names}
        else:
            chosen = dict.fromkeys(entries)
        for kernel_id in chosen:
            _refuse(kernel_id, residents.get(kernel_id), force=force)
        targets = [_Target(each, entries.get(each)) for each in chosen]
        ended = await asyncio.gather(*[_end(frontend, each, as_json) for each in targets])
    if as_json:
        print_json([each for each in ended if each is not None])
    elif not chosen:
        click.echo("No kernel is kept.", err=True)
    return GONE if None in ended else 0


def _one(name: str, residents: dict[str, Resident]) -> str:
    """The id of the kernel of this machine that is meant, or the name of another. Raises
    `UserError`."""
    here = {each: told.connection_file for each, told in residents.items() if told.connection_file}
    if "/" in name and not name.startswith(SCHEME):
        path = os.path.abspath(os.path.expanduser(name))
        found = [each for each, file in here.items() if file == path]
    else:
        found = [each for each, file in here.items() if os.path.basename(file) == name]
        found = found or [each for each in here if each.startswith(name)]
    if len(found) > 1 and name not in found:
        raise UserError(f"{name!r} could be {' or '.join(found)}; give more of it.")
    return name if name in found or not found else found[0]


def _refuse(name: str, resident: Resident | None, *, force: bool) -> None:
    """Raises `UserError` for a kernel that is not to be ended without being asked twice."""
    if force or (resident is not None and resident.kept and not resident.servers):
        return
    if resident is None or not resident.ours:
        raise UserError(
            f"the kernel {name} was not started by carpo, and others may use it; give --force to "
            "end it for all."
        )
    servers = ", ".join(map(str, resident.servers))
    used = "in use by" if resident.kept else "not kept: it ends with"
    raise UserError(
        f"the kernel {name} is {used} the server with process id {servers}; end it in that editor, "
        "or give --force."
    )


async def _end(frontend: Frontend, target: _Target, as_json: bool) -> dict[str, str] | None:
    """What has ended; None, and a line on stderr, when it did not. Raises `UserError`."""
    if target.entry is not None:
        kernel_id, name = target.name, target.entry.spec.display_name
        await _end_kept(frontend, target.entry)
    else:
        attached, _ = await attach(frontend, target.name, ANSWER)
        name = frontend.get_kernel(attached).display_name
        kernel_id = known_id(frontend, attached, target.name)
        try:
            await frontend.shutdown_kernel(attached, force=True)
        except CarpoError as error:
            click.echo(f"{kernel_id}  {name}: {describe(error)}", err=True)
            return None
    if not as_json:
        click.echo(f"{kernel_id}  {name}: ended")
    return {"kernelId": kernel_id, "displayName": name}


async def _end_kept(frontend: Frontend, entry: Entry) -> None:
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
