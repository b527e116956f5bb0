"""A kernel in a process of ours: spawn, watch, interrupt, end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_core.paths import jupyter_runtime_dir

from carpo_lsp.deadlines import Deadline
from carpo_lsp.errors import KernelStartFailed
from carpo_lsp.kernels import process
from carpo_lsp.kernels.attention import ALONE
from carpo_lsp.kernels.channels import Channels
from carpo_lsp.kernels.connection import Exit, OnMessage
from carpo_lsp.kernels.ending import end_process
from carpo_lsp.kernels.messages import Request
from carpo_lsp.kernels.supervision.death import describe
from carpo_lsp.kernels.supervision.guard import Guard, OwnFolder
from carpo_lsp.kernels.supervision.oom import OomKills

if TYPE_CHECKING:
    from collections.abc import Mapping

    import zmq

    from carpo_lsp.kernels.attention import Beside
    from carpo_lsp.kernels.kept.link import Link
    from carpo_lsp.kernels.messages import Message
    from carpo_lsp.kernels.specs import Spec

log = logging.getLogger(__name__)

IPC_MODULES: Final = frozenset(
    {
        *("ipykernel", "ipykernel_launcher", "bash_kernel", "octave_kernel"),
        *("calysto_scheme", "fish_kernel"),
    }
)
"""Kernel modules known to bind ipc addresses: those that run on ipykernel's application. Other
kernels may take the address for a TCP host and never answer, so they get loopback TCP."""

POLL: Final = 0.5
"""Seconds between two looks at a kernel of a provisioner that runs it elsewhere."""

OBEY: Final = 2.0
"""Seconds such a kernel has to say that it is going to end."""

LOCAL: Final = "local-provisioner"
"""The name of the provisioner that starts a process here, as most kernelspecs mean."""

NO_PARENT: Final = {"JPY_PARENT_PID": "1"}
"""Keeps ipykernel from ending with the process that has started it: a kernel may be kept, and
those that are not end by the watchdog."""

SETTLE_QUIET: Final = 0.05
SETTLE_LIMIT: Final = 2.0


class LocalConnection:
    """A `Connection` to a kernel that this process starts from a kernelspec."""

    owned = True

    def __init__(
        self,
        spec: Spec,
        kernel_id: str,
        on_message: OnMessage,
        *,
        context: zmq.Context[zmq.Socket[bytes]],
        guard: Guard,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        beside: Beside = ALONE,
    ) -> None:
        self._beside = beside
        self._spec = spec
        self._kernel_id = kernel_id
        self._file = str(Path(jupyter_runtime_dir()) / f"kernel-{kernel_id}.json")
        self._on_message = on_message
        self._context = context
        self._guard = guard
        self._cwd = cwd
        self._env = dict(env or {})
        self._launcher: AsyncKernelManager | None = None
        self._folder: OwnFolder | None = None
        self._channels: Channels | Link | None = None
        self._tail: process.Tail | None = None
        self._pid: int | None = None
        self._exit: asyncio.Task[int] | None = None
        self._obeyed = asyncio.Event()
        """Set when the kernel says that it is going to end."""
        self._oom_kills: OomKills | None = None

    @property
    def pid(self) -> int | None:
        return self._pid

    @property
    def connection_file(self) -> str | None:
        return str(self._launcher.connection_file) if self._launcher else None

    @property
    def address(self) -> dict[str, Any]:
        """The content of the connection file, once it has been started."""
        return dict(self._launcher.get_connection_info()) if self._launcher else {}

    @property
    def channels(self) -> Channels | None:
        """The open channels, while there are any of our own."""
        return self._channels if isinstance(self._channels, Channels) else None

    @property
    def tail(self) -> process.Tail | None:
        """What the process has printed, once it has been started."""
        return self._tail

    @property
    def folder(self) -> OwnFolder | None:
        """The kernel's temporary folder, once it has been started."""
        return self._folder

    def use(self, link: Link) -> None:
        """Send through a keeper from now on; the channels have been closed."""
        self._channels = link

    def inherit(self, folder: OwnFolder | None) -> None:
        """Take over the temporary folder of a kernel that was kept, and so its address; without
        one the next start has another."""
        self._folder = folder
        if folder is None:
            self._drop_launcher()

    def leave(self) -> None:
        """Let go of the process, which goes on; nothing of it is removed."""
        provisioner = self._launcher.provisioner if self._launcher else None
        if self._exit is not None:
            self._exit.cancel()
            self._exit = None
        child = getattr(provisioner, "process", None)
        if child is not None:
            child.returncode = 0  # its end is no longer ours to wait for
        self._drop_launcher()
        if self._tail is not None:
            self._tail.close()
        self._folder = None

    def _drop_launcher(self) -> None:
        if self._launcher is not None:
            self._launcher.connection_file = ""  # which it would remove with itself
            self._launcher = None

    async def start(self) -> None:
        self._check()
        self._guard.expect(self._file)
        try:
            launcher = self._launcher = self._launcher or self._make_launcher()
        except OSError as error:
            raise self._failure(
                f"The runtime folder cannot be used: {error.strerror} ({error.filename}).",
                hint=f"make {jupyter_runtime_dir()!r} writable, or set JUPYTER_RUNTIME_DIR",
            ) from error
        tail = self._tail = process.Tail()
        try:
            command, options = await launcher.pre_start_kernel(
                cwd=self._cwd,
                env={**os.environ, **self._env, **NO_PARENT},
                independent=True,
            )
            # What others do with the output of a kernel is up to them, and some choose its place.
            if isinstance(launcher.provisioner, LocalProvisioner):
                options |= {"stdout": tail.write_end, "stderr": tail.write_end}
            # The two halves of `start_kernel`, without the control socket it opens for itself.
            await launcher._launch_kernel(command, **options)
        except OSError as error:
            raise self._failure(*_explain(error, self._spec.argv)) from error
        except Exception as error:  # a provisioner, which may be anybody's code, can raise anything
            raise self._failure(
                f"{self._spec.display_name} could not be launched: {error}"
            ) from error
        finally:
            tail.close_write_end()
        provisioner = launcher.provisioner
        assert provisioner is not None  # made by pre_start_kernel
        await provisioner.post_launch(**options)
        child = getattr(provisioner, "process", None)
        if child is not None:
            self._pid = child.pid
            self._guard.add(self._file, child.pid)
            self._oom_kills = OomKills(child.pid)
            self._exit = asyncio.create_task(process.wait_for_exit(child.pid, child.poll))
        else:  # a provisioner that runs the kernel elsewhere
            await self._guard.remove(self._file)
            self._exit = asyncio.create_task(_wait_for_provisioner(provisioner))
        self._obeyed.clear()
        self._channels = Channels(
            self._context, self.address, self._hear, self._kernel_id, self._beside
        )

    def send(self, request: Request) -> None:
        if request.msg_type == "execute_request" and self._oom_kills is not None:
            self._oom_kills.look()  # what was killed before is nothing to this code
        if self._channels is not None:
            self._channels.send(request)

    async def wait_for_stdin(self) -> None:
        if self._channels is not None:
            await self._channels.wait_for_stdin()

    def hold_back(self) -> None:
        if self._channels is not None:
            self._channels.hold_back()

    def _hear(self, message: Message) -> None:
        if message.msg_type == "shutdown_reply":
            self._obeyed.set()
        self._on_message(message)

    async def interrupt(self) -> None:
        if self._spec.interrupt_mode == "message":
            self.send(Request("control", "interrupt_request", {}))
        elif self._launcher is not None and self._launcher.provisioner is not None:
            with contextlib.suppress(ProcessLookupError):
                await self._launcher.provisioner.send_signal(signal.SIGINT)

    async def stop(self, grace: float, *, restart: bool = False) -> None:
        launcher = self._launcher
        provisioner = launcher.provisioner if launcher else None
        if self._exit is not None:
            await self._end_process(self._exit, grace, restart)
        elif provisioner is not None and provisioner.has_process:
            # The start was cancelled between the spawn and the watch.
            await provisioner.kill()
            await provisioner.wait()
        self._exit = None
        self._pid = None
        if self._channels is not None:
            self._channels.close()
            self._channels = None
        if self._tail is not None:
            self._tail.close()
        await self._guard.remove(self._file)
        if launcher is not None:
            launcher.cleanup_ipc_files()
            if provisioner is not None:
                await provisioner.cleanup(restart=restart)
            if not restart:
                launcher.cleanup_connection_file()
                self._launcher = None
        if not restart:
            self._remove_folder()

    async def wait_closed(self) -> Exit:
        assert self._exit is not None, "wait_closed before start"
        code = await asyncio.shield(self._exit)
        if self._channels is not None:
            await self._channels.settle(SETTLE_QUIET, SETTLE_LIMIT)
        tail = self.stderr_tail()
        if self._oom_kills is not None and (oom := self._oom_kills.evidence(code)) is not None:
            return Exit(code, tail, oom, "outOfMemory")
        return Exit(code, tail, describe(code), "exited" if code >= 0 else "signal")

    def stderr_tail(self) -> str:
        return self._tail.text() if self._tail else ""

    async def _end_process(self, ended: asyncio.Task[int], grace: float, restart: bool) -> None:
        await end_process(
            self._pid,
            ended,
            grace,
            restart=restart,
            interrupt=self.interrupt,
            send=self.send,
            kill=self._signal,
            asked=functools.partial(self._tell_provisioner, restart),
        )

    async def _tell_provisioner(self, restart: bool) -> None:
        """That its kernel has been asked to end: some have something beside it that ends now, by
        which they know whether the kernel is there."""
        if self._launcher is not None and self._launcher.provisioner is not None:
            if self._pid is None and self._exit is not None and not self._exit.done():
                with contextlib.suppress(TimeoutError):
                    async with Deadline(OBEY):  # or the request would be lost with the channels
                        await self._obeyed.wait()
            try:
                await self._launcher.provisioner.shutdown_requested(restart=restart)
            except Exception as error:  # it may be anybody's code
                log.warning("The provisioner of %s: %s", self._spec.name, error)

    async def _signal(self, number: signal.Signals) -> None:
        if self._launcher is not None and self._launcher.provisioner is not None:
            with contextlib.suppress(ProcessLookupError):
                await self._launcher.provisioner.send_signal(number)

    def _remove_folder(self) -> None:
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def _check(self) -> None:
        """Say what is wrong with a command or a folder before a spawn fails less clearly."""
        if self._cwd is not None and not Path(self._cwd).is_dir():
            raise self._failure(
                f"The working folder {self._cwd!r} does not exist.", hint="choose another cwd"
            )

    def _make_launcher(self) -> AsyncKernelManager:
        Path(self._file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        launcher = AsyncKernelManager(
            kernel_id=self._kernel_id,
            kernel_name=self._spec.name,
            kernel_spec_manager=_OneSpec(self._spec),
            connection_file=self._file,
            # Sockets that nobody else can open are safe without, and keys cost: each byte of output
            # would be encrypted by the kernel and decrypted here.
            transport_encryption="disabled" if _binds_ipc(self._spec) else "auto",
        )
        if self._folder is not None:  # inherited from a kernel that was kept
            launcher.load_connection_file(self._file)
            launcher.cache_ports = False
            return launcher
        folder = self._folder = OwnFolder()
        folder.add(self._file)
        if _binds_ipc(self._spec):
            # Not beside the connection file: an ipc address must stay under 108 bytes.
            launcher.transport = "ipc"
            launcher.ip = str(folder.path / "kernel")
        return launcher

    def _failure(self, message: str, hint: str | None = None) -> KernelStartFailed:
        data: dict[str, Any] = {"argv": list(self._spec.argv), "exitCode": None, "stderrTail": ""}
        if hint:
            data["hint"] = hint
        return KernelStartFailed(message, **data)


class _OneSpec(KernelSpecManager):
    """Gives jupyter_client the kernelspec we chose, whichever its name would find."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self._chosen = KernelSpec(
            argv=list(spec.argv),
            name=spec.name,
            display_name=spec.display_name,
            language=spec.language,
            env=spec.env,
            resource_dir=spec.path,
            interrupt_mode=spec.interrupt_mode,
            metadata=spec.metadata,
        )

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return self._chosen


def _binds_ipc(spec: Spec) -> bool:
    chosen = spec.metadata.get("kernel_provisioner")
    name = chosen.get("provisioner_name") if isinstance(chosen, dict) else None
    if name not in (None, LOCAL):
        return False  # it may run the kernel on another machine
    return os.name == "posix" and not IPC_MODULES.isdisjoint(spec.argv)


async def _wait_for_provisioner(provisioner: Any) -> int:
    """Not by its `wait`, which blocks in those of gateway_provisioners: jupyter_client calls it
    when a kernel is about to end alone."""

    while (code := await provisioner.poll()) is None:  # noqa: ASYNC110 - nothing else tells
        await asyncio.sleep(POLL)
    return int(code or 0)


def _explain(error: OSError, argv: tuple[str, ...]) -> tuple[str, str]:
    """A sentence and a hint for a command that could not be run."""
    program = argv[0]
    if error.errno == errno.ENOENT:
        return (
            f"The kernel's program {program!r} does not exist.",
            "install the kernel again, or mend the argv of its kernel.json",
        )
    if error.errno in (errno.EACCES, errno.ENOEXEC):
        return (f"The kernel's program {program!r} is not executable.", f"chmod +x {program}")
    if error.strerror is None:  # by a provisioner
        return f"The kernel could not be started: {error}.", "ask what its provisioner wants"
    return (
        f"The kernel's program {program!r} could not be run: {error.strerror}.",
        "run the kernelspec's argv in a terminal to see why",
    )
