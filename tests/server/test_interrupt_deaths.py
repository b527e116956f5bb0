"""Real kernels that do not survive an interrupt: what plugins are sent and users are told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from lsp_clients import DEADLINE
from real_kernels import ENVIRONMENT, KERNELS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from lsp_clients import Wire

    Spawn = Callable[..., Awaitable[Wire]]

SURVIVED_NOT = "The kernel did not survive the interrupt. "

ENDINGS = {
    "xpython": "The kernel exited with code 0.",
    "deno": "The kernel was ended by signal 2 (SIGINT).",
}
BUSY = {
    "xpython": "print('begun', flush=True)\nimport time\ntime.sleep(600)",
    "deno": "console.log('begun'); for (;;) {}",
}
FILES = {
    "xpython": ("py", "python", "open('begun', 'w').close()"),
    "deno": ("ts", "typescript", "Deno.writeTextFileSync('begun', '');"),
}
"""Suffix and language of a document, and code that makes a file beside it."""
MORTALS = [
    pytest.param(kernel.name, id=kernel.name, marks=getattr(pytest.mark, kernel.marker))
    for kernel in KERNELS
    if kernel.name in ENDINGS
]


def spec_of(name: str) -> str:
    (spec,) = [kernel.spec for kernel in KERNELS if kernel.name == name]
    return str(spec)


async def until_made(file: Path) -> None:
    async with asyncio.timeout(DEADLINE):
        while not file.exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", MORTALS)
async def test_what_a_plugin_is_sent(spawn: Spawn, tmp_path: Path, name: str) -> None:
    client = await spawn()
    await client.initialize(tmp_path)
    kernel_id = (await client.start(specPath=spec_of(name)))["kernelId"]
    runs = await client.execute(kernel_id, BUSY[name])
    waits = await client.execute(kernel_id, "6 * 7")
    await client.until_text(runs, "begun")
    await client.request("carpo/interrupt", {"kernelId": kernel_id})
    died = await client.until_done(runs)
    assert died["state"] == "died"
    assert died["error"]["evalue"] == SURVIVED_NOT + ENDINGS[name]
    assert (await client.until_done(waits))["state"] == "aborted"
    dead = await client.until_status(kernel_id, "dead")
    assert (dead["cause"], dead["reason"]) == ("interrupt", died["error"]["evalue"])
    await client.request("carpo/restartKernel", {"kernelId": kernel_id})
    assert "42" in await client.evaluate(kernel_id, "6 * 7")


@pytest.mark.parametrize("name", MORTALS)
async def test_what_a_user_without_a_plugin_is_told(
    spawn: Spawn, tmp_path: Path, name: str
) -> None:
    client = await spawn(env={"JUPYTER_PATH": str(ENVIRONMENT / "share" / "jupyter")})
    await client.initialize(tmp_path, options={"carpo": {"kernel": {"name": name}}})
    suffix, language, begin = FILES[name]
    uri = client.open((tmp_path / f"x.{suffix}").as_uri(), f"{begin}\n{BUSY[name]}", language)
    await client.command("runCell", {"uri": uri, "line": 0})
    await until_made(tmp_path / "begun")
    await client.command("interrupt", {"uri": uri, "line": 0})
    told = await client.until_message(" died: ")
    assert SURVIVED_NOT + ENDINGS[name] in told["message"].splitlines()[0]
    assert "carpo.restartKernel" in told["message"].splitlines()[-1]
    after = len(client.notes)
    (tmp_path / "begun").unlink()
    await client.command("restartKernel", {"uri": uri, "line": 0})
    await client.command("runCell", {"uri": uri, "line": 0})
    await until_made(tmp_path / "begun")
    assert not [each for method, each in client.notes[after:] if " died: " in str(each)]
