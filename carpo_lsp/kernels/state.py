"""One kernel by its id: what it is, what runs in it, and who gets its messages."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp import protocol
from carpo_lsp.errors import CarpoError, KernelDied, KernelNotOurs, KernelTimeout
from carpo_lsp.kernels.connection import Elsewhere, Keep, Keepable, Remote, Tunnelled, Work
from carpo_lsp.kernels.events import Cause, Event, KernelStatus, StatusChanged
from carpo_lsp.kernels.life import GRACE, Life
from carpo_lsp.kernels.questions import Questions
from carpo_lsp.kernels.queue import ExecutionQueue
from carpo_lsp.kernels.remote.folder import enter, home_of
from carpo_lsp.kernels.specs import canonical
from carpo_lsp.kernels.supervision.death import Why
from carpo_lsp.kernels.supervision.supervised import Supervised
from carpo_lsp.kernels.supervision.usage import Meter, Trees
from carpo_lsp.kernels.supervision.vigil import Vigil

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping

    from carpo_lsp.kernels.connection import Connection, OnMessage
    from carpo_lsp.kernels.evaluation import Evaluation
    from carpo_lsp.kernels.execution import Execution
    from carpo_lsp.kernels.messages import Message, Request
    from carpo_lsp.kernels.specs import Spec
    from carpo_lsp.kernels.supervision.usage import Tree

log = logging.getLogger(__name__)

SETTLING: Final = {"r": 0.5}
"""Seconds after its first message, by language, in which an interrupt would end the kernel.
IRkernel says that it runs the code before it can be interrupted there, and nothing when it can."""


async def no_beat(connection_file: str) -> None:
    """The heartbeat of a kernel that is said to have none."""


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
        keep: Callable[[], Keep | None] = lambda: None,
        beat: Callable[[str], Awaitable[bool | None]] = no_beat,
        trees: Trees | None = None,
    ) -> None:
        """`keep`: how the kernel is to be kept from now on, if at all; asked at each start.
        `beat`: whether the kernel of a connection file answers its heartbeat, None without one.
        `trees`: to be shared by kernels whose memory is limited."""
        self.kernel_id = kernel_id
        self._emit = emit
        self._limits = limits
        self._beat = beat
        self._meter = Meter()
        self._trees = trees or Trees()
        self._keep = keep
        self._connection = connect(self.dispatch)
        if isinstance(self._connection, Keepable):
            self._connection.on_gap = self._on_gap
            self._connection.on_told = self.warn
        if isinstance(self._connection, Remote):
            self._connection.on_link = self._on_link
        send = self._connection.send
        self._questions = Questions(kernel_id, send, emit)
        self.executions = ExecutionQueue(kernel_id, send, emit, self._on_changed)
        self._life = Life(
            kernel_id,
            spec,
            self._connection,
            self._questions,
            self.executions,
            self._announce,
            self._watchers,
            self._make_ready,
            timeout,
        )

    # What it is

    @property
    def spec(self) -> Spec:
        return self._life.spec

    @property
    def status(self) -> KernelStatus:
        return self._life.status

    @property
    def owned(self) -> bool:
        """Whether its life is ours to end."""
        return self._connection.owned

    @property
    def started_at(self) -> str | None:
        """When it was ready for the first or, after restarts, the last time; ISO 8601, UTC."""
        return self._life.started_at

    @property
    def last_activity(self) -> str | None:
        """When its last message came; ISO 8601, UTC."""
        return self._life.last_activity

    @property
    def info(self) -> dict[str, Any] | None:
        """Content of the kernel_info_reply, once the kernel is ready."""
        return self._questions.info

    @property
    def ready(self) -> bool:
        return self._life.ready

    @property
    def answers(self) -> bool:
        """Whether a question would be answered now, and not once the code that runs has ended."""
        return self.ready and (not self.executions.busy or self.has_subshells)

    @property
    def has_subshells(self) -> bool:
        return self._questions.has_subshells

    def snapshot(
        self, *, info: bool = False, resources: bool = False, tree: Tree | None = None
    ) -> protocol.Kernel:
        """The kernel as clients see it. Which documents it serves is for the layers above.

        `tree` spares a search for its processes when those of many kernels are measured.
        """
        pid = self._connection.pid
        remote = self._connection if isinstance(self._connection, Remote) else None
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
            resources=self._meter.resources(pid, tree) if resources and pid is not None else None,
            kernel_info=self.info if info else None,
            kept=self.kept,
            server_url=remote.server_url if remote is not None else None,
            remote_kernel_id=remote.remote_id if remote is not None else None,
        )

    @property
    def files(self) -> tuple[str, ...]:
        """Its connection file, and what that is called where it is elsewhere; none of a kernel that
        is dead."""
        if self._life.over:
            return ()
        connection = self._connection
        there = connection.file_there if isinstance(connection, Tunnelled) else None
        return tuple(filter(None, (connection.connection_file, there)))

    def local_path(self, path: str) -> str:
        """What a path that the kernel has told is called on this machine, as far as that is set."""
        elsewhere = self._connection if isinstance(self._connection, Elsewhere) else None
        return elsewhere.local_path(path) if elsewhere is not None else path

    @property
    def kept(self) -> bool:
        """Whether the kernel goes on when this process ends. A dead one does not, though it is
        kept again when it is restarted."""
        kept = isinstance(self._connection, Keepable) and self._connection.kept
        return kept and self.status != "dead"

    @property
    def stays(self) -> bool:
        """Whether something is to be there after the end of this process: the kernel, or what its
        server has put in the place of a kept one that is dead."""
        connection = self._connection
        if isinstance(connection, Remote) and isinstance(connection, Keepable):
            return connection.kept
        return self.kept

    # Its life, see `Life`

    def start(self) -> None:
        """Begin to start; `wait_ready` tells how it went. To be called once."""
        self._life.start()

    async def wait_ready(self) -> None:
        """Wait for the start or restart under way. Raises `KernelStartFailed` or `KernelDied`."""
        await self._life.wait_ready()

    def restart(self) -> Coroutine[Any, Any, None]:
        """Replace the kernel by a new one with the same id; what runs or waits ends as `died`.

        What is queued from now on runs in the new kernel, for which the result waits. A restart
        during a restart joins it; one during the start follows it. Raises `KernelDied` and,
        awaited, `KernelStartFailed`.
        """
        return self._life.restart()

    def shutdown(self, grace: float = GRACE, *, force: bool = False) -> Coroutine[Any, Any, None]:
        """Begin to end the kernel, at any time in its life; awaited, its processes are gone."""
        return self._life.shutdown(grace, force=force)

    async def keep(self, keep: Keep) -> None:
        """Have the kernel go on when this process ends. Raises `CarpoError`."""
        await self.wait_ready()
        connection, info = self._connection, self.info
        if not isinstance(connection, Keepable):
            raise KernelNotOurs(f"{self.spec.display_name} goes on by itself: it is not ours.")
        if info is None or not self.ready:
            raise KernelDied("The kernel is dead; there is nothing to keep.")
        await self._give(connection, keep, info)
        self._announce(Why())

    async def _give(self, connection: Keepable, keep: Keep, info: dict[str, Any]) -> None:
        executions = self.executions
        work = Work(
            info=info,
            execution_count=executions.execution_count,
            running=lambda: executions.request,
            idle=executions.at_rest,
            limits=self._limits,
        )
        await connection.keep(keep.minutes, keep.documents, work)

    async def _make_ready(self) -> None:
        if isinstance(self._connection, Remote) and (folder := self._connection.folder):
            evaluations, language = self._questions.evaluations, canonical(self.spec.language)
            problem = await enter(evaluations, language, folder)
            if problem is not None:
                self.warn(problem, "start")
        if self._connection.owned:  # one of others may run code for long
            await self._find_home(busy=False)
        await self._keep_if_wanted()

    async def _find_home(self, *, busy: bool) -> None:
        connection, language = self._connection, canonical(self.spec.language)
        if isinstance(connection, Elsewhere) and connection.mapped:
            evaluations = self._questions.evaluations
            connection.home = await home_of(evaluations, language, busy=busy)

    async def _keep_if_wanted(self) -> None:
        keep, info = self._keep(), self.info
        if keep is None or info is None or not isinstance(self._connection, Keepable):
            return
        try:
            await self._give(self._connection, keep, info)
        except CarpoError as error:
            self.warn(f"The kernel ends with the editor: {error.message}", "notKept")

    def _on_gap(self, reason: str) -> None:
        self._announce(Why(reason, "outputLost"))
        self.executions.find_out()

    def _on_link(self, reason: str, cause: Cause) -> None:
        self._announce(Why(reason, cause))
        if cause != "disconnected":
            self.executions.find_out()

    def release(self) -> None:
        """Have the kernel end with this process after all."""
        if isinstance(self._connection, Keepable):
            self._connection.release()
            self._announce(Why())

    async def leave(self) -> None:
        """Let go of a kernel that stays and goes on with what it runs; what waits is dropped."""
        assert isinstance(self._connection, Keepable)  # it stays
        await self._life.leave()
        await self._connection.leave()

    def _announce(self, why: Why) -> None:
        self._emit(
            StatusChanged(
                self.kernel_id,
                self.status,
                self.snapshot(),
                why.reason,
                why.exit_code,
                why.stderr_tail,
                why.cause,
                why.hint,
            )
        )

    def _watchers(self) -> Iterator[Coroutine[Any, Any, None]]:
        self._meter = Meter()
        watched = Supervised(self, self._questions, self._trees)
        yield Vigil(watched).watch()
        if not self._connection.owned:
            yield self._find_home(busy=True)
        if self._limits is not None and self._limits != protocol.Limits():
            yield watched.limit(self._limits)

    # Its executions

    def require_alive(self) -> None:
        """Raises `KernelDied` for a kernel that takes no code any more."""
        if self._life.over:
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
        unheard = not (self.ready or self._connection.owned or self._life.over)
        if unheard or (running and await self.executions.begin_interrupt(settling)):
            # One of others that has not answered yet may run code, and answer nothing meanwhile.
            await self._connection.interrupt()

    def _on_changed(self) -> None:
        if not self.executions.busy and isinstance(self._connection, Keepable):
            self._connection.acknowledge()
        self._life.look_at_work()

    # What is done by those who watch it, see `supervised.py`

    @property
    def pid(self) -> int | None:
        """Its process, where that is on this machine and known."""
        return self._connection.pid

    async def beat(self) -> bool | None:
        """Whether it answers a heartbeat soon; None where it has none."""
        file = self._connection.connection_file
        return await self._beat(file) if file is not None else None

    def warn(self, reason: str, cause: Cause = "limit") -> None:
        """Tell something of the kernel that does not change its status."""
        self._announce(Why(reason, cause))

    async def kill(self, reason: str) -> None:
        """End the kernel's processes at once; it dies for the reason given."""
        await self._life.kill(reason)

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
        return await self._questions.ask(msg_type, content, aside=self.executions.busy)

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
        return await self._questions.evaluations.ask(code, expressions, deadline)

    def send(self, request: Request) -> None:
        """Send any message; what answers it is told as `MessageReceived`."""
        if not self.ready:
            raise KernelDied(f"The kernel is {self.status}; it takes no messages.")
        self._questions.send(request)

    def dispatch(self, message: Message) -> None:
        """Give a message to whoever it belongs to, by the id of the request it answers."""
        self._life.hear(message)
        if not self._questions.take(message) and not self.executions.take(message):
            log.debug("Nobody waits for a %s on %s", message.msg_type, message.channel)
