"""Kernels of a user's server behind a real JupyterHub and its proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hub
import pytest
import pytest_asyncio
from support import Events, text_of

from carpo_lsp.errors import ServerFailed
from carpo_lsp.frontend import Frontend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hub import Hub

pytestmark = [pytest.mark.needs_jupyterhub, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    async with hub.running(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def frontend() -> AsyncIterator[Frontend]:
    async with Frontend() as frontend:
        yield frontend


async def test_a_life(frontend: Frontend, running: Hub) -> None:
    events = Events(frontend)
    url = running.server("ada")
    kernel_id = await frontend.attach_server(url, token=running.token, spec_name="python3")
    assert frontend.get_kernel(kernel_id).server_url == url
    asks = frontend.execute_code(kernel_id, "print(input('who? '))")
    await events.until_input(asks.execution_id)
    await frontend.provide_stdin(kernel_id, "me")
    assert text_of((await asks).outputs) == "me\n"
    sleeps = frontend.execute_code(
        kernel_id, "import time\nprint('asleep', flush=True)\ntime.sleep(99)"
    )
    await events.until_text("asleep")
    await frontend.interrupt(kernel_id)
    error = (await sleeps).error
    assert error is not None
    assert error["ename"] == "KeyboardInterrupt"
    assert (await frontend.get_completions(kernel_id, "enumera", 7)).matches == ("enumerate",)
    lines = "".join(f"{number}\n" for number in range(500))
    flood = await frontend.execute_code(
        kernel_id, "for number in range(500): print(number, flush=True)"
    )
    assert text_of(flood.outputs) == lines
    await frontend.restart_kernel(kernel_id)
    assert (await frontend.execute_code(kernel_id, "1")).execution_count == 1
    async with Frontend() as other:
        remote_id = frontend.get_kernel(kernel_id).remote_kernel_id
        also = await other.attach_server(url, token=running.token, remote_kernel_id=remote_id)
        assert not other.get_kernel(also).owned
        assert (await other.execute_code(also, "2")).execution_count == 2
    await frontend.shutdown_kernel(kernel_id)


@pytest.mark.parametrize(
    ("user", "token", "message", "hint"),
    [
        ("ada", "wrong", "refuses access (403", "is its token right?"),
        ("bob", None, "sends on to another page", "https://HOST/user/NAME/, once that server runs"),
    ],
)
async def test_what_is_refused(
    frontend: Frontend, running: Hub, user: str, token: str | None, message: str, hint: str
) -> None:
    """A token of nobody's, and a server that does not run."""
    with pytest.raises(ServerFailed) as refused:
        await frontend.attach_server(running.server(user), token=token or running.token)
    assert message in refused.value.message
    assert hint in str(refused.value.data["hint"])


async def test_the_hub_itself_is_no_server(frontend: Frontend, running: Hub) -> None:
    with pytest.raises(ServerFailed, match="not the URL of a Jupyter server"):
        await frontend.attach_server(running.url, token=running.token)
