"""Waiting for the reply to a request: one future for each message id."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp.deadlines import Deadline
from carpo_lsp.errors import CarpoError, KernelTimeout

if TYPE_CHECKING:
    from carpo_lsp.kernels.messages import Message

DEADLINES: Final = {
    "complete_request": 10.0,
    "inspect_request": 10.0,
    "is_complete_request": 5.0,
    "history_request": 10.0,
    "kernel_info_request": 10.0,
    "create_subshell_request": 5.0,
    "delete_subshell_request": 1.0,
}
"""Seconds that a kernel has for an answer. A kernel that computes and has no subshells may well
need them all; some kernels never answer some requests."""


class Requests:
    """The requests of one kernel that wait for their replies."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def expect(self, msg_id: str) -> asyncio.Future[dict[str, Any]]:
        """Register a request before it is sent. The future holds the content of its reply."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[msg_id] = future
        return future

    def forget(self, msg_id: str) -> None:
        """Whoever waited has stopped waiting; a late reply will belong to nobody."""
        self._waiting.pop(msg_id, None)

    def resolve(self, message: Message) -> bool:
        """Give a reply to whoever waits for it; False when nobody does."""
        if not message.msg_type.endswith("_reply"):
            return False
        future = self._waiting.pop(message.parent_id, None)
        if future is None:
            return False
        if not future.done():
            future.set_result(message.content)
        return True

    def fail(self, error: CarpoError) -> None:
        """No reply will come any more."""
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(error)

    async def wait(
        self, future: asyncio.Future[dict[str, Any]], msg_id: str, msg_type: str
    ) -> dict[str, Any]:
        """Wait for a reply within the deadline of its kind.

        Raises `KernelTimeout`, or what `fail` was called with.
        """
        deadline = DEADLINES[msg_type]
        try:
            async with Deadline(deadline):
                return await future
        except TimeoutError:
            raise KernelTimeout(
                f"The kernel did not answer {msg_type} within {deadline:g} s.", seconds=deadline
            ) from None
        finally:
            self.forget(msg_id)
