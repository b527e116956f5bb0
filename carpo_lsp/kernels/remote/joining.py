"""Beginning to use a kernel that runs something and so does not answer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp.deadlines import Timer
from carpo_lsp.kernels.connection import OnMessage, Running
from carpo_lsp.kernels.messages import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from carpo_lsp.kernels.messages import Message


SILENT: Final = 1.0
"""Seconds of quiet after its answer in which a kernel would have published that it is idle. Some
never do, and others have much to publish before."""


class Joining:
    """Holds what the kernel sends until it is wanted, and tells when the kernel is through.

    What it is it tells on its control channel where it can; on its shell channel only when it has
    done with what it runs; all output of that is there when it has published so as well.
    """

    def __init__(self, send: Callable[[Request], None], deliver: OnMessage) -> None:
        self._deliver = deliver
        self._held: list[Message] | None = []
        self._shell = Request("shell", "kernel_info_request", {})
        self._control = Request("control", "kernel_info_request", {})
        self._info: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._missing = {"shell", "iopub"}
        self._late: Timer | None = None
        self._go_on: Callable[[], None] | None = None
        send(self._shell)
        send(self._control)

    async def running(self) -> Running:
        """The kernel, once it has told what it is."""
        info = await asyncio.shield(self._info)
        since = datetime.now(UTC).isoformat(timespec="milliseconds")
        return Running(info, None, since, None, self._begin, busy=True)

    def take(self, message: Message) -> None:
        if message.msg_type == "kernel_info_reply" and not self._info.done():
            if message.parent_id in (self._shell.msg_id, self._control.msg_id):
                self._info.set_result(message.content)
        if self._held is not None:
            self._held.append(message)
        else:
            self._pass_on(message)

    def _begin(self, resume: OnMessage, go_on: Callable[[], None]) -> None:
        """Give out what has come; nothing is resumed, as it was not begun here."""
        held, self._held = self._held or [], None
        self._go_on = go_on
        for message in held:
            self._pass_on(message)

    def _pass_on(self, message: Message) -> None:
        self._deliver(message)
        if message.parent_id != self._shell.msg_id:
            pass
        elif message.channel == "shell":
            self._missing.discard("shell")
        elif message.content.get("execution_state") == "idle":
            self._missing.discard("iopub")
        if not self._missing:
            self._is_through()
        elif "shell" not in self._missing and self._go_on is not None:
            self.close()
            self._late = Timer(SILENT, self._is_through)

    def _is_through(self) -> None:
        self.close()
        if self._go_on is not None:
            self._go_on()
            self._go_on = None

    def close(self) -> None:
        """Nobody waits any more."""
        if self._late is not None:
            self._late.cancel()
            self._late = None
