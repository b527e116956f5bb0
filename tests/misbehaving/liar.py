"""A kernel that lies: the fake kernel, with a command for every way to break the protocol.

Each `do_` method of `Lies` is one lie and its name, with hyphens, the code that makes the kernel
tell it: `stream stdout before`, `bad-hmac` and `stream stdout after` are one execution with a lie
in it. `--lie NAME` starts a kernel that lies about itself, see `INFO`. To have a kernelspec of each
for an editor: `liar.py --specs FOLDER`, then `JUPYTER_PATH=FOLDER`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "fake_kernel"))

import fake_kernel  # noqa: E402 - a program beside this one, not a package
from fake_kernel import Kernel, Parent, Script  # noqa: E402 - the same

NOBODY: Parent = {"msg_id": "nobody", "msg_type": "execute_request"}

DEEP: Final = 150

INFO: Final[dict[str, Any]] = {
    "empty-info": {},
    "rubbish-info": {
        "status": 3,
        "protocol_version": [],
        "implementation": ["x"],
        "language_info": "fake",
        "supported_features": {"kernel subshells": True},
        "banner": None,
        "help_links": {"a": 1},
    },
    "failed-info": {"status": "error", "ename": "E", "evalue": "v", "traceback": None},
    "like-ipython": {"implementation": "ipython", "language_info": {"name": ["python"]}},
}
"""`--lie`: what it answers to kernel_info."""

SILENT: Final = {
    "no-status": ("status",),
    "no-busy": ("busy", "execute_input"),
}
"""`--lie`: what it never publishes, messages or states."""


class Lies(Script):
    # Frames that are no message: dropped

    def do_bad_hmac(self, rest: str) -> None:
        frames = self.frames()
        frames[2] = b"0" * len(frames[2])
        self.send(frames)

    def do_unsigned(self, rest: str) -> None:
        frames = self.frames()
        frames[2] = b""
        self.send(frames)

    def do_same_message_twice(self, rest: str) -> None:
        frames = self.frames("once\n")
        self.send(frames)
        self.send(frames)

    def do_broken_json(self, rest: str) -> None:
        self.send_parts(content=b"{")

    def do_content_no_object(self, rest: str) -> None:
        self.send_parts(content=b"[1]")

    def do_header_no_object(self, rest: str) -> None:
        self.send_parts(header=b"3")

    def do_header_without_id(self, rest: str) -> None:
        self.send_parts(header=b'{"msg_type": "stream"}')

    def do_header_without_type(self, rest: str) -> None:
        self.send_parts(header=b'{"msg_id": "1"}')

    def do_parent_no_object(self, rest: str) -> None:
        self.send_parts(parent=b'"x"')

    def do_metadata_no_object(self, rest: str) -> None:
        self.send_parts(metadata=b"7")

    def do_too_few_frames(self, rest: str) -> None:
        self.send([b"stream", b"<IDS|MSG>", b""])

    def do_no_delimiter(self, rest: str) -> None:
        self.send([b"stream", *self.frames()[2:]])

    def do_no_frames(self, rest: str) -> None:
        self.send([b""])

    def do_a_thousand_frames(self, rest: str) -> None:
        self.send([b"x"] * 1000)

    def do_nested_beyond_reading(self, rest: str) -> None:
        self.send_parts(content=b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")

    def do_nested_status(self, rest: str) -> None:
        nested = b"[" * 100_000 + b"]" * 100_000
        self.send_parts("status", content=b'{"execution_state": ' + nested + b"}")

    def do_infinite_count(self, rest: str) -> None:
        self.send_parts("execute_input", content=b'{"code": "", "execution_count": Infinity}')

    def do_nested_too_deep(self, rest: str) -> None:
        self.send_parts(content=b'{"text": ' + b"[" * 900 + b"]" * 900 + b"}")

    def do_number_without_end(self, rest: str) -> None:
        self.send_parts(content=b'{"text": ' + b"9" * 10_000 + b"}")

    def do_bad_hmac_on_shell(self, rest: str) -> None:
        frames = self.frames()
        self.kernel.shell.send_multipart([*self.ident, frames[1], b"0" * 64, *frames[3:]])

    def do_flood_of_rubbish(self, rest: str) -> None:
        for _ in range(1000):
            self.do_bad_hmac("")
            self.do_broken_json("")

    # Messages with something wrong in them: read as far as they make sense

    def do_a_thousand_buffers(self, rest: str) -> None:
        self.send([*self.frames("buffers\n"), *[b"x"] * 1000])

    def do_invalid_utf8(self, rest: str) -> None:
        self.send_parts(content=b'{"name": "stdout", "text": "\xff\\n"}')

    def do_nested_deep(self, rest: str) -> None:
        value = b"[" * DEEP + b"1" + b"]" * DEEP
        self.display(b'{"application/json": ' + value + b"}")

    def do_not_a_number(self, rest: str) -> None:
        self.display(b'{"application/json": [NaN, Infinity, -Infinity, 1e999, 1]}')

    def do_half_a_character(self, rest: str) -> None:
        self.display(b'{"text/plain": "<\\ud800>"}')

    def do_forged_pointer(self, rest: str) -> None:
        pointer = {"truncated": True, "path": "/etc/passwd", "bytes": 1}
        content = {"data": {"text/plain": "x"}, "metadata": {"carpo": pointer, "kept": 1}}
        self.publish("display_data", content)

    def do_null_content(self, rest: str) -> None:
        self.send_parts(content=b"null", msg_type="display_data")

    def do_null_data(self, rest: str) -> None:
        self.publish("display_data", {"data": None, "metadata": None})

    def do_rubbish_data(self, rest: str) -> None:
        for data in ([], "x", {"text/plain": 5}, {"text/html": {"a": None}}, {"image/png": None}):
            self.publish("display_data", {"data": data, "metadata": [], "transient": 3})

    def do_rubbish_display_id(self, rest: str) -> None:
        for display_id in ([], {}, 1, None):
            for kind in ("display_data", "update_display_data"):
                content = {"data": {"text/plain": "x"}, "transient": {"display_id": display_id}}
                self.publish(kind, content)

    def do_rubbish_streams(self, rest: str) -> None:
        for name, text in ((None, None), (7, 7), ([], {}), ("stdin", ["a", 1, "b"])):
            self.publish("stream", {"name": name, "text": text})

    def do_rubbish_counts(self, rest: str) -> None:
        for count in ("7", True, -1, 10**30, 1.5, [1]):
            self.publish("execute_input", {"code": None, "execution_count": count})
            self.publish("execute_result", {"data": {}, "execution_count": count})

    def do_rubbish_errors(self, rest: str) -> None:
        self.publish("error", {"ename": [], "evalue": {"a": 1}, "traceback": {"b": 2}})
        self.publish("error", {"ename": None, "traceback": [None, 1, "line"]})

    def do_rubbish_status(self, rest: str) -> None:
        for state in (None, [], {}, 1, "dreaming", "idle "):
            self.publish("status", {"execution_state": state})

    def do_rubbish_reply(self, rest: str) -> None:
        self.reply |= {
            "execution_count": "many",
            "payload": [None, 1, {"source": "page"}, {"source": "page", "data": [1]}],
            "user_expressions": ["no"],
        }

    def do_rubbish_reply_status(self, rest: str) -> None:
        self.reply["status"] = ["ok"]

    def do_empty_messages(self, rest: str) -> None:
        kinds = ("status", "execute_input", "stream", "display_data", "update_display_data")
        for kind in (*kinds, "execute_result", "error", "clear_output", "comm_open", "comm_msg"):
            self.publish(kind, {})

    def do_unknown_types(self, rest: str) -> None:
        for kind in ("news", "execute_request", "input_request", "x" * 100_000):
            self.publish(kind, {"prompt": "?", "code": "x"})

    def do_rubbish_header(self, rest: str) -> None:
        header = {"msg_id": [1], "msg_type": {"a": 1}, "date": "9999-99-99T99:99:99", "version": 1}
        self.send_parts(header=json.dumps(header).encode())

    def do_clear_with_rubbish(self, rest: str) -> None:
        self.publish("clear_output", {"wait": "no"})

    # Messages for others

    def do_unknown_parent(self, rest: str) -> None:
        self.tell_nobody("stream", {"name": "stdout", "text": "for nobody\n"})

    def do_rubbish_parent(self, rest: str) -> None:
        for parent in (b"{}", b"null", b'{"msg_id": [1]}', b'{"msg_id": 3, "msg_type": {}}'):
            self.send_parts(parent=parent, content=b'{"name": "stdout", "text": "lost\\n"}')

    def do_reply_to_nobody(self, rest: str) -> None:
        parent = {"header": NOBODY}
        for kind in ("execute_reply", "complete_reply", "kernel_info_reply", "shutdown_reply"):
            session = self.kernel.session
            session.send(self.kernel.shell, kind, {}, parent=parent, ident=self.ident)

    def do_busy_for_nobody(self, rest: str) -> None:
        self.tell_nobody("status", {"execution_state": "busy"})

    def do_begun_twice_for_nobody(self, rest: str) -> None:
        for state in ("busy", "idle", "busy", "idle"):
            self.tell_nobody("status", {"execution_state": state})

    def do_ask_nobody(self, rest: str) -> None:
        self.ask({"header": NOBODY})

    # The end

    def do_idle_early(self, rest: str) -> None:
        self.become_idle()

    def do_idle_twice(self, rest: str) -> None:
        self.become_idle()
        self.become_idle()

    def do_reply_twice(self, rest: str) -> None:
        self.send_reply()
        self.reply["status"] = "error"
        self.to_reply = True

    def do_output_after_the_end(self, rest: str) -> None:
        self.send_reply()
        self.become_idle()
        self.do_stream("stdout afterwards")

    def do_result_after_the_end(self, rest: str) -> None:
        self.send_reply()
        self.become_idle()
        time.sleep(0.02)  # long enough for who waits for nothing to have gone
        self.do_result("afterwards")

    def do_question_after_the_end(self, rest: str) -> None:
        self.send_reply()
        self.become_idle()
        self.ask(self.parent)

    def do_two_questions(self, rest: str) -> None:
        self.ask(self.parent)
        self.do_input(rest)

    def do_no_idle(self, rest: str) -> None:
        self.to_be_idle = False

    def do_neither(self, rest: str) -> None:
        self.to_reply = self.to_be_idle = False

    to_be_idle = True

    def become_idle(self) -> None:
        if self.to_be_idle:
            super().become_idle()

    # How it is done

    def ask(self, parent: Parent) -> None:
        content = {"prompt": "who?", "password": False}
        kernel = self.kernel
        kernel.session.send(kernel.stdin, "input_request", content, parent=parent, ident=self.ident)

    def tell_nobody(self, msg_type: str, content: dict[str, Any]) -> None:
        header = NOBODY | {"msg_id": f"nobody since {self.kernel.count}"}
        self.kernel.publish(msg_type, content, {"header": header})

    def display(self, data: bytes) -> None:
        self.send_parts(content=b'{"data": ' + data + b"}", msg_type="display_data")

    def send(self, frames: list[bytes]) -> None:
        self.kernel.iopub.send_multipart(frames)

    def frames(self, text: str = "never shown\n", msg_type: str = "stream") -> list[bytes]:
        """Topic, delimiter, signature, header, parent, metadata, content."""
        session = self.kernel.session
        message = session.msg(msg_type, {"name": "stdout", "text": text}, parent=self.parent)
        return list(session.serialize(message, ident=b"stream"))

    def send_parts(self, msg_type: str = "stream", **parts: bytes) -> None:
        """A message, signed, with some of its parts replaced."""
        frames = self.frames(msg_type=msg_type)
        for index, name in enumerate(("header", "parent", "metadata", "content"), 3):
            frames[index] = parts.get(name, frames[index])
        frames[2] = self.kernel.session.sign(frames[3:7])
        self.send(frames)


class Liar(Kernel):
    """Lies in the code it runs, and with `--lie` about itself."""

    def script(self, ident: Any, parent: Parent) -> Script:
        return Lies(self, ident, parent)

    def answer(self, msg_type: str, content: dict[str, Any]) -> dict[str, Any]:
        if msg_type == "kernel_info_request" and self.flags.lie in INFO:
            return dict(INFO[self.flags.lie])
        return super().answer(msg_type, content)

    def publish(
        self, msg_type: str, content: dict[str, Any], parent: Parent | None, **more: Any
    ) -> None:
        silent = SILENT.get(self.flags.lie, ())
        if msg_type not in silent and content.get("execution_state") not in silent:
            super().publish(msg_type, content, parent, **more)


def write_specs(folder: Path) -> None:
    """Write a kernelspec for each lie about the kernel, and one for those in the code."""
    for lie in (None, *INFO, *SILENT):
        spec = json.loads((HERE / "kernel.json").read_text())
        spec["argv"] = [sys.executable, str(HERE / "liar.py"), "-f", "{connection_file}"]
        if lie is not None:
            spec["argv"] += ["--lie", lie]
            spec["display_name"] += f", {lie}"
        file = folder / "kernels" / f"liar-{lie or 'in-code'}" / "kernel.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(spec, indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--specs"]:
        write_specs(Path(sys.argv[2]))
    else:
        fake_kernel.main(Liar)
