"""The kernels of one process, by id."""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import uuid4

from msgspec import Struct, field

from carpo_lsp.errors import CarpoError, KernelExists, KernelNotFound
from carpo_lsp.kernels.attention import Attention
from carpo_lsp.kernels.connection import Keep
from carpo_lsp.kernels.elsewhere.addresses import SCHEME, check_host
from carpo_lsp.kernels.elsewhere.known import Hosts
from carpo_lsp.kernels.events import Event, StatusChanged
from carpo_lsp.kernels.kept.registry import Registry
from carpo_lsp.kernels.remote.servers import Servers
from carpo_lsp.kernels.remote.sessions import Sessions
from carpo_lsp.kernels.specs import Spec, SpecFinder
from carpo_lsp.kernels.state import KernelState
from carpo_lsp.kernels.supervision.guard import Guard
from carpo_lsp.kernels.supervision.usage import Trees

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    import zmq

    from carpo_lsp.kernels.connection import Connection, OnMessage
    from carpo_lsp.kernels.kept.registry import Bound, Entry
    from carpo_lsp.protocol import Limits

log = logging.getLogger(__name__)

CLOSING: Final = 2.0
"""Seconds all kernels have to end with the program. Five are promised, on busy machines too."""

RESPITE: Final = 0.2
"""Seconds a new client has before we load what only kernels need."""

STEPS: Final = (
    "zmq.asyncio",
    "traitlets.config",
    "jupyter_client",
    "carpo_lsp.kernels.kept.keepable",
)
"""What is loaded, less than 30 ms each."""

BEAT: Final = 1.0
"""Seconds that a kernel has to answer a heartbeat."""

MAX_SOCKETS = 16384
"""ZeroMQ's default of 1,023 sockets is enough for 250 kernels."""


class StartOptions(Struct, frozen=True, kw_only=True):
    """How a kernel is to be started, where it is not to be as usual."""

    kernel_id: str | None = None
    """The id it is to have; None makes one."""
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    """What its environment has besides the server's."""
    timeout: float | None = None
    """Seconds from spawn to ready."""
    limits: Limits | None = None
    keep: float | None = None
    """Have the kernel outlive this process, until it has been idle for so many minutes without a
    server (0: for ever); None: it ends with this process."""
    ends: bool = False
    """Have it end with this process, whatever the user has set for others."""


USUAL: Final = StartOptions()


class Connect(Protocol):
    """Makes the connection of a kernel that is to be started from a kernelspec."""

    def __call__(
        self,
        spec: Spec,
        kernel_id: str,
        on_message: OnMessage,
        *,
        cwd: str | None,
        env: Mapping[str, str],
    ) -> Connection: ...


class KernelManager:
    """Maps kernel ids to `KernelState`.

    Looking up, starting and shutting down may be interleaved at will on one event loop: an id is
    taken from the moment its start is asked for until its kernel has ended. `emit` is told every
    event of every kernel. Dead kernels stay, so that they can be restarted; a kernel that never
    became ready does not.
    """

    def __init__(self, emit: Callable[[Event], None], connect: Connect | None = None) -> None:
        self.specs = SpecFinder()
        self.servers = Servers()
        self.hosts = Hosts()
        self.registry = Registry()
        """Those that are kept, by this process and by others."""
        self.attention = Attention()
        self.bound: Callable[[str], tuple[Bound, ...]] = lambda kernel_id: ()
        """What documents are bound to a kernel, for who takes it up."""
        self.taken_in: Callable[[], Awaitable[None]] = _at_once
        """Waits until all events told so far are safe from the end of this process."""
        self._keeping: dict[str, float | None] = {}
        self._emit = emit
        self._connect = connect or self._connect_local
        self._kernels: dict[str, KernelState] = {}
        self._context: zmq.Context[Any] | None = None
        self._guard = Guard()
        self._closed = False
        self._trees = Trees()
        self._sessions = Sessions()

    def __len__(self) -> int:
        return len(self._kernels)

    async def load(self) -> None:
        """Have ready what a kernel of this machine needs, which the first start else waits for.

        It takes a fifth of a start, so it is done in steps, and not at once: a client that has just
        come has questions. Not in a thread: there it would meet imports on the loop.
        """
        await asyncio.sleep(RESPITE)
        for name in STEPS:
            importlib.import_module(name)
            await asyncio.sleep(0)
        from jupyter_client.provisioning.factory import KernelProvisionerFactory

        KernelProvisionerFactory.instance()  # looks through all packages there are
        if not self._closed:
            self._guard.prepare()

    def start(self, spec: Spec, options: StartOptions = USUAL) -> KernelState:
        """Begin to start a kernel; `KernelState.wait_ready` tells how it went.

        Raises `KernelExists` for an id in use.
        """

        def connect(on_message: OnMessage) -> Connection:
            if spec.server:
                return self._connect_remote(spec, on_message, cwd=options.cwd, env=options.env)
            if spec.host:
                return self._connect_ssh(
                    spec.host,
                    on_message,
                    spec=spec,
                    kernel_id=state_id,
                    cwd=options.cwd,
                    env=options.env,
                )
            return self._connect(spec, state_id, on_message, cwd=options.cwd, env=options.env)

        state_id = self._new_id(options.kernel_id)
        state = KernelState(
            state_id,
            spec,
            connect,
            self._on_event,
            timeout=options.timeout,
            limits=options.limits,
            keep=functools.partial(self._keep, state_id),
            beat=self._beat,
            trees=self._trees,
        )
        self._kernels[state_id] = state
        self._keeping[state_id] = options.keep
        state.start()
        return state

    def take_up(self, entry: Entry, limits: Limits | None = None) -> KernelState:
        """Begin to use a kept kernel, of this server or of one that has left."""
        if entry.kernel_id in self._kernels:
            return self._kernels[entry.kernel_id]

        def connect(on_message: OnMessage) -> Connection:
            return self._connect_local(
                entry.spec,
                entry.kernel_id,
                on_message,
                cwd=entry.cwd,
                env=entry.env,
                entry=entry,
            )

        state = KernelState(
            entry.kernel_id,
            entry.spec,
            connect,
            self._on_event,
            limits=limits,
            keep=functools.partial(self._keep, entry.kernel_id),
            beat=self._beat,
            trees=self._trees,
        )
        self._kernels[entry.kernel_id] = state
        self._keeping[entry.kernel_id] = entry.minutes
        state.start()
        return state

    async def keep(self, kernel_id: str, minutes: float | None) -> None:
        """Have a kernel go on when this process ends, until it has been idle for so many minutes
        (0: for ever); None: no longer. Raises `CarpoError`."""
        state = self.get(kernel_id)
        self._keeping[kernel_id] = minutes
        keep = self._keep(kernel_id)
        if keep is None:
            state.release()
        else:
            await state.keep(keep)

    def _keep(self, kernel_id: str) -> Keep | None:
        minutes = self._keeping.get(kernel_id)
        return Keep(minutes, self.bound(kernel_id)) if minutes is not None else None

    async def find_connection_file(self, name: str | None) -> str:
        """The connection file of a kernel that runs on this machine, by any name that it has: see
        `existing.find_connection_file`. Raises `KernelStartFailed`."""
        from carpo_lsp.kernels.elsewhere.existing import find_connection_file

        kept = [entry.connection_file for entry in self.registry.entries() if entry.alive]
        return await find_connection_file(name, kept)

    def attach(self, connection_file: str) -> KernelState:
        """Begin to talk to a kernel that somebody else started, by its connection file.

        Raises `KernelStartFailed` for a file that cannot be read.
        """
        from carpo_lsp.kernels.elsewhere.attached import AttachedConnection, read_connection_file
        from carpo_lsp.kernels.elsewhere.existing import uuid_of

        info = read_connection_file(connection_file)
        own_id = uuid_of(connection_file)  # it has one id in all servers that use it
        state_id = self._new_id(own_id if own_id not in self._kernels else None)

        def connect(on_message: OnMessage) -> Connection:
            return AttachedConnection(
                connection_file,
                info,
                on_message,
                context=self.context,
                beside=self.attention.beside(state_id),
                by_message=self._is_interrupted_by_message(info.get("kernel_name")),
            )

        # What it is, it will tell itself.
        name = f"The kernel of {connection_file}"
        spec = Spec(name="", path="", argv=(), display_name=name, language="")
        state = KernelState(state_id, spec, connect, self._on_event, beat=self._beat)
        self._kernels[state_id] = state
        state.start()
        return state

    def _is_interrupted_by_message(self, spec_name: object) -> bool:
        """What the kernelspec of a kernel says that others have started; no, where it is not
        known."""
        try:
            return self.specs.by_name(str(spec_name)).interrupt_mode == "message"
        except CarpoError:
            return False

    def attach_remote(self, spec: Spec, remote_id: str) -> KernelState:
        """Begin to talk to a kernel that runs on the server of its kernelspec."""
        state_id = self._new_id(None)

        def connect(on_message: OnMessage) -> Connection:
            return self._connect_remote(spec, on_message, remote_id=remote_id)

        state = KernelState(state_id, spec, connect, self._on_event)
        self._kernels[state_id] = state
        state.start()
        return state

    def attach_ssh(self, host: str, name: str | None) -> KernelState:
        """Begin to talk to a kernel that runs on a host which is reached by ssh. `name` is as in
        `hosts.find`. Raises `KernelStartFailed` for what is not the name of a host."""
        check_host(host)
        state_id = self._new_id(None)

        def connect(on_message: OnMessage) -> Connection:
            return self._connect_ssh(host, on_message, name=name)

        spec = Spec(name="", path="", argv=(), display_name=f"A kernel on {host}", language="")
        state = KernelState(state_id, spec, connect, self._on_event, beat=self._beat)
        self._kernels[state_id] = state
        state.start()
        return state

    def find(self, connection_file: str) -> KernelState | None:
        """The kernel that is used here and has a connection file, which may be `ssh:HOST/PATH`."""
        return next((each for each in self.all() if connection_file in each.files), None)

    async def find_by_ssh(self, host: str, name: str | None) -> KernelState | None:
        """The kernel that is used here and has a name on a host. Raises `KernelStartFailed` when
        none has it there."""
        prefix = f"{SCHEME}{host}/"
        if not any(file.startswith(prefix) for each in self.all() for file in each.files):
            return None
        from carpo_lsp.kernels.elsewhere import hosts

        path, _ = await hosts.find(host, name)
        return self.find(prefix + path)

    def get(self, kernel_id: str) -> KernelState:
        """Raises `KernelNotFound`."""
        state = self._kernels.get(kernel_id)
        if state is None:
            raise KernelNotFound.of(kernel_id)
        return state

    def all(self) -> tuple[KernelState, ...]:
        return tuple(self._kernels.values())

    def shutdown(self, kernel_id: str, *, force: bool = False) -> Coroutine[Any, Any, None]:
        """Begin to end one kernel; awaited, its processes are gone. One that is not ours is only
        let go, but for `force`. Raises `KernelNotFound`."""
        return self.get(kernel_id).shutdown(force=force)

    async def close(self, grace: float = CLOSING) -> None:
        """End all kernels at once, each within `grace` seconds, and close the sockets."""
        self._closed = True
        while self._kernels:
            ending = [
                state.leave() if state.stays else state.shutdown(grace) for state in self.all()
            ]
            for result in await asyncio.gather(*ending, return_exceptions=True):
                if isinstance(result, BaseException):
                    log.error("A kernel could not be ended cleanly", exc_info=result)
            self._kernels.clear()
        await self._guard.close()
        await self.servers.close()
        if self._context is not None:
            self._context.destroy(linger=0)
            self._context = None

    @property
    def context(self) -> zmq.Context[Any]:
        """One ZeroMQ context for all kernels; each has sockets of its own."""
        if self._context is None:
            import zmq

            self._context = zmq.Context()
            self._context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)
        return self._context

    def _connect_local(
        self,
        spec: Spec,
        kernel_id: str,
        on_message: OnMessage,
        *,
        cwd: str | None,
        env: Mapping[str, str],
        entry: Entry | None = None,
    ) -> Connection:
        from carpo_lsp.kernels.kept.keepable import KeepableConnection

        return KeepableConnection(
            spec,
            kernel_id,
            on_message,
            context=self.context,
            guard=self._guard,
            registry=self.registry,
            beside=self.attention.beside(kernel_id),
            taken_in=lambda: self.taken_in(),
            cwd=cwd,
            env=env,
            entry=entry,
        )

    def _connect_remote(
        self,
        spec: Spec,
        on_message: OnMessage,
        *,
        remote_id: str | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Connection:
        from carpo_lsp.kernels.remote.connection import RemoteConnection

        api = self.servers.api(self.servers.find(spec.server))
        name = spec.name.partition("@")[0]
        return RemoteConnection(
            api,
            name,
            on_message,
            sessions=self._sessions,
            remote_id=remote_id,
            cwd=cwd,
            env=env,
        )

    def _connect_ssh(self, host: str, on_message: OnMessage, **options: Any) -> Connection:
        from carpo_lsp.kernels.elsewhere.tunnel import SshConnection

        found = self.hosts.find(host)
        return SshConnection(found, on_message, context=self.context, **options)

    async def _beat(self, connection_file: str) -> bool | None:
        from carpo_lsp.kernels.supervision.heartbeat import beat

        return await beat(self.context, connection_file, BEAT)

    def _new_id(self, kernel_id: str | None) -> str:
        kernel_id = kernel_id or str(uuid4())
        if kernel_id in self._kernels:
            raise KernelExists(f"A kernel with the id {kernel_id!r} exists.", kernelId=kernel_id)
        return kernel_id

    def _on_event(self, event: Event) -> None:
        if isinstance(event, StatusChanged):
            state = self._kernels.get(event.kernel_id)
            never_ready = state is not None and state.started_at is None
            if event.status == "stopped" or (event.status == "dead" and never_ready):
                self._kernels.pop(event.kernel_id, None)
                self._keeping.pop(event.kernel_id, None)
        self._emit(event)


async def _at_once() -> None:
    """Nothing is kept for later."""
