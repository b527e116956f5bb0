"""What a kernel is asked, and what is left of it when whoever asked has left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from carpo_lsp.kernels.questions import Questions

if TYPE_CHECKING:
    from carpo_lsp.kernels.messages import Request


async def test_nobody_waits_for_an_answer_that_is_not_wanted_any_more() -> None:
    sent: list[Request] = []
    questions = Questions("k", sent.append, lambda event: None)
    asking = asyncio.create_task(questions.ask_info())
    await asyncio.sleep(0)
    assert [request.msg_type for request in sent] == ["kernel_info_request"]
    assert questions.waiting
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not questions.waiting
