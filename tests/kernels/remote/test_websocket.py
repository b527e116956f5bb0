"""The websocket of a kernel, with a server that lets one in and drops the connection at once."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from support import DEADLINE

from carpo_lsp.kernels.remote import websocket
from carpo_lsp.kernels.remote.address import server_at
from carpo_lsp.kernels.remote.api import Api
from carpo_lsp.kernels.remote.websocket import Websocket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FIRST = 0.02


class Dropper:
    """Such a server: when it was connected to, in seconds."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.url = ""

    async def kernel(self, request: web.Request) -> web.Response:
        kernel = {"id": request.match_info["id"], "name": "python3", "execution_state": "idle"}
        return web.json_response(kernel)

    async def channels(self, request: web.Request) -> web.WebSocketResponse:
        self.times.append(asyncio.get_running_loop().time())
        channels = web.WebSocketResponse()
        await channels.prepare(request)
        await channels.close()
        return channels


@pytest.fixture
async def dropper() -> AsyncIterator[Dropper]:
    dropper = Dropper()
    app = web.Application()
    app.router.add_get("/api/kernels/{id}", dropper.kernel)
    app.router.add_get("/api/kernels/{id}/channels", dropper.channels)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port, *_ = runner.addresses[0]
    dropper.url = f"http://{host}:{port}/"
    yield dropper
    await runner.cleanup()


async def test_the_pauses_grow_though_each_connection_is_let_in(
    dropper: Dropper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "FIRST", FIRST)
    api = Api(server_at(dropper.url))
    told: list[Any] = []
    kernel = Websocket(api, "k", "session", told.append, told.append, lambda: told.append(None))
    await kernel.open()
    running = asyncio.create_task(kernel.run())
    async with asyncio.timeout(DEADLINE):
        while len(dropper.times) < 6:  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    await kernel.close()
    await api.close()
    gaps = [after - before for before, after in itertools.pairwise(dropper.times)]
    least = [0.0, *(0.5 * FIRST * 2**number for number in range(4))]
    assert all(gap >= pause for gap, pause in zip(gaps, least, strict=True)), gaps
    assert told[:3] == ["the server closed it", None, "the server closed it"]
