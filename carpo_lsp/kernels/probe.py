"""Finds out whether a kernel has left an execution without sending the whole of its end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from carpo_lsp.deadlines import Deadline, Timer
from carpo_lsp.kernels.messages import Message, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from carpo_lsp.kernels.execution import Execution

log = logging.getLogger(__name__)

QUIET: Final = 1.0
"""Seconds without a word of an execution after which the rest of its end is late."""

INTERRUPTED: Final = 5.0
"""The same for one that has been interrupted and shows no sign of an end."""

LOOKS: Final = 4
"""How often in that time it is looked at whether there was a word. In a flood each message is one,
and a task that woke for each would cost more than to read it."""

SILENCE: Final = 60.0
"""Seconds to wait for a kernel that answers nothing at all."""


class Probe:
    """Asks the kernel a question behind the execution and calls `give_up` when that tells enough.

    A kernel handles one request after the other, and its channels keep their order. Once it has
    answered the question on the channel where something is missing, the missing will not come. No
    output is cut off: a kernel that still computes does not answer, and one that does so all the
    same has its words on the execution end the quiet that is waited for.
    """

    def __init__(
        self,
        execution: Execution,
        send: Callable[[Request], None],
        give_up: Callable[[Execution], None],
    ) -> None:
        self._execution = execution
        self._send = send
        self._give_up = give_up
        self._request = Request("shell", "kernel_info_request", {})
        self._heard = False
        self._patient = False
        self._look = asyncio.Event()
        self._replied = False
        self._published = False
        self._answered = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"probe {execution.execution_id}")

    @property
    def over(self) -> bool:
        return self._task.done()

    def hear(self) -> None:
        """The kernel has sent something of the execution."""
        self._heard = True
        if self._patient and self._execution.half_done:
            self._look.set()  # there is less to wait for now

    def take(self, message: Message) -> bool:
        """Take a message if it answers the question."""
        if message.parent_id != self._request.msg_id:
            return False
        self._replied = self._replied or message.channel == "shell"
        self._published = self._published or message.channel == "iopub"
        # Some kernels publish no status, so that the reply must do.
        if self._replied and (self._published or not self._execution.has_status):
            self._answered.set()
        return True

    def cancel(self) -> None:
        """The execution has ended."""
        self._task.cancel()

    async def _run(self) -> None:
        await self._quiet()
        self._send(self._request)
        try:
            async with Deadline(SILENCE):
                await self._answered.wait()
            await self._quiet(answered=True)
        except TimeoutError:
            if not self._execution.half_done:
                return  # it computes on
        log.warning(
            "A kernel sent no %s for an execution; it is taken as ended",
            "idle" if self._execution.replied else "reply",
        )
        self._give_up(self._execution)

    async def _quiet(self, *, answered: bool = False) -> None:
        """Wait until the execution has not been heard of for long enough."""
        silent = 0
        while silent < LOOKS:
            self._heard = False
            self._patient = not answered and not self._execution.half_done
            self._look.clear()
            timer = Timer((INTERRUPTED if self._patient else QUIET) / LOOKS, self._look.set)
            try:
                await self._look.wait()
            finally:
                timer.cancel()
            silent = 0 if self._heard else silent + 1
