"""Jupyter servers and gateways that tests start on this machine, and a network that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
import attrs
import psutil
from support import DEADLINE, FAKE

from carpo_lsp.kernels.remote.address import Server
from carpo_lsp.kernels.remote.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

ROOT: Final = Path(__file__).parent.parent

TOKEN: Final = "token-of-a-test"  # noqa: S105 - of a test
"""What every server of a test wants to see."""

READY: Final = 60.0
"""Seconds a server has to start; on a busy machine it may need half of them."""


@attrs.frozen
class Kind:
    """A program that serves kernels."""

    name: str
    title: str
    environment: str
    """The folder of its environment, which tests/install_servers makes."""
    command: str
    options: tuple[str, ...] = ()

    @property
    def marker(self) -> str:
        return f"needs_{self.name}"

    @property
    def program(self) -> Path:
        return ROOT / self.environment / "bin" / self.command

    @property
    def installed(self) -> bool:
        return self.program.exists()


UNLIMITED: Final = "--ZMQChannelsWebsocketConnection.limit_rate=False"
"""Without it Jupyter Server drops output that comes fast."""

LOOKS: Final = "--KernelRestarter.time_to_dead=1.0"
"""How often it looks whether a kernel lives, in seconds; by default that is every 3 s."""

SOCKETS: Final = "--KernelManager.transport=ipc"
"""Its kernels listen in a folder. A port is only chosen for a kernel: others may take it before the
kernel has it, which then hangs."""

PORTS: Final = "--EnterpriseGatewayApp.port_range=10000..32000"
"""Enterprise Gateway knows no sockets; these ports are none that systems give out."""

JUPYTER: Final = Kind(
    "jupyter_server",
    "Jupyter Server",
    ".venv-servers",
    "jupyter-server",
    (
        "--no-browser",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        UNLIMITED,
        LOOKS,
        SOCKETS,
    ),
)
GATEWAY: Final = Kind(
    "kernel_gateway",
    "Jupyter Kernel Gateway",
    ".venv-servers",
    "jupyter-kernelgateway",
    (
        "--KernelGatewayApp.port_retries=0",
        f"--KernelGatewayApp.auth_token={TOKEN}",
        "--JupyterWebsocketPersonality.list_kernels=True",
        UNLIMITED,
        LOOKS,
        SOCKETS,
    ),
)
ENTERPRISE: Final = Kind(
    "enterprise_gateway",
    "Jupyter Enterprise Gateway",
    ".venv-enterprise",
    "jupyter-enterprisegateway",
    (
        "--EnterpriseGatewayApp.port_retries=0",
        f"--EnterpriseGatewayApp.auth_token={TOKEN}",
        "--EnterpriseGatewayApp.list_kernels=True",
        "--ZMQChannelsHandler.limit_rate=False",
        LOOKS,
        PORTS,
    ),
)
KINDS: Final = (JUPYTER, GATEWAY, ENTERPRISE)


@attrs.frozen
class Running:
    """A server that runs."""

    kind: Kind
    url: str
    folder: Path
    """Where it runs, and what is in its log, `log`."""
    process: psutil.Process

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    @property
    def named(self) -> Server:
        """It by the name of its kind, as a user may have set it. Enterprise Gateway starts nothing
        for root."""
        secret = Secret(value=TOKEN)
        env = (("KERNEL_USERNAME", "tester"),)
        return Server(url=self.url, name=self.kind.name, secret=secret, env=env)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


@contextlib.asynccontextmanager
async def serving(
    kind: Kind,
    folder: Path,
    *options: str,
    token: str = TOKEN,
    port: int | None = None,
    scheme: str = "http",
    tls: object = False,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Running]:
    """A server of a kind that ends, with its kernels, when this does. Its files are in `folder`."""
    write_kernelspecs(folder / "jupyter" / "kernels")
    profile = folder / "ipython" / "profile_default" / "ipython_config.py"
    profile.parent.mkdir(parents=True, exist_ok=True)
    # Jedi takes its time for the first completion, on a busy machine more than there is.
    profile.write_text("get_config().Completer.use_jedi = False\n")
    port = port or free_port()
    extra = [] if kind.name != "jupyter_server" else [f"--ServerApp.root_dir={folder}"]
    if os.geteuid() == 0:
        extra.append("--allow-root" if kind.name == JUPYTER.name else "")
    arguments = [*kind.options, *filter(None, extra), *options, f"--port={port}"]
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            kind.program,
            *arguments,
            cwd=folder,
            env=_environment(folder, env or {}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    running = Running(kind, f"{scheme}://127.0.0.1:{port}/", folder, psutil.Process(process.pid))
    try:
        await _until_ready(running, process, token, tls)
        yield running
    finally:
        await end(process)


async def end(process: asyncio.subprocess.Process) -> None:
    """End a server, and what it has not ended itself."""
    below: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        below = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
    try:
        async with asyncio.timeout(DEADLINE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    for child in below:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(below, timeout=DEADLINE)


async def _until_ready(
    running: Running, process: asyncio.subprocess.Process, token: str, tls: object
) -> None:
    headers = {"Authorization": f"token {token}"}
    async with asyncio.timeout(READY), aiohttp.ClientSession(headers=headers) as session:
        while True:
            assert process.returncode is None, running.log
            with contextlib.suppress(aiohttp.ClientError):
                await session.get(running.url, ssl=tls)  # type: ignore[arg-type]
                return  # whatever it answers
            await asyncio.sleep(0.05)  # nothing tells when a program listens


def _environment(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    own = {
        "JUPYTER_PATH": str(folder / "jupyter"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "HOME": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
        # What it is told of a kernel would go to this machine's real address.
        "EG_PROHIBITED_UIDS": "",
        "EG_RESPONSE_IP": "127.0.0.1",
    }
    return {**os.environ, **own, **env}


def write_kernelspecs(folder: Path) -> None:
    """Kernelspecs of the environment that runs the tests: python3, and that of the fake kernel."""
    launch = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    fake = [sys.executable, str(FAKE / "fake_kernel.py"), "-f", "{connection_file}"]
    specs = {
        "python3": {"argv": launch, "display_name": "Python 3", "language": "python"},
        "fake": {"argv": fake, "display_name": "Fake", "language": "fake"},
    }
    for name, spec in specs.items():
        file = folder / name / "kernel.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(spec))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Network:
    """A way to a server that can be cut: everything that is connected breaks, and nobody gets in
    until it is mended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open = True
        self._server: asyncio.Server | None = None
        self._streams: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.frozen = False
        """Whether nothing goes through, and nobody is told."""

    async def __aenter__(self) -> Network:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        self._open = False
        for task in self._tasks:
            task.cancel()
        for stream in self._streams:
            stream.transport.abort()
        self._streams.clear()

    def mend(self) -> None:
        self._open = True
        self.frozen = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._streams |= {writer, server_writer}
        for source, target in ((reader, server_writer), (server_reader, writer)):
            task = asyncio.create_task(self._carry(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(1 << 16):
                if self.frozen:
                    continue
                target.write(data)
                await target.drain()
        if not self.frozen:
            target.close()
