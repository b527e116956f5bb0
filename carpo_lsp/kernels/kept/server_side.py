"""The servers' side of a keeper: who is there, and how far each has read the log."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import zmq

from carpo_lsp.kernels.kept.records import Kind, Reader, pack

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from carpo_lsp.kernels.kept.keeperlog import Log
    from carpo_lsp.kernels.kept.records import Record

CHUNK: Final = 256 * 1024
"""Bytes of the log that are sent at once."""


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


class Servers:
    """Accepts servers on a listening socket, sends them the log and forgets what they have taken
    in. What they send, but for that, is given to `take`."""

    def __init__(
        self,
        log: Log,
        listener: socket.socket,
        poller: zmq.Poller,
        take: Callable[[Client, Record], None],
    ) -> None:
        self._log = log
        self._listener = listener
        self._poller = poller
        self._take = take
        self._clients: dict[int, Client] = {}
        # The log may hold requests by clients of an earlier keeper.
        self._numbers = self._first = int.from_bytes(os.urandom(3)) << 8
        self._orphaned: int | None = log.start
        """From where on nobody who is there needs the log, but the next who comes."""
        poller.register(listener.fileno(), zmq.POLLIN)

    @property
    def seen(self) -> bool:
        """Whether one has ever come."""
        return self._numbers > self._first

    @property
    def there(self) -> bool:
        return bool(self._clients)

    @property
    def reading(self) -> bool:
        """Whether one is there that uses the kernel."""
        return any(client.position is not None for client in self._clients.values())

    def needs(self, position: int) -> bool:
        """Whether the next server is to be told what comes before a position in the log."""
        return self._orphaned is None or position > self._orphaned

    def prepare(self) -> None:
        """Have the poller wait for what they send, and for those that are behind."""
        for client in self._clients.values():
            events = zmq.POLLIN | (zmq.POLLOUT if self._is_behind(client) else 0)
            self._poller.register(client.socket.fileno(), events)

    def _is_behind(self, client: Client) -> bool:
        return bool(client.waiting) or (
            client.position is not None and client.position < self._log.end
        )

    def serve(self, ready: Mapping[Any, int], status: Callable[[], dict[str, Any]]) -> bool:
        """Accept, receive and send; whether one has left that used the kernel. `status` is told to
        who comes."""
        if self._listener.fileno() in ready:
            self._accept(status())
        left = False
        for client in tuple(self._clients.values()):
            if not ready.get(client.socket.fileno(), 0):
                continue
            try:
                self._receive(client)
                self._send(client)
            except (ConnectionError, EOFError):
                self._drop(client)
                left = left or client.position is not None
        return left

    def _accept(self, status: dict[str, Any]) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        self._numbers += 1
        client = self._clients[self._numbers] = Client(self._numbers, connection)
        servers = [each.pid for each in self._clients.values() if each.pid is not None]
        told = {"keeper": os.getpid(), "servers": servers, **status}
        client.waiting += pack(Kind.STATUS, [json.dumps(told).encode()])

    def _receive(self, client: Client) -> None:
        try:
            data = client.socket.recv(CHUNK)
        except BlockingIOError:
            return
        if not data:
            raise EOFError
        for record in client.reader.feed(data):
            if record.kind == Kind.ACK:
                client.acknowledged = int(record.frames[0])
            else:
                self._take(client, record)

    def begin(self, client: Client, pid: int, told: dict[str, Any]) -> None:
        """Give the log to one that wants it, after `told`."""
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
            **told,
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
        if not self.reading or client.acknowledged < self._log.end:
            known = [self._orphaned] if self._orphaned is not None else []
            self._orphaned = min([client.acknowledged, *known])

    def forget(self, news: int) -> None:
        """Forget what all have taken in. `news`: where in the log the last message ends that
        somebody may want to see."""
        reading = [each for each in self._clients.values() if each.position is not None]
        floors = [each.acknowledged for each in reading]
        if self._orphaned is not None:
            floors.append(self._orphaned)
        read = min((each.position or 0 for each in reading), default=self._log.end)
        if floors and min(floors) >= news and read == self._log.end:
            # What is left is nothing that anybody would miss, such as answers to questions.
            self._log.forget(self._log.end, read)
            for client in reading:
                client.acknowledged = self._log.end
            if self._orphaned is not None:
                self._orphaned = self._log.end
        elif floors:
            self._log.forget(min(floors), read)
