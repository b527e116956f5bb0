"""A kernel of this server that may be kept: it then goes on when the server ends."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from msgspec import structs

from carpo_lsp.errors import KernelDied, KernelStartFailed, KernelTimeout
from carpo_lsp.kernels.attention import ALONE
from carpo_lsp.kernels.codec import Codec
from carpo_lsp.kernels.kept.keeping import Switch, reach
from carpo_lsp.kernels.kept.records import Kind
from carpo_lsp.kernels.kept.registry import Entry, Registry
from carpo_lsp.kernels.kept.taken import TakenConnection, connection_info
from carpo_lsp.kernels.local import LocalConnection
from carpo_lsp.kernels.process import TAIL
from carpo_lsp.kernels.supervision import watchdog
from carpo_lsp.kernels.supervision.guard import OwnFolder
from carpo_lsp.protocol import to_wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    import zmq

    from carpo_lsp.kernels.attention import Beside
    from carpo_lsp.kernels.connection import Exit, OnMessage, Running, Work
    from carpo_lsp.kernels.kept.link import Link
    from carpo_lsp.kernels.kept.registry import Bound
    from carpo_lsp.kernels.messages import Message, Request
    from carpo_lsp.kernels.specs import Spec
    from carpo_lsp.kernels.supervision.guard import Guard
    from carpo_lsp.protocol import Limits

log = logging.getLogger(__name__)


class KeepableConnection:
    """A `Connection` to a kernel of ours that can be given to a keeper, or has one already.

    `entry` is that of a kept kernel to be taken up, where there is one. `taken_in` waits until what
    has been given out so far is safe from the end of this process.
    """

    owned = True

    def __init__(
        self,
        spec: Spec,
        kernel_id: str,
        on_message: OnMessage,
        *,
        context: zmq.Context[zmq.Socket[bytes]],
        guard: Guard,
        registry: Registry,
        taken_in: Callable[[], Awaitable[None]],
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        entry: Entry | None = None,
        beside: Beside = ALONE,
    ) -> None:
        self._spec = spec
        self._kernel_id = kernel_id
        self._on_message = on_message
        self._guard = guard
        self._registry = registry
        self._taken_in = taken_in
        self._done = 0
        self._acknowledging: asyncio.Task[None] | None = None
        self._cwd = cwd
        self._env = dict(env or {})
        self._local = LocalConnection(
            spec,
            kernel_id,
            self._hear,
            context=context,
            guard=guard,
            cwd=cwd,
            env=env,
            beside=beside,
        )
        self._taken: TakenConnection | None = None
        self._entry = entry
        self._once_kept = entry is not None
        self._kept = entry is not None
        self._folder: OwnFolder | None = None
        self._link: Link | None = None
        self._switch: Switch | None = None
        self._watch: asyncio.Task[None] | None = None
        self.on_gap: Callable[[str], None] = lambda reason: None
        self.on_told: Callable[[str], None] = lambda reason: None

    @property
    def kept(self) -> bool:
        """Whether the kernel goes on when this process ends."""
        return self._kept

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def connection_file(self) -> str | None:
        return self._process.connection_file

    @property
    def _process(self) -> LocalConnection | TakenConnection:
        return self._taken or self._local

    async def start(self) -> Running | None:
        entry = self._entry
        if self._once_kept:
            # Another server may have restarted it meanwhile.
            found = self._registry.get(self._kernel_id)
            entry = found if found is not None and (found.alive or entry is not None) else entry
        if entry is not None:
            self._entry = entry
            self._kept = True
            folder = self._registry.folder(self._kernel_id)
            self._taken = TakenConnection(entry, folder, self._hear)
            try:
                running = await self._taken.start()
            except KernelStartFailed:
                if entry.alive:
                    # Left as it is: a keeper that does not answer now may do so later.
                    self._taken.leave()
                    self._entry = self._taken = None
                    self._kept = False
                raise
            self._use(self._taken.link)
            self._watch = asyncio.create_task(self._replace_keeper(entry))
            return running
        await self._local.start()
        return None

    def send(self, request: Request) -> None:
        self._process.send(request)

    async def wait_for_stdin(self) -> None:
        await self._process.wait_for_stdin()

    def hold_back(self) -> None:
        self._process.hold_back()

    async def interrupt(self) -> None:
        await self._process.interrupt()

    async def keep(self, minutes: float, documents: tuple[Bound, ...], work: Work) -> None:
        """Have the kernel outlive this process, while it is not idle for `minutes` (0: for ever).

        Returns when it is as good as independent of this process; from the first moment it is not
        ended with it. Raises `CarpoError`.
        """
        minutes, limits = _limits(minutes, work.limits)
        if self._entry is not None:
            # It stays with the documents that other servers have noted.
            noted = self._registry.get(self._kernel_id)
            known = dict.fromkeys((*(noted.documents if noted is not None else ()), *documents))
            again = structs.replace(
                self._entry, minutes=minutes, documents=tuple(known), limits=limits
            )
            self._keep_again(again)
            await self._guard.remove(self._entry.connection_file)
            return
        channels, tail, folder = self._local.channels, self._local.tail, self._local.folder
        process = watchdog.look_up(self._local.pid) if self._local.pid is not None else None
        if channels is None or tail is None or folder is None or process is None:
            raise KernelDied(
                "The kernel is gone, or not a process of this machine; it is not kept."
            )
        entry = Entry(
            kernel_id=self._kernel_id,
            spec=self._spec,
            connection_file=str(self._local.connection_file),
            folder=str(folder.path),
            pid=process.pid,
            started=process.started.decode(),
            since=datetime.now(UTC).isoformat(timespec="milliseconds"),
            minutes=minutes,
            info=work.info,
            execution_count=work.execution_count,
            cwd=self._cwd,
            env=self._env,
            documents=documents,
            limits=limits,
        )
        switch = self._switch = Switch(self._on_message)
        try:
            self._registry.write(entry)
            link, _, _ = await reach(
                entry,
                self._registry.folder(self._kernel_id),
                Codec(self._local.address, self._kernel_id),  # one takes no message twice
                switch.hear_link,
                tail=tail.lend(),
                shadow=True,
            )
        except BaseException as error:
            tail.take_back()
            if self._switch is switch:  # else it has been restarted meanwhile, and kept again
                self._switch = None
                self._registry.forget(self._kernel_id)
            if isinstance(error, OSError):
                raise KernelStartFailed(f"The kernel cannot be kept: {error}") from error
            raise
        self._use(link)
        link.release(lambda request: None)  # there was no server before us
        self._entry = entry
        self._kept = self._once_kept = True
        folder.give_away()
        await self._guard.remove(entry.connection_file)
        running = work.running()
        if running is not None:
            link.pass_on(Kind.SENT, channels.codec.encode(running))
            if not _hands_over(work.info):
                await work.idle()
        await self._unless_it_ends(switch.make(channels, lambda: work.running() is None))
        # In the middle of an execution the keeper goes by our name, so as to get the reply. At
        # rest it has its own, as most kernels take no two peers of a name in a row.
        link.open(channels.codec.identity if work.running() else uuid4().hex.encode())
        self._local.use(link)
        self._switch = None
        self._watch = asyncio.create_task(self._replace_keeper(entry))

    async def _unless_it_ends(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Raises `KernelDied` when the kernel ends first."""
        tasks = [asyncio.ensure_future(each) for each in (waiting, self._local.wait_closed())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not tasks[0].done():
                raise KernelDied("The kernel ended.")
        finally:
            for task in tasks:
                task.cancel()

    async def _replace_keeper(self, entry: Entry) -> None:
        """Start another keeper whenever the one that is there ends before the kernel."""
        while (link := self._link) is not None and await link.ended is None and entry.alive:
            log.error("The keeper of the kernel %s is gone; starting another", self._kernel_id)
            try:
                new, _, _ = await reach(
                    entry,
                    self._registry.folder(self._kernel_id),
                    Codec(self._address(entry), self._kernel_id),
                    self._hear,
                    tail=self._local.tail.lend() if self._local.tail is not None else None,
                )
                await new.until_heard()
            except (OSError, ValueError, KernelTimeout) as error:
                self.on_gap(f"The kernel cannot be reached any more: {error}")
                return
            new.go_on_after(link)
            self._use(new)
            new.release(lambda request: None)
            if self._taken is not None:
                self._taken.link = new
            else:
                self._local.use(new)
            self.on_gap("The keeper of the kernel has crashed; some output may be lost.")

    def _use(self, link: Link | None) -> None:
        self._link = link
        if link is not None:
            link.on_lost = self._on_lost
            link.on_told = lambda reason: self.on_told(reason)

    def _on_lost(self, size: int) -> None:
        self.on_gap(
            f"The disk was full; {size / 1024**2:.1f} MB of what the kernel has sent are lost."
        )

    def _address(self, entry: Entry) -> dict[str, Any]:
        return self._local.address or connection_info(entry)

    def _keep_again(self, entry: Entry) -> None:
        """Raises `KernelStartFailed`."""
        try:
            self._registry.write(entry)
        except OSError as error:
            raise KernelStartFailed(f"The kernel cannot be kept: {error}") from error
        self._entry = entry
        self._kept = True
        if self._folder is not None:
            self._folder.give_away()
            self._folder = None
        if self._link is not None:
            self._link.keep(entry.minutes, entry.limits)

    def release(self) -> None:
        if self._entry is None or not self._kept:
            return
        if self._entry.alive:
            self._guard.add(self._entry.connection_file, self._entry.pid)
        # Ours before the entry is gone, so that at any moment somebody would remove it.
        self._folder = OwnFolder.inherit(Path(self._entry.folder))
        self._registry.strike(self._kernel_id)
        self._kept = False

    def acknowledge(self) -> None:
        """What the kernel has sent so far need not be told to another server, once it is safe."""
        if self._link is not None:
            self._done = self._link.position
            if self._acknowledging is None or self._acknowledging.done():
                self._acknowledging = asyncio.create_task(self._acknowledge(self._link))

    async def _acknowledge(self, link: Link) -> None:
        told = -1
        while told != self._done:
            told = self._done
            await self._taken_in()
            link.acknowledge(told)

    async def stop(self, grace: float, *, restart: bool = False) -> None:
        # Should this process be killed meanwhile, the kernel ends with it, and nobody takes it up.
        self.release()
        self._stop_watching()
        await self._process.stop(grace, restart=restart)
        if self._link is not None:
            await self._link.dismiss()
            self._link.close()
            self._link = None
        entry = self._entry
        if entry is not None:  # until all is done: a restart overtakes the end of a dead kernel
            if self._folder is not None:  # else it is another server that ends it, or restarts it
                self._registry.forget(self._kernel_id)
            await self._guard.remove(entry.connection_file)
            self._local.inherit(self._folder)
            self._entry = self._taken = self._folder = self._switch = None
            if not restart:
                await self._local.stop(0)

    async def leave(self) -> None:
        """Let go of a kept kernel, which goes on. What it sends is for the next server."""
        pending = self._acknowledging
        if pending is not None and not pending.done() and self._link is not None:
            self._link.acknowledge(self._done)  # this process ends in order
        self._stop_watching()
        self._process.leave()
        if self._link is not None:
            self._link.close()
            self._link = None

    def _stop_watching(self) -> None:
        for task in (self._watch, self._acknowledging):
            if task is not None:
                task.cancel()
        self._watch = self._acknowledging = None

    def stderr_tail(self) -> str:
        return self._process.stderr_tail()

    async def wait_closed(self) -> Exit:
        exit = await self._process.wait_closed()
        ended = self._link.how_it_ended if self._link is not None else None
        if ended is None:
            return exit
        return structs.replace(exit, stderr_tail=(exit.stderr_tail + ended.printed)[-TAIL:].strip())

    def _hear(self, message: Message) -> None:
        if self._switch is not None:
            self._switch.hear_channels(message)
        else:
            self._on_message(message)


def _limits(minutes: float, limits: Limits | None) -> tuple[float, dict[str, float]]:
    """How long a kernel may be idle, and its other limits, as they are on the wire."""
    told: dict[str, float] = to_wire(limits) if limits is not None else {}
    idle = told.pop("idleMinutes", None)
    return min(minutes or idle, idle) if idle else minutes, told


def _hands_over(info: dict[str, Any]) -> bool:
    """Whether a kernel takes a new peer in place of one of the same name, as ipykernel does."""
    return info.get("implementation") == "ipython"
