from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from jupyter_servers import JUPYTER, KINDS, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jupyter_servers import Kind, Running


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[
        pytest.param(kind, id=kind.name, marks=getattr(pytest.mark, kind.marker)) for kind in KINDS
    ],
)
async def any_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """Each kind of server in turn, for all tests of a module."""
    kind: Kind = request.param
    async with serving(kind, tmp_path_factory.mktemp(kind.name)) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jupyter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A Jupyter Server for all tests of a module, which are to have its marker."""
    async with serving(JUPYTER, tmp_path_factory.mktemp("jupyter")) as running:
        yield running
