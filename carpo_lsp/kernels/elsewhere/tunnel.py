"""A kernel on a host that is reached by ssh alone: used, or started there by its `jupyter`.

The kernel's ports are forwarded to sockets in a folder of ours. ssh is told so itself, rather than
by the tunnels of pyzmq: these ask for passwords on the terminal, leave processes to themselves, and
do not tell when the connection is lost.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp.errors import KernelStartFailed
from carpo_lsp.kernels import folders
from carpo_lsp.kernels.connection import Exit, OnMessage, Running
from carpo_lsp.kernels.elsewhere import hosts
from carpo_lsp.kernels.elsewhere.addresses import SCHEME
from carpo_lsp.kernels.elsewhere.attached import AttachedConnection, check_fields
from carpo_lsp.kernels.elsewhere.ssh import JUPYTER, Session
from carpo_lsp.kernels.messages import Request
from carpo_lsp.kernels.supervision.guard import OwnFolder

if TYPE_CHECKING:
    from collections.abc import Mapping

    import zmq

    from carpo_lsp.kernels.elsewhere.known import Host
    from carpo_lsp.kernels.specs import Spec

FAREWELL: Final = 1.0
"""Seconds that a tunnel has to end."""

CHANNELS: Final = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")

# Runs until its input ends, as it does with the connection, and interrupts the kernel as its
# parent would. What jupyter and the kernel print is told in errors.
_START: Final = """\
d=$(jupyter --runtime-dir) || exit 3
(umask 077; mkdir -p "$d")
f="$d"/kernel-{file_id}.json
cd {cwd} 2>/dev/null || cd || exit 4
{env}jupyter kernel --kernel={name} --KernelManager.connection_file="$f" </dev/null >&2 &
p=$!
until grep '}}' "$f" >/dev/null 2>&1; do
    kill -0 $p 2>/dev/null || {{ wait $p; echo "jupyter kernel ended" >&2; exit 5; }}
    sleep 0.1
done
printf '%s\\t' "$f"; tr -d '\\r\\n' <"$f"; echo
while read -r asked; do
    for k in $(ps -A -o pid= -o ppid= | awk -v p=$p '$2 == p {{ print $1 }}'); do
        kill -s INT -- -$k 2>/dev/null || kill -s INT $k
    done
done
kill $p 2>/dev/null
wait $p
rm -f "$f"
"""

# Is told the path of the kernel's connection file, which its own command line is not to have: the
# kernel is found by it, as the first with it as an argument. Whoever uses the kernel came later.
_HOLD: Final = """\
IFS= read -r f
while read -r asked; do
    k=$(ps -A -ww -o pid= -o args= | F=$f awk '
        { for (i = 2; i <= NF; i++) if ($i == ENVIRON["F"]) { print $1; exit } }')
    [ -z "$k" ] || kill -s INT -- -$k 2>/dev/null || kill -s INT $k
done
"""


class SshConnection:
    """A `Connection` to a kernel on another host: by `name` one that runs there, which is not ours,
    or one that is started from a kernelspec of that host."""

    pid = None

    def __init__(
        self,
        host: Host,
        on_message: OnMessage,
        *,
        context: zmq.Context[Any],
        name: str | None = None,
        spec: Spec | None = None,
        kernel_id: str = "",
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.owned = spec is not None
        self.home: str | None = None
        self._there = host
        self._host = host.name
        self._on_message = on_message
        self._context = context
        self._name = name
        self._spec = spec
        self._kernel_id = kernel_id
        self._cwd = host.there(cwd) if cwd is not None else None
        self._env = dict(env or {})
        self._path: str | None = None
        self._launches = 0
        self._by_message = False
        """Whether a kernel of ours is interrupted by a message."""
        self._folder: OwnFolder | None = None
        self._holder: Session | None = None
        """In which the kernel runs, where it is ours."""
        self._tunnel: Session | None = None
        self._inner: AttachedConnection | None = None

    @property
    def connection_file(self) -> str | None:
        """That of this end of the tunnel, which other clients here may use as well."""
        return self._inner.connection_file if self._inner is not None else None

    @property
    def file_there(self) -> str | None:
        return f"{SCHEME}{self._host}/{self._path}" if self._path is not None else None

    @property
    def mapped(self) -> bool:
        return bool(self._there.paths)

    def local_path(self, path: str) -> str:
        return self._there.here(folders.from_home(path, self.home))

    async def start(self) -> Running | None:
        if self._spec is None:
            path, info = await hosts.find(self._host, self._name)
        else:
            path, info = await self._launch(self._spec)
        folder = self._folder = self._folder or OwnFolder("ssh-")
        here = str(folder.path / "k")
        forwards = {
            f"{here}-{number}": _target(info, channel)
            for number, channel in enumerate(CHANNELS, 1)
            if channel in info
        }
        info |= {"transport": "ipc", "ip": here}
        info |= {channel: number for number, channel in enumerate(CHANNELS, 1) if channel in info}
        tunnel = self._tunnel = await Session.open(self._host, _HOLD, forwards)
        tunnel.tell(path)
        self._path = path
        await tunnel.begun()
        file = folder.path / "connection.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(info), encoding="utf-8")
        self._inner = AttachedConnection(
            str(file),
            info,
            self._on_message,
            context=self._context,
            signal=lambda: tunnel.tell("interrupt"),
            by_message=self._by_message,
        )
        return await self._inner.start()

    async def _launch(self, spec: Spec) -> tuple[str, dict[str, Any]]:
        """Start the kernel; path and content of its connection file."""
        name = spec.name.rpartition("/")[2]
        # The kernel of a connection that is lost is there until the host knows, with its file.
        self._launches = launch = self._launches + 1
        env = {key: value for key, value in self._env.items() if key.isidentifier()}
        script = JUPYTER + _START.format(
            file_id=self._kernel_id if launch == 1 else f"{self._kernel_id}-{launch}",
            cwd=shlex.quote(self._cwd) if self._cwd else "",
            env="".join(f"{key}={shlex.quote(value)} " for key, value in env.items()),
            name=shlex.quote(name),
        )
        holder = self._holder = await Session.open(self._host, script)
        await holder.begun()
        try:
            line = await holder.read_line()
        except KernelStartFailed:
            await self._require(spec)
            raise
        path, _, text = line.partition("\t")
        known = {each.name: each for each in await hosts.specs(self._host)}
        found = known.get(spec.name)
        self._by_message = found is not None and found.interrupt_mode == "message"
        try:
            info = json.loads(text)
        except ValueError:
            info = None
        if not isinstance(info, dict) or check_fields(info):
            raise KernelStartFailed(f"On {self._host}, `jupyter kernel` wrote no connection file.")
        return path, info

    async def _require(self, spec: Spec) -> None:
        """Raises `KernelStartFailed` for a kernelspec that is not there."""
        names = [each.name for each in await hosts.specs(self._host)]
        if spec.name not in names:
            raise KernelStartFailed(
                f"No kernelspec is named {spec.name!r}; there are: {', '.join(names) or 'none'}.",
                hint=f"`ssh {self._host} jupyter kernelspec list` lists them",
            )

    def send(self, request: Request) -> None:
        if self._inner is not None:
            self._inner.send(request)

    async def wait_for_stdin(self) -> None:
        if self._inner is not None:
            await self._inner.wait_for_stdin()

    def hold_back(self) -> None:
        if self._inner is not None:
            self._inner.hold_back()

    async def interrupt(self) -> None:
        if self._holder is not None and not self._by_message:
            self._holder.tell("interrupt")
        elif self._inner is not None:
            await self._inner.interrupt()

    async def end(self, grace: float) -> None:
        """End a kernel there that is not ours. Raises `KernelTimeout`."""
        if self._inner is not None:
            await self._inner.end(grace)

    async def stop(self, grace: float, *, restart: bool = False) -> None:
        holder, tunnel, inner = self._holder, self._tunnel, self._inner
        self._holder = self._tunnel = self._inner = None
        if holder is not None and inner is not None:
            inner.send(Request("control", "shutdown_request", {"restart": restart}))
        if holder is not None:
            await holder.close(grace)
        if inner is not None:
            await inner.stop(0)
        if tunnel is not None:
            await tunnel.close(FAREWELL)
        if self._folder is not None and not restart:
            self._folder.close()
            self._folder = None

    def stderr_tail(self) -> str:
        sessions = (self._holder, self._tunnel)
        tails = (each.stderr_tail() for each in sessions if each is not None)
        return "\n".join(filter(None, tails))

    async def wait_closed(self) -> Exit:
        inner, tunnel = self._inner, self._tunnel
        assert inner is not None, "wait_closed before start"
        assert tunnel is not None
        gone = asyncio.create_task(inner.wait_closed())
        try:
            await asyncio.wait([gone, tunnel.ended], return_when=asyncio.FIRST_COMPLETED)
            if not tunnel.ended.done():
                return Exit(None, self.stderr_tail(), gone.result().reason, "lost")
        finally:
            gone.cancel()
        said = (tunnel.stderr_tail().splitlines() or ["ssh has ended"])[-1]
        reason = f"The connection to {self._host} is lost: {said}"
        return Exit(None, self.stderr_tail(), reason, "lost")


def _target(info: Mapping[str, Any], channel: str) -> str:
    """What a channel's socket leads to, as ssh calls it."""
    ip, port = str(info["ip"]), info[channel]
    if info["transport"] != "tcp":
        return f"{ip}-{port}"
    if ip in ("0.0.0.0", "*", ""):  # noqa: S104 - it listens there, we connect
        ip = "127.0.0.1"
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
