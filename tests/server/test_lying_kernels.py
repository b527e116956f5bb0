"""Kernels that break the protocol, as an editor sees them: tests/kernels/test_lies.py has them all.

The server's fixture looks at the rest: that every message was JSON, that numbers have no gap and
ends come once, and that the log has no error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from support import MISBEHAVING

if TYPE_CHECKING:
    from pathlib import Path

    from lsp_clients import Wire

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def document(server: Wire, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A document whose cells run in a kernel that lies: its URI."""
    kernel = await server.start(specPath=str(MISBEHAVING))
    path: Path = tmp_path_factory.mktemp("lies") / "document.fake"
    uri = server.open(path.as_uri(), "# %%\n", "fake")
    await server.request(
        "carpo/selectKernel", {"textDocument": {"uri": uri}, "kernelId": kernel["kernelId"]}
    )
    return uri


@pytest.mark.parametrize(
    "lie",
    [
        *("flood-of-rubbish", "nested-deep", "not-a-number", "half-a-character"),
        *("forged-pointer", "null-data", "rubbish-data", "rubbish-streams", "rubbish-counts"),
        *("rubbish-errors", "rubbish-reply", "empty-messages", "unknown-types", "unknown-parent"),
        *("reply-to-nobody", "ask-nobody", "idle-twice", "reply-twice", "output-after-the-end"),
        *("no-idle", "no-reply"),
    ],
)
async def test_a_lie(server: Wire, document: str, lie: str) -> None:
    before = len(server.notes)
    execution_id = await run(server, document, f"stream stdout before\n{lie}\nstream stdout after")
    # What comes after the end is the execution's if it comes at once, or of one of its own.
    await server.until(
        lambda method, params: (
            method == "carpo/output" and "after" in server.text(params["executionId"])
        ),
        after=before,
    )
    assert lie == "output-after-the-end" or "after" in server.text(execution_id)
    held = await server.request("carpo/outputs", {"executionId": execution_id})
    assert held["executions"][0]["state"] == server.states(execution_id)[-1]
    assert server.states(await run(server, document, "result 1"))[-1] == "ok"
    await server.request(
        "textDocument/hover",
        {"textDocument": {"uri": document}, "position": {"line": 1, "character": 2}},
    )


async def run(server: Wire, document: str, code: str) -> str:
    """Make code the document's only cell and run it to its end."""
    server.change(document, 2, f"# %%\n{code}\n")
    lines = code.count("\n") + 1
    place = {"start": {"line": 1, "character": 0}, "end": {"line": 1 + lines, "character": 0}}
    params = {"textDocument": {"uri": document}, "range": place}
    execution_id = str((await server.request("carpo/execute", params))["executionId"])
    await server.until_done(execution_id)
    return execution_id
