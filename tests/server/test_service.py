"""What serves a client is made behind the answer to initialize: in this process, on a socket."""

from __future__ import annotations

import asyncio
import functools
import json
import select
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from lsp_clients import frame
from support import DEADLINE

from carpo_lsp.features import sync
from carpo_lsp.frontend import Frontend
from carpo_lsp.server import create_server, serve
from carpo_lsp.wire.transport import FrameParser, serve_socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import pytest


class Client:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._parser = FrameParser()
        self._frames: list[Any] = []

    @property
    def has_been_told(self) -> bool:
        """Whether there is something for it to read."""
        return bool(select.select([self._sock], [], [], 0)[0])

    async def send(self, method: str, params: Any, **more: Any) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params, **more}
        await asyncio.get_running_loop().sock_sendall(self._sock, frame(message))

    async def read(self) -> Any:
        async with asyncio.timeout(DEADLINE):
            while not self._frames:
                data = await asyncio.get_running_loop().sock_recv(self._sock, 65536)
                self._frames += self._parser.feed(data)
        return json.loads(self._frames.pop(0))


@asynccontextmanager
async def served(open_frontend: Callable[[Client], Frontend]) -> AsyncIterator[Client]:
    theirs, ours = socket.socketpair()
    with theirs:
        theirs.setblocking(False)
        client = Client(theirs)
        server = create_server(functools.partial(open_frontend, client))
        serving = asyncio.ensure_future(serve(server, functools.partial(serve_socket, sock=ours)))
        yield client
        await client.send("shutdown", None, id="end")
        await client.send("exit", None)
        async with asyncio.timeout(DEADLINE):
            assert await serving == 0


async def test_the_answer_is_there_before_anything_is_opened() -> None:
    told = []

    def open_frontend(client: Client) -> Frontend:
        told.append(client.has_been_told)
        return Frontend()

    async with served(open_frontend) as client:
        await client.send("initialize", {"capabilities": {}}, id=1)
        assert "capabilities" in (await client.read())["result"]
        await client.send("carpo/listKernels", {}, id=2)
        assert (await client.read())["result"] == {"kernels": []}
    assert told == [True], "one frontend, and behind the answer"


async def test_what_cannot_be_used_of_initialize_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("the folder is odd")

    monkeypatch.setattr(sync, "initialize", broken)
    async with served(lambda client: Frontend()) as client:
        await client.send("initialize", {"capabilities": {}}, id=1)
        assert "result" in await client.read()
        told = await client.read()
        assert told["method"] == "window/showMessage"
        assert "cannot be used" in told["params"]["message"]
        for number in (2, 3):
            await client.send("carpo/listKernels", {}, id=number)
            assert (await client.read())["result"] == {"kernels": []}
