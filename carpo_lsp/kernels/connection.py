"""The seam between a kernel's state and the way the kernel is reached.

A process we own, a connection file we were given and a kernel behind a Jupyter Server are three
implementations of `Connection`; nothing above this module knows which one it talks to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import attrs

from carpo_lsp.kernels.messages import Message, Request

if TYPE_CHECKING:
    from carpo_lsp.kernels.events import Cause

OnMessage = Callable[[Message], None]


@attrs.frozen
class Exit:
    """How a kernel ended, as far as it is known."""

    code: int | None
    """The exit code; negative is the number of the signal that ended the process."""
    stderr_tail: str
    """The last of what the process wrote on stdout and stderr, at most 8 kB."""
    reason: str
    """One sentence for a person."""
    cause: Cause = "exited"


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

    async def start(self) -> None:
        """Open the channels, starting the kernel first where it is ours to start.

        Raises `KernelStartFailed`. Returns once messages can be sent, which is before the kernel
        is ready: that is for the caller to find out with a `kernel_info_request`.
        """

    def send(self, request: Request) -> None:
        """Send a message; never blocks. Messages to a closed connection are dropped."""

    async def wait_for_stdin(self) -> None:
        """Wait until the kernel can ask questions.

        A kernel drops a question without a word while its stdin channel has no peer, and the code
        that asked waits for ever.
        """

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
