"""The language server: the features of pygls behind a message loop of our own."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Generator
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method

from carpo_lsp import __version__, protocol
from carpo_lsp.errors import InvalidParams
from carpo_lsp.features import capabilities
from carpo_lsp.loading import without_collections
from carpo_lsp.protocol import to_wire
from carpo_lsp.wire.convert import describe, make_converter
from carpo_lsp.wire.jsonrpc import (
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    NOT_INITIALIZED,
    Endpoint,
    RpcError,
)
from carpo_lsp.wire.transport import FrameParser, OnConnect, OnData

QUESTIONS: Final = frozenset(
    {
        types.TEXT_DOCUMENT_COMPLETION,
        types.TEXT_DOCUMENT_HOVER,
        types.TEXT_DOCUMENT_SIGNATURE_HELP,
        types.TEXT_DOCUMENT_DEFINITION,
        protocol.COMPLETE,
        protocol.INSPECT,
        protocol.IS_COMPLETE,
    }
)
"""Requests for whose answers somebody waits who types, and that change nothing."""

if TYPE_CHECKING:
    from concurrent.futures import Future

    import cattrs

    from carpo_lsp.frontend import Frontend
    from carpo_lsp.service import Service
    from carpo_lsp.wire.outbox import Outbox

Handler: TypeAlias = Callable[..., Any]
Transport: TypeAlias = Callable[[OnConnect], Awaitable[None]]


class CarpoProtocol(LanguageServerProtocol):
    """The life of a language server and its types; messages are the Endpoint's.

    A `def` handler runs at once, in the order of the messages. When it returns an awaitable, as
    every `async def` does, a request is answered once that is done. Only a `def` that looks at
    the documents and returns a coroutine is certain to see them as they were for the client.

    Params of methods that LSP does not know stay as JSON has them. pygls' message loop is not
    used: it leaves malformed messages, params of the wrong shape and all that follows `shutdown`
    unanswered, answers before `initialize`, makes namedtuples of custom params, walks plain dicts
    with its converter and formats every body for its log.
    """

    _server: CarpoServer

    def __init__(self, server: CarpoServer, converter: cattrs.Converter) -> None:
        self.endpoint = Endpoint(
            self._request, self._notification, self._to_json, questions=QUESTIONS
        )
        self.on_exit: Callable[[int], None] | None = None
        self._initialized = False
        super().__init__(server, converter)

    @property
    def shut_down(self) -> bool:
        """Whether the client has asked for the end."""
        return self._shutdown

    def notify(self, method: str, params: Any | None = None) -> None:
        """Send a notification; it goes nowhere while there is no client."""
        self.endpoint.notify(method, params)

    def send_request(
        self,
        method: str,
        params: Any | None = None,
        callback: Callable[[Any], None] | None = None,
        msg_id: int | str | None = None,
    ) -> Future[Any]:
        """Ask the client, see `Endpoint.request`; `callback` gets the result, if there is one.

        The id is always ours to choose: pygls' parameter is there for its callers.
        """
        future = self.endpoint.request(
            method, params, functools.partial(self._structure_result, method)
        )
        if callback is not None:
            future.add_done_callback(functools.partial(_pass_on, callback))
        return future

    def _request(self, method: str, params: Any) -> Any:
        if self._shutdown:
            raise RpcError(INVALID_REQUEST, "the server is shutting down")
        if method == types.INITIALIZE and self._initialized:
            raise RpcError(INVALID_REQUEST, "the server is initialized already")
        if method != types.INITIALIZE and not self._initialized:
            raise RpcError(NOT_INITIALIZED, "the server is not initialized yet")
        return self._call(method, params)

    def _notification(self, method: str, params: Any) -> Any:
        ready = self._initialized and not self._shutdown
        if method == types.EXIT or (
            ready and method != types.SHUTDOWN and self._find_handler(method)
        ):
            return self._call(method, params)
        return None

    def _call(self, method: str, params: Any) -> Any:
        handler = self._find_handler(method)
        if handler is None:
            raise RpcError(METHOD_NOT_FOUND, f"there is no method {method!r}")
        result = handler(self._structure_params(method, params))
        return _finish(result) if isinstance(result, Generator) else result

    def _find_handler(self, method: str) -> Handler | None:
        return self.fm.builtin_features.get(method) or self.fm.features.get(method)

    def _structure_params(self, method: str, params: Any) -> Any:
        params_type: Any = types.METHOD_TO_TYPES.get(method, (None, None, None))[2]
        if params_type is None:
            return params
        if params is not None and not isinstance(params, dict):
            raise InvalidParams("params: expected an object")
        try:
            return self._converter.structure(params or {}, params_type)
        # lsprotocol's hooks raise whatever the value made them.
        except Exception as error:
            raise InvalidParams(describe(error)) from error

    def _structure_result(self, method: str, result: Any) -> Any:
        response_type = self.get_result_type(method)
        if response_type is None:
            return result
        response = {"jsonrpc": "2.0", "id": 0, "result": result}
        return self._converter.structure(response, response_type).result

    def _to_json(self, value: Any) -> Any:
        if type(value).__module__ == types.__name__:
            return self._converter.unstructure(value)
        if hasattr(value, "__attrs_attrs__"):
            return to_wire(value)
        if isinstance(value, Enum):
            return value.value
        raise TypeError(f"{type(value).__name__} cannot be sent")

    def _register_builtin_features(self) -> None:
        super()._register_builtin_features()  # type: ignore[no-untyped-call] # pygls has no hint
        # pygls keeps copies of the documents, at 15 ms a keystroke in a large one, and would not
        # await an `async def` for `initialized`; it knows no progress displays but its own. Without
        # its handlers the registered one is all that runs.
        for method in capabilities.NOTIFICATIONS:
            self.fm.builtin_features.pop(method, None)

    # pygls' versions of these are generators, hence the ignores; `_call` takes both.

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(  # type: ignore[override]
        self, params: types.InitializeParams
    ) -> types.InitializeResult:
        """Adds the experimental capabilities, for which pygls has no place."""
        options = params.initialization_options
        if isinstance(options, dict) and isinstance(options.get("carpo"), dict):
            options["carpo"].pop("token", None)  # whoever serves has seen it, and pygls logs it all
        result: types.InitializeResult = _finish(super().lsp_initialize(params))
        result.capabilities.experimental = self._server.experimental or None
        self._initialized = True
        return result

    @lsp_method(types.SHUTDOWN)
    def lsp_shutdown(self, *args: Any) -> None:  # type: ignore[override]
        """Answers first; pygls would have an editor that quits wait for the handler."""
        self._shutdown = True
        self.endpoint.cancel_requests()
        handler: Handler | None = self.fm.features.get(types.SHUTDOWN)
        if handler is not None:
            asyncio.get_running_loop().call_soon(
                self.endpoint.run, lambda _method, _params: handler(None), types.SHUTDOWN, None
            )

    @lsp_method(types.EXIT)
    def lsp_exit(self, *args: Any) -> None:  # type: ignore[override]
        """Tells `on_exit`; pygls calls `sys.exit` from inside the callback."""
        if self.on_exit is not None:
            self.on_exit(0 if self._shutdown else 1)

    @lsp_method(types.WORKSPACE_EXECUTE_COMMAND)
    def lsp_workspace__execute_command(self, params: types.ExecuteCommandParams) -> Any:
        """Passes arguments as they are; pygls converts them and cannot cancel a command."""
        handler: Handler | None = self.fm.commands.get(params.command)
        if handler is None:
            raise InvalidParams(f"command: there is no command {params.command!r}")
        arguments = params.arguments or ()
        try:
            inspect.signature(handler).bind(*arguments)
        except TypeError as error:
            raise InvalidParams(f"arguments: {error}") from error
        return handler(*arguments)


class CarpoServer(LanguageServer):
    """A language server without handlers, the way to one client; `create_server` adds them.

    `experimental` is what the InitializeResult holds under `capabilities.experimental`.
    """

    protocol: CarpoProtocol

    def __init__(
        self,
        name: str,
        version: str,
        *,
        notebook_document_sync: types.NotebookDocumentSyncOptions | None = None,
    ) -> None:
        super().__init__(
            name,
            version,
            notebook_document_sync=notebook_document_sync,
            protocol_cls=CarpoProtocol,
            converter_factory=make_converter,
        )
        self.experimental: dict[str, Any] = {}
        self.on_drain: Callable[[], None] = lambda: None
        """Called when a client that was slow has caught up."""
        self._outbox: Outbox | None = None

    @property
    def congested(self) -> bool:
        """Whether the client is slow, so that what can wait should."""
        return self._outbox is not None and self._outbox.congested

    @property
    def position_encoding(self) -> str:
        """What columns count: "utf-8", "utf-16" or "utf-32"; known from `initialize` on."""
        return types.PositionEncodingKind(self.workspace.position_encoding).value

    def notify(self, method: str, params: Any) -> None:
        """Send the client a notification."""
        self.protocol.notify(method, params)

    def request(self, method: str, params: Any) -> Future[Any]:
        """Ask the client."""
        return self.protocol.send_request(method, params)

    # pygls' decorators guess from a signature whether to pass the server as well; these never do.

    def add_request(self, method: str, handler: Handler, options: Any | None = None) -> None:
        """Answer `method` with what `handler(params)` returns; `options` go to the capabilities."""
        self.protocol.fm.features[method] = handler
        if options is not None:
            self.protocol.fm.feature_options[method] = options

    def add_notification(self, method: str, handler: Handler, options: Any | None = None) -> None:
        """Call `handler(params)` for each notification `method`."""
        self.add_request(method, handler, options)

    def add_command(self, name: str, handler: Handler) -> None:
        """Answer `workspace/executeCommand` of `name` with what `handler(*arguments)` returns."""
        self.protocol.fm.commands[name] = handler

    def set_outbox(self, outbox: Outbox) -> None:
        """Send to this client from now on."""
        self._outbox = outbox
        outbox.on_drain(lambda: self.on_drain())
        self.protocol.endpoint.set_outbox(outbox)

    def connect(self, outbox: Outbox) -> OnData:
        """Serve the client behind `outbox`; what it sends goes to the returned function."""
        parser = FrameParser()
        self.set_outbox(outbox)

        def on_data(data: bytes) -> None:
            for frame in parser.feed(data):
                self.protocol.endpoint.receive(frame)

        return on_data


def create_server(open_frontend: Callable[[], Frontend]) -> CarpoServer:
    """A server for one client, whose kernels are those of the frontend it opens, once, when the
    client has said what it is; `shutdown` closes that, and the caller when there is none."""
    # It would log all settings that come with `initialize`, and there are tokens among them.
    logging.getLogger("pygls.protocol.language_server").setLevel(logging.WARNING)
    server = CarpoServer("carpo-lsp", __version__, notebook_document_sync=capabilities.NOTEBOOKS)
    server.experimental = {"carpo": {"version": protocol.VERSION}}
    later = _Later(open_frontend, server)
    server.add_request(types.INITIALIZE, later.initialize)
    server.add_request(types.SHUTDOWN, later.shutdown)
    for method, options in capabilities.REQUESTS.items():
        server.add_request(method, functools.partial(later.answer, method), options)
    for method in capabilities.NOTIFICATIONS:
        server.add_notification(method, functools.partial(later.answer, method))
    for method in protocol.PARAMS:
        server.add_request(method, functools.partial(later.answer, method))
    for name in capabilities.COMMANDS:
        server.add_command(f"carpo.{name}", functools.partial(later.command, name))
    return server


class _Later:
    """What is loaded behind the answer to `initialize`, which an editor waits for before it does
    anything else; or with the first message that needs it."""

    def __init__(self, open_frontend: Callable[[], Frontend], server: CarpoServer) -> None:
        self._open_frontend = open_frontend
        self._server = server
        self._params: types.InitializeParams | None = None
        self._service: Service | None = None

    def initialize(self, params: types.InitializeParams) -> None:
        self._params = params
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._begin)  # the next turn writes the answer

    def answer(self, method: str, params: Any) -> Any:
        return self._load().answer(method, params)

    def command(self, name: str, *arguments: Any) -> None:
        self._load().command(name, *arguments)

    async def shutdown(self, _: None) -> None:
        if self._service is not None:
            await self._service.close()

    def _begin(self) -> None:
        if not self._server.protocol.shut_down:
            self._load()

    def _load(self) -> Service:
        if self._service is None:
            assert self._params is not None, "nothing is answered before initialize"
            with without_collections():
                from carpo_lsp.service import Service

                frontend = self._open_frontend()
            encoding = self._server.position_encoding
            self._service = Service(frontend, self._server, self._params, encoding)
        return self._service


async def serve(server: CarpoServer, transport: Transport) -> int:
    """Serve one client until it is gone or sends `exit`; returns the exit code LSP wants.

    `transport` is `serve_stdio`, or `functools.partial(serve_tcp, port=..., token=...)`.
    """
    ended = asyncio.Event()
    exit_codes: list[int] = []

    def on_exit(code: int) -> None:
        exit_codes.append(code)
        ended.set()

    server.protocol.on_exit = on_exit
    client = asyncio.ensure_future(transport(server.connect))
    client.add_done_callback(lambda _: ended.set())
    try:
        await ended.wait()
    finally:
        client.cancel()
        await asyncio.wait({client})
        await server.protocol.endpoint.close()
    if not client.cancelled():
        client.result()
    return exit_codes[0] if exit_codes else int(not server.protocol.shut_down)


def _finish(steps: Generator[Any, Any, Any]) -> Any:
    """Run one of pygls' builtin handlers, which yields the registered one; that must be a `def`."""
    while True:
        try:
            handler, arguments, _ = next(steps)
        except StopIteration as end:
            return end.value
        handler(*arguments)


def _pass_on(callback: Callable[[Any], None], future: Future[Any]) -> None:
    if not future.cancelled() and future.exception() is None:
        callback(future.result())
