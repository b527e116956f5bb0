"""Clients of the real server: what they have been sent, and ways to wait for some of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from lsprotocol import types
from pygls.protocol import JsonRPCNotification, JsonRPCResponseMessage, default_converter
from pytest_lsp import LanguageClient
from pytest_lsp.client import register_lsp_features

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import cattrs

DEADLINE = 30.0
"""Seconds after which a client stops waiting for what should have come long ago."""

TERMINAL = ("ok", "error", "aborted", "died")

NOTIFICATIONS = (
    "carpo/executionState",
    "carpo/output",
    "carpo/inputRequest",
    "carpo/kernelStatus",
    "carpo/message",
)

REFRESHES = (types.WORKSPACE_CODE_LENS_REFRESH, types.WORKSPACE_INLAY_HINT_REFRESH)
"""What pytest-lsp's client declares but does not answer."""

SERVER = [sys.executable, "-m", "carpo_lsp"]

OPTIONS = {"carpo": {"notifications": True, "completion": {"budget": 1000 * DEADLINE}}}
"""Opted in, and with all the time in the world for a completion: the first one starts a kernel."""

Note = tuple[str, dict[str, Any]]


class Inbox:
    """The notifications that have come, in order, as method and params."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self._arrived = asyncio.Event()

    def take(self, method: str, params: Any) -> None:
        self.notes.append((method, params))
        self._arrived.set()

    async def until(
        self, wanted: Callable[[str, Any], object], *, after: int = 0, deadline: float = DEADLINE
    ) -> Any:
        """Params of the first notification that is wanted, from number `after` on."""
        seen = after
        try:
            async with asyncio.timeout(deadline):
                while True:
                    for method, params in self.notes[seen:]:
                        if wanted(method, params):
                            return params
                    seen = len(self.notes)
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            last = "\n".join(str(note)[:300] for note in self.notes[-30:])
            raise AssertionError(f"nothing of the kind has come; the last were\n{last}") from None

    async def until_state(self, execution_id: str, *states: str) -> Any:
        """Params of the first executionState of an execution that is one of `states`."""
        return await self.until(
            lambda method, params: (
                method == "carpo/executionState"
                and params["executionId"] == execution_id
                and params["state"] in states
            )
        )

    async def until_done(self, execution_id: str) -> Any:
        """Params of the executionState that ends an execution; its order is checked as well."""
        end = await self.until_state(execution_id, *TERMINAL)
        check_order(self.of(execution_id))
        return end

    async def until_status(self, kernel_id: str, status: str, *, after: int = 0) -> Any:
        return await self.until(
            lambda method, params: (
                method == "carpo/kernelStatus"
                and params["kernelId"] == kernel_id
                and params["status"] == status
            ),
            after=after,
        )

    async def until_prompt(self, execution_id: str) -> Any:
        return await self.until(
            lambda method, params: (
                method == "carpo/inputRequest" and params["executionId"] == execution_id
            )
        )

    async def until_text(self, execution_id: str, text: str) -> None:
        """Wait until an execution has printed `text`."""
        await self.until(lambda *_: text in self.text(execution_id))

    def named(self, method: str) -> list[dict[str, Any]]:
        return [params for name, params in self.notes if name == method]

    def of(self, execution_id: str) -> list[dict[str, Any]]:
        """States and outputs of an execution, in order."""
        return [
            params
            for method, params in self.notes
            if method in NOTIFICATIONS[:2] and params["executionId"] == execution_id
        ]

    def states(self, execution_id: str) -> list[str]:
        return [params["state"] for params in self.of(execution_id) if "state" in params]

    def outputs(self, execution_id: str) -> list[dict[str, Any]]:
        return [params for params in self.of(execution_id) if "kind" in params]

    def text(self, execution_id: str, stream: str = "stdout") -> str:
        """All that an execution has printed; what is kept in files is read from there."""
        outputs = [params.get("output") or {} for params in self.outputs(execution_id)]
        return "".join(whole_text(output) for output in outputs if output.get("name") == stream)

    def check_everything(self) -> None:
        """Every execution that was told of keeps the promises of the protocol."""
        for execution_id in {params["executionId"] for params in self.named(NOTIFICATIONS[0])}:
            check_order(self.of(execution_id), ended=False)


def check_order(notes: list[dict[str, Any]], *, ended: bool = True) -> None:
    """seq counts from 0 without a gap, queued comes first, one terminal state after all else."""
    assert [params["seq"] for params in notes] == list(range(len(notes)))
    states = [params.get("state") for params in notes]
    assert states[0] == "queued"
    terminal = [number for number, state in enumerate(states) if state in TERMINAL]
    if ended:
        assert len(terminal) == 1
    for number in terminal:
        # A display of an execution that has ended may still be updated by another one.
        assert all(params.get("kind") == "update" for params in notes[number + 1 :])


def whole_text(output: dict[str, Any]) -> str:
    pointer = output.get("metadata", {}).get("carpo")
    if output["output_type"] != "stream" or pointer is None:
        return str(output.get("text", ""))
    path = Path(pointer["path"])
    assert pointer["truncated"] is True
    assert pointer["bytes"] == path.stat().st_size
    return path.read_text()


class ServerError(Exception):
    """The error that answered a request."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.data = data


class Wire(Inbox):
    """A client that speaks plain JSON, so that it can also speak it wrong, late or not at all."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        process: asyncio.subprocess.Process,
    ) -> None:
        super().__init__()
        self.process = process
        self.stray: list[Any] = []
        """Answers to no request of ours, and second answers."""
        self._reader = reader
        self._writer = writer
        self._held: bytes | None = None
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reading = asyncio.Event()
        self._reading.set()
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def spawn(
        cls,
        *arguments: str,
        env: dict[str, str] | None = None,
        program: Sequence[str] = SERVER,
        own_group: bool = False,
    ) -> Wire:
        """A client of a new server, over its stdin and stdout.

        `own_group`: the server is in a process group of its own, not in ours.
        """
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *program,
            *arguments,
            stdin=pipe,
            stdout=pipe,
            env=os.environ | (env or {}),
            process_group=0 if own_group else None,
        )
        assert process.stdin
        assert process.stdout
        return cls(process.stdout, process.stdin, process)

    async def close(self) -> None:
        """Hang up, and end the server if that does not."""
        self.read_on()
        self.hang_up()
        try:
            async with asyncio.timeout(DEADLINE):
                await asyncio.wait([self._task])
                if not self._task.cancelled():
                    self._task.result()  # what the reader has stumbled over says why nothing comes
                await self.process.wait()
        finally:
            if self.process.returncode is None:
                self.process.kill()
            self._task.cancel()
            with contextlib.suppress(RuntimeError):  # the reader has not gone yet
                await self._reader.read()  # asyncio tells of the end only behind all output
            await self.process.wait()

    # Messages

    def send_bytes(self, data: bytes) -> None:
        if self._held is None:
            self._writer.write(data)
        else:
            self._held += data

    async def drain(self) -> None:
        """Wait until the server has read nearly all that was sent."""
        async with asyncio.timeout(DEADLINE):
            await self._writer.drain()

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is sent within goes out in one piece, so that the server reads it at once."""
        self._held = b""
        yield
        held, self._held = self._held, None
        self._writer.write(held)

    def send(self, message: dict[str, Any]) -> None:
        self.send_bytes(frame({"jsonrpc": "2.0", **message}))

    def notify(self, method: str, params: Any = None) -> None:
        self.send({"method": method, "params": params})

    def post(self, method: str, params: Any = None) -> asyncio.Future[Any]:
        """Send a request; the future has its result or raises `ServerError`."""
        number = next(self._ids)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self.send({"id": number, "method": method, "params": params})
        return future

    async def request(self, method: str, params: Any = None) -> Any:
        async with asyncio.timeout(DEADLINE):
            return await self.post(method, params)

    async def fail(self, method: str, params: Any = None) -> ServerError:
        """The error that a request is answered with."""
        try:
            result = await self.request(method, params)
        except ServerError as error:
            return error
        raise AssertionError(f"{method} was answered with {result!r}")

    def cancel_last(self) -> None:
        """Withdraw the request that was posted last."""
        self.notify("$/cancelRequest", {"id": max(self._waiting)})

    def hang_up(self) -> None:
        """End the server's input."""
        self._writer.close()

    def stop_reading(self) -> None:
        self._reading.clear()

    def read_on(self) -> None:
        self._reading.set()

    async def _read(self) -> None:
        try:
            await self._read_all()
        except Exception as error:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(error)
            raise
        for future in self._waiting.values():
            future.cancel()

    async def _read_all(self) -> None:
        while True:
            await self._reading.wait()
            try:
                header = await self._reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", header)
                assert length is not None
                message = json.loads(await self._reader.readexactly(int(length[1])))
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            if "method" in message:
                self.receive(message)
            else:
                self.take_answer(message)

    def receive(self, message: dict[str, Any]) -> None:
        """A request or notification of the server. Requests are not answered."""
        self.take(message["method"], message.get("params"))

    def take_answer(self, message: dict[str, Any]) -> None:
        """An answer of the server, to a request of ours or not."""
        future = self._waiting.pop(message["id"], None)
        if future is None or future.done():
            self.stray.append(message)
        elif "error" in message:
            future.set_exception(ServerError(**message["error"]))
        else:
            future.set_result(message["result"])

    # What editors do

    async def initialize(
        self,
        root: Path | None = None,
        *,
        options: dict[str, Any] | None = None,
        capabilities: dict[str, Any] | None = None,
        client_info: dict[str, Any] | None = None,
    ) -> Any:
        result = await self.request(
            "initialize",
            {
                "processId": None,
                "clientInfo": client_info,
                "rootUri": root.as_uri() if root else None,
                "capabilities": capabilities or {},
                "initializationOptions": OPTIONS if options is None else options,
            },
        )
        self.notify("initialized", {})
        return result

    def open(self, uri: str, text: str, language: str = "python") -> str:
        item = {"uri": uri, "languageId": language, "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})
        return uri

    def change(self, uri: str, version: int, text: str) -> None:
        document = {"uri": uri, "version": version}
        self.notify(
            "textDocument/didChange",
            {"textDocument": document, "contentChanges": [{"text": text}]},
        )

    async def complete(self, uri: str, line: int, character: int) -> Any:
        return await self.request("textDocument/completion", at(uri, line, character))

    async def labels(self, uri: str, line: int, character: int) -> list[str]:
        """What is completed at a place, in the order of the list."""
        return labels_of(await self.complete(uri, line, character))

    async def command(self, name: str, *arguments: Any) -> Any:
        return await self.request(
            "workspace/executeCommand", {"command": f"carpo.{name}", "arguments": list(arguments)}
        )

    async def execute(self, target: str, code: str, **more: Any) -> str:
        """Run code in a kernel, or in the kernel of a document; returns the execution's id."""
        place = {"textDocument": {"uri": target}} if ":" in target else {"kernelId": target}
        result = await self.request("carpo/execute", {**place, "code": code, **more})
        return str(result["executionId"])

    async def run(self, target: str, code: str, **more: Any) -> str:
        """Run code to its end; returns the execution's id."""
        execution_id = await self.execute(target, code, **more)
        await self.until_done(execution_id)
        return execution_id

    async def evaluate(self, target: str, code: str) -> str:
        """What code prints, or the text of its result."""
        execution_id = await self.run(target, code)
        return self.text(execution_id) + "".join(
            params["output"]["data"]["text/plain"]
            for params in self.outputs(execution_id)
            if "data" in (params.get("output") or {})
        )

    async def start(self, **params: Any) -> Any:
        return await self.request("carpo/startKernel", params)

    async def kernels(self) -> dict[str, Any]:
        """The kernels by their ids."""
        result = await self.request("carpo/listKernels", {})
        return {kernel["kernelId"]: kernel for kernel in result["kernels"]}

    def messages(self) -> list[str]:
        """What the user has been told."""
        return [params["message"] for params in self.named("window/showMessage")]

    async def until_message(self, text: str, *, after: int = 0) -> Any:
        return await self.until(
            lambda method, params: method == "window/showMessage" and text in params["message"],
            after=after,
        )


class LspClient(Inbox, LanguageClient):
    """pytest-lsp's client, to which carpo/* notifications and results stay plain JSON."""

    def __init__(self) -> None:
        Inbox.__init__(self)
        LanguageClient.__init__(self, converter_factory=_converter)
        register_lsp_features(self)
        for method in NOTIFICATIONS:
            self.feature(method)(self._taking(method))
        for method in REFRESHES:
            self.feature(method)(lambda params: None)

    def _taking(self, method: str) -> Callable[[Any], None]:
        def handler(params: Any) -> None:
            self.take(method, params)

        return handler

    async def carpo(self, name: str, **params: Any) -> Any:
        """The result of a carpo/* request."""
        async with asyncio.timeout(DEADLINE):
            return await self.protocol.send_request_async(f"carpo/{name}", params)


def _converter() -> cattrs.Converter:
    converter = default_converter()
    for cls in (JsonRPCNotification, JsonRPCResponseMessage):
        converter.register_structure_hook(cls, lambda message, cls: cls(**message))
    return converter


def frame(message: Any) -> bytes:
    body = json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def at(uri: str, line: int, character: int) -> dict[str, Any]:
    """The params of a request about a place in a document."""
    position = {"line": line, "character": character}
    return {"textDocument": {"uri": uri}, "position": position}


def labels_of(completions: Any) -> list[str]:
    items = sorted(completions["items"], key=lambda item: item["sortText"])
    return [item["label"] for item in items]


def below(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


async def all_gone(processes: Collection[psutil.Process], deadline: float) -> None:
    """Wait for the end of processes that are not all children of ours: nothing tells of it."""
    try:
        async with asyncio.timeout(deadline):
            while any(_lives(process) for process in processes):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    except TimeoutError:
        left = [process for process in processes if _lives(process)]
        for process in left:
            process.kill()
        raise AssertionError(f"still there: {left}") from None


def _lives(process: psutil.Process) -> bool:
    try:
        # An orphan that nobody reaps stays as a zombie, which is as gone as it gets.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
