"""What is said and done about kernels that die, take too much, or do not answer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from lsprotocol.types import MessageType

from carpo_lsp.errors import CarpoError
from carpo_lsp.features import texts

if TYPE_CHECKING:
    from carpo_lsp.kernels.events import StatusChanged
    from carpo_lsp.workspace.workspace import Workspace

log = logging.getLogger(__name__)

COLUMNS: Final = 120
"""Columns of a message's line."""

MOST: Final = 3
WITHIN: Final = 60.0
"""How many times, in how many seconds, a kernel is restarted without having been asked for."""

RESTART: Final = "Restart kernel"

NOT_REVIVED: Final = ("limit", "start")
"""Deaths that a restart would only repeat: by a limit of the user's, and when it does not start."""


class Supervision:
    """Tells one client of its kernels' deaths and warnings, each in one message, and restarts
    dead ones where the user wants it. A client that knows of kernels tells its user itself."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._revived: dict[str, deque[float]] = {}

    def on_status(self, event: StatusChanged) -> None:
        """Take a change of a kernel's status, or what is said of it."""
        if event.status == "stopped":
            self._revived.pop(event.kernel_id, None)
        elif event.status == "dead":
            self._on_death(event)
        elif event.reason is not None and event.cause is not None:
            self._say(event.kernel.display_name, event)

    def _say(self, name: str, event: StatusChanged) -> None:
        if not self._workspace.client.wants_notifications:
            kind = MessageType.Info if event.cause == "responsive" else MessageType.Warning
            message = texts.clipped(f"{name}: {event.reason}", COLUMNS)
            self._workspace.client.show_message(message, kind)

    def _on_death(self, event: StatusChanged) -> None:
        client = self._workspace.client
        lines = _what_happened(event)
        if not self._is_to_revive(event):
            if not client.wants_notifications:
                self._offer_restart(event, lines)
        elif (count := self._revivals(event.kernel_id)) < MOST:
            self._revived[event.kernel_id].append(asyncio.get_running_loop().time())
            if not client.wants_notifications:
                lines.append(f"It is restarted, time {count + 1} of {MOST} within a minute.")
                client.show_message("\n".join(lines), MessageType.Warning)
            client.spawn(self._restart(event.kernel_id))
        else:
            lines.append(f"It is not restarted again: it died {MOST + 1} times within a minute.")
            self._offer_restart(event, lines)

    def _is_to_revive(self, event: StatusChanged) -> bool:
        wanted = self._workspace.settings.kernel.auto_restart and event.kernel.owned
        return wanted and event.cause not in NOT_REVIVED

    def _revivals(self, kernel_id: str) -> int:
        """How often it has been restarted within the last minute."""
        times = self._revived.setdefault(kernel_id, deque())
        while times and asyncio.get_running_loop().time() - times[0] >= WITHIN:
            times.popleft()
        return len(times)

    def _offer_restart(self, event: StatusChanged, lines: list[str]) -> None:
        client = self._workspace.client
        if event.kernel.started_at is None:
            lines.append("Once that is mended, run code again to start another.")
        elif client.can_ask:
            client.spawn(self._ask(event.kernel_id, "\n".join(lines)))
            return
        else:
            lines.append("Restart it with the command carpo.restartKernel or its code action.")
        client.show_message("\n".join(lines), MessageType.Error)

    async def _ask(self, kernel_id: str, message: str) -> None:
        client = self._workspace.client
        if await client.choose(message, [RESTART], MessageType.Error) is not None:
            await self._restart(kernel_id)

    async def _restart(self, kernel_id: str) -> None:
        """Restart a kernel, unless that has been done by other means."""
        frontend = self._workspace.frontend
        try:
            if frontend.get_kernel(kernel_id).status == "dead":
                await frontend.restart_kernel(kernel_id)
        except CarpoError as error:  # of which the kernel's status has told
            log.info("A dead kernel was not restarted: %s", error.message)


def _what_happened(event: StatusChanged) -> list[str]:
    """The lines of a message; the first stands alone."""
    name, reason = event.kernel.display_name, event.reason or "It has ended."
    what = "died"
    if event.cause == "start":
        what = "did not start"
        # Where it stands alone, as in an answer, the reason says this and the hint itself.
        reason = reason.removeprefix(f"{name} {what}: ").removesuffix(f" ({event.hint})")
    lines = [f"The kernel {name} {what}: {texts.clipped(reason, COLUMNS)}"]
    tail = (event.stderr_tail or "").strip().splitlines()
    if tail and (last := texts.clipped(texts.without_escapes(tail[-1]), COLUMNS)) not in lines[0]:
        lines.append(last)
    if event.hint:
        lines.append(f"Hint: {event.hint}")
    return lines
