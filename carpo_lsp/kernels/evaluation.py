"""Code that is run to learn something: silent, beside the queue, seen by nobody else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from carpo_lsp.deadlines import Deadline
from carpo_lsp.errors import KernelTimeout
from carpo_lsp.kernels.events import Output, OutputChanged, StateChanged
from carpo_lsp.kernels.execution import ExecuteOptions, Execution
from carpo_lsp.kernels.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from carpo_lsp.errors import CarpoError
    from carpo_lsp.kernels.messages import Message, Request

REMEMBERED: Final = 100
"""Evaluations nobody waits for any more whose late messages are still kept from others."""


class Evaluation(Struct, frozen=True):
    """What code has told."""

    ok: bool
    user_expressions: dict[str, Any]
    outputs: tuple[Output, ...]
    """What it displayed, as nbformat 4 outputs."""


class _Asked:
    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.outputs: list[Output] = []
        self.answer: asyncio.Future[Evaluation] = asyncio.get_running_loop().create_future()

    def feed(self, message: Message) -> None:
        events = [*self.execution.feed(message)]
        if self.execution.settling:  # a silent question is not worth the wait
            events += self.execution.give_up()
        for event in events:
            if isinstance(event, OutputChanged) and event.output is not None:
                self.outputs.append(event.output)
            elif isinstance(event, StateChanged) and self.execution.done and not self.answer.done():
                expressions = event.user_expressions or {}
                ok = event.state == "ok"
                self.answer.set_result(Evaluation(ok, expressions, tuple(self.outputs)))


class Evaluations:
    """The evaluations of one kernel that are under way."""

    def __init__(self, kernel_id: str, send: Callable[[Request], None]) -> None:
        self._kernel_id = kernel_id
        self._send = send
        self._asked: dict[str, _Asked] = {}
        self._left: Recent[str, None] = Recent(REMEMBERED)

    async def ask(self, code: str, expressions: Mapping[str, str], deadline: float) -> Evaluation:
        """Run `code` and evaluate the user expressions, all within `deadline` seconds.

        Raises `KernelTimeout`, or what `fail` was called with.
        """
        options = ExecuteOptions(
            silent=True,
            store_history=False,
            user_expressions=dict(expressions),
            allow_stdin=False,
            stop_on_error=False,
        )
        asked = _Asked(Execution(self._kernel_id, "", code, options))
        request = asked.execution.begin()
        self._asked[request.msg_id] = asked
        try:
            self._send(request)
            async with Deadline(deadline):
                return await asked.answer
        except TimeoutError:
            raise KernelTimeout(
                f"The kernel did not answer within {deadline:g} s.", seconds=deadline
            ) from None
        finally:
            self._asked.pop(request.msg_id, None)
            self._left[request.msg_id] = None

    def take(self, message: Message) -> bool:
        """Give a message to the evaluation it belongs to; False when it belongs to none."""
        asked = self._asked.get(message.parent_id)
        if asked is not None:
            asked.feed(message)
        return asked is not None or message.parent_id in self._left

    def fail(self, error: CarpoError) -> None:
        """No answer will come any more."""
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_exception(error)
