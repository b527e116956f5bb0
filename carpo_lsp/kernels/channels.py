"""The ZeroMQ channels of one kernel: one reader each, no threads, no task per message."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

import zmq

from carpo_lsp.deadlines import Deadline
from carpo_lsp.kernels.attention import ALONE
from carpo_lsp.kernels.codec import Codec
from carpo_lsp.kernels.sockets import SOCKET_TYPES, address, open_socket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from carpo_lsp.kernels.attention import Beside
    from carpo_lsp.kernels.messages import Channel, Message, Request

log = logging.getLogger(__name__)

BATCH: Final = 64
"""Messages read from one channel before other work on the loop gets its turn. Reading goes on in
the next turn, so a flooding kernel is read at full speed without delaying its neighbours."""

TURN: Final = 64 * 1024
"""Bytes of messages read from one channel in a turn; the message that exceeds them is the last."""

PAUSE: Final = 0.002
"""Seconds between looks at output that waits or is read in steps, see `Attention`."""

PAUSES: Final = 10
"""Looks after which output that waits is read at last, however much others are asked."""

AHEAD: Final = 16
"""Output messages that wait in this process when the others may wait in the kernel: enough for
small ones to be read without a pause, few enough for those of some megabytes."""


class Channels:
    """The open sockets of one kernel, described by the content of its connection file: the four,
    or those that are named."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        info: Mapping[str, Any],
        on_message: Callable[[Message], None],
        name: str = "",
        beside: Beside = ALONE,
        only: Iterable[Channel] = tuple(SOCKET_TYPES),
    ) -> None:
        self.codec = Codec(info, name)
        self._beside = beside
        self._pauses = 0
        """How often output has been left since it was read."""
        self._read_at = 0.0
        """When output was, on the loop's clock."""
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[Channel, zmq.Socket[bytes]] = {}
        self._stdin: _Peer | None = None
        self._unread: set[Channel] = set()
        """Those that are read on soon; news of them before that say nothing new."""
        self._arrived = asyncio.Event()
        try:
            for channel in only:
                self._sockets[channel] = self._open(context, info, channel)
            if "stdin" in self._sockets:
                self._stdin = _Peer(self._sockets["stdin"])
            for channel, socket in self._sockets.items():
                socket.connect(address(info, channel))
        except Exception:
            self.close()
            raise

    def _open(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        info: Mapping[str, Any],
        channel: Channel,
    ) -> zmq.Socket[bytes]:
        socket = open_socket(context, info, channel, self.codec.identity)
        self._loop.add_reader(socket.fileno(), self._read, channel)
        return socket

    def send(self, request: Request) -> None:
        """Send a request on its channel; dropped when the channels are closed."""
        socket = self._sockets.get(request.channel)
        if socket is None:
            return
        try:
            socket.send_multipart(self.codec.encode(request), zmq.NOBLOCK)
        except zmq.Again:
            # Without a send limit this means that there is no peer to queue for.
            log.warning("The kernel takes no messages on its %s channel", request.channel)
        # The descriptor of a ZeroMQ socket signals edges, and sending may have consumed one.
        self._loop.call_soon(self._read, request.channel)

    def _read(self, channel: Channel) -> None:
        if channel in self._unread:
            return
        if channel == "iopub" and self._pauses < PAUSES and self._beside.waits:
            self._leave()
            return
        count, more = self._take(channel)
        if more:
            self._unread.add(channel)
            self._loop.call_soon(self._go_on, channel)
        elif channel == "iopub" and count and self._beside.in_steps:
            now = self._loop.time()
            fast = count > 1 or now - self._read_at < PAUSE / 2
            self._read_at = now
            if fast:  # a step costs more than a message does
                self._leave()

    def _go_on(self, channel: Channel) -> None:
        self._unread.discard(channel)
        self._read(channel)

    def _leave(self) -> None:
        """Do not read output for a moment, nor look: of what is not taken the descriptor tells on
        and on, and the loop would turn as fast as it can."""
        if (socket := self._sockets.get("iopub")) is not None:
            self._pauses += 1
            self._unread.add("iopub")
            self._loop.remove_reader(socket.fileno())
            self._loop.call_later(PAUSE, self._come_back)

    def _come_back(self) -> None:
        if (socket := self._sockets.get("iopub")) is not None:
            self._loop.add_reader(socket.fileno(), self._read, "iopub")
            self._go_on("iopub")

    def _catch_up(self) -> bool:
        """Read the output that has come, and what has been left of it, a turn for each pause;
        whether that was all."""
        for _ in range(max(1, self._pauses)):
            if not self._take("iopub")[1]:
                return True
        if "iopub" not in self._unread:
            self._unread.add("iopub")
            self._loop.call_soon(self._go_on, "iopub")
        return False

    def _take(self, channel: Channel) -> tuple[int, bool]:
        """Read what has come, as much of it as is read in a turn: how many messages these were, and
        whether there may be more."""
        socket = self._sockets.get(channel)
        if channel == "iopub":
            self._pauses = 0
        if socket is None:
            return 0, False
        room = TURN
        for count in range(BATCH):
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return count, False
            self._arrived.set()
            message = self.codec.decode(channel, frames)
            up_to_date = True
            if channel != "iopub":  # what a kernel has shown comes before its answer or question
                up_to_date = self._catch_up()
                if channel not in self._sockets:
                    return count, False
            if message is not None:
                try:
                    self._on_message(message)
                except Exception:  # one message's fault must not cost the others their reader
                    log.exception("A %s on %s could not be handled", message.msg_type, channel)
            if channel not in self._sockets:  # the message made its receiver close us
                return count, False
            room -= sum(map(len, frames))
            if room < 0 or not up_to_date:
                break
        return count + 1, True

    def hold_back(self) -> None:
        """Take output off the kernel only as fast as it is read here."""
        self._sockets["iopub"].rcvhwm = AHEAD

    async def wait_for_stdin(self) -> None:
        """Wait until the stdin channel has its peer. On the others messages wait for theirs."""
        if self._stdin is not None:
            await self._stdin.came.wait()

    async def settle(self, quiet: float, limit: float) -> None:
        """Wait until nothing has arrived for `quiet` seconds, for at most `limit` seconds.

        A process that ended may have left messages on their way through ZeroMQ.
        """
        self._beside = ALONE  # what is left is all that can be waited for
        with contextlib.suppress(TimeoutError):
            async with Deadline(limit):
                while self._sockets:
                    for channel in tuple(self._sockets):
                        self._read(channel)
                    self._arrived.clear()
                    async with Deadline(quiet):
                        await self._arrived.wait()

    def close(self) -> None:
        """Close all sockets; safe more than once."""
        if self._stdin is not None:
            self._stdin.close()
        sockets, self._sockets = self._sockets, {}
        for socket in sockets.values():
            self._loop.remove_reader(socket.fileno())
            socket.close()


class _Peer:
    """Learns that a socket, not yet connected, has got its peer: ZeroMQ tells it on another."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.came = asyncio.Event()
        self._socket = socket
        self._news = socket.get_monitor_socket(zmq.Event.HANDSHAKE_SUCCEEDED)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._news.fileno(), self._read)
        # The descriptor tells nothing before the socket has been found empty once.
        self._loop.call_soon(self._read)

    def _read(self) -> None:
        if self._news.closed:
            return
        try:
            self._news.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        self.came.set()
        self.close()

    def close(self) -> None:
        """Stop listening; safe more than once."""
        if not self._news.closed:
            self._loop.remove_reader(self._news.fileno())
            self._socket.disable_monitor()
            self._news.close()
