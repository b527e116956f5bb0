"""A kernel that does what the code tells it to, for tests of whoever talks to kernels.

The code of an execute request is a script of one command a line; the commands are the `do_`
methods of `Script`, with hyphens for underscores. Options make the kernel misbehave from its
start; see `options`. It is a program of its own: `fake_kernel.py -f CONNECTION_FILE [options]`.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Parent = dict[str, Any]

WORDS = ("alpha", "alphabet", "beta")
"""What the kernel completes and knows about."""

CHILD = 'trap "" TERM INT HUP; echo ready; exec sleep 600'
"""A process that only SIGKILL ends."""


def options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("-f", dest="connection_file", required=True, type=Path)
    parser.add_argument("--die", metavar="TEXT", help="print TEXT on stderr and exit with code 3")
    parser.add_argument("--hold", metavar="FIFO", help="do not start before a byte comes from FIFO")
    parser.add_argument("--mute", metavar="TYPE", action="append", default=[], help="never answer")
    parser.add_argument("--ignore-shutdown", action="store_true")
    parser.add_argument("--ignore-sigterm", action="store_true")
    parser.add_argument("--ignore-sigint", action="store_true")
    parser.add_argument("--lie", metavar="NAME", help="for the kernel in tests/misbehaving")
    parser.add_argument("--as", metavar="NAME", help="for whoever judges a kernel by its argv")
    return parser.parse_args(argv)


class Stop(Exception):
    """The script ends with an error or aborted."""

    def __init__(self, status: str, ename: str = "", evalue: str = "") -> None:
        super().__init__(ename)
        lines = [f"{ename}: {evalue}"] if ename else []
        self.error = {"ename": ename, "evalue": evalue, "traceback": lines}
        self.reply = {"status": status, **(self.error if status == "error" else {})}


class Kernel:
    """The sockets, the answers to requests, and what outlives one script."""

    def __init__(self, flags: argparse.Namespace) -> None:
        # Imported only now, so that a kernel that is to die at its start does so at once.
        import zmq
        from jupyter_client.session import Session

        self.flags = flags
        self.info: dict[str, Any] = json.loads(flags.connection_file.read_text())
        self.zmq = zmq
        self.session = Session(key=self.info["key"].encode())
        self.context = zmq.Context()
        self.shell = self.bind(zmq.ROUTER, "shell")
        self.control = self.bind(zmq.ROUTER, "control")
        self.stdin = self.bind(zmq.ROUTER, "stdin")
        self.iopub = self.bind(zmq.PUB, "iopub")
        self.heart = self.bind(zmq.REP, "hb")
        self.wakeup, self.waker = socket.socketpair()
        self.waker.setblocking(False)
        self.interrupted = False
        self.interruptible = False
        self.count = 0
        self.inputs: list[str] = []
        self.late: list[Callable[[], None]] = []
        threading.Thread(target=self.beat, daemon=True).start()

    def bind(self, kind: int, channel: str) -> Any:
        endpoint = self.context.socket(kind)
        endpoint.linger = 1000
        endpoint.sndhwm = 0
        if secret := self.info.get("curve_secretkey"):
            endpoint.curve_secretkey = secret.encode()
            endpoint.curve_publickey = self.info["curve_publickey"].encode()
            endpoint.curve_server = True
        transport = self.info["transport"]
        separator = ":" if transport == "tcp" else "-"
        endpoint.bind(f"{transport}://{self.info['ip']}{separator}{self.info[channel + '_port']}")
        return endpoint

    def beat(self) -> None:
        with contextlib.suppress(self.zmq.ContextTerminated):
            while True:
                self.heart.send(self.heart.recv())
        self.heart.close()

    def flush(self) -> None:
        """Let everything out that has been sent. The kernel must end after it."""
        for endpoint in (self.shell, self.control, self.stdin, self.iopub):
            endpoint.close()
        self.context.term()

    def leave(self, code: int) -> NoReturn:
        self.flush()
        os._exit(code)

    # Sending

    def publish(
        self, msg_type: str, content: dict[str, Any], parent: Parent | None, **more: Any
    ) -> None:
        self.session.send(self.iopub, msg_type, content, parent=parent, **more)

    def reply(self, endpoint: Any, ident: Any, parent: Parent, content: dict[str, Any]) -> None:
        msg_type = parent["header"]["msg_type"].replace("_request", "_reply")
        content = {"status": "ok", **content}
        self.session.send(endpoint, msg_type, content, parent=parent, ident=ident)

    # Receiving

    def on_sigint(self, *_: object) -> None:
        self.interrupted = True

    def serve(self) -> NoReturn:
        """Answer requests until a shutdown request."""
        while True:
            ident, parent = self.wait(self.shell)
            msg_type = parent["header"]["msg_type"]
            if msg_type in self.flags.mute:
                continue
            self.publish("status", {"execution_state": "busy"}, parent)
            if msg_type == "execute_request":
                self.execute(ident, parent)
                continue
            while self.late:
                self.late.pop(0)()
            if msg_type.endswith("_request"):
                self.reply(self.shell, ident, parent, self.answer(msg_type, parent["content"]))
            elif msg_type.startswith("comm_"):
                buffers = [bytes(buffer) for buffer in parent["buffers"]]
                self.publish("comm_msg", parent["content"], parent, buffers=buffers)
            self.publish("status", {"execution_state": "idle"}, parent)

    def wait(self, wanted: Any) -> tuple[Any, Parent]:
        """Wait for a message on one socket, and serve the control channel meanwhile.

        While a script runs an interrupt raises KeyboardInterrupt here.
        """
        poller = self.zmq.Poller()
        poller.register(self.wakeup, self.zmq.POLLIN)
        poller.register(self.control, self.zmq.POLLIN)
        if wanted is not None:
            poller.register(wanted, self.zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self.wakeup.fileno() in ready:
                self.wakeup.recv(64)
            if self.control in ready:
                self.on_control(*self.session.recv(self.control))
            if self.interrupted and self.interruptible:
                raise KeyboardInterrupt
            if wanted in ready:
                return self.session.recv(wanted)

    def on_control(self, ident: Any, parent: Parent) -> None:
        match parent["header"]["msg_type"]:
            case "shutdown_request" if self.flags.ignore_shutdown:
                return
            case "shutdown_request":
                self.reply(self.control, ident, parent, parent["content"])
                self.leave(0)
            case "interrupt_request":
                self.interrupted = True
                self.reply(self.control, ident, parent, {})
            case _:
                self.reply(self.control, ident, parent, parent["content"])

    def answer(self, msg_type: str, content: dict[str, Any]) -> dict[str, Any]:
        """The content of the reply to a request other than execute."""
        match msg_type:
            case "kernel_info_request":
                return {
                    "protocol_version": "5.4",
                    "implementation": "fake",
                    "language_info": {"name": "fake", "file_extension": ".fake"},
                }
            case "complete_request":
                end = content["cursor_pos"]
                token = (content["code"][:end].split() or [""])[-1]
                matches = [word for word in WORDS if word.startswith(token)]
                start = end - len(token)
                return {
                    "matches": matches,
                    "cursor_start": start,
                    "cursor_end": end,
                    "metadata": {},
                }
            case "inspect_request":
                found = content["code"] in WORDS
                data = {"text/plain": f"{content['code']} is a word"} if found else {}
                return {"found": found, "data": data, "metadata": {}}
            case "is_complete_request":
                if content["code"].endswith("\\"):
                    return {"status": "incomplete", "indent": "  "}
                return {"status": "invalid" if content["code"].startswith("!") else "complete"}
            case "history_request":
                pattern = content.get("pattern", "*").strip("*")
                numbered = enumerate(self.inputs, 1)
                lines = [(1, line, code) for line, code in numbered if pattern in code]
                return {"history": lines[-content["n"] :]}
        return content

    def execute(self, ident: Any, parent: Parent) -> None:
        content = parent["content"]
        self.interrupted, self.interruptible = False, True
        if not content["silent"]:
            self.count += 1
            self.publish(
                "execute_input", {"code": content["code"], "execution_count": self.count}, parent
            )
        if content["store_history"]:
            self.inputs.append(content["code"])
        self.script(ident, parent).run()
        self.interruptible = False

    def script(self, ident: Any, parent: Parent) -> Script:
        return Script(self, ident, parent)


class Script:
    """One execute request. Every `do_` method is a command; `rest` is what follows its name."""

    def __init__(self, kernel: Kernel, ident: Any, parent: Parent) -> None:
        self.kernel = kernel
        self.ident = ident
        self.parent = parent
        self.reply: dict[str, Any] = {
            "status": "ok",
            "execution_count": kernel.count,
            "payload": [],
            "user_expressions": {
                name: {"status": "ok", "data": {"text/plain": value}, "metadata": {}}
                for name, value in parent["content"]["user_expressions"].items()
            },
        }
        self.to_reply = True
        self.idle_first = False

    def run(self) -> None:
        try:
            for line in self.parent["content"]["code"].splitlines():
                self.command(line)
        except KeyboardInterrupt:
            self.fail(Stop("error", "KeyboardInterrupt"))
        except Stop as stop:
            self.fail(stop)
        if self.idle_first:
            self.become_idle()
            self.send_reply()
        else:
            self.send_reply()
            self.become_idle()

    def command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        command = getattr(self, "do_" + name.replace("-", "_"), None)
        if command is None:
            raise Stop("error", "NameError", f"no command {name!r}")
        command(rest)

    def fail(self, stop: Stop) -> None:
        self.reply |= stop.reply
        if stop.reply["status"] == "error":
            self.publish("error", stop.error)

    def publish(self, msg_type: str, content: dict[str, Any]) -> None:
        self.kernel.publish(msg_type, content, self.parent)

    def send_reply(self) -> None:
        if self.to_reply:
            self.to_reply = False
            self.kernel.reply(self.kernel.shell, self.ident, self.parent, self.reply)

    def become_idle(self) -> None:
        self.publish("status", {"execution_state": "idle"})

    # Outputs

    def do_stream(self, rest: str) -> None:
        """`stream NAME TEXT`: TEXT and a line end."""
        name, _, text = rest.partition(" ")
        self.publish("stream", {"name": name, "text": text + "\n"})

    def do_flood(self, rest: str) -> None:
        """`flood N`: N stream messages, the numbers from 0; without N until SIGINT."""
        for number in range(int(rest)) if rest else itertools.count():
            if self.kernel.interrupted:
                raise KeyboardInterrupt
            self.publish("stream", {"name": "stdout", "text": f"{number}\n"})

    def do_result(self, rest: str) -> None:
        content = {"data": {"text/plain": rest}, "metadata": {}}
        self.publish("execute_result", {**content, "execution_count": self.kernel.count})

    def do_display(self, rest: str) -> None:
        """`display ID TEXT`."""
        self.show("display_data", rest)

    def do_update(self, rest: str) -> None:
        """`update ID TEXT`."""
        self.show("update_display_data", rest)

    def show(self, msg_type: str, rest: str) -> None:
        display_id, _, text = rest.partition(" ")
        content = {"data": {"text/plain": text}, "metadata": {}}
        self.publish(msg_type, {**content, "transient": {"display_id": display_id}})

    def do_clear(self, rest: str) -> None:
        """`clear` or `clear wait`."""
        self.publish("clear_output", {"wait": rest == "wait"})

    def do_page(self, rest: str) -> None:
        self.reply["payload"] += [{"source": "page", "data": {"text/plain": rest}, "start": 0}]

    def do_late(self, rest: str) -> None:
        """`late NAME TEXT`: as `stream`, after the end of this, at the next question."""
        self.kernel.late.append(lambda: self.do_stream(rest))

    def do_print(self, rest: str) -> None:
        """Write on the process's own stderr."""
        print(rest, file=sys.stderr, flush=True)

    # The order and the kind of the end

    def do_error(self, rest: str) -> NoReturn:
        """`error ENAME EVALUE`."""
        ename, _, evalue = rest.partition(" ")
        raise Stop("error", ename, evalue)

    def do_error_output(self, rest: str) -> None:
        """An error output, while the reply says ok."""
        ename, _, evalue = rest.partition(" ")
        self.publish("error", Stop("error", ename, evalue).error)

    def do_aborted(self, rest: str) -> NoReturn:
        raise Stop("aborted")

    def do_idle_first(self, rest: str) -> None:
        """Idle comes before the reply."""
        self.idle_first = True

    def do_reply_first(self, rest: str) -> None:
        """The reply comes now, before the outputs that follow."""
        self.send_reply()

    def do_no_reply(self, rest: str) -> None:
        self.to_reply = False

    # Waiting

    def do_input(self, rest: str) -> None:
        """Ask for a line with a prompt and print it."""
        kernel = self.kernel
        content = {"prompt": rest, "password": False}
        kernel.session.send(
            kernel.stdin, "input_request", content, parent=self.parent, ident=self.ident
        )
        _, answer = kernel.wait(kernel.stdin)
        self.do_stream(f"stdout {answer['content']['value']}")

    def do_sleep_until_interrupted(self, rest: str) -> None:
        self.kernel.wait(None)

    def do_on_interrupt(self, rest: str) -> None:
        """`on-interrupt COMMAND`: sleep until interrupted, and do that then."""
        with contextlib.suppress(KeyboardInterrupt):
            self.kernel.wait(None)
        self.kernel.interrupted = False
        self.command(rest)

    # The process

    def do_exit(self, rest: str) -> NoReturn:
        """`exit CODE`."""
        self.kernel.leave(int(rest))

    def do_kill(self, rest: str) -> None:
        """`kill SIGNAL`: the kernel's own process."""
        self.kernel.flush()
        os.kill(os.getpid(), int(rest))

    def do_facts(self, rest: str) -> None:
        """Print what a start has given the process, as JSON."""
        facts = {"cwd": str(Path.cwd()), "pid": os.getpid(), "pgid": os.getpgrp()}
        self.do_stream("stdout " + json.dumps({**facts, "env": dict(os.environ)}))

    def do_spawn_child(self, rest: str) -> None:
        """`spawn-child` or `spawn-child session`: print the id of a process that only SIGKILL
        ends, in the kernel's group or in a session of its own."""
        child = subprocess.Popen(
            ["/bin/sh", "-c", CHILD], stdout=subprocess.PIPE, start_new_session=rest == "session"
        )
        assert child.stdout is not None
        child.stdout.readline()
        self.do_stream(f"stdout {child.pid}")

    # Messages of any kind

    def do_raw(self, rest: str) -> None:
        """`raw {"msg_type": ..., "content": ...}` on iopub."""
        message = json.loads(rest)
        self.publish(message["msg_type"], message["content"])

    def do_no_parent(self, rest: str) -> None:
        self.kernel.publish("stream", {"name": "stdout", "text": rest + "\n"}, None)


def main(kind: type[Kernel] = Kernel) -> None:
    flags = options(sys.argv[1:])
    if flags.die is not None:
        sys.exit(print(flags.die, file=sys.stderr) or 3)
    if flags.ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if flags.hold is not None:
        with open(flags.hold, "rb", buffering=0) as gate:  # what is not its own is for the next
            gate.read(1)
    kernel = kind(flags)
    # The handler runs when the poll returns, which only the wakeup descriptor makes it do.
    signal.set_wakeup_fd(kernel.waker.fileno())
    signal.signal(signal.SIGINT, signal.SIG_IGN if flags.ignore_sigint else kernel.on_sigint)
    kernel.serve()


if __name__ == "__main__":
    main()
