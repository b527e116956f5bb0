"""A program that keeps a kernel when no editor is there: `python -m carpo_lsp.kernels.kept.keeper`.

It stands between the kernel and the servers that use it. What the kernel sends goes into a log,
and from there to the servers; what they have acknowledged is forgotten. A server that comes later
reads on where the last one was. As the kernel always has its peer, no reply is lost and no
question: those wait in the log as everything else.

Messages pass as they are. All that is read of them is their headers: whether code runs, and how
often some did. One of these runs beside every kept kernel, so it imports little.

Arguments: the kernel's folder in the registry (see `registry.py`), which holds its entry, and the
descriptors of a listening socket for servers, of the lock that tells that a keeper is there, and
of the pipe that the kernel prints into (-1 for none). With a fourth word `shadow` a server still
has the shell and stdin channels; the keeper takes them when it is told to, or when that is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

import zmq

from carpo_lsp.kernels.kept.idleness import Idleness
from carpo_lsp.kernels.kept.keeperlog import ENTRY, LOCK, Log
from carpo_lsp.kernels.kept.kernel_side import Kernel
from carpo_lsp.kernels.kept.records import Kind, pack
from carpo_lsp.kernels.kept.server_side import Client, Servers

if TYPE_CHECKING:
    from carpo_lsp.kernels.events import Cause
    from carpo_lsp.kernels.kept.limited import KeptLimits
    from carpo_lsp.kernels.kept.records import Record
    from carpo_lsp.kernels.messages import Channel

KINDS: Final[dict[Channel, Kind]] = {
    "iopub": Kind.IOPUB,
    "control": Kind.CONTROL,
    "shell": Kind.SHELL,
    "stdin": Kind.STDIN,
}

LOOK: Final = 0.5
"""Seconds between looks at the time, and at a process where the system does not tell of its end."""

EXPECTED: Final = 10.0
"""Seconds for a server to come. The one that has started this program waits for it already; some
systems forget that when the server ends at once."""


class Keeper:
    def __init__(
        self, folder: str, listener: socket.socket, lock: int, tail: int, *, shadow: bool
    ) -> None:
        with open(os.path.join(folder, ENTRY), encoding="utf-8") as file:
            entry: dict[str, Any] = json.load(file)
        self._folder = folder
        self._lock = lock
        self._log = Log(folder)
        self._poller = zmq.Poller()
        self._kernel = Kernel(entry, tail, self._poller)
        self._servers = Servers(self._log, listener, self._poller, self._take)
        self._idleness = Idleness(float(entry["minutes"]), self._ask)
        self._news = self._log.end
        """Where in the log the last message ends that somebody may want to see."""
        self._lost = 0
        """Bytes for which there was no room on the disk, not yet told."""
        self._busy: dict[str, float] = {}
        """When what runs began, by the ids of its requests."""
        self._asks = False
        self._limits = self._limited(entry.get("limits"))
        self._execution_count: int | None = entry.get("executionCount")
        self._over = False
        self._expecting = time.monotonic() + EXPECTED
        if not self._kernel.runs():
            self._end("The kernel ended while nobody was there.", "exited")
            return
        own = uuid.uuid4().hex.encode()
        for channel in ("iopub", "control") if shadow else KINDS:
            self._kernel.open(channel, own)

    def run(self) -> None:
        """Until the kernel is gone and everybody there knows, or there is nothing to keep."""
        while not self._done():
            self._servers.prepare()
            ready = dict(self._poller.poll(int(LOOK * 1000)))
            for channel, frames in self._kernel.read(ready):
                self._hear(channel, frames)
            if self._servers.serve(ready, self._status):
                self._left()
            if not self._over and self._kernel.has_ended(ready):
                memory = self._kernel.memory.evidence(None)
                self._settle(
                    memory or "The kernel ended; how is not known.",
                    "outOfMemory" if memory else "exited",
                )
            if not self._over:
                self._idleness.look(used=bool(self._busy) or self._servers.reading)
                self._look_at_limits()
            if self._lost:
                self._append(b"")  # there may be room again
            self._servers.forget(self._news)
        if not self._servers.needs(self._news) or self._is_ended():
            self._remove()

    def _done(self) -> bool:
        expecting = not self._servers.seen and time.monotonic() < self._expecting
        return self._over and not self._servers.there and not expecting

    def _status(self) -> dict[str, Any]:
        return {"busy": bool(self._busy), "executionCount": self._execution_count}

    def _limited(self, limits: dict[str, Any] | None) -> KeptLimits | None:
        if not limits:
            return None
        from carpo_lsp.kernels.kept.limited import KeptLimits  # takes more than all of the above

        return KeptLimits(limits, self._kernel.pid, self._running)

    def _running(self) -> tuple[str, float] | None:
        """Id and seconds of what runs; None while it waits for input."""
        now = time.monotonic()
        running = ((each, now - began) for each, began in self._busy.items())
        return None if self._asks else next(running, None)

    def _look_at_limits(self) -> None:
        if self._limits is None:
            return
        for step in self._limits.look(served=self._servers.reading):
            match step.act:
                case "warn":
                    self._append(pack(Kind.TOLD, [step.reason.encode()]))
                    self._news = self._log.end
                case "interrupt":
                    self._kernel.interrupt()
                case _:
                    self._kernel.kill()
                    self._settle(step.reason, "limit")
                    return

    # What the kernel sends

    def _hear(self, channel: Channel, frames: list[bytes]) -> None:
        self._append(pack(KINDS[channel], frames))
        self._look_at(channel, frames)

    def _look_at(self, channel: Channel, frames: list[bytes]) -> None:
        """Learn from a message what runs. A kernel may send anything."""
        try:
            header, parent, content = _parts(frames)
            kind, parent_id = header["msg_type"], str(parent.get("msg_id"))
            if channel == "shell" and self._idleness.is_over(parent_id):
                self._kernel.end()
                minutes = self._idleness.minutes
                reason = f"The kernel was shut down after {minutes:g} idle minutes."
                self._settle(reason, "limit")
            if parent.get("msg_type") == "execute_request" or channel == "stdin":
                self._news = self._log.end
                self._idleness.interrupt()
            self._asks = self._asks or channel == "stdin"
            if channel != "iopub":
                return
            if kind == "execute_input":
                self._execution_count = int(json.loads(content)["execution_count"])
            elif kind == "status" and parent.get("msg_type") == "execute_request":
                if json.loads(content)["execution_state"] == "busy":
                    self._busy[parent_id] = time.monotonic()
                    self._kernel.memory.look()  # what was killed before is nothing to this code
                else:
                    self._busy.pop(parent_id, None)
                    self._asks = False
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return

    def _append(self, record: bytes) -> None:
        try:
            if self._lost:
                # Said where it happened: only a full disk loses what comes.
                lost = pack(Kind.LOST, [str(self._lost).encode()])
                self._log.append(lost)
                self._lost = 0
                self._news = self._log.end
            self._log.append(record)
        except OSError:
            self._lost += len(record)

    # What the servers send

    def _take(self, client: Client, record: Record) -> None:
        match record.kind:
            case Kind.SHELL:
                self._kernel.send("shell", record.frames)
                with contextlib.suppress(ValueError, KeyError):
                    if _parts(record.frames)[0]["msg_type"] == "execute_request":
                        self._log_request(client, record)
            case Kind.CONTROL:
                self._kernel.send("control", record.frames)
            case Kind.STDIN:
                self._kernel.send("stdin", record.frames)
                self._asks = False
                self._append(pack(Kind.ANSWERED))
            case Kind.SENT:  # before the keeper was there
                self._log_request(client, record)
            case Kind.BEGIN:
                told = {"executionCount": self._execution_count}
                self._servers.begin(client, int(record.frames[0]), told)
            case Kind.KEEP:
                told = json.loads(record.frames[0])
                self._idleness.minutes = float(told["minutes"])
                self._limits = self._limited(told.get("limits"))
            case Kind.OPEN:
                self._open_rest(record.frames[0])
            case Kind.LEAVE:
                sys.exit()

    def _log_request(self, client: Client, record: Record) -> None:
        self._append(pack(Kind.SENT, record.frames, client.number))
        self._news = self._log.end

    def _left(self) -> None:
        """A server has gone, perhaps without having left us the channels it had."""
        self._idleness.interrupt()
        if not self._servers.reading:
            self._open_rest(uuid.uuid4().hex.encode())

    def _open_rest(self, identity: bytes) -> None:
        for channel in ("shell", "stdin"):
            if not self._over and channel not in self._kernel.channels:
                self._kernel.open(channel, identity)

    # The end

    def _ask(self) -> str:
        msg_id, frames = self._kernel.request("kernel_info_request", {})
        self._kernel.send("shell", frames)
        return msg_id

    def _settle(self, reason: str, cause: Cause) -> None:
        """The kernel is gone: take what is still on its way, and leave nothing behind."""
        self._kernel.end_rest()
        for channel, frames in self._kernel.rest():
            self._hear(channel, frames)
        self._end(reason, cause)

    def _end(self, reason: str, cause: Cause) -> None:
        self._over = True
        self._busy.clear()
        self._kernel.close()
        told = [reason.encode(), self._kernel.printed, cause.encode()]
        self._append(pack(Kind.ENDED, told))

    def _is_ended(self) -> bool:
        """Whether a server has ended the kernel, and nobody will come for what is left."""
        return not os.path.exists(os.path.join(self._folder, ENTRY))

    def _remove(self) -> None:
        """Nobody needs to be told anything of the kernel."""
        from carpo_lsp.kernels.kept.registry import remove

        with contextlib.suppress(OSError):
            lock = os.stat(os.path.join(self._folder, LOCK))
            if os.path.samestat(lock, os.fstat(self._lock)):  # else the kernel has been restarted
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
    Keeper(folder, socket.socket(fileno=listener), lock, tail, shadow=shadow).run()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]), shadow=sys.argv[5:] == ["shadow"])
