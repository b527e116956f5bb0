"""A kernel that is asked things: a test sees each question and answers it when it likes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
from lsprotocol import types
from lsprotocol.converters import get_converter

from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.messages import Message, Request
from carpo_lsp.workspace.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from carpo_lsp.documents.document import Document
    from carpo_lsp.kernels.connection import Exit, OnMessage
    from carpo_lsp.kernels.specs import Spec

URI = "file:///w/a.py"


class AskedKernel:
    """A Connection to no kernel. It is ready at once and keeps what it is asked."""

    pid = None
    connection_file = None
    owned = True

    def __init__(self, on_message: OnMessage, features: tuple[str, ...]) -> None:
        self.questions: list[Request] = []
        """Completions and inspections, in order."""
        self.running: list[Request] = []
        self.reply: Callable[[Request], dict[str, Any] | None] = lambda request: None
        """What a question is answered with at once; None leaves it to `answer`."""
        self._features = features
        self._on_message = on_message
        self._closed: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._asked = asyncio.Event()

    async def start(self) -> None:
        pass

    async def wait_for_stdin(self) -> None:
        pass

    async def interrupt(self) -> None:
        pass

    async def stop(self, grace: float, *, restart: bool = False) -> None:
        pass

    async def wait_closed(self) -> Exit:
        return await self._closed

    def stderr_tail(self) -> str:
        return ""

    def send(self, request: Request) -> None:
        # A kernel never answers before `send` has returned.
        asyncio.get_running_loop().call_soon(self._take, request)

    def _take(self, request: Request) -> None:
        if request.msg_type == "kernel_info_request":
            info = {"language_info": {"name": "python"}, "supported_features": [*self._features]}
            self._tell(request, "iopub", "status", execution_state="idle")
            self._tell(request, "shell", "kernel_info_reply", **info)
        elif request.msg_type == "create_subshell_request":
            self._tell(request, "control", "create_subshell_reply", subshell_id="sub")
        elif request.msg_type == "execute_request":
            self.running.append(request)
            self._tell(request, "iopub", "status", execution_state="busy")
        else:
            self.questions.append(request)
            self._asked.set()
            content = self.reply(request)
            if content is not None:
                self.answer(request, **content)

    def answer(self, request: Request, **content: Any) -> None:
        self._tell(request, "shell", request.msg_type.replace("_request", "_reply"), **content)

    async def asked(self, number: int) -> Request:
        """The question with a number, from 0, once it has come."""
        async with asyncio.timeout(10):
            while len(self.questions) <= number:
                self._asked.clear()
                await self._asked.wait()
        return self.questions[number]

    def _tell(self, request: Request, channel: Any, msg_type: str, **content: Any) -> None:
        header = {"msg_type": msg_type, "msg_id": "-"}
        parent = {"msg_type": request.msg_type, "msg_id": request.msg_id}
        self._on_message(Message(channel, header, parent, {}, content))


def matches(*words: str, start: int, end: int, types: dict[str, str] | None = None) -> Any:
    """The content of a complete_reply."""
    described = [{"text": word, "type": kind} for word, kind in (types or {}).items()]
    metadata = {"_jupyter_types_experimental": described} if described else {}
    return {"matches": [*words], "cursor_start": start, "cursor_end": end, "metadata": metadata}


@attrs.define
class Bench:
    """A workspace with one document and the kernel it runs in."""

    workspace: Workspace
    kernel: AskedKernel
    kernel_id: str
    version: int = 1

    @property
    def document(self) -> Document:
        return self.workspace.documents.get(URI)

    def type(self, text: str) -> Any:
        """Make `text` the document; params of a request about its end."""
        self.version += 1
        document = self.workspace.documents.change(URI, self.version, [(None, text)])
        return self.at(document.end.line, document.end.character)

    def at(self, line: int, character: int) -> Any:
        return types.TextDocumentPositionParams(
            types.TextDocumentIdentifier(URI), types.Position(line, character)
        )

    def declare(self, **capabilities: Any) -> None:
        """What the client says it can do, as it is on the wire."""
        structured = get_converter().structure(capabilities, types.ClientCapabilities)
        self.workspace.client.introduce("", structured)

    async def run(self) -> None:
        """Let the kernel run code that does not end."""
        self.workspace.frontend.submit(self.kernel_id, "busy")
        async with asyncio.timeout(10):
            while not self.kernel.running:  # noqa: ASYNC110 - a turn of the loop for what was sent
                await asyncio.sleep(0)

    async def close(self) -> None:
        await self.workspace.frontend.close()


async def bench(*features: str, budget: float = 10_000.0) -> Bench:
    """A workspace whose document has a kernel with some `supported_features`."""
    from carpo_lsp.kernels.specs import Spec
    from carpo_lsp.workspace.settings import Completion

    kernels: list[AskedKernel] = []

    def connect(spec: Spec, kernel_id: str, on_message: OnMessage, **_: Any) -> AskedKernel:
        kernels.append(AskedKernel(on_message, features))
        return kernels[-1]

    workspace = Workspace(Frontend(connect=connect))
    workspace.settings = attrs.evolve(workspace.settings, completion=Completion(budget=budget))
    document = workspace.documents.open(URI, "python", 1, "")
    spec = Spec(path="", name="fake", display_name="Fake", language="python", argv=("none",))
    kernel_id = workspace.frontend.begin_kernel(spec)
    workspace.documents.bind(document.uri, kernel_id, "python")
    await workspace.frontend.wait_ready(kernel_id)
    return Bench(workspace, kernels[0], kernel_id)
