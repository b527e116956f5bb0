"""A real JupyterHub on loopback, with one user whose server runs and one whose does not."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import attrs
from jupyter_servers import JUPYTER, end, free_port, write_kernelspecs
from support import DEADLINE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HUB: Final = JUPYTER.program.with_name("jupyterhub")
PROXY: Final = HUB.parents[1] / "proxy/node_modules/.bin/configurable-http-proxy"

SECRET: Final = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of a test
"""By which the test speaks to the hub, as an administrator's script does."""

SCOPES: Final = ["read:hub", "admin:users", "admin:servers", "tokens", "access:servers"]

CONFIG: Final = """
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.Authenticator.allow_all = True
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.JupyterHub.services = [{{"name": "test", "api_token": {secret!r}}}]
c.JupyterHub.load_roles = [
    {{"name": "test", "services": ["test"], "scopes": {scopes!r}}}
]
c.Spawner.args = {arguments!r}
c.Spawner.env_keep = ["PATH", "JUPYTER_PATH"]
"""


@attrs.frozen
class Hub:
    """A hub that runs."""

    url: str
    token: str
    """Of the user `ada`, whose server runs; as her page of tokens gives them."""

    def server(self, user: str) -> str:
        """The URL of a user's server."""
        return f"{self.url}user/{user}/"


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Hub]:
    """A hub in a folder, which ends with its servers when this does."""
    write_kernelspecs(folder / "jupyter" / "kernels")
    port, hub_port, api_port = (free_port() for _ in range(3))
    config = folder / "jupyterhub_config.py"
    arguments = ["--allow-root"] if os.geteuid() == 0 else []
    config.write_text(
        CONFIG.format(
            port=port,
            hub_port=hub_port,
            api_port=api_port,
            proxy=str(PROXY),
            secret=SECRET,
            scopes=SCOPES,
            arguments=arguments,
        )
    )
    env = {
        **os.environ,
        "PATH": f"{HUB.parent}:{os.environ['PATH']}",
        "JUPYTER_PATH": str(folder / "jupyter"),
        "HOME": str(folder),
    }
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(HUB, "-f", config), cwd=folder, env=env, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}/"
    try:
        headers = {"Authorization": f"token {SECRET}"}
        async with aiohttp.ClientSession(f"{url}hub/api/", headers=headers) as session:
            await _until_ready(session, process, folder)
            for user in ("ada", "bob"):
                await _post(session, f"users/{user}")
            await _post(session, "users/ada/server")
            await _until_started(session)
            scopes = {"scopes": ["access:servers!user=ada"]}
            token = (await _post(session, "users/ada/tokens", scopes))["token"]
        yield Hub(url, token)
    finally:
        await end(process)


async def _until_ready(
    session: aiohttp.ClientSession, process: asyncio.subprocess.Process, folder: Path
) -> None:
    async with asyncio.timeout(2 * DEADLINE):
        while True:
            assert process.returncode is None, (folder / "log").read_text()
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get("info") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)  # nothing tells when a program listens


async def _until_started(session: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(2 * DEADLINE):
        while True:
            async with session.get("users/ada") as answer:
                if (await answer.json())["servers"].get("", {}).get("ready"):
                    return
            await asyncio.sleep(0.1)  # its events would be a second way for what is asked once


async def _post(session: aiohttp.ClientSession, path: str, body: Any = None) -> Any:
    async with session.post(path, json=body) as answer:
        assert answer.status in (200, 201, 202), await answer.text()
        return await answer.json(content_type=None)
