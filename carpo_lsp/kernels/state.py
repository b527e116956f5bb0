"""One kernel: its life, its queue of executions, and the brokers of its messages."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from carpo_lsp import protocol
from carpo_lsp.errors import KernelDied, KernelStartFailed, KernelTimeout
from carpo_lsp.kernels import process
from carpo_lsp.kernels.evaluation import Evaluations
from carpo_lsp.kernels.events import (
    Event,
    KernelStatus,
    MessageReceived,
    StatusChanged,
)
from carpo_lsp.kernels.limits import Limiter
from carpo_lsp.kernels.lossless import lift_output_limit
from carpo_lsp.kernels.messages import Message, Request
from carpo_lsp.kernels.queue import ExecutionQueue
from carpo_lsp.kernels.recent import Recent
from carpo_lsp.kernels.requests import Requests
from carpo_lsp.kernels.specs import canonical
from carpo_lsp.kernels.startup import explain_end, explain_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from carpo_lsp.kernels.connection import Connection, Exit, OnMessage
    from carpo_lsp.kernels.evaluation import Evaluation
    from carpo_lsp.kernels.execution import Execution
    from carpo_lsp.kernels.specs import Spec

log = logging.getLogger(__name__)

START_TIMEOUT: Final = 60.0
"""Seconds from spawn to ready, unless the start says otherwise."""

GRACE: Final = 3.0
"""Seconds a kernel has to end by itself, and then by SIGTERM, before SIGKILL."""

NUDGE: Final = 0.05
"""Seconds between requests that provoke an iopub message, until the subscription is live."""

STDIN: Final = 1.0
"""Seconds to wait for the stdin channel. Some kernels have none."""

REMEMBERED: Final = 1000
"""Raw messages whose answers are still recognised."""

SETTLING: Final = {"r": 0.5}
"""Seconds after its first message, by language, in which an interrupt would end the kernel.
IRkernel says that it runs the code before it can be interrupted there, and nothing when it can."""

SUBSHELLS: Final = "kernel subshells"


class KernelState:
    """A kernel by its id, through starts, restarts and its end.

    Everything here runs on one event loop. What happens is told to `emit`, in order.
    """

    def __init__(
        self,
        kernel_id: str,
        spec: Spec,
        connect: Callable[[OnMessage], Connection],
        emit: Callable[[Event], None],
        *,
        timeout: float | None = None,
        limits: protocol.Limits | None = None,
    ) -> None:
        self.kernel_id = kernel_id
        self.spec = spec
        self.status: KernelStatus = "starting"
        self.info: dict[str, Any] | None = None
        """Content of the kernel_info_reply, once the kernel is ready."""
        self.started_at: str | None = None
        self.last_activity: str | None = None
        self._emit = emit
        self._timeout = timeout or START_TIMEOUT
        self._connection = connect(self.dispatch)
        self._requests = Requests()
        self._evaluations = Evaluations(kernel_id, self._connection.send)
        self.executions = ExecutionQueue(kernel_id, self._connection.send, emit, self._on_changed)
        self._iopub_live = asyncio.Event()
        self._subshell: str | None = None
        self._creating_subshell = asyncio.Lock()
        self._raw: Recent[str, None] = Recent(REMEMBERED)
        self._limits = limits
        self._limiter: asyncio.Task[None] | None = None
        self._killed_for: str | None = None
        self._life: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._shutdown: asyncio.Task[None] | None = None

    # What it is

    @property
    def ready(self) -> bool:
        return self.status in ("idle", "busy")

    @property
    def answers(self) -> bool:
        """Whether a question would be answered now, and not once the code that runs has ended."""
        return self.ready and (not self.executions.busy or self.has_subshells)

    @property
    def has_subshells(self) -> bool:
        features = (self.info or {}).get("supported_features")
        return isinstance(features, list) and SUBSHELLS in features

    def snapshot(self, *, info: bool = False, resources: bool = False) -> protocol.Kernel:
        """The kernel as clients see it. Which documents it serves is for the layers above."""
        pid = self._connection.pid
        return protocol.Kernel(
            kernel_id=self.kernel_id,
            spec_name=self.spec.name or None,
            spec_path=self.spec.path or None,
            display_name=self.spec.display_name,
            language=self.spec.language,
            status=self.status,
            owned=self._connection.owned,
            connection_file=self._connection.connection_file,
            pid=pid,
            documents=(),
            execution_count=self.executions.execution_count,
            pending=self.executions.pending,
            started_at=self.started_at,
            last_activity=self.last_activity,
            resources=process.resources(pid) if resources and pid is not None else None,
            kernel_info=self.info if info else None,
        )

    # Its life

    def start(self) -> None:
        """Begin to start; `wait_ready` tells how it went. To be called once."""
        self._announce("starting")
        self._life = asyncio.create_task(self._start(), name=f"start {self.kernel_id}")
        # Whoever asked for the start may have left; the failure has been announced by then.
        self._life.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def wait_ready(self) -> None:
        """Wait for the start or restart under way. Raises `KernelStartFailed` or `KernelDied`."""
        life = self._life  # a restart that waits as well may replace it first
        if life is not None:
            await asyncio.wait([life])
            if life.cancelled():
                raise KernelDied("The kernel was shut down while it started.")
            life.result()

    def restart(self) -> Coroutine[Any, Any, None]:
        """Replace the kernel by a new one with the same id; what runs or waits ends as `died`.

        What is queued from now on runs in the new kernel, for which the result waits. A restart
        during a restart joins it; one during the start follows it. Raises `KernelDied` and,
        awaited, `KernelStartFailed`.
        """
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
            self._announce("restarting")
            self._life = asyncio.create_task(self._restart(), name=f"restart {self.kernel_id}")
            self._life.add_done_callback(lambda task: task.cancelled() or task.exception())

    def shutdown(self, grace: float = GRACE) -> Coroutine[Any, Any, None]:
        """Begin to end the kernel, at any time in its life; awaited, its processes are gone."""
        if self._shutdown is None:
            self._shutdown = asyncio.create_task(
                self._stop_for_good(grace), name=f"shutdown {self.kernel_id}"
            )
        return self._ended(self._shutdown)

    async def _ended(self, shutdown: asyncio.Task[None]) -> None:
        await asyncio.shield(shutdown)

    async def _start(self) -> None:
        self._iopub_live.clear()
        self._subshell = None
        try:
            async with asyncio.timeout(self._timeout):
                await self._connection.start()
                closed = asyncio.create_task(self._connection.wait_closed())
                try:
                    self.info = await self._race(closed)
                except BaseException:
                    closed.cancel()
                    raise
        except TimeoutError:
            tail = self._connection.stderr_tail()
            raise await self._failed(explain_timeout(self._timeout, tail, self.spec)) from None
        except KernelStartFailed as error:
            raise await self._failed(error) from error.__cause__
        self._learn(self.info)
        self.started_at = self.last_activity = _now()
        self._watch = asyncio.create_task(self._die_with(closed), name=f"watch {self.kernel_id}")
        if self._limits is not None:
            limiter = Limiter(self._limits, self)
            self._limiter = asyncio.create_task(limiter.watch(), name=f"limit {self.kernel_id}")
        self._announce("idle")
        self.executions.open(0 if self._connection.owned else None)

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
            implementation = str(info.get("implementation") or name)
            self.spec = attrs.evolve(self.spec, language=name, display_name=implementation)

    async def _answering(self) -> dict[str, Any]:
        """Wait for kernel_info and the other channels, which may lag behind the shell."""
        info = await self._ask_info()
        while not self._iopub_live.is_set():
            try:
                async with asyncio.timeout(NUDGE):
                    await self._iopub_live.wait()
            except TimeoutError:
                info = await self._ask_info()
        try:
            async with asyncio.timeout(STDIN):
                await self._connection.wait_for_stdin()
        except TimeoutError:
            log.info("Kernel %s has no stdin channel", self.kernel_id)
        if self._connection.owned:
            await lift_output_limit(self._evaluations, info)
        return info

    async def _ask_info(self) -> dict[str, Any]:
        request = Request("shell", "kernel_info_request", {})
        reply = self._requests.expect(request.msg_id)
        self._connection.send(request)
        return await reply

    async def _failed(self, error: KernelStartFailed) -> KernelStartFailed:
        """Clean up after a start that failed and tell of it; the error is to be raised."""
        await self._connection.stop(0)
        self._end_all(error.message)
        self._announce(
            "dead", error.message, error.data.get("exitCode"), error.data.get("stderrTail")
        )
        return error

    async def _restart(self) -> None:
        self._stop_watching()
        await self._connection.stop(GRACE, restart=True)
        self.info = None
        await self._start()

    async def _die_with(self, closed: asyncio.Task[Exit]) -> None:
        exit = await closed
        self._stop_limiting()
        reason, self._killed_for = self._killed_for or exit.reason, None
        self._end_all(reason, exit.stderr_tail)
        self._announce("dead", reason, exit.code, exit.stderr_tail)
        await self._connection.stop(0, restart=True)

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._stop_limiting()

    def _stop_limiting(self) -> None:
        if self._limiter is not None:
            self._limiter.cancel()
            self._limiter = None

    async def _stop_for_good(self, grace: float) -> None:
        self._stop_watching()
        if self._life is not None and not self._life.done():
            self._life.cancel()
            await asyncio.wait([self._life])
            grace = 0.0  # a kernel that is starting has nothing to save
        self._end_all("The kernel was shut down.")
        await self._connection.stop(grace)
        self._announce("stopped", "The kernel was shut down.")

    def _end_all(self, reason: str, stderr_tail: str = "") -> None:
        died = KernelDied(reason, stderrTail=stderr_tail)
        self._requests.fail(died)
        self._evaluations.fail(died)
        self.executions.close(reason, stderr_tail)

    def _on_changed(self) -> None:
        if self.ready:
            self._announce("busy" if self.executions.busy else "idle")

    def _announce(
        self,
        status: KernelStatus,
        reason: str | None = None,
        exit_code: int | None = None,
        stderr_tail: str | None = None,
    ) -> None:
        if self.status != status or status == "starting":
            self.status = status
            kernel = self.snapshot()
            self._emit(
                StatusChanged(self.kernel_id, status, kernel, reason, exit_code, stderr_tail)
            )

    # Its executions

    def require_alive(self) -> None:
        """Raises `KernelDied` for a kernel that takes no code any more."""
        if self.status in ("dead", "stopped") or self._shutdown is not None:
            raise KernelDied("The kernel is dead; restart it to run code.")

    def execute(self, execution: Execution) -> None:
        """Queue an execution. Raises `KernelDied` for a kernel that is dead or stopped."""
        self.require_alive()
        self.executions.add(execution)

    def interrupt(self) -> Coroutine[Any, Any, None]:
        """Drop the queue at once; await the result to interrupt the running execution.

        What is queued from now on is not meant.
        """
        self.executions.abort_waiting()
        return self._interrupt(running=self.ready and self.executions.busy)

    async def _interrupt(self, running: bool) -> None:
        settling = SETTLING.get(canonical(self.spec.language), 0.0)
        if running and await self.executions.begin_interrupt(settling):
            await self._connection.interrupt()

    # Its limits, see `limits.Limited`

    @property
    def memory(self) -> int | None:
        pid = self._connection.pid
        used = process.resources(pid) if pid is not None else None
        return used.rss_bytes if used is not None else None

    @property
    def running(self) -> tuple[str, float] | None:
        return self.executions.running

    @property
    def idle(self) -> bool:
        return not self.executions.busy

    def warn(self, reason: str) -> None:
        """Tell something of the kernel that does not change its status."""
        self._emit(StatusChanged(self.kernel_id, self.status, self.snapshot(), reason))

    async def kill(self, reason: str) -> None:
        """End the kernel's processes at once; it dies for the reason given."""
        self._killed_for = reason
        await self._connection.stop(0, restart=True)

    async def retire(self, reason: str) -> None:
        """Shut the kernel down for the reason given."""
        self.warn(reason)
        # From a task of its own: the shutdown ends the one that calls.
        await self.shutdown()

    # Its messages

    async def request(self, msg_type: str, content: dict[str, Any]) -> dict[str, Any]:
        """Ask something on the shell channel and wait for the content of the reply.

        While code runs the question goes to a subshell where the kernel has them. Raises
        `KernelTimeout` after the deadline of the request's kind, `KernelDied`, or what the start
        under way ends with.
        """
        if not self.ready:
            await self.wait_ready()
        if not self.ready:
            raise KernelDied("The kernel is dead; restart it.")
        subshell = (
            await self._ensure_subshell() if self.executions.busy and self.has_subshells else None
        )
        return await self._ask(Request("shell", msg_type, content, subshell_id=subshell))

    async def evaluate(
        self, code: str, expressions: Mapping[str, str], deadline: float
    ) -> Evaluation:
        """Run code silently beside the queue, to learn something from an idle kernel.

        While code runs there is no answer, not even from a subshell: an execution in one ends
        with hooks that meddle with the cell that runs, such as showing its unfinished figures.
        `deadline` is in seconds. Raises `KernelTimeout`, also at once, or `KernelDied`.
        """
        self.require_alive()
        if not self.ready or self.executions.busy:
            raise KernelTimeout(f"The kernel is {self.status}.", seconds=0)
        return await self._evaluations.ask(code, expressions, deadline)

    async def _ask(self, request: Request) -> dict[str, Any]:
        reply = self._requests.expect(request.msg_id)
        self._connection.send(request)
        return await self._requests.wait(reply, request.msg_id, request.msg_type)

    async def _ensure_subshell(self) -> str | None:
        async with self._creating_subshell:
            if self._subshell is None:
                reply = await self._ask(Request("control", "create_subshell_request", {}))
                subshell = reply.get("subshell_id")
                self._subshell = subshell if isinstance(subshell, str) else None
            return self._subshell

    def send(self, request: Request) -> None:
        """Send any message; what answers it is told as `MessageReceived`."""
        if not self.ready:
            raise KernelDied(f"The kernel is {self.status}; it takes no messages.")
        self._raw[request.msg_id] = None
        self._connection.send(request)

    def dispatch(self, message: Message) -> None:
        """Give a message to whoever it belongs to, by the id of the request it answers."""
        self.last_activity = _now()
        if message.channel == "iopub":
            self._iopub_live.set()
        raw = message.parent_id in self._raw
        if raw or (self._raw and message.msg_type.startswith("comm_")):
            self._emit(MessageReceived(self.kernel_id, message))
        if (
            not raw
            and not self._requests.resolve(message)
            and not self._evaluations.take(message)
            and not self.executions.take(message)
        ):
            log.debug("Nobody waits for a %s on %s", message.msg_type, message.channel)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
