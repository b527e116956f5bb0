"""Commands on other hosts through the ssh program, with what it forwards to here.

ssh is never to ask: it has no terminal, and what it would ask for (a password, an unknown host) is
an error that says how to get rid of the question.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
import signal
import socket
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from carpo_lsp.deadlines import Deadline
from carpo_lsp.errors import KernelStartFailed
from carpo_lsp.kernels.elsewhere.addresses import check_host
from carpo_lsp.kernels.process import TAIL

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

ANSWER: Final = 30.0
"""Seconds within which a host is reached and has done what it was asked."""

FAREWELL: Final = 3.0
"""Seconds that a session has to end once its input has been closed."""

LOST: Final = 255
"""ssh's own exit code."""

OPTIONS: Final = (
    *("-T", "-a", "-x", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15"),
    # Silence for a minute is the end of a connection.
    *("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"),
    *("-o", "ExitOnForwardFailure=yes", "-o", "StreamLocalBindMask=0177"),
    *("-o", "StreamLocalBindUnlink=yes"),  # of the tunnel before a restart
)

JUPYTER: Final = """\
command -v jupyter >/dev/null 2>&1 || PATH=$("${SHELL:-sh}" -lc env 2>/dev/null </dev/null |
    sed -n 's/^PATH=//p' | tail -n 1)
command -v jupyter >/dev/null 2>&1 || { echo "jupyter is not found there" >&2; exit 127; }
"""
"""Has `jupyter` found where only login shells have it on their path."""


async def run(host: str, script: str) -> str:
    """What a shell script prints on a host. Raises `KernelStartFailed`."""
    session = await Session.open(host, script)
    try:
        async with Deadline(ANSWER):
            session.close_input()
            printed = await session.read_to_end()
            code = await session.ended
    except TimeoutError:
        raise KernelStartFailed(f"{host} did not answer within {ANSWER:g} s.") from None
    finally:
        await session.close()
    if code:
        raise session.failure(code)
    return printed


class Session:
    """A shell script that runs on another host until its input is closed, be it by the end of this
    process. `ended` gives its exit code."""

    def __init__(
        self,
        host: str,
        process: asyncio.subprocess.Process,
        mark: str,
        forwards: Mapping[str, str],
    ) -> None:
        self.host = host
        self._forwards = forwards
        self._process = process
        self._mark = mark.encode()
        self._tail = bytearray()
        self._listening = asyncio.create_task(self._listen())
        self.ended: asyncio.Task[int] = asyncio.create_task(process.wait())

    @classmethod
    async def open(
        cls, host: str, script: str, forwards: Mapping[str, str] = MappingProxyType({})
    ) -> Session:
        """Begin to run a script. `forwards` are sockets to be made here, and what each leads to
        there: `address:port`, or the path of a socket.

        Raises `KernelStartFailed` when there is no ssh.
        """
        check_host(host)
        mark = f"carpo-{uuid4().hex}"
        command = f"exec sh -c {shlex.quote(f'echo {mark}' + chr(10) + script)}"
        options = [part for here, there in forwards.items() for part in ("-L", f"{here}:{there}")]
        try:
            process = await asyncio.create_subprocess_exec(
                *("ssh", *OPTIONS, *options, "--", host, command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # no terminal to ask on
            )
        except OSError as error:
            raise KernelStartFailed(
                f"ssh could not be run: {error.strerror}.", hint="install OpenSSH's client"
            ) from error
        return cls(host, process, mark, forwards)

    @property
    def _stdout(self) -> asyncio.StreamReader:
        assert self._process.stdout is not None  # it is a pipe
        return self._process.stdout

    async def begun(self) -> None:
        """Wait until the script runs; the forwards are there by then. Raises `KernelStartFailed`.

        What a host greets with comes before.
        """
        while (await self.read_line()).encode() != self._mark:
            pass

    async def read_line(self) -> str:
        """The next line that is printed, without its end. Raises `KernelStartFailed` at the end."""
        line = await self._stdout.readline()
        if not line:
            raise self.failure(await self.ended)
        return line.decode("utf-8", "replace").rstrip("\r\n")

    async def read_to_end(self) -> str:
        """All that the script prints."""
        printed = await self._stdout.read()
        return printed.rpartition(self._mark)[2].decode("utf-8", "replace").lstrip("\r\n")

    def tell(self, line: str) -> None:
        """Send the script a line."""
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(f"{line}\n".encode())

    def close_input(self) -> None:
        """Have the script come to its end."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def close(self, grace: float = FAREWELL) -> None:
        """End the session, within some seconds in order; safe more than once."""
        self.close_input()
        try:
            async with Deadline(grace):
                await asyncio.wait([self.ended])
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await asyncio.wait([self.ended])
        await asyncio.wait([self._listening])
        await self._cancel_forwards()

    async def _cancel_forwards(self) -> None:
        """A connection that is shared between sessions (ControlMaster) keeps what was forwarded for
        one of them."""
        for here, there in self._forwards.items():
            if not _is_listening(here):
                continue
            with contextlib.suppress(OSError, TimeoutError):
                async with Deadline(FAREWELL):
                    process = await asyncio.create_subprocess_exec(
                        *("ssh", "-O", "cancel", "-L", f"{here}:{there}", "--", self.host),
                        stdin=asyncio.subprocess.DEVNULL,
                        stdout=asyncio.subprocess.DEVNULL,
                        stderr=asyncio.subprocess.DEVNULL,
                    )
                    await process.wait()

    def stderr_tail(self) -> str:
        """The last of what ssh and the script have written on stderr."""
        return self._tail.decode("utf-8", "replace").strip()

    def failure(self, code: int) -> KernelStartFailed:
        """What it means that the session has ended."""
        tail = self.stderr_tail()
        said = (tail.splitlines() or ["it said nothing"])[-1]
        if code == LOST:
            return KernelStartFailed(
                f"ssh cannot reach {self.host}: {said}",
                hint=f"`ssh -o BatchMode=yes {self.host} true` has to work in a terminal: an agent "
                "with the key, and a host that is known",
                stderrTail=tail,
            )
        hint = {"hint": f"pip install jupyter-client on {self.host}"} if code == 127 else {}
        return KernelStartFailed(f"On {self.host}: {said}", exitCode=code, stderrTail=tail, **hint)

    async def _listen(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None  # it is a pipe
        while data := await stderr.read(65536):
            self._tail += data
            del self._tail[:-TAIL]


def _is_listening(path: str) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as there:
        there.settimeout(0)
        there.connect(path)
        return True
    return False
