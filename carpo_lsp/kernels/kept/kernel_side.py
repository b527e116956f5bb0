"""The kernel's side of a keeper: its process, its channels, and what it prints."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Any, Final

import zmq

from carpo_lsp.kernels.sockets import address, open_socket
from carpo_lsp.kernels.supervision import watchdog
from carpo_lsp.kernels.supervision.oom import OomKills

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from carpo_lsp.kernels.messages import Channel

BATCH: Final = 64
"""Messages read from one channel before others get their turn."""

TAIL: Final = 8192
"""Bytes of what the process printed that are kept for error messages."""

SETTLE: Final = 0.05
"""Seconds without a message after which nothing more of an ended kernel is on its way."""

STDIN: Final = 1.0
"""Seconds to wait for the stdin channel. Some kernels have none."""

GRACE: Final = 2.0
"""Seconds for a shutdown request, and then for SIGTERM."""


class Kernel:
    """A kernel that is no child of this process.

    `entry` is the content of its entry in the registry, `tail` the descriptor of the pipe that it
    prints into, -1 for none, and `poller` is told what to wait for.
    """

    def __init__(self, entry: dict[str, Any], tail: int, poller: zmq.Poller) -> None:
        with open(entry["connectionFile"], encoding="utf-8") as file:
            self._info: dict[str, Any] = json.load(file)
        self.pid: int = entry["pid"]
        self._started: str = entry["started"]
        self._interrupt_mode: str = entry["spec"]["interrupt_mode"]
        self._tail = tail
        self._poller = poller
        self._context = zmq.Context()
        self._sockets: dict[Channel, zmq.Socket[bytes]] = {}
        self._descriptor = self._watch()
        self.memory = OomKills(self.pid)
        self.printed = b""
        """The last of what it has printed."""
        if tail >= 0:
            poller.register(tail, zmq.POLLIN)

    # Its process

    def runs(self) -> bool:
        process = watchdog.look_up(self.pid)
        return (
            process is not None and not process.ended and process.started.decode() == self._started
        )

    def _watch(self) -> int | None:
        """A descriptor that tells of the process's end, where there is such a thing."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            return None
        if not self.runs():  # another process may have its id by now
            os.close(descriptor)
            return None
        self._poller.register(descriptor, zmq.POLLIN)
        return descriptor

    def has_ended(self, ready: Container[Any]) -> bool:
        """Whether the process is gone, by what is ready or by a look at it."""
        if self._descriptor is not None:
            return self._descriptor in ready
        return not self.runs()

    def interrupt(self) -> None:
        if self._interrupt_mode == "message":
            self.send("control", self.request("interrupt_request", {})[1])
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGINT)

    def end(self) -> None:
        """End the process and all below it."""
        self.send("control", self.request("shutdown_request", {"restart": False})[1])
        if not self._ends_within(GRACE):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGTERM)
            self._ends_within(GRACE)
        self.kill()

    def kill(self) -> None:
        """Kill the process and all below it."""
        process = watchdog.Process(self.pid, 0, self.pid, b"", self._started.encode())
        watchdog.end([watchdog.Kernel(b"", process)])

    def _ends_within(self, seconds: float) -> bool:
        if self._descriptor is not None:
            return bool(select.select([self._descriptor], [], [], seconds)[0])
        deadline = time.monotonic() + seconds
        while self.runs() and time.monotonic() < deadline:
            time.sleep(watchdog.PAUSE)
        return not self.runs()

    # Its channels

    @property
    def channels(self) -> Container[Channel]:
        """Those that are open."""
        return self._sockets

    def open(self, channel: Channel, identity: bytes) -> None:
        opened = open_socket(self._context, self._info, channel, identity)
        if channel == "stdin":
            # The kernel drops a question to a peer that is not there yet; elsewhere messages wait.
            with opened.get_monitor_socket(zmq.Event.HANDSHAKE_SUCCEEDED) as peer:
                opened.connect(address(self._info, channel))
                peer.poll(int(STDIN * 1000))
                opened.disable_monitor()
        else:
            opened.connect(address(self._info, channel))
        self._sockets[channel] = opened
        self._poller.register(opened, zmq.POLLIN)

    def send(self, channel: Channel, frames: list[bytes]) -> None:
        opened = self._sockets.get(channel)
        if opened is not None:  # else the kernel is gone, which who has asked will read
            opened.send_multipart(frames, zmq.NOBLOCK)

    def request(self, msg_type: str, content: dict[str, Any]) -> tuple[str, list[bytes]]:
        """The id and the frames of a request of our own."""
        from carpo_lsp.kernels.codec import Codec  # takes longer than all of the above
        from carpo_lsp.kernels.messages import Request

        request = Request("control", msg_type, content)
        return request.msg_id, Codec(self._info).encode(request)

    def read(self, ready: Container[Any]) -> Iterator[tuple[Channel, list[bytes]]]:
        """What the channels that are ready have, up to a limit; what is printed is kept here."""
        for channel, opened in tuple(self._sockets.items()):
            if opened in ready:
                yield from self._messages(channel)
        if self._tail in ready:
            self._read_tail()

    def _messages(self, channel: Channel) -> Iterator[tuple[Channel, list[bytes]]]:
        for _ in range(BATCH):
            opened = self._sockets.get(channel)
            if opened is None:  # what came had the kernel ended
                return
            try:
                frames = opened.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            yield channel, frames

    def _read_tail(self) -> None:
        try:
            data = os.read(self._tail, 65536)
        except BlockingIOError:
            return
        self.printed = (self.printed + data)[-TAIL:]
        if not data:
            self._poller.unregister(self._tail)
            os.close(self._tail)
            self._tail = -1

    def end_rest(self) -> None:
        """The process is gone: end what it has started and left in its group."""
        process = watchdog.look_up(self.pid)
        if process is None or process.started.decode() == self._started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def rest(self) -> Iterator[tuple[Channel, list[bytes]]]:
        """What is still on its way from a process that is gone."""
        if self._tail >= 0:
            self._read_tail()
        poller = zmq.Poller()
        for opened in self._sockets.values():
            poller.register(opened, zmq.POLLIN)
        while poller.poll(int(SETTLE * 1000)):
            for channel in tuple(self._sockets):
                yield from self._messages(channel)

    def close(self) -> None:
        """Hang up."""
        for opened in self._sockets.values():
            self._poller.unregister(opened)
            opened.close()
        self._sockets.clear()
        self._context.term()
        if self._descriptor is not None:
            self._poller.unregister(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
