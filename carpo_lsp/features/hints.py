"""textDocument/inlayHint: the short result beside each cell; and the words for a cell's state."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal

from lsprotocol import types

from carpo_lsp.features import texts, tracebacks
from carpo_lsp.features.shown import shown
from carpo_lsp.journal.lines import NOT_WRITTEN, SERVER_ENDED

if TYPE_CHECKING:
    from carpo_lsp.features.shown import Shown
    from carpo_lsp.kernels.transcript.transcript import Record
    from carpo_lsp.workspace.workspace import Workspace

COLUMNS: Final = 40
"""Columns of a short result: clients cut what is longer."""

DEATHS: Final = {SERVER_ENDED: "✗ the server ended", NOT_WRITTEN: "✗ end not written"}
"""What is shown of executions of which the journal does not tell the end."""

TOOLTIP: Final = 2000
"""Characters of a tooltip."""

TOOLTIP_OUTPUTS: Final = 200
"""Outputs that a tooltip is made of; of more, the last ones."""


def style(workspace: Workspace) -> Literal["hint", "diagnostic", "off"]:
    """How short results are shown to this client."""
    chosen = workspace.settings.results.show
    if chosen == "auto":
        client = workspace.client
        takes_hints = client.refreshes_hints and client.draws_hints is not False
        return "hint" if takes_hints else "diagnostic"
    return chosen


def inlay_hints(
    workspace: Workspace, params: types.InlayHintParams
) -> list[types.InlayHint] | None:
    """A hint at the end of each piece of code that has been run and ends in the range."""
    unexpected, workspace.client.draws_hints = workspace.client.draws_hints is False, True
    if unexpected:
        workspace.on_settings()
    document = workspace.documents.find(params.text_document.uri)
    if document is None or style(workspace) != "hint":
        return None
    first, last = params.range.start.line, params.range.end.line
    has_tooltip = "tooltip" in (
        workspace.client.declared("textDocument.inlayHint.resolveSupport.properties") or ()
    )
    now = time.monotonic()
    return [
        types.InlayHint(
            position=types.Position(each.range.end.line, each.range.end.character),
            label=short_result(each, now),
            padding_left=True,
            tooltip=_tooltip(each) if has_tooltip else None,
        )
        for each in shown(workspace, document)
        if first <= each.range.end.line <= last
    ]


def short_result(each: Shown, now: float) -> str:
    """One line of at most COLUMNS columns: the result, the error, or what it is waiting for."""
    record = each.record
    sender = f"{sender_of(record)}: " if record.session is not None else ""
    if record.done and record.state in ("ok", "error"):
        if record.state == "error":
            error = record.error or {}
            text = f"✗ {tracebacks.read(error, '', None, each.cell.language).title}"
        else:
            result = texts.summary(record.outputs)
            text = f"→ {result}" if result else "✓"
        stale = "stale " if each.state == "stale" else ""
        return texts.clipped(sender + stale + text, COLUMNS)
    if prompt := texts.without_escapes(record.prompt).strip():
        return texts.clipped(f"⏳ {prompt}", COLUMNS)
    return texts.clipped(sender + _words(each, now), COLUMNS)


def sender_of(record: Record) -> str:
    """A name for the other client of the kernel whose code it is: the user's, and what tells the
    session from others of that user."""
    session = record.session
    if session is None:
        return ""
    name = texts.without_escapes(session.username).strip()
    short = texts.without_escapes(session.id)[:4]
    return " ".join(filter(None, (name if name != "username" else "", short)))


def state_words(each: Shown, now: float) -> str:
    """A cell's state with its count and time: `✓ In[3] 1.2 s`, `⏳ 12 s`, `stale In[3]`. What an
    earlier server ran is marked, for its kernel may be gone, and what another client ran."""
    by = f", by {texts.neutral(sender_of(each.record))}" if each.record.session is not None else ""
    return _words(each, now) + by + (", earlier" if each.record.restored else "")


def _words(each: Shown, now: float) -> str:
    record = each.record
    count = "" if record.execution_count is None else f" In[{record.execution_count}]"
    took = "" if record.duration_ms is None else f" {duration(record.duration_ms / 1000)}"
    match each.state:
        case "queued":
            return "⏳ queued"
        case "running":
            return f"⏳ {_elapsed(record.started, now)}"
        case "waitingInput":
            return "⏳ waits for input"
        case "ok":
            return f"✓{count}{took}"
        case "error":
            return f"✗ error{count}{took}"
        case "stale":
            return f"stale{count}"
        case "aborted":
            return "✗ not run"
        case "died":
            return DEATHS.get((record.error or {}).get("ename", ""), "✗ the kernel died")


def duration(seconds: float) -> str:
    """A time in a few characters: `12 ms`, `1.2 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10 and isinstance(seconds, float):
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _elapsed(started: float | None, now: float) -> str:
    seconds = 0 if started is None else int(now - started)
    return f"running {duration(seconds)}" if seconds >= 1 else "running"


def _tooltip(each: Shown) -> str | None:
    outputs = each.record.outputs[-TOOLTIP_OUTPUTS:]
    parts = [text for output in outputs if (text := texts.as_text(output))]
    return texts.bounded("\n".join(parts), TOOLTIP) or None
