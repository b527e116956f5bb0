"""The kernel API by kernel id: what the server, the command line and Python programs all use."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from msgspec import structs

from carpo_lsp import protocol
from carpo_lsp.choice import Wish, choose, environments_near, find_named
from carpo_lsp.errors import ExecutionNotFound, KernelExists, KernelStartFailed
from carpo_lsp.handle import ExecutionHandle
from carpo_lsp.journal.lines import Place
from carpo_lsp.kernels import environments
from carpo_lsp.kernels.elsewhere import addresses
from carpo_lsp.kernels.events import (
    Event,
    ExecutionResumed,
    OutputChanged,
    StateChanged,
)
from carpo_lsp.kernels.execution import ExecuteOptions, Execution
from carpo_lsp.kernels.joined import Joined
from carpo_lsp.kernels.manager import CLOSING, USUAL, Connect, KernelManager, StartOptions
from carpo_lsp.kernels.specs import canonical
from carpo_lsp.kernels.supervision.usage import Tree
from carpo_lsp.kernels.transcript.spool import Spool
from carpo_lsp.kernels.transcript.transcript import Record, Transcript
from carpo_lsp.workspace.user import hosts_of_user, servers_of_user

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from types import TracebackType

    from carpo_lsp.journal.journal import Journal
    from carpo_lsp.kernels.elsewhere.census import Resident
    from carpo_lsp.kernels.evaluation import Evaluation
    from carpo_lsp.kernels.messages import Request
    from carpo_lsp.kernels.offers import Offer
    from carpo_lsp.kernels.specs import Spec
    from carpo_lsp.kernels.state import KernelState

log = logging.getLogger(__name__)


class Frontend:
    """Starts kernels, runs code in them and asks them things. Owns one `KernelManager`.

    Use it as an async context manager, or call `close`: kernels end with it. `output_limit` is
    the size in bytes beyond which one output goes to a file (None: never), see `Spool`. What is
    run is written to the `journal`, if there is one, which is closed as well.
    """

    def __init__(
        self,
        *,
        output_limit: int | None = None,
        connect: Connect | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._subscribers: list[Callable[[Event], None]] = []
        self.output_limit = output_limit
        self.journal = journal
        self.spool = Spool()
        self.transcript = Transcript(self.spool)
        self.manager = KernelManager(Joined(self._on_event).take, connect)
        self.manager.servers.by_default = servers_of_user
        self.manager.hosts.by_default = hosts_of_user
        if journal is not None:
            self.manager.taken_in = journal.written

    async def __aenter__(self) -> Frontend:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self, grace: float = CLOSING) -> None:
        """End all kernels, each within `grace` seconds, and remove the files of big outputs."""
        await self.manager.close(grace)
        if self.journal is not None:
            await self.journal.close()
        self.spool.close()

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with every event of every kernel and execution, in order.

        Returns a function that ends the subscription.
        """
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ExecutionResumed):
            self._resume(event)
        if self.output_limit is not None and isinstance(event, OutputChanged) and event.output:
            spool = self._spool_of(event.execution_id) or self.spool
            event = structs.replace(event, output=spool.shrink(event.output, self.output_limit))
        self.transcript.apply(event)
        if self.journal is not None and isinstance(event, StateChanged | OutputChanged):
            self.journal.take(event, self.transcript.get(event.execution_id))
        for callback in tuple(self._subscribers):
            try:
                callback(event)
            except Exception:  # one subscriber's fault must not cost the others the event
                log.exception("A subscriber failed at %s", type(event).__name__)

    # Kernels

    def list_kernel_specs(self, near: Iterable[Path] = ()) -> list[protocol.KernelSpec]:
        """The installed kernelspecs, and the Python environments near some folders."""
        found = [environment.spec() for environment in environments_near(near)]
        return [spec.to_wire() for spec in (*found, *self.manager.specs.all())]

    def find_spec(
        self,
        spec_path: str | None = None,
        spec_name: str | None = None,
        language: str | None = None,
        near: Path | None = None,
    ) -> Spec:
        """The kernelspec by path of its kernel.json or folder, by name, or for a language.

        `NAME@SERVER` is that of a Jupyter server in the user's settings, and `ssh:HOST/NAME` that
        of a host which is reached by ssh; neither is asked yet. A path may also be that of a Python
        environment or interpreter, a name that of an environment; those of a folder, by default
        the current one, and above it are known by name, and for Python the nearest is taken.
        Raises `KernelStartFailed` or `NoKernelForLanguage`, also for an environment without
        ipykernel, or `ServerFailed`.
        """
        specs = self.manager.specs
        folder = (near or Path.cwd()).absolute()
        remote = self.manager.servers.spec(spec_path or spec_name or "")
        remote = remote or addresses.spec_of(spec_path or spec_name or "")
        if remote is not None:
            return remote
        if spec_path is not None:
            path = Path(spec_path).expanduser().absolute()
            return environments.spec_at(path) or specs.by_path(spec_path)
        if spec_name is not None:
            try:
                return find_named(specs, spec_name, [folder])
            except KernelStartFailed:
                if "@" in spec_name:
                    self.manager.servers.find(spec_name.rpartition("@")[2])  # says which there are
                raise
        if language is not None:
            return choose(specs, Wish(language=canonical(language), folder=folder)).spec
        raise KernelStartFailed("No kernel was named.", hint="name a kernelspec or a language")

    def begin_kernel(self, spec: Spec, options: StartOptions = USUAL) -> str:
        """Begin to start a kernel and return its id at once; code may be queued already."""
        return self.manager.start(spec, options).kernel_id

    async def start_kernel(
        self,
        spec_path: str | None = None,
        *,
        spec_name: str | None = None,
        language: str | None = None,
        kernel_id: str | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the kernel's deadline, not the call's
        limits: protocol.Limits | None = None,
    ) -> str:
        """Start a kernel and return its id once it is ready.

        One of `spec_path`, `spec_name` and `language` names the kernelspec, see `find_spec`, which
        looks for environments from `cwd` upward. `timeout` is in seconds. Raises
        `KernelStartFailed`, `NoKernelForLanguage` or `KernelExists`.
        """
        near = Path(cwd) if cwd is not None else None
        spec = self.find_spec(spec_path, spec_name, language, near)
        options = StartOptions(
            kernel_id=kernel_id, cwd=cwd, env=env or {}, timeout=timeout, limits=limits
        )
        started = self.begin_kernel(spec, options)
        await self.wait_ready(started)
        return started

    async def attach_kernel(self, connection_file: str | None = None, *, again: bool = True) -> str:
        """Attach to a running kernel and return an id for it once it has answered; see
        `begin_attach`. Raises what that raises, and `KernelStartFailed`."""
        kernel_id = await self.begin_attach(connection_file, again=again)
        await self.wait_ready(kernel_id)
        return kernel_id

    async def begin_attach(self, connection_file: str | None = None, *, again: bool = True) -> str:
        """Begin to attach to a running kernel by its connection file and return an id for it, or,
        as `ID@SERVER`, also with the beginning of the id, to one of a Jupyter server in the user's
        settings, or, as `ssh:HOST/FILE` or `ssh:HOST`, to one on a host that is reached by ssh.

        The file is named as for `--existing` of Jupyter's programs: a path, the name of a file in
        Jupyter's runtime folder, a kernel's id or the beginning of one, a glob pattern, or, with
        None, whichever kernel was started last. A kernel that is used already is used once more,
        under another id, unless `again` is false. Raises `KernelStartFailed` or `ServerFailed`.
        """
        if connection_file is not None and (there := addresses.parse(connection_file)) is not None:
            host, name = there
            used = None if again else await self.manager.find_by_ssh(host, name)
            return (used or self.manager.attach_ssh(host, name)).kernel_id
        if connection_file is not None and (at := self._at_server(connection_file)) is not None:
            beginning, server = at
            remote_id = await self.manager.servers.whole_id(
                self.manager.servers.find(server), beginning
            )
            return (await self._begin_attach_server(server, remote_kernel_id=remote_id)).kernel_id
        file = await self.manager.find_connection_file(connection_file)
        used = None if again else self.manager.find(file)
        return (used or self.manager.attach(file)).kernel_id

    def _at_server(self, name: str) -> tuple[str, str] | None:
        """The parts of `ID@SERVER`, where the name is not that of a file."""
        beginning, at, server = name.rpartition("@")
        return (
            (beginning, server) if at and "/" not in name and not name.endswith(".json") else None
        )

    async def attach_server(
        self,
        server: str,
        *,
        token: str | None = None,
        remote_kernel_id: str | None = None,
        spec_name: str | None = None,
    ) -> str:
        """Attach to a kernel of a Jupyter server, or have it start one, and return an id for it.

        `server` is a URL, or the name of a server in the user's settings. Without an id there a
        kernel of a kernelspec, by default the server's, is started: that one is ours. Raises
        `ServerFailed` or `KernelStartFailed`.
        """
        state = await self._begin_attach_server(
            server, token=token, remote_kernel_id=remote_kernel_id, spec_name=spec_name
        )
        await state.wait_ready()
        return state.kernel_id

    async def _begin_attach_server(
        self,
        server: str,
        *,
        token: str | None = None,
        remote_kernel_id: str | None = None,
        spec_name: str | None = None,
    ) -> KernelState:
        servers = self.manager.servers
        found = servers.find(server, token)
        spec = await servers.find_kernel(found, kernel_id=remote_kernel_id, spec_name=spec_name)
        if remote_kernel_id is not None:
            return self.manager.attach_remote(spec, remote_kernel_id)
        return self.manager.start(spec)

    def local_path(self, kernel_id: str, path: str) -> str:
        """What a path that a kernel has told is called on this machine, as far as the user has set
        where its server's folders are. Raises `KernelNotFound`."""
        return self.manager.get(kernel_id).local_path(path)

    @property
    def is_more_elsewhere(self) -> bool:
        """Whether the user's settings name Jupyter servers, or hosts that are reached by ssh."""
        return bool(self.manager.servers.named or self.manager.hosts.named)

    async def list_remote(self) -> list[Offer]:
        """What these have to offer; see `manager.servers` and `manager.hosts`."""
        servers, hosts = await asyncio.gather(
            self.manager.servers.offers(), self.manager.hosts.offers()
        )
        return [*servers, *hosts]

    def wait_ready(self, kernel_id: str) -> Coroutine[Any, Any, None]:
        """Wait for a start under way. Raises `KernelNotFound` and, awaited, `KernelStartFailed`
        or `KernelDied`."""
        # Looked up now: a start that fails at once takes the kernel off the list.
        return self.manager.get(kernel_id).wait_ready()

    async def list_running_here(self) -> list[Resident]:
        """The kernels that run on this machine, be they of another carpo or of other programs."""
        from carpo_lsp.kernels.elsewhere.census import census

        return await census(self.manager.registry)

    async def list_running(self) -> list[Resident]:
        """These, and those of the Jupyter servers and of the hosts in the user's settings."""
        from carpo_lsp.kernels.elsewhere.census import remote_residents

        here, offers = await asyncio.gather(self.list_running_here(), self.list_remote())
        return [*here, *remote_residents(offers)]

    async def is_running(self, name: str) -> bool:
        """Whether a name is that of a kernel which runs on this machine, or a path."""
        try:
            await self.manager.find_connection_file(name)
        except KernelStartFailed:
            return False
        return True

    def list_kernels(self) -> list[protocol.Kernel]:
        """The kernels, with the memory and processor time they use."""
        tree = Tree()
        return [state.snapshot(resources=True, tree=tree) for state in self.manager.all()]

    def get_kernel(self, kernel_id: str) -> protocol.Kernel:
        """A kernel as it is now. Raises `KernelNotFound`."""
        return self.manager.get(kernel_id).snapshot()

    async def get_kernel_info(self, kernel_id: str) -> protocol.Kernel:
        """A kernel with the content of its kernel_info_reply, once it is ready."""
        state = self.manager.get(kernel_id)
        await state.wait_ready()
        return state.snapshot(info=True, resources=True)

    def interrupt(self, kernel_id: str) -> Coroutine[Any, Any, None]:
        """Interrupt the running execution; the queued ones end as `aborted`.

        Takes effect by the call, to be awaited for the rest: code queued after it runs.
        """
        return self.manager.get(kernel_id).interrupt()

    def restart_kernel(self, kernel_id: str) -> Coroutine[Any, Any, None]:
        """Replace a kernel, dead or alive, by a new one with the same id; returns when ready. One
        that is not ours is left alone (`KernelNotOurs`), or, when it is dead, reached anew.

        Takes effect by the call, to be awaited for the rest: code queued after it runs in the
        new kernel.
        """
        return self.manager.get(kernel_id).restart()

    def shutdown_kernel(self, kernel_id: str, *, force: bool = False) -> Coroutine[Any, Any, None]:
        """Begin to end a kernel; awaited, its processes are gone. Raises `KernelNotFound`.

        One that is not ours is only let go; with `force` it is ended for all who use it, and
        `KernelTimeout` is raised, by the coroutine, when it does not obey.
        """
        return self.manager.shutdown(kernel_id, force=force)

    # Executions

    def new_execution_id(self, chosen: str | None = None) -> str:
        """An id for an execution: the chosen one, else a new one. Raises `KernelExists`."""
        if chosen is None:
            return str(uuid4())
        if self.transcript.used(chosen):
            raise KernelExists(f"An execution has the id {chosen!r}.", executionId=chosen)
        return chosen

    def submit(
        self,
        kernel_id: str,
        code: str,
        *,
        execution_id: str | None = None,
        options: ExecuteOptions | None = None,
        opened: Callable[[Record], None] | None = None,
        place: Place | None = None,
    ) -> str:
        """Queue code and return the id of its execution at once; what comes of it is told to
        the subscribers. `opened` gets the execution's record before its first event; `place` is
        where the code stands, for the journal.

        Raises `KernelNotFound`, `KernelDied` or `KernelExists` (the id).
        """
        state, record, execution = self._prepare(kernel_id, code, execution_id, options, place)
        if opened is not None:
            opened(record)
        state.execute(execution)
        return record.execution_id

    def execute_code(
        self,
        kernel_id: str,
        code: str,
        *,
        execution_id: str | None = None,
        silent: bool = False,
        store_history: bool = True,
        user_expressions: Mapping[str, str] | None = None,
        allow_stdin: bool = True,
        stop_on_error: bool = True,
    ) -> ExecutionHandle:
        """Queue code; the handle gives its events (`async for`) and its result (`await`).

        Raises `KernelNotFound`, `KernelDied` or `KernelExists` (the execution id is taken).
        """
        options = ExecuteOptions(
            silent=silent,
            store_history=store_history,
            user_expressions=dict(user_expressions or {}),
            allow_stdin=allow_stdin,
            stop_on_error=stop_on_error,
        )
        state, record, execution = self._prepare(kernel_id, code, execution_id, options)
        handle = ExecutionHandle(record, self.subscribe)
        state.execute(execution)
        return handle

    def _prepare(
        self,
        kernel_id: str,
        code: str,
        execution_id: str | None,
        options: ExecuteOptions | None,
        place: Place | None = None,
    ) -> tuple[KernelState, Record, Execution]:
        state = self.manager.get(kernel_id)
        state.require_alive()
        execution_id = self.new_execution_id(execution_id)
        wire = protocol.to_wire(place) if place is not None else None
        execution = Execution(kernel_id, execution_id, code, options, place=wire)
        if self.journal is not None:
            self.journal.begin(execution, state.spec, place)
        texts = self._spool_of(execution_id)
        return state, self.transcript.open(kernel_id, execution_id, code, texts), execution

    def _resume(self, event: ExecutionResumed) -> None:
        """Open a record for an execution that another server has begun."""
        if self.journal is not None:
            execution = Execution(event.kernel_id, event.execution_id, event.code)
            execution.msg_id = event.msg_id
            spec = self.manager.get(event.kernel_id).spec
            self.journal.begin(execution, spec, Place.from_wire(event.place))
        texts = self._spool_of(event.execution_id)
        self.transcript.open(event.kernel_id, event.execution_id, event.code, texts)

    def _spool_of(self, execution_id: str) -> Spool | None:
        """The spool of an execution whose big outputs are to stay, with the journal."""
        return self.journal.spool_of(execution_id) if self.journal is not None else None

    async def provide_stdin(
        self, kernel_id: str, value: str, execution_id: str | None = None
    ) -> None:
        """`answer_input`, to be awaited as everything else that is asked of a kernel."""
        self.answer_input(kernel_id, value, execution_id)

    def answer_input(self, kernel_id: str, value: str, execution_id: str | None = None) -> None:
        """Answer the input request that waits, or only that of an execution.

        Raises `NoInputPending`, or `ExecutionNotFound` when one waits but the id is unknown.
        """
        executions = self.manager.get(kernel_id).executions
        if execution_id is not None and executions.waits_for_input:
            self.record(execution_id)
        executions.answer(value, execution_id)

    def drop(self, execution_id: str) -> bool:
        """Take an execution that waits out of the queue, which ends it as `aborted`; False for one
        that has been sent to its kernel. Raises `ExecutionNotFound`."""
        state = self.manager.get(self.record(execution_id).kernel_id)
        return state.executions.drop(execution_id)

    def forget(self, execution_id: str) -> None:
        """Nobody wants to see the outputs of an ended execution any more, nor after a restart."""
        self.transcript.forget(execution_id)
        if self.journal is not None:
            self.journal.hide(execution_id)

    def record(self, execution_id: str) -> Record:
        """What an execution has shown so far. Raises `ExecutionNotFound`."""
        record = self.transcript.get(execution_id)
        if record is None:
            raise ExecutionNotFound.of(execution_id)
        return record

    # Questions

    async def get_completions(
        self, kernel_id: str, code: str, cursor_pos: int
    ) -> protocol.CompleteResult:
        """What the kernel would complete at `cursor_pos`, in code points of `code`."""
        reply = await self._ask(
            kernel_id, "complete_request", {"code": code, "cursor_pos": cursor_pos}
        )
        matches = reply.get("matches")
        return protocol.CompleteResult(
            matches=tuple(str(match) for match in matches) if isinstance(matches, list) else (),
            cursor_start=_int(reply.get("cursor_start"), cursor_pos),
            cursor_end=_int(reply.get("cursor_end"), cursor_pos),
            metadata=_dict(reply.get("metadata")),
        )

    async def inspect(
        self, kernel_id: str, code: str, cursor_pos: int, detail_level: int = 0
    ) -> protocol.InspectResult:
        """What the kernel knows of the thing at `cursor_pos`, in code points of `code`."""
        content = {"code": code, "cursor_pos": cursor_pos, "detail_level": detail_level}
        reply = await self._ask(kernel_id, "inspect_request", content)
        data = _dict(reply.get("data"))
        return protocol.InspectResult(
            found=bool(reply.get("found")) and bool(data),
            data=data,
            metadata=_dict(reply.get("metadata")),
        )

    def answers(self, kernel_id: str) -> bool:
        """Whether a kernel would answer a question now; while code runs few do."""
        return self.manager.get(kernel_id).answers

    async def evaluate(
        self,
        kernel_id: str,
        code: str = "",
        expressions: Mapping[str, str] | None = None,
        *,
        deadline: float = 1.0,
    ) -> Evaluation:
        """Run code silently to learn something; nobody is told and no count goes up.

        Only for code that is quick and harmless, on an idle kernel. `expressions` are Jupyter's
        user expressions. Raises `KernelTimeout` after `deadline` seconds, or when code runs.
        """
        kernel = self.manager.get(kernel_id)
        with self.manager.attention.on(kernel_id):
            return await kernel.evaluate(code, expressions or {}, deadline)

    async def is_complete(self, kernel_id: str, code: str) -> protocol.IsCompleteResult:
        """Whether code could be run as it is, or needs more lines."""
        reply = await self._ask(kernel_id, "is_complete_request", {"code": code})
        status = reply.get("status")
        return protocol.IsCompleteResult(
            status=status if status in ("complete", "incomplete", "invalid") else "unknown",
            indent=str(reply.get("indent") or ""),
        )

    async def history(
        self, kernel_id: str, n: int | None = None, pattern: str | None = None
    ) -> protocol.HistoryResult:
        """The last `n` inputs, or those that match a glob pattern."""
        content: dict[str, Any] = {"output": False, "raw": True, "n": n if n is not None else 100}
        if pattern is None:
            content["hist_access_type"] = "tail"
        else:
            content |= {"hist_access_type": "search", "pattern": pattern, "unique": False}
        reply = await self._ask(kernel_id, "history_request", content)
        entries = reply.get("history")
        return protocol.HistoryResult(
            history=tuple(
                (_int(entry[0], 0), _int(entry[1], 0), str(entry[2]))
                for entry in (entries if isinstance(entries, list) else ())
                if isinstance(entry, list | tuple) and len(entry) >= 3
            )
        )

    def send(self, kernel_id: str, request: Request) -> str:
        """Send any Jupyter message and return its id; what answers it comes as
        `MessageReceived`. Raises `KernelDied` for a kernel that is not ready."""
        self.manager.get(kernel_id).send(request)
        return request.msg_id

    async def _ask(self, kernel_id: str, msg_type: str, content: dict[str, Any]) -> dict[str, Any]:
        kernel = self.manager.get(kernel_id)
        with self.manager.attention.on(kernel_id):
            return await kernel.request(msg_type, content)


def _int(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
