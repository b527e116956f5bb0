"""JSON-RPC as a client meets it: a small server, behind a socket pair, in this process."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import math
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from lsprotocol import types

from carpo_lsp import protocol
from carpo_lsp.errors import KernelNotFound
from carpo_lsp.server import CarpoServer, serve
from carpo_lsp.wire.jsonrpc import RpcError
from carpo_lsp.wire.traffic import TrafficLog
from carpo_lsp.wire.transport import FrameError, FrameParser, serve_socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DEADLINE = 10.0


class Client:
    """Sends what it is told, well formed or not, and hands out what comes back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._parser = FrameParser()
        self._frames: list[bytes | FrameError] = []

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    def send_body(self, body: bytes) -> None:
        self.send_bytes(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def send(self, message: Any) -> None:
        self.send_body(json.dumps(message).encode())

    def notify(self, method: str, params: Any = None) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, msg_id: Any, method: str, params: Any = None) -> None:
        self.send({"jsonrpc": "2.0", "id": msg_id, "method": method, "params": params})

    async def read_body(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            while not self._frames:
                data = await self._reader.read(65536)
                assert data, "the server has closed the connection"
                self._frames += self._parser.feed(data)
        frame = self._frames.pop(0)
        assert isinstance(frame, bytes)
        return frame

    async def read(self) -> Any:
        return json.loads(await self.read_body())

    async def request(self, msg_id: Any, method: str, params: Any = None) -> Any:
        self.ask(msg_id, method, params)
        answer = await self.read()
        assert answer["id"] == msg_id
        return answer

    async def error(self, msg_id: Any, method: str, params: Any = None) -> tuple[int, str]:
        error = (await self.request(msg_id, method, params))["error"]
        return error["code"], error["message"]

    async def initialize(self, **params: Any) -> Any:
        answer = await self.request(0, "initialize", {"capabilities": {}, **params})
        self.notify("initialized", {})
        return answer["result"]

    async def read_to_end(self) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await self._reader.read()

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def serving(server: CarpoServer) -> AsyncIterator[tuple[Client, asyncio.Task[int]]]:
    ours, theirs = socket.socketpair()
    served = asyncio.ensure_future(serve(server, functools.partial(serve_socket, sock=theirs)))
    client = Client(*await asyncio.open_connection(sock=ours))
    try:
        yield client, served
    finally:
        client.close()
        async with asyncio.timeout(DEADLINE):
            await served


@pytest.fixture
def server() -> CarpoServer:
    return CarpoServer("carpo-lsp", "0.1.0")


@pytest.fixture
async def client(server: CarpoServer) -> AsyncIterator[Client]:
    async with serving(server) as (client, _):
        yield client


@pytest.fixture
async def ready(client: Client) -> Client:
    await client.initialize()
    return client


class TestMalformed:
    async def test_text_that_is_no_json_is_answered_once(self, ready: Client) -> None:
        ready.send_body(b'{"jsonrpc": "2.0", "id": 1, ')
        answer = await ready.read()
        assert (answer["id"], answer["error"]["code"]) == (None, -32700)
        assert (await ready.error(2, "no/method"))[0] == -32601

    @pytest.mark.parametrize("body", [b"", b"\xff\xfe\xfd", b"[" * 200_000, b"1" * 5000])
    async def test_bytes_that_are_no_json(self, ready: Client, body: bytes) -> None:
        ready.send_body(body)
        assert (await ready.read())["error"]["code"] == -32700

    async def test_broken_header_is_answered_and_the_next_message_read(self, ready: Client) -> None:
        ready.send_bytes(b"Content-Length: many\r\n\r\n{}")
        ready.ask(1, "no/method")
        answer = await ready.read()
        assert (answer["id"], answer["error"]["code"]) == (None, -32700)
        assert (await ready.read())["id"] == 1

    @pytest.mark.parametrize(
        ("message", "msg_id"),
        [
            (5, None),
            ("text", None),
            (None, None),
            ([{"jsonrpc": "2.0", "id": 1, "method": "x"}], None),
            ({}, None),
            ({"jsonrpc": "1.0", "id": 7, "method": "x"}, 7),
            ({"id": "a", "method": "x"}, "a"),
            ({"jsonrpc": "2.0", "id": 7, "method": 5}, 7),
            ({"jsonrpc": "2.0", "id": 7}, 7),
            ({"jsonrpc": "2.0", "id": None, "method": "x"}, None),
            ({"jsonrpc": "2.0", "id": True, "method": "x"}, None),
            ({"jsonrpc": "2.0", "id": 1.5, "method": "x"}, None),
            ({"jsonrpc": "2.0", "id": {}, "method": "x"}, None),
        ],
    )
    async def test_json_that_is_no_request(
        self, ready: Client, message: Any, msg_id: int | str | None
    ) -> None:
        ready.send(message)
        answer = await ready.read()
        assert (answer["id"], answer["error"]["code"]) == (msg_id, -32600)
        assert (await ready.request("next", "no/method"))["error"]["code"] == -32601

    @pytest.mark.parametrize(
        "message",
        [
            {"jsonrpc": "2.0", "id": 99, "result": None},
            {"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": "x"}},
            {"jsonrpc": "2.0", "id": [], "result": 1},
            {"id": "x", "error": "garbage"},
            {"result": 1},
        ],
    )
    async def test_responses_to_nothing_are_ignored(self, ready: Client, message: Any) -> None:
        ready.send(message)
        assert (await ready.request(1, "no/method"))["error"]["code"] == -32601


class TestLifecycle:
    async def test_request_before_initialize(self, client: Client) -> None:
        assert (await client.error(1, "textDocument/hover", {}))[0] == -32002
        assert (await client.error(2, "no/method"))[0] == -32002
        await client.initialize()

    async def test_notification_before_initialize_is_dropped(
        self, server: CarpoServer, client: Client
    ) -> None:
        seen: list[Any] = []
        server.add_notification("my/event", seen.append)
        client.notify("my/event", {"n": 1})
        await client.initialize()
        client.notify("my/event", {"n": 2})
        await client.request(1, "no/method")
        assert seen == [{"n": 2}]

    async def test_second_initialize(self, ready: Client) -> None:
        assert (await ready.error(1, "initialize", {"capabilities": {}}))[0] == -32600

    async def test_initialize_of_the_wrong_shape_can_be_repeated(self, client: Client) -> None:
        code, message = await client.error(1, "initialize", {"capabilities": {"general": 5}})
        assert code == -32602
        assert message.startswith("capabilities.general: ")
        assert (await client.initialize())["serverInfo"]["name"] == "carpo-lsp"

    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [
            (None, "utf-16"),
            ([], "utf-16"),
            (["latin-1"], "utf-16"),
            (["utf-8", "utf-16"], "utf-8"),
            (["latin-1", "utf-32"], "utf-32"),
        ],
    )
    async def test_position_encoding(
        self, server: CarpoServer, client: Client, offered: list[str] | None, chosen: str
    ) -> None:
        general = {} if offered is None else {"positionEncodings": offered}
        result = await client.initialize(capabilities={"general": general})
        assert result["capabilities"]["positionEncoding"] == chosen
        assert server.position_encoding == chosen

    async def test_handlers_of_the_beginning(self, server: CarpoServer, client: Client) -> None:
        seen: list[str] = []
        ended = asyncio.Event()

        async def initialized(_: Any) -> None:
            seen.append("initialized")
            ended.set()

        server.add_request("initialize", lambda params: seen.append(server.position_encoding))
        server.add_notification("initialized", initialized)
        await client.initialize()
        async with asyncio.timeout(DEADLINE):
            await ended.wait()
        assert seen == ["utf-16", "initialized"]

    async def test_experimental_capabilities(self, server: CarpoServer, client: Client) -> None:
        server.experimental = {"carpo": {"version": "1.0"}}
        result = await client.initialize()
        assert result["capabilities"]["experimental"] == {"carpo": {"version": "1.0"}}

    async def test_capabilities_of_registered_handlers(
        self, server: CarpoServer, client: Client
    ) -> None:
        server.add_request(
            "textDocument/completion",
            lambda params: [],
            types.CompletionOptions(trigger_characters=["."]),
        )
        server.add_command("carpo.runCell", lambda: None)
        capabilities = (await client.initialize())["capabilities"]
        assert capabilities["completionProvider"] == {"triggerCharacters": ["."]}
        assert capabilities["executeCommandProvider"]["commands"] == ["carpo.runCell"]

    async def test_shutdown_answers_before_its_handler_ends(self, server: CarpoServer) -> None:
        closing = asyncio.Event()

        async def close_kernels(_: Any) -> None:
            closing.set()
            await asyncio.Event().wait()

        server.add_request("shutdown", close_kernels)
        async with serving(server) as (client, served):
            await client.initialize()
            assert (await client.request(1, "shutdown"))["result"] is None
            async with asyncio.timeout(DEADLINE):
                await closing.wait()
            client.notify("exit")
            assert await client.read_to_end() == b""
            assert await served == 0

    async def test_requests_after_shutdown(self, ready: Client) -> None:
        await ready.request(1, "shutdown")
        assert (await ready.error(2, "textDocument/hover", {}))[0] == -32600
        assert (await ready.error(3, "shutdown"))[0] == -32600
        assert (await ready.error(4, "initialize", {}))[0] == -32600

    async def test_shutdown_cancels_running_requests(
        self, server: CarpoServer, ready: Client
    ) -> None:
        async def wait(_: Any) -> None:
            await asyncio.Event().wait()

        server.add_request("my/wait", wait)
        ready.ask(1, "my/wait")
        ready.ask(2, "shutdown")
        answers = [await ready.read(), await ready.read()]
        codes = {answer["id"]: answer.get("error", {}).get("code") for answer in answers}
        assert codes == {1: -32800, 2: None}

    async def test_exit_without_shutdown(self, server: CarpoServer) -> None:
        async with serving(server) as (client, served):
            client.notify("exit")
            assert await served == 1

    async def test_end_of_input(self, server: CarpoServer) -> None:
        async with serving(server) as (client, served):
            await client.initialize()
            client.close()
            assert await served == 1

    async def test_what_runs_is_cancelled_at_the_end(self, server: CarpoServer) -> None:
        ended: list[str] = []
        started = asyncio.Event()

        async def wait(params: Any) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(params["name"])

        server.add_request("my/request", wait)
        server.add_notification("my/event", wait)
        async with serving(server) as (client, served):
            await client.initialize()
            client.ask(1, "my/request", {"name": "request"})
            client.notify("my/event", {"name": "event"})
            async with asyncio.timeout(DEADLINE):
                await started.wait()
            client.close()
            await served
        assert sorted(ended) == ["event", "request"]


class TestRequests:
    async def test_unknown_method(self, ready: Client) -> None:
        assert (await ready.error(1, "carpo/unknown"))[0] == -32601
        assert (await ready.error(2, "textDocument/hover", {}))[0] == -32601
        assert (await ready.error("text", "$/unknown"))[0] == -32601

    async def test_unknown_notifications_are_ignored(self, ready: Client) -> None:
        ready.notify("$/unknown")
        ready.notify("my/unknown", 5)
        ready.notify("shutdown")
        assert (await ready.error(1, "no/method"))[0] == -32601

    @pytest.mark.parametrize(
        ("params", "field"),
        [
            (None, "textDocument: missing"),
            ([], "params: expected an object"),
            ("text", "params: expected an object"),
            ({"position": {"line": 0, "character": 0}}, "textDocument: missing"),
            ({"textDocument": {"uri": 5}, "position": {"line": 0, "character": 0}}, "textDocument"),
            ({"textDocument": {"uri": "a"}, "position": {"line": 0}}, "position.character"),
            (
                {"textDocument": {"uri": "a"}, "position": {"line": "x", "character": 0}},
                "position.line",
            ),
            ({"textDocument": {"uri": "a"}, "position": {"line": 0, "character": -1}}, "position"),
        ],
    )
    async def test_params_of_the_wrong_shape(
        self, server: CarpoServer, ready: Client, params: Any, field: str
    ) -> None:
        server.add_request("textDocument/hover", lambda params: None)
        code, message = await ready.error(1, "textDocument/hover", params)
        assert code == -32602
        assert message.startswith(field)
        assert (await ready.error(2, "no/method"))[0] == -32601

    async def test_notification_of_the_wrong_shape_is_logged(
        self, server: CarpoServer, ready: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.add_notification("textDocument/didOpen", lambda params: None)
        text_document = {"uri": "a", "languageId": "python", "version": 1, "text": None}
        ready.notify("textDocument/didOpen", {"textDocument": text_document})
        await ready.request(1, "no/method")
        assert "textDocument/didOpen: textDocument.text: " in caplog.text

    async def test_custom_params_and_results_stay_as_they_are(
        self, server: CarpoServer, ready: Client
    ) -> None:
        params = {"class": 1, "text/plain": {"_x": None}, "a-b": [{"type_name": 2}], "ü": "é😀"}
        server.add_request("my/echo", lambda params: params)
        assert (await ready.request(1, "my/echo", params))["result"] == params
        assert (await ready.request(2, "my/echo", [1, 2]))["result"] == [1, 2]
        assert (await ready.request(3, "my/echo"))["result"] is None

    async def test_carpo_errors(self, server: CarpoServer, ready: Client) -> None:
        def at_once(_: Any) -> None:
            raise KernelNotFound.of("k")

        async def later(_: Any) -> None:
            raise KernelNotFound.of("k")

        server.add_request("my/at-once", at_once)
        server.add_request("my/later", later)
        expected = {
            "code": 1001,
            "message": "No kernel has the id 'k'.",
            "data": {"name": "KernelNotFound", "kernelId": "k"},
        }
        assert (await ready.request(1, "my/at-once"))["error"] == expected
        assert (await ready.request(2, "my/later"))["error"] == expected

    @pytest.mark.parametrize("later", [False, True])
    async def test_other_errors(
        self,
        server: CarpoServer,
        ready: Client,
        caplog: pytest.LogCaptureFixture,
        later: bool,
    ) -> None:
        async def fail_later() -> None:
            raise ZeroDivisionError("x" * 1000)

        def fail(_: Any) -> Any:
            if later:
                return fail_later()
            raise ZeroDivisionError("x" * 1000)

        server.add_request("my/fail", fail)
        code, message = await ready.error(1, "my/fail")
        assert code == -32603
        assert "ZeroDivisionError: xxx" in message
        assert len(message) <= 200
        records = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert len(records) == 1
        assert records[0].exc_info is not None
        # No window/showMessage comes with it.
        assert (await ready.error(2, "no/method"))[0] == -32601

    async def test_result_that_cannot_be_sent(self, server: CarpoServer, ready: Client) -> None:
        server.add_request("my/set", lambda params: {1, 2})
        code, message = await ready.error(1, "my/set")
        assert code == -32603
        assert "set cannot be sent" in message

    async def test_results_of_every_kind(self, server: CarpoServer, ready: Client) -> None:
        hover = types.Hover(contents="text", range=None)
        ids = protocol.ExecuteResult(execution_id="e", kernel_id="k")
        server.add_request("textDocument/hover", lambda params: hover)
        server.add_request("carpo/execute", lambda params: ids)
        server.add_request(
            "my/mixed",
            lambda params: {"list": (hover, ids), "kind": types.MarkupKind.Markdown, "x_y": None},
        )
        params = {"textDocument": {"uri": "a"}, "position": {"line": 0, "character": 0}}
        sent = {"executionId": "e", "kernelId": "k"}
        answer = await ready.request(1, "textDocument/hover", params)
        assert answer["result"] == {"contents": "text"}
        assert (await ready.request(2, "carpo/execute", {}))["result"] == sent
        assert (await ready.request(3, "my/mixed", {}))["result"] == {
            "list": [{"contents": "text"}, sent],
            "kind": "markdown",
            "x_y": None,
        }

    async def test_id_in_use(self, server: CarpoServer, ready: Client) -> None:
        free = asyncio.Event()

        async def wait(_: Any) -> str:
            await free.wait()
            return "done"

        server.add_request("my/wait", wait)
        ready.ask(1, "my/wait")
        assert (await ready.error(1, "my/wait"))[0] == -32600
        free.set()
        assert (await ready.read())["result"] == "done"
        assert (await ready.request(1, "my/wait"))["result"] == "done"

    async def test_commands(self, server: CarpoServer, ready: Client) -> None:
        async def later(*arguments: Any) -> list[Any]:
            return list(arguments)

        server.add_command("my.later", later)
        server.add_command("my.one", lambda one: one)
        ask = functools.partial(ready.request, method="workspace/executeCommand")
        answer = await ask(1, params={"command": "my.later", "arguments": [{"a_b": 1}, None, "x"]})
        assert answer["result"] == [{"a_b": 1}, None, "x"]
        assert (await ask(2, params={"command": "my.later"}))["result"] == []
        error = (await ask(3, params={"command": "my.one"}))["error"]
        assert (error["code"], error["message"][:10]) == (-32602, "arguments:")
        error = (await ask(4, params={"command": "my.unknown"}))["error"]
        assert (error["code"], error["message"][:8]) == (-32602, "command:")

    async def test_def_handlers_run_in_the_order_of_messages(
        self, server: CarpoServer, ready: Client
    ) -> None:
        seen: list[str] = []

        def look(_: Any) -> Any:
            snapshot = list(seen)

            async def answer() -> list[str]:
                return snapshot

            return answer()

        server.add_notification(
            "textDocument/didOpen", lambda params: seen.append(params.text_document.uri)
        )
        server.add_request("my/look", look)

        def opened(uri: str) -> dict[str, Any]:
            return {"textDocument": {"uri": uri, "languageId": "python", "version": 1, "text": ""}}

        ready.notify("textDocument/didOpen", opened("a"))
        ready.ask(1, "my/look")
        ready.notify("textDocument/didOpen", opened("b"))
        ready.ask(2, "my/look")
        assert (await ready.read())["result"] == ["a"]
        assert (await ready.read())["result"] == ["a", "b"]

    async def test_failing_notification_handlers_are_logged(
        self, server: CarpoServer, ready: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def later(_: Any) -> None:
            raise ZeroDivisionError

        def at_once(_: Any) -> None:
            raise ZeroDivisionError

        server.add_notification("my/later", later)
        server.add_notification("my/at-once", at_once)
        ready.notify("my/later")
        ready.notify("my/at-once")
        await ready.request(1, "no/method")
        await ready.request(2, "no/method")
        assert "the handler of my/later failed" in caplog.text
        assert "the handler of my/at-once failed" in caplog.text


class TestCancel:
    @pytest.mark.parametrize("msg_id", [1, "one"])
    async def test_running_request(
        self, server: CarpoServer, ready: Client, msg_id: int | str
    ) -> None:
        async def wait(_: Any) -> None:
            await asyncio.Event().wait()

        server.add_request("my/wait", wait)
        ready.ask(msg_id, "my/wait")
        ready.notify("$/cancelRequest", {"id": msg_id})
        ready.notify("$/cancelRequest", {"id": msg_id})
        answer = await ready.read()
        assert (answer["id"], answer["error"]["code"]) == (msg_id, -32800)
        assert (await ready.error("next", "no/method"))[0] == -32601

    async def test_command(self, server: CarpoServer, ready: Client) -> None:
        async def wait() -> None:
            await asyncio.Event().wait()

        server.add_command("my.wait", wait)
        ready.ask(1, "workspace/executeCommand", {"command": "my.wait"})
        ready.notify("$/cancelRequest", {"id": 1})
        assert (await ready.read())["error"]["code"] == -32800

    @pytest.mark.parametrize("params", [{"id": 5}, {"id": None}, {"id": []}, {}, None, [1], "x"])
    async def test_nothing_to_cancel_is_silent(self, ready: Client, params: Any) -> None:
        ready.notify("$/cancelRequest", params)
        assert (await ready.error(5, "no/method"))[0] == -32601

    async def test_handler_that_finishes_nevertheless(
        self, server: CarpoServer, ready: Client
    ) -> None:
        async def stubborn(_: Any) -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "done"
            return "never"

        server.add_request("my/stubborn", stubborn)
        ready.ask(1, "my/stubborn")
        assert (await ready.error(2, "no/method"))[0] == -32601
        ready.notify("$/cancelRequest", {"id": 1})
        assert (await ready.read())["result"] == "done"


class TestOwnRequests:
    async def test_result_of_an_lsp_request(self, server: CarpoServer, ready: Client) -> None:
        params = types.ApplyWorkspaceEditParams(edit=types.WorkspaceEdit())
        task = asyncio.ensure_future(server.workspace_apply_edit_async(params))
        request = await ready.read()
        assert request["method"] == "workspace/applyEdit"
        assert request["params"] == {"edit": {}}
        ready.send({"jsonrpc": "2.0", "id": request["id"], "result": {"applied": True}})
        assert await task == types.ApplyWorkspaceEditResult(applied=True)

    async def test_result_of_a_custom_request_stays_as_it_is(
        self, server: CarpoServer, ready: Client
    ) -> None:
        results: list[Any] = []
        future = server.protocol.send_request("my/ask", {"a": 1}, results.append)
        request = await ready.read()
        result = {"class": 1, "text/plain": [None]}
        ready.send({"jsonrpc": "2.0", "id": request["id"], "result": result})
        assert await asyncio.wrap_future(future) == result
        assert results == [result]

    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            ({"error": {"code": -32601, "message": "no"}}, -32601),
            ({"error": {"code": "x"}}, -32603),
            ({"error": "garbage"}, -32603),
            ({"result": {"applied": {}, "failedChange": []}}, -32603),
            ({"result": 5}, -32603),
        ],
    )
    async def test_refusals_and_garbage(
        self, server: CarpoServer, ready: Client, answer: dict[str, Any], code: int
    ) -> None:
        params = types.ApplyWorkspaceEditParams(edit=types.WorkspaceEdit())
        task = asyncio.ensure_future(server.workspace_apply_edit_async(params))
        request = await ready.read()
        ready.send({"jsonrpc": "2.0", "id": request["id"], **answer})
        with pytest.raises(RpcError) as caught:
            await task
        assert caught.value.code == code

    async def test_answer_without_a_result_is_null(
        self, server: CarpoServer, ready: Client
    ) -> None:
        future = server.protocol.send_request("my/ask")
        ready.send({"jsonrpc": "2.0", "id": (await ready.read())["id"]})
        assert await asyncio.wrap_future(future) is None

    async def test_answer_to_a_cancelled_request(self, server: CarpoServer, ready: Client) -> None:
        future = server.protocol.send_request("my/ask")
        future.cancel()
        ready.send({"jsonrpc": "2.0", "id": (await ready.read())["id"], "result": 1})
        assert (await ready.error(1, "no/method"))[0] == -32601

    async def test_without_a_client(self, server: CarpoServer) -> None:
        server.protocol.notify("my/event", {})
        assert server.protocol.send_request("my/ask").cancelled()

    async def test_end_of_the_connection_cancels(self, server: CarpoServer) -> None:
        async with serving(server) as (client, _):
            await client.initialize()
            future = server.protocol.send_request("my/ask")
        assert future.cancelled()


class TestBodies:
    async def test_notification_without_params_has_none(
        self, server: CarpoServer, ready: Client
    ) -> None:
        server.protocol.notify("my/event")
        assert await ready.read() == {"jsonrpc": "2.0", "method": "my/event"}

    async def test_compact_utf8(self, server: CarpoServer, ready: Client) -> None:
        server.protocol.notify("my/event", {"text": "é😀", "n": [1, 2]})
        expected = '{"jsonrpc":"2.0","method":"my/event","params":{"text":"é😀","n":[1,2]}}'
        assert await ready.read_body() == expected.encode()

    async def test_surrogates(self, server: CarpoServer, ready: Client) -> None:
        server.protocol.notify("my/event", {"text": "a\ud800b", "pair": "\ud83d\ude00"})
        params = (await ready.read())["params"]
        assert params == {"text": "a\ufffdb", "pair": "😀"}

    async def test_numbers_that_json_lacks(self, server: CarpoServer, ready: Client) -> None:
        @attrs.frozen
        class Part:
            cpu_percent: float

        server.protocol.notify("my/event", {"n": [math.nan, -math.inf, 1.5], "x": Part(math.inf)})
        params = (await ready.read())["params"]
        assert params == {"n": [None, None, 1.5], "x": {"cpuPercent": None}}

    async def test_params_of_lsp(self, server: CarpoServer, ready: Client) -> None:
        server.window_show_message(
            types.ShowMessageParams(type=types.MessageType.Error, message="é")
        )
        assert (await ready.read())["params"] == {"type": 1, "message": "é"}


class TestTraffic:
    async def test_log(self, server: CarpoServer, client: Client, tmp_path: Path) -> None:
        path = tmp_path / "traffic.jsonl"
        traffic = TrafficLog(path)
        server.protocol.endpoint.traffic = traffic
        await client.initialize()
        await client.request(1, "carpo/stdin", {"kernelId": "k", "value": "s3cret"})
        await client.request(2, "carpo/attachKernel", {"serverUrl": "u", "token": "s3cret"})
        params = {"command": "carpo.answer", "arguments": ["s3cret"]}
        await client.request(3, "workspace/executeCommand", params)
        client.send_body(b'{"method": "carpo/stdin", "params": {"value": "s3cret"')
        await client.read()
        traffic.close()

        text = path.read_text(encoding="utf-8")
        assert "s3cret" not in text
        entries = [json.loads(line) for line in text.splitlines()]
        assert all(set(entry) == {"time", "direction", "message"} for entry in entries)
        assert [entry["direction"] for entry in entries[:2]] == ["receive", "send"]
        assert entries[0]["message"]["method"] == "initialize"
        assert {"kernelId": "k", "value": "…"} in [
            entry["message"].get("params") for entry in entries if "id" in entry["message"]
        ]
        assert path.stat().st_mode & 0o777 == 0o600
