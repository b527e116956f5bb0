"""Output of ipykernel comes whole, in order, and in pieces that fit into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carpo_lsp.kernels.events import OutputChanged
from carpo_lsp.kernels.lossless import PIECE

if TYPE_CHECKING:
    from support import Events

    from carpo_lsp.frontend import Frontend

LONG = f"""\
import sys, threading
def tell(stream):
    for number in range(3):
        print(number, "é" * {2 * PIECE + 10}, file=stream)
        print("short", file=stream, flush=True)
tell(sys.stdout)
tell(sys.stderr)
other = threading.Thread(target=tell, args=[sys.stdout])
other.start()
other.join()
print("x" * {PIECE}, end="")
"""

TOLD = "".join(f"{number} {'é' * (2 * PIECE + 10)}\nshort\n" for number in range(3))


@pytest.fixture
async def python(frontend: Frontend) -> str:
    return await frontend.start_kernel(spec_name="python3")


def texts(events: Events, stream: str = "stdout") -> list[str]:
    """The texts of one stream as they have come."""
    return [
        event.output["text"]
        for event in events.all
        if isinstance(event, OutputChanged) and event.output and event.output["name"] == stream
    ]


async def test_long_text_comes_in_pieces(frontend: Frontend, events: Events, python: str) -> None:
    await frontend.execute_code(python, LONG)
    assert "".join(texts(events)) == f"{TOLD}{TOLD}{'x' * PIECE}"
    assert "".join(texts(events, "stderr")) == TOLD
    assert max(map(len, texts(events))) == PIECE


async def test_a_kernel_that_is_restarted_does_so_too(
    frontend: Frontend, events: Events, python: str
) -> None:
    await frontend.restart_kernel(python)
    await frontend.execute_code(python, f"print('x' * {2 * PIECE})")
    assert [len(text) for text in texts(events)] == [PIECE, PIECE, 1]
