"""A real ssh server on a port of this machine, with keys of its own, and an `ssh` that knows it."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import psutil
from support import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST: Final = "faraway"
"""What the server is called in the configuration of `ssh`."""

STRANGER: Final = "stranger"
"""The same server by a name under which its key is not known."""

SHARED: Final = "shared"
"""The same server by a name under which all sessions share one connection."""

MARK: Final = "CARPO_TEST_RUN"
"""What marks all that a run of the tests starts, in its environment."""

PASSED: Final = (MARK, "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "XDG_STATE_HOME")


def sshd_program() -> str | None:
    """The server's program, which is to be called by its whole path."""
    return shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


@attrs.frozen
class Sshd:
    """A server that runs. Its sessions have the environment under test on their path."""

    process: subprocess.Popen[str]
    runtime: Path
    """Jupyter's runtime folder of its sessions."""
    bin: Path
    """The folder with the `ssh` that knows it, for the path."""

    def sessions(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def daemons(self) -> list[psutil.Process]:
        """What of the server serves its sessions."""
        found = []
        for each in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if each.name().startswith("sshd"):
                    found.append(each)
        return found

    def wait(self) -> None:
        """Wait for the end of what serves sessions: a session is more than one process, and the
        last goes a moment after the client."""
        psutil.wait_procs(self.daemons(), timeout=DEADLINE)

    def cut(self) -> None:
        """End all connections at once, as when a network goes."""
        for session in self.sessions():
            for process in (session, *session.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    if process.name().startswith("sshd"):
                        process.kill()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Sshd]:
    """A server that takes the user who runs the tests; `folder` gets its files."""
    daemon = sshd_program()
    assert daemon is not None
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd asks for it when it is root's
    runtime = folder / "there"
    runtime.mkdir(mode=0o700)
    for name in ("host", "user"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(keygen, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    there = {name: os.environ[name] for name in PASSED if name in os.environ} | {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "JUPYTER_RUNTIME_DIR": str(runtime),
    }
    config = {
        "Port": str(port),
        "ListenAddress": "127.0.0.1",
        "HostKey": str(folder / "host"),
        "AuthorizedKeysFile": str(folder / "user.pub"),
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "StrictModes": "no",
        "PidFile": "none",
        "UsePAM": "no",
        "SetEnv": " ".join(f"{name}={value}" for name, value in there.items()),
    }
    (folder / "sshd_config").write_text(_lines(config))
    key = (folder / "host.pub").read_text()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {key}")
    (folder / "unknown").touch()
    client = {"HostName": "127.0.0.1", "Port": str(port), "IdentityFile": str(folder / "user")}
    client |= {"IdentitiesOnly": "yes", "StrictHostKeyChecking": "ask"}
    (folder / "ssh_config").write_text(
        f"Host {HOST}\nUserKnownHostsFile {folder / 'known'}\n{_lines(client)}"
        f"Host {SHARED}\nUserKnownHostsFile {folder / 'known'}\n{_lines(client)}"
        f"ControlMaster auto\nControlPath {folder / 'shared'}\nControlPersist 60\n"
        f"Host {STRANGER}\nUserKnownHostsFile {folder / 'unknown'}\n{_lines(client)}"
    )
    bin_ = folder / "bin"
    bin_.mkdir()
    ssh = shutil.which("ssh")
    assert ssh is not None
    (bin_ / "ssh").write_text(
        f'#!/bin/sh\nexec {ssh} -F {shlex.quote(str(folder / "ssh_config"))} "$@"\n'
    )
    (bin_ / "ssh").chmod(0o755)
    process = subprocess.Popen(
        [daemon, "-D", "-e", "-f", str(folder / "sshd_config")],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    server = Sshd(process, runtime, bin_)
    log = open(folder / "log", "w")
    try:
        while "Server listening" not in (line := process.stderr.readline()):
            assert line, "sshd ended"
        drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=log)
        yield server
    finally:
        # A connection that a client has given up may get its process only now; it goes at once. It
        # is known by its parent: while it is made it has not its environment yet.
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        served = server.daemons()
        process.kill()
        process.wait()
        psutil.wait_procs(served, timeout=DEADLINE)
        process.stderr.close()
        drain.wait()
        log.close()


@contextlib.contextmanager
def kernel(server: Sshd, spec: str = "python3") -> Iterator[subprocess.Popen[str]]:
    """A kernel that was started on the host by hand."""
    env = {**os.environ, "JUPYTER_RUNTIME_DIR": str(server.runtime)}
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("jupyter")), "kernel", f"--kernel={spec}"],
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    assert process.stderr is not None
    try:
        while "To connect a client" not in process.stderr.readline():
            assert process.poll() is None
        yield process
    finally:
        process.terminate()
        process.communicate()


def _lines(options: dict[str, str]) -> str:
    return "".join(f"{name} {value}\n" for name, value in options.items())
