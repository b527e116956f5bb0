"""Errors of cells at the lines that failed, and short results where hints cannot be."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lsprotocol import types
from msgspec import Struct

from carpo_lsp.documents.cells import prefix_width
from carpo_lsp.features import texts, tracebacks
from carpo_lsp.features.hints import short_result, style
from carpo_lsp.features.shown import find_execution, name_of, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carpo_lsp.documents.document import Document
    from carpo_lsp.features.shown import Shown
    from carpo_lsp.features.tracebacks import Frame, Problem
    from carpo_lsp.kernels.transcript.transcript import Record
    from carpo_lsp.workspace.workspace import Workspace

SOURCE: Final = "carpo"

DETAIL: Final = 1000
"""Characters of an error's own text below its first line."""

MAX_RELATED: Final = 5
"""Places besides the failing line."""


class _Related(Struct, frozen=True):
    """A frame of a traceback that is in an open document."""

    text: str
    uri: str
    range: types.Range


class Diagnostics:
    """What is published for each document; nothing is sent for those without any."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._published: dict[str, tuple[int | None, list[types.Diagnostic]]] = {}

    def has(self, uri: str) -> bool:
        """Whether a document has diagnostics, so that an edit may change them."""
        return uri in self._published

    def refresh(self, uri: str) -> None:
        """Publish a document's diagnostics as they are now, for its version as it is now."""
        document = self._workspace.documents.find(uri)
        found = diagnostics_of(self._workspace, document) if document is not None else []
        version = document.version if document is not None else None
        if self._published.get(uri, (version, [])) == (version, found):
            return
        if found:
            self._published[uri] = (version, found)
        else:
            self._published.pop(uri, None)
        self._workspace.client.publish_diagnostics(uri, version, found)


def diagnostics_of(workspace: Workspace, document: Document) -> list[types.Diagnostic]:
    """The errors in code that is still as it was run, and short results where they go here."""
    results = style(workspace) == "diagnostic"
    now = time.monotonic()
    found: list[types.Diagnostic] = []
    for each in shown(workspace, document):
        error = error_of(each.record, each.cell.language)
        if error is not None and not each.edited:
            found.append(_error(workspace, document, each, error))
        elif results and each.state != "queued":
            found.append(_result(document, each, now))
    return found


def error_of(record: Record, language: str) -> dict[str, object] | None:
    """The error an execution ended with."""
    if record.state == "error":
        return record.error or {}
    if record.state == "ok" and language == "octave":
        # Octave's kernel calls it a success and prints the error.
        for output in record.outputs:
            if output.get("name") == "stderr" and output["text"].startswith(("error: ", "parse")):
                return {"ename": "", "evalue": output["text"].strip(), "traceback": []}
    return None


def _result(document: Document, each: Shown, now: float) -> types.Diagnostic:
    line = each.range.end.line
    end = len(document.line(line))
    return types.Diagnostic(
        range=_range(document, line, max(0, end - 1), end),
        message=short_result(each, now),
        severity=types.DiagnosticSeverity.Information,
        source=SOURCE,
    )


def _error(
    workspace: Workspace, document: Document, each: Shown, error: dict[str, object]
) -> types.Diagnostic:
    record = each.record
    problem = tracebacks.read(error, record.code, record.execution_count, each.cell.language)
    related = list(_related(workspace, record, problem))[-MAX_RELATED:]
    detail = texts.bounded(problem.detail or _printed(record, error), DETAIL)
    lines = [problem.title, *([detail] if detail.strip() else []), *(at.text for at in related)]
    takes_related = workspace.client.can("textDocument.publishDiagnostics.relatedInformation")
    return types.Diagnostic(
        range=_failing(document, each, problem),
        message="\n".join(lines),
        severity=types.DiagnosticSeverity.Error,
        source=SOURCE,
        related_information=[
            types.DiagnosticRelatedInformation(types.Location(at.uri, at.range), at.text)
            for at in related
        ]
        if related and takes_related
        else None,
    )


def _printed(record: Record, error: dict[str, object]) -> str:
    """What was printed on stderr by a kernel that says what went wrong only there."""
    if error.get("ename") or error.get("traceback"):
        return ""
    streams = (each["text"] for each in record.outputs if each.get("name") == "stderr")
    return texts.settled("".join(streams)).strip("\n")


def _failing(document: Document, each: Shown, problem: Problem) -> types.Range:
    """The failing line without its indent, a syntax error's place in it, else the first line."""
    number = problem.line
    if number is None:
        codes = each.record.code.split("\n")
        number = next((n for n, code in enumerate(codes) if code.strip()), 0)
    line = each.range.start.line + number
    if problem.column is None:
        return _line_range(document, line)
    text = document.line(line)
    start = prefix_width(each.cell, text)
    if number == 0:  # a selection may begin within the line
        start = max(start, document.point(each.range.start)[1])
    start = min(start + problem.column, max(0, len(text) - 1))
    return _range(document, line, start, start + 1)


def _related(workspace: Workspace, record: Record, problem: Problem) -> Iterator[_Related]:
    for frame in problem.frames:
        found = (
            _in_file(workspace, record, frame)
            if frame.path is not None
            else _in_execution(workspace, record, frame)
        )
        if found is None:
            continue
        document, line, where = found
        function = f"in {frame.function}, " if frame.function else ""
        text = f"{function}{where}, line {line + 1}"
        yield _Related(text, document.uri, _line_range(document, line))


def _in_file(
    workspace: Workspace, record: Record, frame: Frame
) -> tuple[Document, int, str] | None:
    path = Path(_here(workspace, record.kernel_id, frame.path or "")).expanduser()
    document = workspace.documents.find_path(path) if path.is_absolute() else None
    return None if document is None else (document, frame.line - 1, path.name)


def _here(workspace: Workspace, kernel_id: str, path: str) -> str:
    """What a path in a traceback is called on this machine; it may be of a kernel that is gone."""
    return workspace.frontend.local_path(kernel_id, path) if workspace.exists(kernel_id) else path


def _in_execution(
    workspace: Workspace, record: Record, frame: Frame
) -> tuple[Document, int, str] | None:
    """The place of a frame in what the same kernel has run, if it is as it was."""
    for other in reversed(workspace.frontend.transcript.records()):
        if other.kernel_id != record.kernel_id:
            continue
        if frame.count is not None:
            if other.execution_count != frame.count:
                continue
            number = tracebacks.line_of(other.code, frame.line)
        elif tracebacks.calls(other.code, frame):
            number = frame.line - 1
        else:
            continue
        found = find_execution(workspace, other.execution_id)
        if found is None or found[1].edited:
            return None
        document, each = found
        return document, each.range.start.line + number, name_of(workspace, document, each.cell)
    return None


def _line_range(document: Document, line: int) -> types.Range:
    text = document.line(line)
    return _range(document, line, len(text) - len(text.lstrip()), len(text.rstrip()))


def _range(document: Document, line: int, start: int, end: int) -> types.Range:
    """A range of code points of a line."""
    first, last = document.position(line, start), document.position(line, end)
    return types.Range(
        types.Position(first.line, first.character), types.Position(last.line, last.character)
    )
