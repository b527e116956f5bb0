"""The client as the server sees it: what it can do, and the ways to reach its user.

Nothing is sent that the client has not declared, and every answer has a deadline: some clients
never reply to what they do not know. All methods are safe before `connect`, when they do nothing.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from lsprotocol import types

from carpo_lsp.deadlines import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

log = logging.getLogger(__name__)

DEADLINE: Final = 5.0
"""Seconds a client has to answer a request that its user does not see."""

SHOWS_DOCUMENTS: Final = frozenset({"helix"})
"""Clients, by name, that show documents without declaring that they can."""

NO_CAPABILITIES: Final = types.ClientCapabilities()


class Client:
    """One client's capabilities and the messages it may get."""

    def __init__(self) -> None:
        self.name = ""
        self.wants_notifications = False
        """Whether it takes carpo/* notifications: it says so, or has sent a carpo/* request."""
        self.draws_hints: bool | None = None
        """Whether it asks for inlay hints, which its user may have switched off; None before that
        is known. What it declares does not tell."""
        self._capabilities = NO_CAPABILITIES
        self._notify: Callable[[str, Any], None] = lambda method, params: None
        self._request: Callable[[str, Any], Future[Any]] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._said: set[str] = set()

    def connect(
        self,
        notify: Callable[[str, Any], None],
        request: Callable[[str, Any], Future[Any]],
    ) -> None:
        """Reach the client through these from now on."""
        self._notify = notify
        self._request = request

    def introduce(self, name: str, capabilities: types.ClientCapabilities) -> None:
        """What `initialize` has told."""
        self.name = name
        self._capabilities = capabilities

    def close(self) -> None:
        """The client is gone; nobody waits for its answers."""
        for task in self._tasks:
            task.cancel()

    def can(self, path: str) -> bool:
        """Whether a boolean capability is declared: `can("workspace.inlayHint.refreshSupport")`."""
        return self.declared(path) is True

    def declared(self, path: str) -> Any:
        """What is declared under a path of camelCase names, None where nothing is."""
        value: Any = self._capabilities
        for name in path.split("."):
            value = getattr(value, _snake_case(name), None)
            if value is None:
                return None
        return value

    # To the user

    def show_message(
        self, message: str, kind: types.MessageType = types.MessageType.Warning
    ) -> None:
        """Tell the user something. The first line must stand alone: some clients show no more."""
        params = types.ShowMessageParams(type=kind, message=_without_links(message))
        self._notify(types.WINDOW_SHOW_MESSAGE, params)

    def show_once(self, message: str, kind: types.MessageType = types.MessageType.Warning) -> None:
        """Tell the user something, unless it has been said."""
        if message not in self._said:
            self._said.add(message)
            self.show_message(message, kind)

    def log_message(self, message: str) -> None:
        params = types.LogMessageParams(type=types.MessageType.Info, message=message)
        self._notify(types.WINDOW_LOG_MESSAGE, params)

    @property
    def can_ask(self) -> bool:
        """Whether the user can be given a choice."""
        return self.declared("window.showMessage") is not None

    async def choose(
        self,
        message: str,
        choices: Sequence[str],
        kind: types.MessageType = types.MessageType.Info,
    ) -> str | None:
        """Let the user choose; None when nothing was chosen. Waits as long as the user does.

        Only for clients that `can_ask`.
        """
        params = types.ShowMessageRequestParams(
            type=kind,
            message=_without_links(message),
            actions=[types.MessageActionItem(title=choice) for choice in choices],
        )
        answer = await self._ask(types.WINDOW_SHOW_MESSAGE_REQUEST, params, None)
        title = getattr(answer, "title", None)
        return title if title in choices else None

    @property
    def shows_documents(self) -> bool:
        return self.can("window.showDocument.support") or self.name.lower() in SHOWS_DOCUMENTS

    async def show_document(
        self,
        uri: str,
        *,
        external: bool = False,
        take_focus: bool = False,
        selection: types.Range | None = None,
    ) -> bool:
        """Show a document, or with `external` a page in the browser; whether the client did."""
        if not self.shows_documents:
            return False
        params = types.ShowDocumentParams(
            uri=uri, external=external, take_focus=take_focus, selection=selection
        )
        answer = await self._ask(types.WINDOW_SHOW_DOCUMENT, params, DEADLINE)
        return getattr(answer, "success", False) is True

    # To the editor

    def publish_diagnostics(
        self, uri: str, version: int | None, diagnostics: Sequence[types.Diagnostic]
    ) -> None:
        params = types.PublishDiagnosticsParams(
            uri=uri, version=version, diagnostics=list(diagnostics)
        )
        self._notify(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS, params)

    @property
    def refreshes_hints(self) -> bool:
        return self.can("workspace.inlayHint.refreshSupport")

    @property
    def refreshes_lenses(self) -> bool:
        return self.can("workspace.codeLens.refreshSupport")

    def refresh_hints(self) -> None:
        """Make the client ask for inlay hints anew, where it can."""
        if self.refreshes_hints:
            self.spawn(self._ask(types.WORKSPACE_INLAY_HINT_REFRESH, None, DEADLINE))

    def refresh_lenses(self) -> None:
        """Make the client ask for code lenses anew, where it can."""
        if self.refreshes_lenses:
            self.spawn(self._ask(types.WORKSPACE_CODE_LENS_REFRESH, None, DEADLINE))

    async def apply_edit(self, edit: types.WorkspaceEdit, label: str) -> bool:
        """Change the user's documents; whether the client did."""
        if not self.can("workspace.applyEdit"):
            return False
        params = types.ApplyWorkspaceEditParams(edit=edit, label=label)
        answer = await self._ask(types.WORKSPACE_APPLY_EDIT, params, DEADLINE)
        return getattr(answer, "applied", False) is True

    async def configuration(self, section: str) -> Any:
        """The user's settings of a section, None where the client gives none."""
        if not self.can("workspace.configuration"):
            return None
        params = types.ConfigurationParams(items=[types.ConfigurationItem(section=section)])
        answer = await self._ask(types.WORKSPACE_CONFIGURATION, params, DEADLINE)
        return answer[0] if isinstance(answer, list) and answer else None

    @property
    def shows_progress(self) -> bool:
        return self.can("window.workDoneProgress")

    async def begin_progress(self, token: str, title: str, *, cancellable: bool) -> bool:
        """Open a progress display; whether the client took it."""
        if not self.shows_progress:
            return False
        create = types.WorkDoneProgressCreateParams(token=token)
        failed = object()
        answer = await self._ask(types.WINDOW_WORK_DONE_PROGRESS_CREATE, create, DEADLINE, failed)
        if answer is failed:
            return False
        self.progress(token, types.WorkDoneProgressBegin(title=title, cancellable=cancellable))
        return True

    def progress(self, token: str, value: Any) -> None:
        """A report or the end of a progress display that was begun."""
        self._notify(types.PROGRESS, types.ProgressParams(token=token, value=value))

    # Plumbing

    def spawn(self, waiting: Any) -> None:
        """Run something that waits for the client, for as long as the client is there."""
        task = asyncio.ensure_future(waiting)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("What was done for the client failed", exc_info=error)

    async def _ask(
        self, method: str, params: Any, deadline: float | None, failed: Any = None
    ) -> Any:
        """The client's answer; `failed` when it gave an error, or none in time."""
        if self._request is None:
            return failed
        try:
            async with Deadline(deadline):
                return await asyncio.wrap_future(self._request(method, params))
        except TimeoutError:
            log.warning("The client did not answer %s within %s s", method, deadline)
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
        except Exception as error:  # whatever the client's error was made into
            log.info("The client refused %s: %s", method, error)
        return failed


def _snake_case(name: str) -> str:
    return "".join("_" + char.lower() if char.isupper() else char for char in name)


def _without_links(message: str) -> str:
    """A message in which no client finds a link: prompts and errors are a kernel's words, and
    VS Code makes `[text](command:...)` in a message something that runs a command."""
    return message.replace("](", "] (")
