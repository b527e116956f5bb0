"""A kernel that somebody else started, reached by its connection file. It is ended only when its
user insists."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import zmq
from traitlets import TraitError

from carpo_lsp.deadlines import Deadline
from carpo_lsp.errors import KernelStartFailed, KernelTimeout
from carpo_lsp.files import read_text
from carpo_lsp.kernels import process
from carpo_lsp.kernels.attention import ALONE
from carpo_lsp.kernels.channels import Channels
from carpo_lsp.kernels.connection import Exit, OnMessage, Running
from carpo_lsp.kernels.ending import end_process, within
from carpo_lsp.kernels.messages import Message, Request
from carpo_lsp.kernels.supervision.heartbeat import PORT, until_gone

if TYPE_CHECKING:
    import signal
    from collections.abc import Awaitable, Callable

    from carpo_lsp.kernels.attention import Beside

log = logging.getLogger(__name__)

ARRIVAL: Final = 5.0
"""Seconds within which the heartbeat of a kernel that is there is reached."""

ABSENCE: Final = 1.0
"""Seconds after which a kernel whose heartbeat has left counts as gone."""

ANSWER: Final = 0.5
"""Seconds that an idle kernel has to answer; one that does not is taken for busy."""

OBEY: Final = 2.0
"""Seconds a kernel has to answer that it is interrupted. One that looks at nothing but the code it
runs gets the signal then, as from its parent."""

LIVE: Final = 2.0
"""Seconds within which a busy kernel is heard on its other channels, if it has them."""

FIELDS: Final = ("transport", "ip", "shell_port", "iopub_port", "stdin_port", "control_port")

UNUSABLE: Final = (zmq.ZMQError, TraitError, AttributeError, KeyError, TypeError, ValueError)
"""What sockets and signatures raise for values that they cannot take."""


def read_connection_file(path: str) -> dict[str, Any]:
    """The content of a connection file. Raises `KernelStartFailed` when it is none."""
    try:
        info = json.loads(read_text(Path(os.path.expanduser(path))))
    except OSError as error:
        raise KernelStartFailed(
            f"The connection file {path!r} cannot be read: {error.strerror}.",
            hint="Jupyter's connection files are in the folder `jupyter --runtime-dir` prints",
        ) from error
    except ValueError as error:
        raise KernelStartFailed(f"The connection file {path!r} is not valid JSON.") from error
    if missing := check_fields(info):
        raise KernelStartFailed(f"The connection file {path!r} lacks {', '.join(missing)}.")
    return dict(info)


def check_fields(info: object) -> list[str]:
    """What the content of a connection file lacks."""
    return [key for key in FIELDS if not isinstance(info, dict) or key not in info]


class AttachedConnection:
    """A `Connection` to a running kernel. Its death is told by its heartbeat's connection: code may
    keep a kernel from answering for as long as it likes."""

    owned = False
    pid = None

    def __init__(
        self,
        connection_file: str,
        info: dict[str, Any],
        on_message: OnMessage,
        *,
        context: zmq.Context[zmq.Socket[bytes]],
        signal: Callable[[], None] | None = None,
        by_message: bool = False,
        beside: Beside = ALONE,
    ) -> None:
        """`signal` interrupts the kernel's process, where it is not one of this machine;
        `by_message`: nothing but a message is to interrupt the kernel."""
        self._beside = beside
        self.connection_file = connection_file
        self._signal = signal
        self._by_message = by_message
        self._info = info
        self._on_message = on_message
        self._context = context
        self._channels: Channels | None = None
        self._heart: asyncio.Task[None] | None = None
        self._session: str | None = None
        """That of the kernel's messages, once there are any."""
        self._left = False
        self._replaced = asyncio.Event()
        self._published = asyncio.Event()
        self._free = asyncio.Event()
        """Whether it has answered on its shell channel, and so takes code."""
        self._asked = Request("shell", "kernel_info_request", {})
        self._interrupting = ""
        self._takes_requests = False
        """Whether the kernel is known to be interrupted by a message, whatever its kernelspec says.
        """
        self._obeyed = asyncio.Event()
        self._told: tuple[str, asyncio.Future[dict[str, Any]]] | None = None
        self._go_on: Callable[[], None] | None = None

    async def start(self) -> Running | None:
        self._asked = Request("shell", "kernel_info_request", {})
        self._free.clear()
        self._published.clear()
        self._told = self._go_on = None
        self._session, self._left = None, False
        self._replaced.clear()
        try:
            self._channels = Channels(
                self._context, self._info, self._take, self.connection_file, self._beside
            )
        except UNUSABLE as error:
            raise KernelStartFailed(
                f"The connection file {self.connection_file!r} cannot be used: {error}.",
                hint="give the file with which the kernel was started, as it was",
            ) from error
        self._heart = asyncio.create_task(self._until_gone())
        return await self._busy()

    async def _busy(self) -> Running | None:
        """The kernel while it runs the code of others, known by what it tells on its control
        channel; None for one that answers on its shell channel, or says nothing at all."""
        control = Request("control", "kernel_info_request", {})
        told: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._told = control.msg_id, told
        self.send(self._asked)
        self.send(control)
        with contextlib.suppress(TimeoutError):
            async with Deadline(ANSWER):
                await self._free.wait()
                return None
        if not told.done():
            return None
        with contextlib.suppress(TimeoutError):
            async with Deadline(LIVE):
                await self._published.wait()
                await self.wait_for_stdin()
        since = datetime.now(UTC).isoformat(timespec="milliseconds")
        return Running(told.result(), None, since, None, self._begin, busy=True)

    def _begin(self, resume: OnMessage, go_on: Callable[[], None]) -> None:
        self._go_on = go_on
        if self._free.is_set():
            go_on()

    def send(self, request: Request) -> None:
        if self._channels is not None:
            self._channels.send(request)

    async def wait_for_stdin(self) -> None:
        if self._channels is not None:
            await self._channels.wait_for_stdin()

    def hold_back(self) -> None:
        if self._channels is not None:
            self._channels.hold_back()

    async def interrupt(self) -> None:
        # ipykernel and others take the request, whatever their kernelspecs say of signals.
        request = Request("control", "interrupt_request", {})
        self._interrupting = request.msg_id
        self._obeyed.clear()
        self.send(request)
        try:
            async with Deadline(OBEY):  # or it would be lost when the channels are closed now
                await self._obeyed.wait()
        except TimeoutError:
            if not (self._by_message or self._takes_requests):
                await self._interrupt_process()

    async def _interrupt_process(self) -> None:
        """Interrupt a kernel that looks at nothing but the code it runs, as its parent would."""
        if self._signal is not None:
            self._signal()
            return
        found = await asyncio.to_thread(process.with_argument, self.connection_file)
        if found is not None:
            process.interrupt(found.pid)

    async def end(self, grace: float) -> None:
        """End the kernel for all who use it; where its process is on this machine, all that it has
        started as well. Raises `KernelTimeout` when it does not obey and its process is unknown."""
        gone = self._heart
        if gone is None or gone.done():
            return
        found = process.with_argument(self.connection_file)
        if found is not None:
            await _end_process(found, grace, self.interrupt, self.send)
            return
        await self.interrupt()  # some look at nothing but the code they run
        self.send(Request("control", "shutdown_request", {"restart": False}))
        if not await within(gone, grace + ABSENCE):
            raise KernelTimeout("The kernel does not end.", seconds=grace)

    async def stop(self, grace: float, *, restart: bool = False) -> None:
        if self._heart is not None:
            self._heart.cancel()
            self._heart = None
        if self._channels is not None:
            self._channels.close()
            self._channels = None

    def stderr_tail(self) -> str:
        return ""

    async def wait_closed(self) -> Exit:
        assert self._heart is not None, "wait_closed before start"
        await asyncio.shield(self._heart)
        reason = "The kernel is gone: nothing is left at the address of its heartbeat."
        if self._replaced.is_set():
            reason = "The kernel was restarted by somebody else: another one is at its address."
        return Exit(None, "", reason, "lost")

    def _take(self, message: Message) -> None:
        if not self._left:
            self._session = message.session
        elif message.session != self._session:
            self._replaced.set()
        if message.msg_type == "kernel_info_reply":
            self._takes_requests = message.content.get("implementation") == "ipython"
        if message.channel == "iopub":
            self._published.set()
        elif self._told is not None and message.parent_id == self._told[0]:
            if not self._told[1].done():
                self._told[1].set_result(message.content)
        elif message.parent_id == self._interrupting:
            self._obeyed.set()
        elif message.channel == "shell" and message.parent_id == self._asked.msg_id:
            self._free.set()
            if self._go_on is not None:
                self._go_on()
        self._on_message(message)

    async def _until_gone(self) -> None:
        """Return when the kernel is gone, as far as that can be told."""
        tasks = [asyncio.create_task(each) for each in (self._until_left(), self._replaced.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _until_left(self) -> None:
        if PORT in self._info:
            try:
                found = await until_gone(
                    self._context, self._info, ARRIVAL, ABSENCE, self._on_leave, self._on_return
                )
            except UNUSABLE as error:
                log.warning("%s has no heartbeat: %s", self.connection_file, error)
            else:
                if found or self._session is None:
                    return
        await asyncio.Event().wait()  # it is there, but nothing would tell of its death

    def _on_leave(self) -> None:
        self._left = True

    def _on_return(self) -> None:
        """Whoever is there now is to say something, by which its process can be told."""
        self.send(Request("shell", "kernel_info_request", {}))


async def _end_process(
    found: psutil.Process,
    grace: float,
    interrupt: Callable[[], Awaitable[None]],
    send: Callable[[Request], None],
) -> None:
    async def kill(number: signal.Signals) -> None:
        with contextlib.suppress(psutil.Error):
            found.send_signal(number)

    def poll() -> int | None:
        return None if process.is_there(found) else 0

    ended = asyncio.ensure_future(process.wait_for_exit(found.pid, poll))
    await end_process(
        found.pid, ended, grace, restart=False, interrupt=interrupt, send=send, kill=kill
    )
