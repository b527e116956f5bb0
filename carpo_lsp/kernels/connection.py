"""The seam between a kernel's state and the way the kernel is reached.

A process we own, a connection file we were given and a kernel behind a Jupyter Server are three
implementations of `Connection`; nothing above this module knows which one it talks to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from msgspec import Struct

from carpo_lsp.kernels.messages import Message, Request

if TYPE_CHECKING:
    from carpo_lsp.kernels.events import Cause
    from carpo_lsp.kernels.kept.registry import Bound
    from carpo_lsp.protocol import Limits

OnMessage = Callable[[Message], None]


class Exit(Struct, frozen=True):
    """How a kernel ended, as far as it is known."""

    code: int | None
    """The exit code; negative is the number of the signal that ended the process."""
    stderr_tail: str
    """The last of what the process wrote on stdout and stderr, at most 8 kB."""
    reason: str
    """One sentence for a person."""
    cause: Cause = "exited"
    replaced: bool = False
    """Whether its server starts another in its place."""


class Running(Struct, frozen=True):
    """A kernel that was there before and need not answer now: one of another server of ours, as it
    was left, or one that is busy with the code of another client."""

    info: dict[str, Any]
    """Content of its kernel_info_reply."""
    execution_count: int | None
    since: str
    """When it was started, ISO 8601, UTC."""
    gap: str | None
    """What of its messages nobody has taken in and could not be kept, in a sentence."""
    begin: Callable[[OnMessage, Callable[[], None]], None]
    """Has what it has sent meanwhile given out from now on; gets the execute requests of the
    servers that have left, in their places among the messages. The other callback is called behind
    all that, and when the kernel is through with what ran."""
    busy: bool = False
    """Whether it runs code of another client, whose beginning has not been seen."""


class Connection(Protocol):
    """A kernel, however it is reached. Messages arrive through the callback it was made with."""

    @property
    def pid(self) -> int | None:
        """Process id of the kernel, where there is a process of ours."""

    @property
    def connection_file(self) -> str | None:
        """Path of the connection file, once it has been written."""

    @property
    def owned(self) -> bool:
        """Whether the kernel's life is ours to end."""

    async def start(self) -> Running | None:
        """Open the channels, starting the kernel first where it is ours to start.

        Raises `KernelStartFailed`. Returns once messages can be sent, which is before the kernel
        is ready: that is for the caller to find out with a `kernel_info_request`, unless it was
        there before and is known.
        """

    def send(self, request: Request) -> None:
        """Send a message; never blocks. Messages to a closed connection are dropped."""

    async def wait_for_stdin(self) -> None:
        """Wait until the kernel can ask questions.

        A kernel drops a question without a word while its stdin channel has no peer, and the code
        that asked waits for ever.
        """

    def hold_back(self) -> None:
        """The kernel keeps the output that we have not taken: take little more than is read."""

    async def interrupt(self) -> None:
        """Interrupt what the kernel runs, in the way its kernelspec asks for."""

    async def stop(self, grace: float, *, restart: bool = False) -> None:
        """End the kernel and close the channels.

        First a shutdown request, then, each after a share of `grace` seconds, SIGTERM and SIGKILL
        to its process group; its child processes are gone too when this returns. A kernel that is
        not ours is only let go. Safe at any time, also while starting, and more than once. With
        `restart` the address is kept, so that other clients of the kernel find its successor when
        the connection is started again.
        """

    def stderr_tail(self) -> str:
        """The last of what the kernel's process wrote on stdout and stderr; empty where unknown."""

    async def wait_closed(self) -> Exit:
        """Wait until the kernel is gone without having been asked, and tell how it ended.

        What it had sent before has been delivered by then.
        """


@runtime_checkable
class Elsewhere(Protocol):
    """What a connection can do besides when the kernel has other files than this machine."""

    home: str | None
    """What `~` is there, once it is known."""

    @property
    def mapped(self) -> bool:
        """Whether something is set of what its folders are called here."""

    def local_path(self, path: str) -> str:
        """What a path there is called on this machine; itself where nothing else is set."""


@runtime_checkable
class Tunnelled(Elsewhere, Protocol):
    """What a connection has besides when the kernel has its connection file on another host."""

    @property
    def file_there(self) -> str | None:
        """That file, as `ssh:HOST/PATH`; None before it is known."""


@runtime_checkable
class Remote(Elsewhere, Protocol):
    """What a connection has besides when a network is between this process and the kernel."""

    remote_id: str | None
    """What its server calls the kernel."""

    @property
    def folder(self) -> str | None:
        """Where the kernel is to work, as it is called there; None for where it is."""

    @property
    def server_url(self) -> str:
        """Where its server is."""

    @property
    def on_link(self) -> Callable[[str, Cause], None]:
        """Told, in a sentence, when the kernel cannot be reached, when it can be again, and when
        its output has got lost."""

    @on_link.setter
    def on_link(self, tell: Callable[[str, Cause], None]) -> None: ...


class Keep(Struct, frozen=True):
    """How a kernel is to be kept."""

    minutes: float
    """How long it may be idle without a server before it is ended; 0 for ever."""
    documents: tuple[Bound, ...] = ()
    """What is bound to it."""


class Work(Struct, frozen=True, kw_only=True):
    """What a kernel does at the moment it is to be kept."""

    info: dict[str, Any]
    """Content of its kernel_info_reply."""
    execution_count: int | None
    running: Callable[[], Request | None]
    """The request of the execution in flight, if there is one."""
    idle: Callable[[], Awaitable[None]]
    """Waits until none is, be it that the kernel is gone."""
    limits: Limits | None = None
    """What the kernel may use, also without us."""


@runtime_checkable
class Foreign(Protocol):
    """What a connection can do besides to a kernel that is somebody else's."""

    async def end(self, grace: float) -> None:
        """End the kernel for all who use it, within about `grace` seconds: its user has insisted.

        To be called before `stop`. Raises `KernelTimeout` when it does not end.
        """


@runtime_checkable
class Keepable(Protocol):
    """What a connection can do besides when its kernel may outlive this process."""

    @property
    def kept(self) -> bool:
        """Whether the kernel goes on when this process ends."""

    async def keep(self, minutes: float, documents: tuple[Bound, ...], work: Work) -> None:
        """Have the kernel go on when this process ends, until it has been idle for `minutes`
        (0: for ever) without a server.

        From the first moment it is not ended with us; when this returns, nothing it sends gets
        lost by our end. Raises `CarpoError`.
        """

    @property
    def on_told(self) -> Callable[[str], None]:
        """Told what was done about the kernel when nobody was there, and why."""

    @on_told.setter
    def on_told(self, tell: Callable[[str], None]) -> None: ...

    @property
    def on_gap(self) -> Callable[[str], None]:
        """Told, in a sentence, when what the kernel has sent may have got lost."""

    @on_gap.setter
    def on_gap(self, tell: Callable[[str], None]) -> None: ...

    def release(self) -> None:
        """Have the kernel end with this process after all."""

    def acknowledge(self) -> None:
        """What the kernel has sent so far need not be told to another server."""

    async def leave(self) -> None:
        """Let go of a kept kernel, which goes on."""
