"""JSON-RPC 2.0 as LSP speaks it: no batches, `$/cancelRequest`, exactly one answer per request.

It knows messages, not methods: what they mean is for the two functions an Endpoint is made with.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import attrs

from carpo_lsp.errors import CarpoError
from carpo_lsp.wire.bodies import Encoder, decode
from carpo_lsp.wire.transport import FrameError

if TYPE_CHECKING:
    from carpo_lsp.wire.outbox import Outbox
    from carpo_lsp.wire.traffic import Direction

log = logging.getLogger(__name__)

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603
NOT_INITIALIZED = -32002
REQUEST_CANCELLED = -32800

_CANCEL = "$/cancelRequest"
# How long handlers may take to notice that they were cancelled, in seconds.
_CANCEL_DEADLINE = 1.0

MsgId: TypeAlias = int | str
Dispatch: TypeAlias = Callable[[str, Any], Any]


class RpcError(Exception):
    """An error answer, one we give or one the client gave."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@attrs.frozen
class _Awaited:
    """A request of ours that the client has not answered."""

    method: str
    future: Future[Any]
    structure: Callable[[Any], Any]


class Endpoint:
    """Our end of a connection.

    `on_request(method, params)` returns the result, or an awaitable of it; what it raises is the
    error answer: RpcError and CarpoError tell which, anything else is an internal error.
    `on_notification(method, params)` may return an awaitable too; its errors are only logged.
    Both are called at once, in the order of the messages. `to_json` turns an object that JSON
    does not know into one it does.

    The answers to `questions`, the methods of requests that change nothing, may be ahead of what
    was sent before them: a client that is slow to read a flood is not to wait for them.

    `traffic`, when set, is called with each message that is received or sent.
    """

    def __init__(
        self,
        on_request: Dispatch,
        on_notification: Dispatch,
        to_json: Callable[[Any], Any],
        questions: frozenset[str] = frozenset(),
    ) -> None:
        self.traffic: Callable[[Direction, bytes], None] | None = None
        self._on_request = on_request
        self._questions = questions
        self._on_notification = on_notification
        self._outbox: Outbox | None = None
        self._running: dict[MsgId, asyncio.Future[Any]] = {}
        self._background: set[asyncio.Future[Any]] = set()
        self._awaited: dict[MsgId, _Awaited] = {}
        self._last_id = 0
        self._encoder = Encoder(to_json)

    def set_outbox(self, outbox: Outbox) -> None:
        """Send to this client from now on."""
        self._outbox = outbox

    def cancel_requests(self) -> None:
        """Cancel the handlers of all requests; each is answered so."""
        for task in self._running.values():
            task.cancel()

    async def close(self) -> None:
        """Cancel everything that runs for the client; nothing is sent any more."""
        self._outbox = None
        for awaited in self._awaited.values():
            awaited.future.cancel()
        self._awaited.clear()
        if tasks := {*self._running.values(), *self._background}:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_CANCEL_DEADLINE)

    def receive(self, frame: bytes | FrameError) -> None:
        """Take one message of the client."""
        if isinstance(frame, FrameError):
            self._send_error(None, PARSE_ERROR, frame.reason)
            return
        if self.traffic is not None:
            self.traffic("receive", frame)
        try:
            message = decode(frame)
        except (ValueError, RecursionError) as error:
            self._send_error(None, PARSE_ERROR, f"not JSON: {error}")
            return
        if self._is_response(message):
            self._receive_response(message)
        elif problem := _problem(message):
            msg_id = message.get("id") if isinstance(message, dict) else None
            self._send_error(msg_id if _is_id(msg_id) else None, INVALID_REQUEST, problem)
        elif "id" in message:
            self._receive_request(message["id"], message["method"], message.get("params"))
        elif message["method"] == _CANCEL:
            self._cancel(message.get("params"))
        else:
            self.run(self._on_notification, message["method"], message.get("params"))

    def run(self, dispatch: Dispatch, method: str, params: Any) -> None:
        """Call `dispatch` for nobody to wait for its result; errors are logged."""
        try:
            result = dispatch(method, params)
        except Exception as error:
            _log_failure(method, error)
        else:
            if inspect.isawaitable(result):
                task = asyncio.ensure_future(result)
                self._background.add(task)
                task.add_done_callback(functools.partial(self._run_done, method))

    def notify(self, method: str, params: Any = None) -> None:
        """Send a notification; it goes nowhere while there is no client."""
        self._send(_message(method, params))

    def request(
        self,
        method: str,
        params: Any = None,
        structure: Callable[[Any], Any] = lambda result: result,
    ) -> Future[Any]:
        """Ask the client; the future has what `structure` makes of its result, or RpcError.

        It is cancelled when there is no client, or none any more.
        """
        future: Future[Any] = Future()
        if self._outbox is None:
            future.cancel()
            return future
        self._last_id += 1
        self._send({**_message(method, params), "id": self._last_id})
        self._awaited[self._last_id] = _Awaited(method, future, structure)
        return future

    # Receiving

    def _is_response(self, message: Any) -> bool:
        if not isinstance(message, dict) or "method" in message:
            return False
        if "result" in message or "error" in message:
            return True
        # Some languages cannot put null into a table, so their clients leave the result out.
        msg_id = message.get("id")
        return _is_id(msg_id) and msg_id in self._awaited

    def _receive_response(self, message: dict[str, Any]) -> None:
        msg_id = message.get("id")
        awaited = self._awaited.pop(msg_id, None) if _is_id(msg_id) else None
        if awaited is None or not awaited.future.set_running_or_notify_cancel():
            log.debug("response to no request: %r", msg_id)
        elif (error := message.get("error")) is not None:
            awaited.future.set_exception(_client_error(error))
        else:
            try:
                awaited.future.set_result(awaited.structure(message.get("result")))
            # What `structure` raises depends on what the client has sent.
            except Exception as problem:
                summary = f"the client's answer to {awaited.method} is malformed: {problem}"
                awaited.future.set_exception(RpcError(INTERNAL_ERROR, summary))

    def _receive_request(self, msg_id: MsgId, method: str, params: Any) -> None:
        if msg_id in self._running:
            self._send_error(msg_id, INVALID_REQUEST, f"the id {msg_id!r} is in use")
            return
        try:
            result = self._on_request(method, params)
        except Exception as error:
            self._send_failure(msg_id, method, error)
            return
        if inspect.isawaitable(result):
            task = self._running[msg_id] = asyncio.ensure_future(result)
            task.add_done_callback(functools.partial(self._request_done, msg_id, method))
        else:
            self._send_result(msg_id, method, result)

    def _request_done(self, msg_id: MsgId, method: str, task: asyncio.Future[Any]) -> None:
        del self._running[msg_id]
        if task.cancelled():
            self._send_error(msg_id, REQUEST_CANCELLED, "the request was cancelled")
        elif isinstance(error := task.exception(), Exception):
            self._send_failure(msg_id, method, error)
        else:
            self._send_result(msg_id, method, task.result())

    def _run_done(self, method: str, task: asyncio.Future[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log_failure(method, error)

    def _cancel(self, params: Any) -> None:
        msg_id = params.get("id") if isinstance(params, dict) else None
        if _is_id(msg_id) and msg_id in self._running:
            self._running[msg_id].cancel()

    # Sending

    def _send_result(self, msg_id: MsgId, method: str, result: Any) -> None:
        try:
            ahead = method in self._questions
            self._send({"jsonrpc": "2.0", "id": msg_id, "result": result}, ahead=ahead)
        except (TypeError, ValueError, RecursionError) as error:
            self._send_failure(msg_id, method, error)

    def _send_failure(self, msg_id: MsgId, method: str, error: Exception) -> None:
        if isinstance(error, CarpoError):
            self._send_error(msg_id, error.code, error.message, error.to_data())
        elif isinstance(error, RpcError):
            self._send_error(msg_id, error.code, error.message, error.data)
        else:
            _log_failure(method, error)
            summary = f"internal error: {type(error).__name__}: {error}"
            self._send_error(msg_id, INTERNAL_ERROR, summary[:200])

    def _send_error(self, msg_id: MsgId | None, code: int, text: str, data: Any = None) -> None:
        error = {"code": code, "message": text}
        if data is not None:
            error["data"] = data
        self._send({"jsonrpc": "2.0", "id": msg_id, "error": error})

    def _send(self, message: dict[str, Any], *, ahead: bool = False) -> None:
        if self._outbox is None:
            return
        body = self._encoder.encode(message)
        if self.traffic is not None:
            self.traffic("send", body)
        self._outbox.send(body, ahead=ahead)


def _message(method: str, params: Any) -> dict[str, Any]:
    message = {"jsonrpc": "2.0", "method": method}
    return message if params is None else {**message, "params": params}


def _is_id(value: Any) -> TypeGuard[MsgId]:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _problem(message: Any) -> str:
    """Why this is neither a request nor a notification, or ""."""
    if not isinstance(message, dict):
        return "a message must be one object"
    if message.get("jsonrpc") != "2.0":
        return 'jsonrpc must be "2.0"'
    if not isinstance(message.get("method"), str):
        return "method must be a string"
    if "id" in message and not _is_id(message["id"]):
        return "id must be a string or an integer"
    return ""


def _client_error(error: Any) -> RpcError:
    """The error of a client's response, which may be anything."""
    if isinstance(error, dict) and isinstance(error.get("code"), int):
        return RpcError(error["code"], str(error.get("message", "")), error.get("data"))
    return RpcError(INTERNAL_ERROR, f"the client failed: {error}")


def _log_failure(method: str, error: BaseException) -> None:
    """Bad input is the client's doing and needs no traceback."""
    if isinstance(error, (CarpoError, RpcError)):
        log.warning("%s: %s", method, error)
    else:
        log.error("the handler of %s failed", method, exc_info=error)
