"""The life of one kernel: its start, its restarts, its death and its end."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from carpo_lsp.deadlines import Deadline
from carpo_lsp.errors import KernelDied, KernelNotOurs, KernelStartFailed
from carpo_lsp.kernels.connection import Foreign
from carpo_lsp.kernels.lossless import prepare_output
from carpo_lsp.kernels.startup import explain_end, explain_timeout, lost_a_port
from carpo_lsp.kernels.supervision.death import Why, explain_death
from carpo_lsp.kernels.supervision.usage import is_stopped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from carpo_lsp.kernels.connection import Connection, Exit, Running
    from carpo_lsp.kernels.events import KernelStatus
    from carpo_lsp.kernels.messages import Message
    from carpo_lsp.kernels.questions import Questions
    from carpo_lsp.kernels.queue import ExecutionQueue
    from carpo_lsp.kernels.specs import Spec

log = logging.getLogger(__name__)

START_TIMEOUT: Final = 60.0
"""Seconds from spawn to ready, unless the start says otherwise."""

GRACE: Final = 3.0
"""Seconds a kernel has to end by itself, and then by SIGTERM, before SIGKILL."""

NUDGE: Final = 0.05
"""Seconds between requests that provoke an iopub message, until the subscription is live."""

PUBLISHED: Final = 10.0
"""Seconds after its first answer in which a kernel is to publish something. Some never do so but
for the output of code."""

STDIN: Final = 1.0
"""Seconds to wait for the stdin channel. Some kernels have none."""

LAUNCHES: Final = 3
"""How often a kernel is launched in one start when others take its ports before it has them."""

NOTHING: Final = Why()


class Life:
    """Starts a kernel, watches it and ends it, with what is asked of it and runs in it.

    `announce` is told why the kernel has entered a status, which `status` is by then. `beside`
    makes what is to run for as long as the kernel lives. `make_ready` is awaited after each start,
    before code runs.
    """

    def __init__(
        self,
        kernel_id: str,
        spec: Spec,
        connection: Connection,
        questions: Questions,
        executions: ExecutionQueue,
        announce: Callable[[Why], None],
        beside: Callable[[], Iterable[Coroutine[Any, Any, None]]],
        make_ready: Callable[[], Awaitable[None]],
        timeout: float | None = None,
    ) -> None:
        self.spec = spec
        self.status: KernelStatus = "starting"
        self.started_at: str | None = None
        self._last_activity: float | None = None
        """In seconds of `time.time`."""
        self._kernel_id = kernel_id
        self._connection = connection
        self._questions = questions
        self._executions = executions
        self._announce = announce
        self._beside = beside
        self._make_ready = make_ready
        self._timeout = timeout or START_TIMEOUT
        self._iopub_live = asyncio.Event()
        self._companions: list[asyncio.Task[None]] = []
        self._killed_for: str | None = None
        self._turn: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._shutdown: asyncio.Task[None] | None = None

    @property
    def last_activity(self) -> str | None:
        """When its last message came; ISO 8601, UTC."""
        if self._last_activity is None:
            return None
        return datetime.fromtimestamp(self._last_activity, UTC).isoformat(timespec="milliseconds")

    @property
    def ready(self) -> bool:
        return self.status in ("idle", "busy")

    @property
    def over(self) -> bool:
        """Whether the kernel takes no code any more."""
        return self.status in ("dead", "stopped") or self._shutdown is not None

    def start(self) -> None:
        """Begin to start; `wait_ready` tells how it went. To be called once."""
        self._enter("starting")
        self._take_turn(self._start(), "start")

    async def wait_ready(self) -> None:
        """Wait for the start or restart under way. Raises `KernelStartFailed` or `KernelDied`."""
        turn = self._turn  # a restart that waits as well may replace it first
        if turn is not None:
            await asyncio.wait([turn])
            if turn.cancelled():
                raise KernelDied("The kernel was shut down while it started.")
            turn.result()

    def restart(self) -> Coroutine[Any, Any, None]:
        """Replace the kernel by a new one with the same id; what runs or waits ends as `died`.

        What is queued from now on runs in the new kernel, for which the result waits. A restart
        during a restart joins it; one during the start follows it. A kernel that is not ours is
        reached anew when it is dead, and else left alone. Raises `KernelDied`, `KernelNotOurs` and,
        awaited, `KernelStartFailed`.
        """
        if self.ready and not self._connection.owned and isinstance(self._connection, Foreign):
            raise KernelNotOurs(
                f"{self.spec.display_name} was started elsewhere, where others use it; restart it "
                "there."
            )
        if self.status != "starting":
            self._begin_restart()
        return self._restarted()

    async def _restarted(self) -> None:
        if self.status == "starting":
            await self.wait_ready()
            self._begin_restart()
        await self.wait_ready()

    def _begin_restart(self) -> None:
        if self._shutdown is not None:
            raise KernelDied("The kernel is being shut down.")
        if self.status != "restarting":
            self._end_all("The kernel was restarted.")
            self._enter("restarting")
            self._take_turn(self._restart(), "restart")

    def shutdown(self, grace: float = GRACE, *, force: bool = False) -> Coroutine[Any, Any, None]:
        """Begin to end the kernel, at any time in its life; awaited, its processes are gone.

        One that is not ours is only let go, but for `force`; it may then raise `KernelTimeout`.
        """
        if self._shutdown is None:
            self._shutdown = asyncio.create_task(
                self._stop_for_good(grace, force), name=f"shutdown {self._kernel_id}"
            )
        return self._ended(self._shutdown)

    async def _ended(self, shutdown: asyncio.Task[None]) -> None:
        await asyncio.shield(shutdown)

    async def kill(self, reason: str) -> None:
        """End the kernel's processes at once; it dies for the reason given."""
        self._killed_for = reason
        await self._connection.stop(0, restart=True)

    def hear(self, message: Message) -> None:
        """The kernel has sent a message."""
        self._last_activity = time.time()  # as text it would be felt with each message of a flood
        if message.channel == "iopub":
            self._iopub_live.set()

    def look_at_work(self) -> None:
        """Whether code runs may have changed."""
        if self.ready:
            self._enter("busy" if self._executions.busy else "idle")

    def _take_turn(self, turn: Coroutine[Any, Any, None], name: str) -> None:
        self._turn = asyncio.create_task(turn, name=f"{name} {self._kernel_id}")
        # Whoever asked for it may have left; a failure has been announced by then.
        self._turn.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _start(self) -> None:
        self._questions.begin()
        try:
            async with Deadline(self._timeout, paused=self._is_stopped):
                running, info, closed = await self._launch()
        except TimeoutError:
            tail = self._connection.stderr_tail()
            owned = self._connection.owned
            error = explain_timeout(self._timeout, tail, self.spec, owned=owned)
            raise await self._failed(error) from None
        except KernelStartFailed as error:
            raise await self._failed(error) from error.__cause__
        self._questions.info = info
        self._learn(info)
        self._last_activity = time.time()
        self.started_at = running.since if running is not None else self.last_activity
        self._watch = asyncio.create_task(self._die_with(closed), name=f"watch {self._kernel_id}")
        self._companions = [
            asyncio.create_task(each, name=f"beside {self._kernel_id}") for each in self._beside()
        ]
        await self._make_ready()
        if closed.done():  # the watch may only be about to tell of it
            raise KernelDied("The kernel ended as soon as it was ready.")
        self._enter("idle")
        if running is None:
            self._executions.open(0 if self._connection.owned else None)
        else:
            self._go_on(running)

    async def _launch(self) -> tuple[Running | None, dict[str, Any], asyncio.Task[Exit]]:
        """Start the kernel until it answers; also its answer, and what waits for its end."""
        for _ in range(LAUNCHES - 1):
            try:
                return await self._launch_once()
            except KernelStartFailed as error:
                replaced = error.replaced
                if not replaced and not lost_a_port(error):
                    raise
            why = "its server has replaced it" if replaced else "its port was taken"
            log.warning("Kernel %s is launched again: %s", self._kernel_id, why)
            # The next launch takes the one of its server, or chooses other ports.
            await self._connection.stop(0, restart=replaced)
        return await self._launch_once()

    async def _launch_once(self) -> tuple[Running | None, dict[str, Any], asyncio.Task[Exit]]:
        self._iopub_live.clear()
        running = await self._connection.start()
        closed = asyncio.create_task(self._connection.wait_closed())
        try:
            return running, running.info if running else await self._race(closed), closed
        except BaseException:
            closed.cancel()
            raise

    def _go_on(self, running: Running) -> None:
        """Take in what the kernel has done since its last server left, or does for others."""
        self._executions.open(running.execution_count, resuming=True, busy=running.busy)
        if running.gap is not None:
            self._announce(Why(running.gap, "outputLost"))
        running.begin(self._executions.resume, self._executions.go_on)

    def _is_stopped(self) -> bool:
        """Whether the system lets the kernel's process do nothing, which is not its fault."""
        pid = self._connection.pid
        return pid is not None and is_stopped(pid)

    async def _race(self, closed: asyncio.Task[Exit]) -> dict[str, Any]:
        """The kernel's answer to kernel_info, unless its end comes first."""
        answering = asyncio.create_task(self._answering())
        try:
            await asyncio.wait([closed, answering], return_when=asyncio.FIRST_COMPLETED)
            if closed.done():
                raise explain_end(closed.result(), self.spec)
            return answering.result()
        finally:
            answering.cancel()

    def _learn(self, info: dict[str, Any]) -> None:
        """A kernel that was started elsewhere tells itself what it is."""
        language = info.get("language_info")
        name = language.get("name") if isinstance(language, dict) else None
        if not self.spec.language and isinstance(name, str):
            shown = self.spec.display_name  # which the user knows, where there is a server
            if not self.spec.server:
                shown = str(info.get("implementation") or name)
            self.spec = structs.replace(self.spec, language=name, display_name=shown)

    async def _answering(self) -> dict[str, Any]:
        """Wait for kernel_info and the other channels, which may lag behind the shell."""
        info = await self._questions.ask_info()
        try:
            async with Deadline(PUBLISHED):
                while not await self._published():
                    info = await self._questions.ask_info()
        except TimeoutError:
            log.warning("Kernel %s publishes no status", self._kernel_id)
        try:
            async with Deadline(STDIN):
                await self._connection.wait_for_stdin()
        except TimeoutError:
            log.info("Kernel %s has no stdin channel", self._kernel_id)
        if self._connection.owned and await prepare_output(self._questions.evaluations, info):
            self._connection.hold_back()
        return info

    async def _published(self) -> bool:
        """Whether something has been published, within the time between two requests."""
        try:
            async with Deadline(NUDGE):
                await self._iopub_live.wait()
        except TimeoutError:
            return False
        return True

    async def _failed(self, error: KernelStartFailed) -> KernelStartFailed:
        """Clean up after a start that failed and tell of it; the error is to be raised."""
        await self._connection.stop(0)
        self._end_all(error.message)
        code, tail = error.data.get("exitCode"), error.data.get("stderrTail")
        self._enter("dead", Why(error.message, "start", code, tail, error.data.get("hint")))
        error.announced = True
        return error

    async def _restart(self) -> None:
        self._stop_watching()
        await self._connection.stop(GRACE, restart=True)
        await self._start()

    async def _die_with(self, closed: asyncio.Task[Exit]) -> None:
        exit = await closed
        self._stop_companions()
        why = explain_death(exit, self._killed_for, interrupted=self._executions.interrupted)
        self._killed_for = None
        self._end_all(why.reason or "", exit.stderr_tail)
        self._enter("dead", why)
        await self._connection.stop(0, restart=True)

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._stop_companions()

    def _stop_companions(self) -> None:
        for companion in self._companions:
            companion.cancel()
        self._companions = []

    async def _stop_for_good(self, grace: float, force: bool) -> None:
        self._stop_watching()
        if self._turn is not None and not self._turn.done():
            self._turn.cancel()
            await asyncio.wait([self._turn])
            grace = 0.0  # a kernel that is starting has nothing to save
        if self.ready and not self._connection.owned and not force:
            await self._questions.take_leave()
        self._end_all("The kernel was shut down.")
        try:
            if force and isinstance(self._connection, Foreign):
                await self._connection.end(grace)
        finally:
            await self._connection.stop(grace)
            self._enter("stopped", Why("The kernel was shut down."))

    async def leave(self) -> None:
        """The kernel goes on without us."""
        self._stop_watching()
        if self._turn is not None and not self._turn.done():
            self._turn.cancel()  # it was only just being taken up
            await asyncio.wait([self._turn])
        if self.ready:
            await self._questions.take_leave()
        self._questions.fail(KernelDied("The server has left the kernel."))
        self._executions.leave()

    def _end_all(self, reason: str, stderr_tail: str = "") -> None:
        self._questions.fail(KernelDied(reason, stderrTail=stderr_tail))
        self._executions.close(reason, stderr_tail)

    def _enter(self, status: KernelStatus, why: Why = NOTHING) -> None:
        if self.status != status or status == "starting":
            self.status = status
            self._announce(why)
