"""A Jupyter Server as it is by default: it drops output that comes too fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from jupyter_servers import JUPYTER, TOKEN, UNLIMITED, serving
from support import text_of

from carpo_lsp.kernels.events import StatusChanged

if TYPE_CHECKING:
    from pathlib import Path

    from support import Events

    from carpo_lsp.frontend import Frontend

pytestmark = pytest.mark.needs_jupyter_server

LIMITS = ("iopub_msg_rate_limit=100", "rate_limit_window=1")

LIMITED = attrs.evolve(
    JUPYTER, options=tuple(option for option in JUPYTER.options if option != UNLIMITED)
)


async def test_what_the_server_drops_is_said_once(
    frontend: Frontend, events: Events, tmp_path: Path
) -> None:
    options = [f"--ZMQChannelsWebsocketConnection.{limit}" for limit in LIMITS]
    async with serving(LIMITED, tmp_path, *options) as server:
        kernel_id = await frontend.attach_server(server.url, token=TOKEN)
        for _ in range(2):
            flood = "for i in range(5_000): print(i, flush=True)"
            result = await frontend.execute_code(kernel_id, flood)
            assert result.state == "ok"
            assert text_of(result.outputs).count("\n") < 5_000
        (told,) = (
            event
            for event in events.all
            if isinstance(event, StatusChanged) and event.cause == "outputLost"
        )
        assert told.reason is not None
        assert "drops output that comes too fast" in told.reason
        assert "--ZMQChannelsWebsocketConnection.limit_rate=False" in told.reason
        await frontend.shutdown_kernel(kernel_id)
