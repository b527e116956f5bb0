"""A program that keeps a kernel when no editor is there: `python -m carpo_lsp.kernels.keeper`.

It stands between the kernel and the servers that use it. What the kernel sends goes into a log,
and from there to the servers; what they have acknowledged is forgotten. A server that comes later
reads on where the last one was. As the kernel always has its peer, no reply is lost and no
question: those wait in the log as everything else.

Messages pass as they are. All that is read of them is their headers: whether code runs, and how
often some did. One of these runs beside every kept kernel, so it imports little.

Arguments: the kernel's folder in the registry (see `kept.py`), which holds its entry, and the
descriptors of a listening socket for servers, of the lock that tells that a keeper is there, and
of the pipe that the kernel prints into (-1 for none). With a fourth word `shadow` a server still
has the shell and stdin channels; the keeper takes them when it is told to, or when that is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

import zmq

from carpo_lsp.kernels import watchdog
from carpo_lsp.kernels.keeperlog import Log
from carpo_lsp.kernels.records import Kind, Reader, pack
from carpo_lsp.kernels.sockets import address, open_socket

if TYPE_CHECKING:
    from carpo_lsp.kernels.messages import Channel
    from carpo_lsp.kernels.records import Record

KINDS: Final[dict[Channel, Kind]] = {
    "shell": Kind.SHELL,
    "control": Kind.CONTROL,
    "stdin": Kind.STDIN,
    "iopub": Kind.IOPUB,
}

BATCH: Final = 64
"""Messages read from one channel before others get their turn."""

CHUNK: Final = 256 * 1024
"""Bytes of the log that are sent at once."""

TAIL: Final = 8192
"""Bytes of what the process printed that are kept for error messages."""

LOOK: Final = 0.5
"""Seconds between looks at the time, and at a process where the system does not tell of its end."""

SETTLE: Final = 0.05
"""Seconds without a message after which nothing more of an ended kernel is on its way."""

ASKING: Final = 10.0
"""Seconds an idle kernel has to answer before it is ended; one that computes does not."""

EXPECTED: Final = 10.0
"""Seconds for the server that has started this program to come."""

GRACE: Final = 2.0
"""Seconds for a shutdown request, and then for SIGTERM."""


class Client:
    """A server at the other end of a socket."""

    def __init__(self, number: int, connection: socket.socket) -> None:
        self.number = number
        self.socket = connection
        self.reader = Reader()
        self.pid: int | None = None
        self.waiting = b""
        """What is to be sent before more of the log."""
        self.position: int | None = None
        """Up to where it has been given the log; None when it has not asked for it."""
        self.acknowledged = 0


class Keeper:
    def __init__(self, folder: str, listener: socket.socket, tail: int, *, shadow: bool) -> None:
        with open(os.path.join(folder, "entry.json"), encoding="utf-8") as file:
            self._entry: dict[str, Any] = json.load(file)
        with open(self._entry["connectionFile"], encoding="utf-8") as file:
            self._info: dict[str, Any] = json.load(file)
        self._folder = folder
        self._log = Log(folder)
        self._listener = listener
        self._tail = tail
        self._printed = b""
        self._minutes = float(self._entry["minutes"])
        self._clients: dict[int, Client] = {}
        # The log may hold requests by clients of an earlier keeper.
        self._numbers = self._first = int.from_bytes(os.urandom(3)) << 8
        self._orphaned: int | None = self._log.start
        """From where on nobody who is there needs the log, but the next who comes."""
        self._news = self._log.end
        """Where in the log the last message ends that somebody may want to see."""
        self._lost = 0
        """Bytes for which there was no room on the disk, not yet told."""
        self._busy: set[str] = set()
        self._execution_count: int | None = self._entry.get("executionCount")
        self._idle_since = time.monotonic()
        self._asked: tuple[str, float] | None = None
        self._over = False
        self._expecting = time.monotonic() + EXPECTED
        self._context = zmq.Context()
        self._poller = zmq.Poller()
        self._sockets: dict[Channel, zmq.Socket[bytes]] = {}
        self._pid: int = self._entry["pid"]
        self._descriptor = self._watch_process()
        self._poller.register(listener.fileno(), zmq.POLLIN)
        if tail >= 0:
            self._poller.register(tail, zmq.POLLIN)
        if self._descriptor is None and not self._runs():
            self._end("The kernel ended while nobody was there.")
            return
        own = uuid.uuid4().hex.encode()
        for channel in ("iopub", "control") if shadow else KINDS:
            self._open(channel, own)

    # The kernel's process

    def _runs(self) -> bool:
        process = watchdog.look_up(self._pid)
        return (
            process is not None
            and not process.ended
            and process.started.decode() == self._entry["started"]
        )

    def _watch_process(self) -> int | None:
        """A descriptor that tells of the process's end, where there is such a thing."""
        try:
            descriptor = os.pidfd_open(self._pid)
        except (AttributeError, OSError):
            return None
        if not self._runs():  # another process may have its id by now
            os.close(descriptor)
            return None
        self._poller.register(descriptor, zmq.POLLIN)
        return descriptor

    def _open(self, channel: Channel, identity: bytes) -> None:
        opened = open_socket(self._context, self._info, channel, identity)
        opened.connect(address(self._info, channel))
        self._sockets[channel] = opened
        self._poller.register(opened, zmq.POLLIN)

    # Its loop

    def run(self) -> None:
        """Until the kernel is gone and everybody there knows, or there is nothing to keep."""
        while not self._done():
            for client in self._clients.values():
                events = zmq.POLLIN | (zmq.POLLOUT if self._is_behind(client) else 0)
                self._poller.register(client.socket.fileno(), events)
            ready = dict(self._poller.poll(int(LOOK * 1000)))
            for channel, opened in tuple(self._sockets.items()):
                if opened in ready:
                    self._read(channel)
            if self._tail in ready:
                self._read_tail()
            if self._listener.fileno() in ready:
                self._accept()
            for client in tuple(self._clients.values()):
                event = ready.get(client.socket.fileno(), 0)
                if event:
                    self._serve(client)
            if self._descriptor in ready or (self._descriptor is None and not self._runs()):
                self._settle("The kernel ended.")
            self._look_at_idleness()
            self._forget()
        if self._orphaned is not None and self._news <= self._orphaned:
            self._remove()

    def _done(self) -> bool:
        expecting = self._numbers == self._first and time.monotonic() < self._expecting
        return self._over and not self._clients and not expecting

    def _is_behind(self, client: Client) -> bool:
        return bool(client.waiting) or (
            client.position is not None and client.position < self._log.end
        )

    def _read(self, channel: Channel) -> None:
        """Take what a channel has, up to a limit."""
        for _ in range(BATCH):
            opened = self._sockets.get(channel)
            if opened is None:  # what came made us end the kernel
                return
            try:
                frames = opened.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._append(pack(KINDS[channel], frames))
            self._look_at(channel, frames)

    def _look_at(self, channel: Channel, frames: list[bytes]) -> None:
        """Learn from a message what runs. A kernel may send anything."""
        try:
            header, parent, content = _parts(frames)
            kind, parent_id = header["msg_type"], str(parent.get("msg_id"))
            if channel == "shell" and self._asked is not None and self._asked[0] == parent_id:
                self._cull()
            if parent.get("msg_type") == "execute_request" or channel == "stdin":
                self._news = self._log.end
                self._idle_since = time.monotonic()
            if channel != "iopub":
                return
            if kind == "execute_input":
                self._execution_count = int(json.loads(content)["execution_count"])
            elif kind == "status" and parent.get("msg_type") == "execute_request":
                if json.loads(content)["execution_state"] == "busy":
                    self._busy.add(parent_id)
                else:
                    self._busy.discard(parent_id)
        except (ValueError, KeyError, TypeError, AttributeError):
            return

    def _read_tail(self) -> None:
        try:
            data = os.read(self._tail, 65536)
        except BlockingIOError:
            return
        self._printed = (self._printed + data)[-TAIL:]
        if not data:
            self._poller.unregister(self._tail)
            os.close(self._tail)
            self._tail = -1

    def _append(self, record: bytes) -> None:
        try:
            if self._lost:
                # Said where it happened: only a full disk loses what comes.
                lost = pack(Kind.LOST, [str(self._lost).encode()])
                self._log.append(lost)
                self._lost = 0
            self._log.append(record)
        except OSError:
            self._lost += len(record)

    # The servers

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        self._numbers += 1
        client = self._clients[self._numbers] = Client(self._numbers, connection)
        status = {
            "keeper": os.getpid(),
            "servers": [each.pid for each in self._clients.values() if each.pid is not None],
            "busy": bool(self._busy),
            "executionCount": self._execution_count,
        }
        client.waiting += pack(Kind.STATUS, [json.dumps(status).encode()])

    def _serve(self, client: Client) -> None:
        try:
            self._receive(client)
            self._send(client)
        except (ConnectionError, EOFError):
            self._drop(client)

    def _receive(self, client: Client) -> None:
        try:
            data = client.socket.recv(CHUNK)
        except BlockingIOError:
            return
        if not data:
            raise EOFError
        for record in client.reader.feed(data):
            self._take(client, record)

    def _take(self, client: Client, record: Record) -> None:
        match record.kind:
            case Kind.SHELL:
                self._send_on("shell", record.frames)
                with contextlib.suppress(ValueError, KeyError):
                    if _parts(record.frames)[0]["msg_type"] == "execute_request":
                        self._log_request(client, record)
            case Kind.CONTROL:
                self._send_on("control", record.frames)
            case Kind.STDIN:
                self._send_on("stdin", record.frames)
                self._append(pack(Kind.ANSWERED))
            case Kind.SENT:  # before the keeper was there
                self._log_request(client, record)
            case Kind.BEGIN:
                self._begin(client, int(record.frames[0]))
            case Kind.ACK:
                client.acknowledged = int(record.frames[0])
            case Kind.KEEP:
                self._minutes = float(json.loads(record.frames[0])["minutes"])
            case Kind.OPEN:
                for channel in ("shell", "stdin"):
                    if channel not in self._sockets:
                        self._open(channel, record.frames[0])
            case Kind.LEAVE:
                sys.exit()

    def _log_request(self, client: Client, record: Record) -> None:
        self._append(pack(Kind.SENT, record.frames, client.number))
        self._news = self._log.end

    def _send_on(self, channel: Channel, frames: list[bytes]) -> None:
        opened = self._sockets.get(channel)
        if opened is not None:  # else the kernel is gone, which the client will read
            opened.send_multipart(frames, zmq.NOBLOCK)

    def _begin(self, client: Client, pid: int) -> None:
        others = [each.number for each in self._clients.values() if each.position is not None]
        start, self._orphaned = self._orphaned, None
        position = self._log.end if start is None else max(start, self._log.start)
        client.pid = pid
        client.position = client.acknowledged = position
        begun = {
            "others": others,
            "position": position,
            "end": self._log.end,
            "lost": 0 if start is None else position - start,
            "executionCount": self._execution_count,
        }
        client.waiting += pack(Kind.BEGUN, [json.dumps(begun).encode()])

    def _send(self, client: Client) -> None:
        while True:
            if not client.waiting and client.position is not None:
                client.waiting = self._log.read(client.position, CHUNK)
                client.position += len(client.waiting)
            if not client.waiting:
                return
            try:
                sent = client.socket.send(client.waiting)
            except BlockingIOError:
                return
            client.waiting = client.waiting[sent:]

    def _drop(self, client: Client) -> None:
        del self._clients[client.number]
        self._poller.unregister(client.socket.fileno())
        client.socket.close()
        if client.position is None:
            return
        self._idle_since = time.monotonic()
        alone = all(each.position is None for each in self._clients.values())
        if alone or client.acknowledged < self._log.end:
            known = [self._orphaned] if self._orphaned is not None else []
            self._orphaned = min([client.acknowledged, *known])
        if alone and self._sockets and "shell" not in self._sockets:
            own = uuid.uuid4().hex.encode()
            self._open("shell", own)
            self._open("stdin", own)

    def _forget(self) -> None:
        reading = [each for each in self._clients.values() if each.position is not None]
        floors = [each.acknowledged for each in reading]
        if self._orphaned is not None:
            floors.append(self._orphaned)
        read = min((each.position or 0 for each in reading), default=self._log.end)
        if floors and min(floors) >= self._news and read == self._log.end:
            # What is left is nothing that anybody would miss, such as answers to questions.
            self._log.forget(self._log.end, read)
            for client in reading:
                client.acknowledged = self._log.end
            if self._orphaned is not None:
                self._orphaned = self._log.end
        elif floors:
            self._log.forget(min(floors), read)

    # The end

    def _look_at_idleness(self) -> None:
        if self._over or not self._minutes or self._busy or self._attended():
            self._asked = None
            return
        now = time.monotonic()
        if self._asked is not None:
            if now >= self._asked[1]:  # it computes, whatever it said before
                self._asked = None
                self._idle_since = now
        elif now - self._idle_since >= self._minutes * 60:
            request = self._request("kernel_info_request", {})
            self._asked = request[0], now + ASKING
            self._send_on("shell", request[1])

    def _attended(self) -> bool:
        return any(client.position is not None for client in self._clients.values())

    def _request(self, msg_type: str, content: dict[str, Any]) -> tuple[str, list[bytes]]:
        """The id and the frames of a request of our own."""
        from carpo_lsp.kernels.codec import Codec  # takes longer than all of the above
        from carpo_lsp.kernels.messages import Request

        request = Request("control", msg_type, content)
        return request.msg_id, Codec(self._info).encode(request)

    def _cull(self) -> None:
        """End the idle kernel and all below it."""
        self._asked = None
        self._send_on("control", self._request("shutdown_request", {"restart": False})[1])
        if not self._ends_within(GRACE):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGTERM)
            self._ends_within(GRACE)
        process = watchdog.Process(self._pid, 0, self._pid, b"", self._entry["started"].encode())
        watchdog.end([watchdog.Kernel(b"", process)])
        self._settle(f"The kernel was shut down after {self._minutes:g} idle minutes.")

    def _ends_within(self, seconds: float) -> bool:
        if self._descriptor is not None:
            return bool(select.select([self._descriptor], [], [], seconds)[0])
        deadline = time.monotonic() + seconds
        while self._runs() and time.monotonic() < deadline:
            time.sleep(watchdog.PAUSE)
        return not self._runs()

    def _settle(self, reason: str) -> None:
        """The kernel is gone: take what is still on its way."""
        if self._over:
            return
        if self._tail >= 0:
            self._read_tail()
        rest = zmq.Poller()
        for opened in self._sockets.values():
            rest.register(opened, zmq.POLLIN)
        while rest.poll(int(SETTLE * 1000)):
            for channel in tuple(self._sockets):
                self._read(channel)
        self._end(reason)

    def _end(self, reason: str) -> None:
        self._over = True
        self._busy.clear()
        for opened in self._sockets.values():
            self._poller.unregister(opened)
            opened.close()
        self._sockets.clear()
        if self._descriptor is not None:
            self._poller.unregister(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
        self._append(pack(Kind.ENDED, [reason.encode(), self._printed]))

    def _remove(self) -> None:
        """Nobody needs to be told anything of the kernel."""
        from carpo_lsp.kernels.registry import remove

        remove(self._folder)


def _parts(frames: list[bytes]) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Header, parent header and content of a message. Raises `ValueError`."""
    start = frames.index(b"<IDS|MSG>") + 2
    header, parent, _, content = frames[start : start + 4]
    return json.loads(header), json.loads(parent), content


def main(folder: str, listener: int, lock: int, tail: int, *, shadow: bool) -> None:
    # Nobody's child, so that nobody has to wait for its end; `lock` is held by being open.
    if os.fork():
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    Keeper(folder, socket.socket(fileno=listener), tail, shadow=shadow).run()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]), shadow=sys.argv[5:] == ["shadow"])
