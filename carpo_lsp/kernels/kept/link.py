"""The way to a kept kernel: a server's end of its keeper's socket, in place of the channels."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct

from carpo_lsp.deadlines import Deadline
from carpo_lsp.kernels.kept.records import Kind, Reader, Record, pack
from carpo_lsp.kernels.messages import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carpo_lsp.kernels.codec import Codec
    from carpo_lsp.kernels.connection import OnMessage
    from carpo_lsp.kernels.events import Cause
    from carpo_lsp.kernels.messages import Channel, Message

log = logging.getLogger(__name__)

CHANNELS: Final[dict[int, Channel]] = {
    Kind.SHELL: "shell",
    Kind.CONTROL: "control",
    Kind.STDIN: "stdin",
    Kind.IOPUB: "iopub",
}
KINDS: Final = {channel: Kind(kind) for kind, channel in CHANNELS.items()}

NUDGE: Final = 0.05
"""Seconds between requests that provoke an iopub message, until the keeper has got one."""

HEARING: Final = 1.0
"""Seconds to wait for a sign of the kernel through a new keeper. Some give none while they run."""

LEAVING: Final = 2.0
"""Seconds for a keeper that is not needed any more."""

BATCH: Final = 64
"""Records taken before other work on the loop gets its turn."""


class KeeperStatus(Struct, frozen=True, kw_only=True):
    """What a keeper says of itself to whoever comes."""

    keeper: int
    """Its process id."""
    servers: tuple[int, ...]
    """Process ids of the servers that use the kernel."""
    busy: bool
    execution_count: int | None


class Begun(Struct, frozen=True, kw_only=True):
    """What a keeper says to a server that wants its log."""

    backlog: int
    """Bytes of the log that no server has taken in."""
    lost: int
    """Bytes that no server has taken in and that are no longer kept."""
    execution_count: int | None


class Ended(Struct, frozen=True):
    """The kernel is gone."""

    reason: str
    printed: str
    """The last of what its process printed while it was kept."""
    cause: Cause


class Link(asyncio.Protocol):
    """A connection to a keeper. It says nothing of the kernel before `begin`.

    `on_message` gets what the kernel sends.
    """

    def __init__(self, codec: Codec, on_message: OnMessage) -> None:
        self.ended: asyncio.Future[Ended | None] = asyncio.get_running_loop().create_future()
        """How the kernel ended; None when it is the keeper that is gone."""
        self.on_lost: Callable[[int], None] = lambda size: None
        """Told how many bytes of messages the keeper could not keep, where they would be."""
        self.on_told: Callable[[str], None] = lambda reason: None
        """Told what the keeper has done about the kernel."""
        self._codec = codec
        self._on_request: OnMessage = on_message
        self._on_message = on_message
        self._on_present: Callable[[], None] = _nothing
        self._loop = asyncio.get_running_loop()
        self._status: asyncio.Future[KeeperStatus] = self._loop.create_future()
        self._begun: asyncio.Future[Begun] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._reader = Reader()
        self._records: deque[Record] = deque()
        self._position = 0
        """Where in the log the last record ends that has been taken."""
        self._backlog_end = 0
        self._others: frozenset[int] = frozenset()
        """Who was there when we came: what they have sent is theirs."""
        self._prompt: Message | None = None
        self._held = True
        self._received = 0
        self._heard = asyncio.Event()
        self._lost = asyncio.Event()
        self._last_id = ""
        self._known: str | None = None
        self._taking: asyncio.Handle | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # of a stream socket
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for record in self._reader.feed(data):
            match record.kind:
                case Kind.STATUS if not self._status.done():
                    told = _object(record)
                    self._status.set_result(
                        KeeperStatus(
                            keeper=told["keeper"],
                            servers=tuple(told["servers"]),
                            busy=told["busy"],
                            execution_count=told["executionCount"],
                        )
                    )
                case Kind.BEGUN:
                    self._on_begun(_object(record))
                case _:
                    self._received += record.size
                    if record.kind == Kind.IOPUB and self._received > self._backlog_end:
                        self._heard.set()
                    self._records.append(record)
        self._take_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost.set()
        for future in (self._status, self._begun):
            if not future.done():
                future.set_exception(ConnectionResetError("the keeper is gone"))
                future.exception()  # nobody may be waiting
        self._take_soon()

    # What a connection does

    async def status(self) -> KeeperStatus:
        """Raises `ConnectionError`."""
        return await self._status

    async def begin(self) -> Begun:
        """Ask for the log; it is held until `release`. Raises `ConnectionError`."""
        self._write(pack(Kind.BEGIN, [b"%d" % os.getpid()]))
        return await self._begun

    async def until_heard(self) -> None:
        """Wait until a new keeper gets the kernel's output, if that can be told."""
        with contextlib.suppress(TimeoutError):
            async with Deadline(HEARING):
                while not self._heard.is_set():
                    self.send(Request("control", "kernel_info_request", {}))
                    with contextlib.suppress(TimeoutError):
                        async with Deadline(NUDGE):
                            await self._heard.wait()

    def go_on_after(self, lost: Link) -> None:
        """Leave out what another link has given out, whose keeper is gone."""
        self._known = lost._last_id or None

    def release(self, on_request: OnMessage, on_present: Callable[[], None] | None = None) -> None:
        """Give out what comes. `on_request` gets the execute requests of servers that have left,
        in their places among the messages; `on_present` is called behind the last message that
        had come before us."""
        self._on_request = on_request
        self._on_present = on_present or _nothing
        self._held = False
        if self._position >= self._backlog_end:
            self._reach_present()
        self._take_soon()

    @property
    def how_it_ended(self) -> Ended | None:
        """How the kernel ended, if the keeper has told."""
        told = self.ended.done() and not self.ended.cancelled()
        return self.ended.result() if told else None

    async def settle(self, quiet: float, limit: float) -> None:
        """Wait until all has been given out that the kernel, which is gone, has sent; for at most
        `limit` seconds."""
        with contextlib.suppress(TimeoutError):
            async with Deadline(limit):
                await asyncio.wait([self.ended])

    async def wait_for_stdin(self) -> None:
        """The keeper is always there."""

    def hold_back(self) -> None:
        """The keeper takes all output off the kernel, to the disk."""

    def open(self, identity: bytes) -> None:
        """Have the keeper take the shell and stdin channels, by an identity."""
        self._write(pack(Kind.OPEN, [identity]))

    def send(self, request: Request) -> None:
        """Send a request on its channel; dropped when the keeper is gone."""
        self.pass_on(KINDS[request.channel], self._codec.encode(request))

    def pass_on(self, kind: Kind, frames: Sequence[bytes]) -> None:
        self._write(pack(kind, frames))

    @property
    def position(self) -> int:
        """Where in the log the last record ends that has been given out."""
        return self._position

    def acknowledge(self, position: int) -> None:
        """What has been given out up to a position need not be given to another server."""
        self._write(pack(Kind.ACK, [b"%d" % position]))

    def keep(self, minutes: float, limits: dict[str, float]) -> None:
        """How long the kernel is to be kept while it is idle, 0 for ever, and what it may use."""
        told = {"minutes": minutes, "limits": limits}
        self._write(pack(Kind.KEEP, [json.dumps(told).encode()]))

    async def dismiss(self) -> None:
        """There is no kernel to keep any more: the keeper leaves."""
        self._write(pack(Kind.LEAVE))
        self._held = True
        if self._transport is not None:
            self._transport.resume_reading()  # or its end would not be seen
        try:
            async with Deadline(LEAVING):
                await self._lost.wait()
        except TimeoutError:
            log.warning("The keeper of a kernel that has ended does not leave")

    def close(self) -> None:
        """Hang up; the kernel is kept."""
        if self._taking is not None:
            self._taking.cancel()
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._held = True
        if not self.ended.done():
            self.ended.cancel()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    # The log

    def _on_begun(self, told: dict[str, Any]) -> None:
        self._position = self._received = told["position"]
        self._backlog_end = told["end"]
        self._others = frozenset(told["others"])
        if not self._begun.done():
            self._begun.set_result(
                Begun(
                    backlog=told["end"] - told["position"],
                    lost=told["lost"],
                    execution_count=told["executionCount"],
                )
            )

    def _take_soon(self) -> None:
        if self._taking is None and not self._held:
            self._taking = self._loop.call_soon(self._take)

    def _take(self) -> None:
        self._taking = None
        for _ in range(BATCH):
            if self._held or not self._records:
                break
            record = self._records.popleft()
            self._position += record.size
            self._take_record(record)
            if self._position >= self._backlog_end:
                self._reach_present()
        if self._transport is not None:
            # A kernel that floods is held up by its keeper's log, not in our memory.
            if self._records:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
        if self._records:
            self._take_soon()
        elif self._transport is None and not self.ended.done():
            self._reach_present()
            self.ended.set_result(None)

    def _take_record(self, record: Record) -> None:
        if (channel := CHANNELS.get(record.kind)) is not None:
            message = self._codec.decode(channel, record.frames)
            if message is None:
                return
            self._last_id = message.msg_id
            if self._known is not None and self._position <= self._backlog_end:
                if message.msg_id == self._known:
                    self._known = None
            elif channel == "stdin" and self._position < self._backlog_end:
                self._prompt = message  # it may have been answered
            else:
                self._on_message(message)
        elif record.kind == Kind.SENT:
            if self._position <= self._backlog_end and record.client not in self._others:
                message = self._codec.decode("shell", record.frames)
                if message is not None:
                    self._on_request(message)
        elif record.kind == Kind.ANSWERED:
            self._prompt = None
        elif record.kind == Kind.LOST:
            if self._known is None or self._position > self._backlog_end:
                self.on_lost(int(record.frames[0]))
        elif record.kind == Kind.TOLD:
            if self._known is None or self._position > self._backlog_end:
                self.on_told(record.frames[0].decode())
        elif record.kind == Kind.ENDED and not self.ended.done():
            reason, printed, cause = (each.decode("utf-8", "replace") for each in record.frames)
            self.ended.set_result(Ended(reason, printed, cast("Cause", cause)))

    def _reach_present(self) -> None:
        """The past is over; a prompt of it that nobody has answered is asked now."""
        prompt, self._prompt = self._prompt, None
        if prompt is not None:
            self._on_message(prompt)
        on_present, self._on_present = self._on_present, _nothing
        on_present()


def _nothing() -> None:
    """The present is reached once."""


def _object(record: Record) -> dict[str, Any]:
    return dict(json.loads(record.frames[0]))


async def connect(path: str, codec: Codec, on_message: OnMessage) -> Link:
    """A link to the keeper that listens at a path. Raises `OSError`."""
    _, link = await asyncio.get_running_loop().create_unix_connection(
        lambda: Link(codec, on_message), path
    )
    return link
