"""A workspace whose kernels are scripts: nothing is started, and nothing waits for a process."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import attrs
from lsprotocol import types

from carpo_lsp.documents.positions import Encoding
from carpo_lsp.errors import CarpoError
from carpo_lsp.features.commands import COMMANDS
from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.connection import Exit
from carpo_lsp.kernels.messages import Message, Request
from carpo_lsp.workspace.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from carpo_lsp.documents.document import Document
    from carpo_lsp.kernels.connection import OnMessage
    from carpo_lsp.kernels.events import Cause
    from carpo_lsp.kernels.specs import Spec


class ScriptedKernel:
    """A Connection to no kernel: it takes code and finishes it when the test says so.

    `run` is told the code and gives what it prints; None leaves the code running. `is_complete`
    gives a status, and None never answers.
    """

    def __init__(self, spec: Spec, kernel_id: str, on_message: OnMessage) -> None:
        self.spec = spec
        self.kernel_id = kernel_id
        self.codes: list[str] = []
        """What it has been sent to execute, in order."""
        self.asked: list[str] = []
        """What it has been asked whether it is complete."""
        self.run: Callable[[str], str | None] = lambda code: ""
        self.is_complete: Callable[[str], str | None] = lambda code: "complete"
        self.interrupts = 0
        self.starts = 0
        self.pid = None
        self.connection_file = None
        self.owned = True
        self.running: Request | None = None
        self.answers: list[str] = []
        self._on_message = on_message
        self._closed: asyncio.Future[Exit] | None = None

    async def start(self) -> None:
        self.starts += 1
        self._closed = asyncio.get_running_loop().create_future()

    async def wait_for_stdin(self) -> None:
        pass

    async def interrupt(self) -> None:
        self.interrupts += 1

    async def stop(self, grace: float, *, restart: bool = False) -> None:
        pass

    async def wait_closed(self) -> Exit:
        assert self._closed
        return await self._closed

    def stderr_tail(self) -> str:
        return ""

    def send(self, request: Request) -> None:
        # A kernel never answers before `send` has returned.
        asyncio.get_running_loop().call_soon(self._take, request)

    def _take(self, request: Request) -> None:
        content = request.content
        if request.msg_type == "kernel_info_request":
            self.tell(request, "iopub", "status", execution_state="idle")
            info = {"language_info": {"name": self.spec.language}}
            self.tell(request, "shell", "kernel_info_reply", **info)
        elif request.msg_type == "is_complete_request":
            self.asked.append(content["code"])
            status = self.is_complete(content["code"])
            if status is not None:
                self.tell(request, "shell", "is_complete_reply", status=status)
        elif request.msg_type == "input_reply":
            self.answers.append(content["value"])
        elif request.msg_type == "execute_request":
            self.codes.append(content["code"])
            self.running = request
            self.tell(request, "iopub", "status", execution_state="busy")
            self.tell(request, "iopub", "execute_input", code=content["code"])
            printed = self.run(content["code"])
            if printed is not None:
                self.finish(printed)

    def die(self, cause: Cause = "exited", reason: str = "The kernel exited with code 3.") -> None:
        """End the kernel."""
        assert self._closed
        self._closed.set_result(Exit(3, "warning\nlast words", reason, cause))

    def ask(self, prompt: str, *, password: bool = False) -> None:
        """Let the running code ask for input."""
        assert self.running
        self.tell(self.running, "stdin", "input_request", prompt=prompt, password=password)

    def fail(self, name: str) -> None:
        """End the running code with an error."""
        self.finish(status="error", ename=name, evalue="", traceback=[])

    def finish(self, printed: str = "", status: str = "ok", **error: Any) -> None:
        """End the running code."""
        request, self.running = self.running, None
        assert request
        if printed:
            self.tell(request, "iopub", "stream", name="stdout", text=printed)
        reply = {"status": status, "execution_count": len(self.codes), **error}
        self.tell(request, "shell", "execute_reply", **reply)
        self.tell(request, "iopub", "status", execution_state="idle")

    def tell(self, request: Request, channel: Any, msg_type: str, **content: Any) -> None:
        header = {"msg_type": msg_type, "msg_id": "-"}
        parent = {"msg_type": request.msg_type, "msg_id": request.msg_id}
        self._on_message(Message(channel, header, parent, {}, content))


@attrs.define
class Scripted:
    """A workspace, the kernels it has started, and what its client has been sent."""

    workspace: Workspace
    kernels: list[ScriptedKernel]
    messages: list[str] = attrs.field(factory=list)
    shown: list[types.ShowDocumentParams] = attrs.field(factory=list)
    run: Callable[[str], str | None] = lambda code: ""
    """What kernels that are started from now on do with code."""
    is_complete: Callable[[str], str | None] = lambda code: "complete"

    @property
    def codes(self) -> list[str]:
        """What has been sent to be executed, to whatever kernel."""
        return [code for kernel in self.kernels for code in kernel.codes]

    def open(self, text: str, uri: str = "file:///w/a.py", language: str = "python") -> Document:
        return self.workspace.documents.open(uri, language, 1, text)

    async def call(self, name: str, *arguments: Any) -> None:
        """Run a command to the end of all it does."""
        waiting = COMMANDS[name](self.workspace, list(arguments))
        if waiting is not None:
            await waiting
        await self.settle()

    async def refused(self, name: str, *arguments: Any) -> str:
        """What the user is told about a command that cannot be done."""
        try:
            await self.call(name, *arguments)
        except CarpoError as error:
            return error.message
        raise AssertionError(f"{name} was done")

    async def settle(self) -> None:
        """Wait until every kernel is ready and has done what it does by itself."""
        for state in self.workspace.frontend.manager.all():
            await state.wait_ready()
            kernel = next(each for each in self.kernels if each.kernel_id == state.kernel_id)
            # A turn of the loop is what a message takes, and nothing else tells of it.
            while state.executions.pending and kernel.running is None:  # noqa: ASYNC110
                await asyncio.sleep(0)

    def declare(self, **capabilities: Any) -> None:
        """What the client says it can do, as it is on the wire."""
        from lsprotocol.converters import get_converter

        structured = get_converter().structure(capabilities, types.ClientCapabilities)
        self.workspace.client.introduce(self.workspace.client.name, structured)


def scripted() -> Scripted:
    """A workspace of one folder, /w, with no document."""

    def connect(spec: Spec, kernel_id: str, on_message: OnMessage, **_: Any) -> ScriptedKernel:
        kernel = ScriptedKernel(spec, kernel_id, on_message)
        kernel.run, kernel.is_complete = it.run, it.is_complete
        kernels.append(kernel)
        return kernel

    def notify(method: str, params: Any) -> None:
        if method == types.WINDOW_SHOW_MESSAGE:
            it.messages.append(params.message)

    def request(method: str, params: Any) -> Future[Any]:
        from concurrent.futures import Future

        answer: Future[Any] = Future()
        if method == types.WINDOW_SHOW_DOCUMENT:
            it.shown.append(params)
            answer.set_result(types.ShowDocumentResult(success=True))
        return answer

    kernels: list[ScriptedKernel] = []
    workspace = Workspace(Frontend(connect=connect))
    workspace.documents.encoding = Encoding.UTF16
    workspace.add_folder("file:///w")
    workspace.client.connect(notify, request)
    it = Scripted(workspace, kernels)
    return it


def install_kernelspecs(folder: Path, *languages: str) -> None:
    """Kernelspecs of kernels that are never started, for some languages."""
    for language in languages:
        spec = folder / "kernels" / f"scripted-{language}"
        spec.mkdir(parents=True)
        content = {"argv": ["none"], "display_name": language, "language": language}
        (spec / "kernel.json").write_text(json.dumps(content))
