"""What a kernel is asked beside its queue of executions, and who gets the answers."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp.errors import CarpoError
from carpo_lsp.kernels.evaluation import Evaluations
from carpo_lsp.kernels.events import MessageReceived
from carpo_lsp.kernels.messages import Message, Request
from carpo_lsp.kernels.recent import Recent
from carpo_lsp.kernels.requests import Requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from carpo_lsp.kernels.events import Event

REMEMBERED: Final = 1000
"""Raw messages whose answers are still recognised."""

SUBSHELLS: Final = "kernel subshells"


class Questions:
    """The questions to one kernel: requests, evaluations and raw messages of clients.

    `send` takes what goes to the kernel, `emit` what answers a raw message.
    """

    def __init__(
        self, kernel_id: str, send: Callable[[Request], None], emit: Callable[[Event], None]
    ) -> None:
        self.info: dict[str, Any] | None = None
        """Content of the kernel_info_reply, once the kernel is ready."""
        self.evaluations = Evaluations(kernel_id, send)
        self._kernel_id = kernel_id
        self._send = send
        self._emit = emit
        self._requests = Requests()
        self._subshell: str | None = None
        self._creating_subshell = asyncio.Lock()
        self._raw: Recent[str, None] = Recent(REMEMBERED)

    @property
    def has_subshells(self) -> bool:
        features = (self.info or {}).get("supported_features")
        return isinstance(features, list) and SUBSHELLS in features

    @property
    def waiting(self) -> bool:
        """Whether an answer is awaited."""
        return self._requests.waiting

    async def ask(
        self, msg_type: str, content: dict[str, Any], *, aside: bool = False
    ) -> dict[str, Any]:
        """Ask something on the shell channel and wait for the content of the reply.

        `aside` asks a subshell, where the kernel has them, which answers while code runs. Raises
        `KernelTimeout` after the deadline of the request's kind, or what `fail` was called with.
        """
        subshell = await self._ensure_subshell() if aside and self.has_subshells else None
        return await self._ask(Request("shell", msg_type, content, subshell_id=subshell))

    async def ask_info(self) -> dict[str, Any]:
        """The content of the kernel_info_reply; a kernel that starts has no deadline for it."""
        request = Request("shell", "kernel_info_request", {})
        reply = self._requests.expect(request.msg_id)
        self._send(request)
        try:
            return await reply
        finally:
            self._requests.forget(request.msg_id)

    async def _ask(self, request: Request) -> dict[str, Any]:
        reply = self._requests.expect(request.msg_id)
        self._send(request)
        return await self._requests.wait(reply, request.msg_id, request.msg_type)

    async def _ensure_subshell(self) -> str | None:
        async with self._creating_subshell:
            if self._subshell is None:
                reply = await self._ask(Request("control", "create_subshell_request", {}))
                subshell = reply.get("subshell_id")
                self._subshell = subshell if isinstance(subshell, str) else None
            return self._subshell

    def send(self, request: Request) -> None:
        """Send any message; what answers it is told as `MessageReceived`."""
        self._raw[request.msg_id] = None
        self._send(request)

    def take(self, message: Message) -> bool:
        """Give a message to whoever asked for it; False when nobody did."""
        raw = message.parent_id in self._raw
        if raw or (self._raw and message.msg_type.startswith("comm_")):
            self._emit(MessageReceived(self._kernel_id, message))
        return raw or self._requests.resolve(message) or self.evaluations.take(message)

    def begin(self) -> None:
        """A new kernel is about to start, of which nothing is known."""
        self.info = None
        self._subshell = None

    async def take_leave(self) -> None:
        """Have a kernel that goes on without us delete what it has for us alone: a subshell."""
        subshell, self._subshell = self._subshell, None
        if subshell is not None:
            content = {"subshell_id": subshell}
            with contextlib.suppress(CarpoError):
                await self._ask(Request("control", "delete_subshell_request", content))

    def fail(self, error: CarpoError) -> None:
        """No answer will come any more."""
        self._requests.fail(error)
        self.evaluations.fail(error)
