"""A kernel of a server that dies when it has answered, but before it takes code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from msgspec import structs

from carpo_lsp.errors import KernelDied
from carpo_lsp.frontend import Frontend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jupyter_servers import Running
    from support import Events

pytestmark = [pytest.mark.needs_jupyter_server, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def frontend() -> AsyncIterator[Frontend]:
    async with Frontend() as frontend:
        yield frontend


async def test_a_kernel_that_dies_before_it_is_ready(
    frontend: Frontend, events: Events, jupyter: Running
) -> None:
    """What it is asked is by a server whose folders are called otherwise here."""
    code = f"""\
import os, pathlib
def die(path):
    os._exit(1)
if pathlib.Path({str(jupyter.folder / "die")!r}).exists():
    os.path.expanduser = die
"""
    startup = jupyter.folder / "ipython" / "profile_default" / "startup" / "die.py"
    startup.parent.mkdir(exist_ok=True)
    startup.write_text(code)
    folder = str(jupyter.folder)
    named = structs.replace(jupyter.named, paths=((folder, folder),))
    frontend.manager.servers.name([named])
    kernel_id = await frontend.attach_server(named.name)
    (jupyter.folder / "die").touch()
    with pytest.raises(KernelDied, match="as soon as it was ready"):
        await frontend.restart_kernel(kernel_id)
    await events.until_status("dead", kernel_id)
    (jupyter.folder / "die").unlink()
    await frontend.restart_kernel(kernel_id)
    assert (await frontend.execute_code(kernel_id, "1")).state == "ok"
    assert events.statuses(kernel_id).count("dead") == 1
    await frontend.shutdown_kernel(kernel_id)
