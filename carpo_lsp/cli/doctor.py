"""`carpo-lsp doctor`: finds what keeps kernels from running, and says what mends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from carpo_lsp.cli.editors import ALIASES, SETUPS, setup_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from carpo_lsp.cli.checks import Finding
    from carpo_lsp.frontend import Frontend
    from carpo_lsp.kernels.specs import Spec

COLOURS: Final = {"ok": "green", "warning": "yellow", "broken": "red"}


@click.command("doctor", short_help="Find what keeps kernels from running.")
@click.option("--no-start", is_flag=True, help="Look at files only; start no kernel.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long each kernel may take to start.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of what was found.")
@click.option(
    "--editor",
    type=click.Choice(sorted({*SETUPS, *ALIASES}), case_sensitive=False),
    help="Print the set-up for an editor instead.",
)
def doctor(no_start: bool, timeout: float, as_json: bool, editor: str | None) -> int:
    """Look at the folders, Pythons and kernels that the language server would use from here.

    Each kernel is started once and ended again. For what is wrong, the command that mends it is
    printed behind `fix:`. With --json each finding is an object with check, subject, state ("ok",
    "warning" or "broken"), message and fix.

    \b
    Exit codes:
      0      nothing is broken
      1      something is broken
      128+N  ended by signal N
    """
    import asyncio

    from carpo_lsp.cli import logs

    if editor is not None:
        click.echo(setup_text(editor), nl=False)
        return 0
    logs.configure("error", None)  # what is worth a warning is a finding
    return asyncio.run(_examine(as_json, None if no_start else timeout))


async def _examine(as_json: bool, seconds: float | None) -> int:
    from msgspec import structs

    from carpo_lsp.cli.signals import Lifetime
    from carpo_lsp.frontend import Frontend

    frontend = Frontend()
    found: list[Finding] = []
    async with Lifetime(frontend) as lifetime:
        heading = ""
        async for finding in _findings(frontend, seconds):
            found.append(finding)
            if not as_json:
                if finding.check != heading:
                    heading = finding.check
                    click.secho(heading, bold=True)
                _print(finding)
        broken = [finding for finding in found if finding.state == "broken"]
        if as_json:
            content = [structs.asdict(finding) for finding in found]
            click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        else:
            click.echo(f"\n{len(broken) or 'Nothing'} broken.")
        return 1 if broken else 0
    return lifetime.exit_code


async def _findings(frontend: Frontend, seconds: float | None) -> AsyncIterator[Finding]:
    from carpo_lsp.cli import checks

    specs = frontend.manager.specs
    folder = Path.cwd()
    startable: list[Spec] = []
    for finding in checks.check_folders():
        yield finding
    for finding in checks.check_pythons(specs, folder):
        yield finding
    for look in (checks.check_environments(folder), checks.check_kernelspecs(specs)):
        for finding, spec in look:
            yield finding
            if spec is not None:
                startable.append(spec)
    async for finding in checks.check_elsewhere(frontend):
        yield finding
    if seconds is not None:
        async for finding in checks.check_starts(frontend, startable, seconds):
            yield finding


def _print(finding: Finding) -> None:
    state = click.style(f"{finding.state:8}", fg=COLOURS[finding.state])
    click.echo(f"  {state} {finding.subject}")
    for line in finding.message.splitlines():
        click.echo(f"           {line}")
    if finding.fix is not None:
        click.echo(f"           fix: {finding.fix}")
