"""Messages about what a user who does something else should know: long runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol import types

from carpo_lsp.features.hints import duration
from carpo_lsp.features.shown import find_execution, name_of, number_of

if TYPE_CHECKING:
    from carpo_lsp.kernels.events import StateChanged
    from carpo_lsp.workspace.workspace import Workspace


def on_end(workspace: Workspace, event: StateChanged) -> None:
    """Tell that an execution of a document has ended, if it took long."""
    seconds = (event.duration_ms or 0.0) / 1000
    if workspace.client.wants_notifications or event.state not in ("ok", "error"):
        return
    if seconds < workspace.settings.results.notify_after:
        return
    found = find_execution(workspace, event.execution_id)
    name = "The execution"
    if found is not None:
        document, cell = found[0], found[1].cell
        name = name_of(workspace, document, cell)
        if number_of(workspace, document, cell) is not None:
            name = name[:1].upper() + name[1:]
    if event.state == "ok":
        message, kind = f"{name} finished in {duration(seconds)}", types.MessageType.Info
    else:
        ename = (event.error or {}).get("ename") or "an error"
        message = f"{name} failed after {duration(seconds)}: {ename}"
        kind = types.MessageType.Warning
    workspace.client.show_message(message, kind)
