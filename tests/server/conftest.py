from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest
import pytest_asyncio
from lsp_clients import Wire
from support import fake_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

FAKES: dict[str, tuple[str, ...]] = {
    "fake": (),
    "mute": ("--mute", "complete_request", "--mute", "is_complete_request"),
    "broken": ("--die", "it is broken"),
    "stubborn": ("--ignore-shutdown", "--ignore-sigterm", "--ignore-sigint"),
}
"""Languages of the fake kernel, which are the names of its kernelspecs too, and its flags."""


@pytest.fixture(scope="session", autouse=True)
def fake_kernels(
    jupyter_folders: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Kernelspecs of the fake kernel, installed for all servers: their paths by name."""
    folder = tmp_path_factory.mktemp("jupyter")
    paths = {
        name: fake_spec(folder / "kernels" / name, *flags, display_name=name, language=name)
        for name, flags in FAKES.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        yield paths


@pytest.fixture(scope="module", autouse=True)
def _no_process_left() -> Iterator[None]:
    """A module ends what it started; its tests share a server, whose kernels outlive a test."""
    yield
    assert psutil.Process().children(recursive=True) == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    tmp_path_factory: pytest.TempPathFactory, fake_kernels: object
) -> AsyncIterator[Wire]:
    """A client of a server that all tests of a module share; it has opted in."""
    log = tmp_path_factory.mktemp("log") / "log"
    client = await Wire.spawn("--log-file", str(log))
    try:
        await client.initialize(tmp_path_factory.mktemp("workspace"))
        yield client
    finally:
        await client.close()
    client.check_everything()
    assert client.stray == []
    assert "ERROR" not in log.read_text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def python(server: Wire) -> str:
    """A Python kernel that all tests of a module share: its id."""
    kernel = await server.start(specName="python3")
    return str(kernel["kernelId"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fake(server: Wire) -> str:
    """A fake kernel that all tests of a module share: its id."""
    kernel = await server.start(specName="fake")
    return str(kernel["kernelId"])


@pytest.fixture
async def spawn() -> AsyncIterator[Callable[..., Awaitable[Wire]]]:
    """Starts servers that end with the test."""
    clients: list[Wire] = []

    async def spawn(*arguments: str, kind: type[Wire] = Wire, **options: object) -> Wire:
        client = await kind.spawn(*arguments, **options)
        clients.append(client)
        return client

    yield spawn
    for client in clients:
        await client.close()
        assert client.stray == []
