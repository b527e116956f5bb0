"""The server as a process: how it starts, what it writes where, how it ends."""

from __future__ import annotations

import json
import os
import re
import resource
import select
import signal
import socket
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from cli_program import LONG

from carpo_lsp import __version__

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from typing import IO

    from cli_program import Program


class Client:
    """As much of a client as it takes."""

    def __init__(self, reader: IO[bytes], writer: IO[bytes]) -> None:
        self._reader = reader
        self._writer = writer
        self._last_id = 0

    def notify(self, method: str, params: Any = None) -> None:
        self._send({"method": method, "params": params})

    def request(self, method: str, params: Any = None) -> Any:
        """The result; other messages that come before it are skipped."""
        self._last_id += 1
        self._send({"id": self._last_id, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == self._last_id:
                return message["result"]

    def initialize(self, **options: Any) -> None:
        params = {"capabilities": {}, "initializationOptions": {"carpo": options}}
        self.request("initialize", {"processId": None, "rootUri": None, **params})
        self.notify("initialized", {})

    def end(self) -> None:
        self.request("shutdown")
        self.notify("exit")

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._writer.flush()

    def _receive(self) -> dict[str, Any]:
        header = b""
        while not header.endswith(b"\r\n\r\n"):
            byte = self._reader.read(1)
            assert byte, "the server is gone"
            header += byte
        (length,) = re.findall(rb"Content-Length: (\d+)", header)
        return json.loads(self._reader.read(int(length)))


def connect(process: subprocess.Popen[bytes]) -> Client:
    client = Client(process.stdout, process.stdin)
    client.initialize()
    return client


def start_kernel(client: Client) -> None:
    assert client.request("carpo/startKernel", {"language": "python"})["status"] == "idle"


@pytest.mark.parametrize("command", [["--stdio"], ["serve"], []])
def test_it_serves_stdio_until_the_client_ends_it(program: Program, command: list[str]) -> None:
    process = program.start(*command)
    connect(process).end()
    assert process.wait() == 0
    assert process.stderr.read() == b""


def test_a_client_that_goes_away_takes_the_kernels_with_it(program: Program) -> None:
    process = program.start()
    start_kernel(connect(process))
    process.stdin.close()
    assert process.wait() == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_with_its_kernels(program: Program, number: signal.Signals) -> None:
    process = program.start()
    start_kernel(connect(process))
    process.send_signal(number)
    assert process.wait() == 128 + number
    assert process.stderr.read() == b""


def test_a_second_signal_ends_it_at_once(program: Program) -> None:
    process = program.start("--log-level", "info")
    client = connect(process)
    kernel = client.request("carpo/startKernel", {"language": "python"})
    ended = os.pidfd_open(kernel["pid"])
    os.kill(kernel["pid"], signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    while b"ending on SIGTERM" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGTERM)
    assert b"ending at once on SIGTERM" in process.stderr.read()
    assert process.wait() == 143
    # Ended, though whoever inherits it may not have looked at it yet.
    assert select.select([ended], [], [], LONG)[0]
    os.close(ended)


def serve_on_tcp(process: subprocess.Popen[bytes], token: str) -> None:
    (port,) = re.findall(r"127\.0\.0\.1:(\d+)", process.stderr.readline().decode())
    with socket.create_connection(("127.0.0.1", int(port))) as connection:
        stream = connection.makefile("rwb")
        client = Client(stream, stream)
        client.initialize(token=token)
        client.end()
        assert process.wait() == 0
        stream.close()


def test_it_serves_one_client_on_tcp_with_a_token_that_it_prints(program: Program) -> None:
    process = program.start("--tcp", "0")
    (token,) = re.findall(r"the token (\S+)$", process.stderr.readline().decode())
    assert len(token) > 40
    serve_on_tcp(process, token)


def test_a_token_file_is_made_for_its_user_alone_and_used_again(program: Program) -> None:
    file = program.folder / "token"
    for _ in range(2):
        process = program.start("--tcp", "0", "--token-file", "token")
        line = select.select([process.stderr], [], [], LONG)
        assert line[0]
        token = file.read_text().strip()
        assert file.stat().st_mode & 0o777 == 0o600
        serve_on_tcp(process, token)
    assert file.read_text().strip() == token


def test_the_token_is_in_no_log(program: Program) -> None:
    logs = ("--log-level", "debug", "--log-file", "log", "--trace", "trace")
    process = program.start("--tcp", "0", "--token-file", "token", *logs)
    assert select.select([process.stderr], [], [], LONG)[0]
    token = (program.folder / "token").read_text().strip()
    serve_on_tcp(process, token)
    for name in ("log", "trace"):
        written = (program.folder / name).read_text()
        assert "initializ" in written
        assert token not in written


def test_kernels_do_not_inherit_the_token(program: Program) -> None:
    program.env["CARPO_TOKEN"] = "0123456789abcdef"  # noqa: S105 - of a test
    process = program.start("--tcp", "0")
    (port,) = re.findall(r"127\.0\.0\.1:(\d+)", process.stderr.readline().decode())
    with socket.create_connection(("127.0.0.1", int(port))) as connection:
        stream = connection.makefile("rwb")
        client = Client(stream, stream)
        client.initialize(token="0123456789abcdef")  # noqa: S106 - the one above
        kernel = client.request("carpo/startKernel", {"language": "python"})
        assert "CARPO_TOKEN" not in psutil.Process(kernel["pid"]).environ()
        client.end()
        assert process.wait() == 0
        stream.close()


@pytest.mark.parametrize(
    ("arguments", "content", "mode", "words"),
    [
        (["--token-file", "token"], None, 0, "--token-file is for --tcp alone"),
        (["--tcp", "0", "--token-file", "token"], "too short", 0o600, "holds no token"),
        (["--tcp", "0", "--token-file", "token"], "0123456789abcdef", 0o644, "chmod 600"),
        (["--tcp", "0", "--token-file", "no/folder"], None, 0, "No such file"),
    ],
)
def test_what_is_no_token_is_refused(
    program: Program, arguments: list[str], content: str | None, mode: int, words: str
) -> None:
    if content is not None:
        (program.folder / "token").write_text(content)
        (program.folder / "token").chmod(mode)
    done = program.run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert content is None or content not in done.stderr


def test_messages_are_traced_and_the_log_goes_to_its_file(program: Program) -> None:
    process = program.start("--trace", "trace.jsonl", "--log-file", "log", "--log-level", "debug")
    connect(process).end()
    assert process.wait() == 0
    assert process.stderr.read() == b""
    trace = (program.folder / "trace.jsonl").read_text().splitlines()
    methods = [json.loads(line)["message"].get("method") for line in trace]
    assert methods[:1] == ["initialize"]
    assert methods[-1:] == ["exit"]
    assert "DEBUG asyncio" in (program.folder / "log").read_text()


def test_it_may_open_as_many_files_as_the_system_allows(program: Program) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    few: Callable[[], None] = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))  # noqa: E731 - typed
    process = program.start(preexec_fn=few)
    client = connect(process)
    assert psutil.Process(process.pid).rlimit(psutil.RLIMIT_NOFILE) == (most, hard)
    client.end()
    assert process.wait() == 0


def test_it_tells_its_version(program: Program) -> None:
    done = program.run("--version")
    assert (done.returncode, done.stdout) == (0, f"carpo-lsp {__version__}\n")


@pytest.mark.parametrize("command", ["", "serve", "run", "kernels"])
def test_help_is_at_hand(program: Program, command: str) -> None:
    done = program.run(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: carpo-lsp {command}")
