"""A kernel behind a Jupyter server: started, interrupted, restarted and ended by REST."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp.deadlines import Deadline
from carpo_lsp.errors import CarpoError, KernelStartFailed, KernelTimeout, ServerFailed
from carpo_lsp.kernels import folders
from carpo_lsp.kernels.connection import Exit, OnMessage, Running, Work
from carpo_lsp.kernels.remote.api import NoSuchKernel
from carpo_lsp.kernels.remote.joining import Joining
from carpo_lsp.kernels.remote.websocket import Websocket

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from carpo_lsp.kernels.events import Cause
    from carpo_lsp.kernels.kept.registry import Bound
    from carpo_lsp.kernels.messages import Message, Request
    from carpo_lsp.kernels.remote.api import Api, RemoteKernel
    from carpo_lsp.kernels.remote.sessions import Sessions

log = logging.getLogger(__name__)

LOOK: Final = 1.0
"""Seconds between looks whether a server still has a kernel that starts."""

LIMITED: Final = ("IOPub message rate exceeded", "IOPub data rate exceeded")
"""How a server begins to tell that it drops output."""

ENDING: Final = 5.0
"""Seconds that a server has at least to end a kernel, and before that to start it."""


class RemoteConnection:
    """A `Connection` to a kernel of a server: to one that runs there, or to one to be started.

    The server starts a kernel that has died anew, as the same, without what it knew; here that is
    a death, told from what the server says or from another session in the kernel's messages.
    """

    pid = None
    connection_file = None

    def __init__(
        self,
        api: Api,
        spec_name: str,
        on_message: OnMessage,
        *,
        sessions: Sessions,
        remote_id: str | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._api = api
        self._sessions = sessions
        self._spec_name = spec_name
        self._on_message = on_message
        self._folder = api.server.there(cwd) if cwd is not None else None
        self._env = dict(env or {})
        if self._folder is not None:
            self._env.setdefault("KERNEL_WORKING_DIR", self._folder)
        self.remote_id = remote_id
        self.owned = remote_id is None
        self.home: str | None = None
        self.kept = False
        self.on_link: Callable[[str, Cause], None] = lambda reason, cause: None
        self.on_gap: Callable[[str], None] = lambda reason: None
        self.on_told: Callable[[str], None] = lambda reason: None
        self._session = ""
        """What we call ours; the server calls its own the same."""
        self._kernel_session: str | None = None
        """What the kernel calls its own, once it has said something, where it has one."""
        self._socket: Websocket | None = None
        self._starting: asyncio.Task[RemoteKernel] | None = None
        self._running: asyncio.Task[str] | None = None
        self._ended: asyncio.Future[Exit] | None = None
        self._restart = False
        self._fresh = False
        """Whether its server has just put another in the place of one that died."""
        self._limited = False
        self._joining: Joining | None = None

    @property
    def folder(self) -> str | None:
        return self._folder if self.owned else None

    @property
    def mapped(self) -> bool:
        return bool(self._api.server.paths)

    def local_path(self, path: str) -> str:
        path = folders.from_home(path, self.home)
        return self._api.server.here(path) or path

    @property
    def server_url(self) -> str:
        """Where its server is."""
        return self._api.server.url

    async def start(self) -> Running | None:
        self._kernel_session = self._joining = None
        self._limited = self._fresh = False
        self._ended = asyncio.get_running_loop().create_future()
        joins = not self.owned  # the server may have replaced one of ours; that begins anew as well
        try:
            there = await self._be_there()
            self.remote_id = there.kernel_id
            self._session = self._sessions.begin(self.server_url, self.remote_id, over=joins)
            self._socket = Websocket(
                self._api,
                self.remote_id,
                self._session,
                self._take,
                self._on_lost,
                self._on_back,
            )
            await self._open(self._socket)
        except ServerFailed as error:
            raise KernelStartFailed(error.message, **error.data) from error
        self._running = asyncio.create_task(self._socket.run(), name=f"remote {self.remote_id}")
        self._running.add_done_callback(self._on_end)
        return await self._join() if joins and there.state == "busy" else None

    async def _open(self, socket: Websocket) -> None:
        """Connect to the kernel. For one that dies as it starts, its server may never tell that it
        has given it up, but has it no more."""
        opening = asyncio.create_task(socket.open(starts=self.owned))
        going = asyncio.create_task(self._until_gone())
        try:
            await asyncio.wait([opening, going], return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                title = self._api.server.title
                raise ServerFailed(f"{title} has given the kernel up: it died as it started.")
            await opening
        finally:
            opening.cancel()
            going.cancel()
            await asyncio.wait([opening, going])

    async def _until_gone(self) -> None:
        """Wait until its server has the kernel no more."""
        assert self.remote_id is not None  # it has been started
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self._api.kernel(self.remote_id)
            except NoSuchKernel:
                return
            except ServerFailed as error:
                log.warning("Whether the kernel is there is not known: %s", error.message)

    async def _join(self) -> Running:
        assert self._ended is not None  # started
        self._joining = Joining(self.send, self._on_message)
        running = asyncio.create_task(self._joining.running())
        try:
            either: list[asyncio.Future[Any]] = [running, self._ended]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                raise KernelStartFailed(self._ended.result().reason)
            return running.result()
        finally:
            running.cancel()

    async def _be_there(self) -> RemoteKernel:
        """The kernel on its server, started or restarted where it has to be."""
        api, restart, self._restart = self._api, self._restart, False
        if self.remote_id is not None:
            try:
                if restart:
                    await api.restart(self.remote_id)
                return await api.kernel(self.remote_id)
            except ServerFailed as error:
                if not self.owned:
                    raise
                if not isinstance(error, NoSuchKernel):  # it may be there all the same
                    with contextlib.suppress(ServerFailed):
                        await api.delete(self.remote_id)
            # It is gone, and was ours: another takes its place.
        # Whoever stops us meanwhile has to know what there is to be ended.
        self._starting = asyncio.create_task(api.start(self._spec_name, self._env))
        self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._starting)

    def send(self, request: Request) -> None:
        if self._socket is not None:
            self._socket.send(request)

    async def wait_for_stdin(self) -> None:
        """The server is always there."""

    def hold_back(self) -> None:
        """The server takes it all."""

    async def interrupt(self) -> None:
        """Raises `ServerFailed`."""
        if self.remote_id is not None:
            await self._api.interrupt(self.remote_id)

    async def end(self, grace: float) -> None:
        """End the kernel for all who use it. Raises `KernelTimeout` or `ServerFailed`."""
        if self.remote_id is not None:
            try:
                # The server waits for the kernel's end, or first for its start.
                async with Deadline(max(2 * grace + 1, ENDING)):
                    await self._api.delete(self.remote_id)
            except TimeoutError:
                raise KernelTimeout("The kernel does not end.", seconds=grace) from None

    async def stop(self, grace: float, *, restart: bool = False) -> None:
        self._restart = restart and self.owned and not self._fresh
        if self._starting is not None:
            with contextlib.suppress(TimeoutError, ServerFailed):
                async with Deadline(max(grace + 1, ENDING)):
                    self.remote_id = (await asyncio.shield(self._starting)).kernel_id
            self._starting = None
        await self._let_go(forget=self.owned)
        # One that has died may have another in its place by now.
        if self.owned and not restart and self.remote_id is not None:
            try:
                await self.end(grace)
            except CarpoError as error:
                log.warning("The kernel %s may run on: %s", self.remote_id, error.message)
            self.remote_id = None
        self._ended = None

    async def _let_go(self, *, forget: bool) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
            self._running = None
        if self._socket is not None:
            await self._socket.close()
            self._socket = None
        if self._joining is not None:
            self._joining.close()
        self._sessions.end(self._session, forget=forget)

    # It is its server's process, and goes on unless it is ended.

    async def keep(self, minutes: float, documents: tuple[Bound, ...], work: Work) -> None:
        """Have the kernel go on when this process ends, until its server finds it idle for long."""
        self.kept = True

    def release(self) -> None:
        self.kept = False

    def acknowledge(self) -> None:
        """Its server keeps nothing that we have got."""

    async def leave(self) -> None:
        await self._let_go(forget=False)

    def stderr_tail(self) -> str:
        return ""

    async def wait_closed(self) -> Exit:
        assert self._ended is not None, "wait_closed before start"
        return await asyncio.shield(self._ended)

    def _on_end(self, running: asyncio.Task[str]) -> None:
        if not running.cancelled():
            if (error := running.exception()) is not None:
                log.error("The connection to a kernel has failed", exc_info=error)
            self._end(str(error) if error is not None else running.result(), "lost")

    def _end(self, reason: str, cause: Cause, *, replaced: bool = False) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(Exit(None, "", reason, cause, replaced))

    def _on_lost(self, reason: str) -> None:
        title = self._api.server.title
        self.on_link(f"The connection to {title} is cut ({reason}); trying again.", "disconnected")

    def _on_back(self) -> None:
        self.on_link(f"The connection to {self._api.server.title} is there again.", "reconnected")

    def _take(self, message: Message) -> None:
        if self._ended is None or self._ended.done():
            return  # the rest of what another kernel says, which is in its place now
        if message.session == self._session:
            self._hear_server(message)
        elif message.session and message.session != message.parent_header.get("session"):
            if self._kernel_session is None:
                self._kernel_session = message.session
            elif message.session != self._kernel_session:
                reason = "The kernel was restarted by somebody else or has died."
                self._end(reason, "exited", replaced=True)
                return
        if not self._ended.done():
            deliver = self._on_message if self._joining is None else self._joining.take
            deliver(message)

    def _hear_server(self, message: Message) -> None:
        """The server speaks for itself; kernels that call their sessions as we do never say so."""
        content: dict[str, Any] = message.content
        if message.msg_type == "status" and not message.parent_header:
            state = content.get("execution_state")
            if state == "restarting":
                self._fresh = True
                reason = "The kernel died; its server has started another one."
                self._end(reason, "exited", replaced=True)
            elif state == "dead":
                reason = "The kernel died; its server has given up starting others."
                self._end(reason, "exited")
        elif message.msg_type == "stream" and not self._limited:
            text = content.get("text")
            if isinstance(text, str) and text.strip().startswith(LIMITED):
                self._limited = True
                self.on_link(
                    f"{self._api.server.title} drops output that comes too fast; start it with "
                    "--ZMQChannelsWebsocketConnection.limit_rate=False.",
                    "outputLost",
                )
