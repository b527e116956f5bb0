"""What serves one client that has said what it is: its documents and all that is done with them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from lsprotocol import types

from carpo_lsp import protocol
from carpo_lsp.features import (
    actions,
    completion,
    configuration,
    definition,
    hints,
    hover,
    kernels,
    lenses,
    resolve,
    signature,
    symbols,
    sync,
    variables,
)
from carpo_lsp.features.commands import Commands
from carpo_lsp.present import Presenter
from carpo_lsp.wire.push import Pusher
from carpo_lsp.workspace.workspace import Workspace

if TYPE_CHECKING:
    from concurrent.futures import Future

    from carpo_lsp.frontend import Frontend

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[..., Any]

FEATURES: Final[dict[str, Handler]] = {
    types.TEXT_DOCUMENT_COMPLETION: completion.complete,
    types.COMPLETION_ITEM_RESOLVE: resolve.resolve,
    types.TEXT_DOCUMENT_HOVER: hover.hover,
    types.TEXT_DOCUMENT_SIGNATURE_HELP: signature.signature_help,
    types.TEXT_DOCUMENT_DEFINITION: definition.definition,
    types.WORKSPACE_SYMBOL: variables.workspace_symbols,
    types.TEXT_DOCUMENT_INLAY_HINT: hints.inlay_hints,
    types.TEXT_DOCUMENT_CODE_LENS: lenses.code_lenses,
    types.TEXT_DOCUMENT_CODE_ACTION: actions.code_actions,
    types.TEXT_DOCUMENT_DOCUMENT_SYMBOL: symbols.document_symbols,
    **sync.HANDLERS,
    **configuration.HANDLERS,
}
"""What takes each message of LSP, from a workspace and params."""


class Link(Protocol):
    """The way to the client."""

    on_drain: Callable[[], None]

    @property
    def congested(self) -> bool: ...

    def notify(self, method: str, params: Any) -> None: ...

    def request(self, method: str, params: Any) -> Future[Any]: ...


class Service:
    """Answers by method. `link` is the way to the client, `encoding` what its columns count."""

    def __init__(
        self, frontend: Frontend, link: Link, params: types.InitializeParams, encoding: str
    ) -> None:
        self._frontend = frontend
        self._workspace = workspace = Workspace(frontend)
        self._commands = Commands(workspace)
        self._presenter = presenter = Presenter(workspace)
        pusher = Pusher(workspace, link.notify, lambda: link.congested)
        link.on_drain = pusher.flush
        frontend.subscribe(pusher.on_event)
        frontend.subscribe(presenter.on_event)
        workspace.on_edit = presenter.on_edit
        workspace.on_clear = workspace.on_restored = presenter.on_clear
        workspace.on_settings = presenter.on_settings
        workspace.client.connect(link.notify, link.request)
        if frontend.journal is not None:
            frontend.journal.on_trouble = workspace.client.show_message
        try:
            sync.initialize(workspace, params, encoding)
        except Exception:  # the client has its answer, and is served all the same
            log.exception("What came with initialize cannot be used")
            workspace.client.show_message("What came with initialize cannot be used; see the log.")
        self._handlers: dict[str, Handler] = {
            types.WINDOW_WORK_DONE_PROGRESS_CANCEL: self._cancel_progress
        }
        for method, function in FEATURES.items():
            self._handlers[method] = functools.partial(function, workspace)
        for method, (params_type, function) in kernels.HANDLERS.items():
            self._handlers[method] = functools.partial(self._ours, params_type, function)

    def answer(self, method: str, params: Any) -> Any:
        """Take a request or a notification."""
        return self._handlers[method](params)

    def command(self, name: str, *arguments: Any) -> None:
        """Run a command by its name without `carpo.`."""
        self._commands.call(name, *arguments)

    async def close(self) -> None:
        """The client is gone, and all kernels are to end."""
        self._presenter.close()
        self._workspace.restoring.close()
        await self._commands.close()
        await self._frontend.close()

    def _ours(self, params_type: type[Any], function: Handler, params: Any) -> Any:
        self._workspace.client.wants_notifications = True
        return function(self._workspace, protocol.parse(params_type, params))

    def _cancel_progress(self, params: types.WorkDoneProgressCancelParams) -> None:
        self._presenter.cancel_progress(params.token)
