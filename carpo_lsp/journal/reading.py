"""Reads the journal, in two passes: executions without their outputs, then those of a few.

A line that is not whole at the end of a file is what a crash left of it, and left out; one in the
middle that is no line of the journal is passed over and told to `problem`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from carpo_lsp.journal import lines, sessions
from carpo_lsp.journal.changes import Changes
from carpo_lsp.kernels.events import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence
    from pathlib import Path

    from carpo_lsp.journal.lines import Entry, Line
    from carpo_lsp.kernels.events import Output

log = logging.getLogger(__name__)

MOST_BYTES: Final = 32 * 1024 * 1024
"""Bytes of outputs that are read for one document."""

ENDED_REASON: Final = "The server ended while this ran; what it had shown until then was kept."
CUT_REASON: Final = "The journal could not be written while this ran; how it ended is not known."


class Found(Struct):
    """Executions, by the ids of their requests, in the order in which they were queued."""

    entries: dict[str, Entry]
    files: list[Path]
    """Where they are, to be read again for their outputs."""


def executions(
    root: Path,
    key: str | None = None,
    *,
    but: Path | None = None,
    problem: Callable[[str], None] = log.warning,
) -> Found:
    """All executions, or those of one document (see `key_of`); not those of the session `but`."""
    found = Found({}, [])
    for session in sessions.sessions(root):
        if session == but:
            continue
        live = sessions.in_use(session)
        for file in sessions.files(session, key):
            found.files.append(file)
            _read_entries(file, found.entries, live, problem)
    found.entries = dict(sorted(found.entries.items(), key=lambda item: item[1].time))
    return found


def outputs_of(
    files: Iterable[Path],
    wanted: Container[str],
    *,
    problem: Callable[[str], None] = log.warning,
) -> dict[str, list[Output]]:
    """The outputs of some executions, by the ids of their requests; none is none."""
    changes: dict[str, Changes] = {}
    for file in files:
        for number, raw in _whole_lines(file):
            msg_id = lines.output_of(raw)
            if msg_id is None or msg_id not in wanted:
                continue
            try:
                changes.setdefault(msg_id, Changes(whole=True)).read(lines.decode(raw))
            except (ValueError, KeyError) as error:
                problem(f"{file}:{number}: left out: {error}")
    return {msg_id: each.outputs() for msg_id, each in changes.items()}


def ended(entry: Entry) -> Entry:
    """An execution as it is now that its server has gone: it has ended, if by that alone."""
    if entry.state in TERMINAL or entry.live:
        return entry
    if entry.cut:
        ename, reason = lines.NOT_WRITTEN, CUT_REASON
    elif entry.state == "queued":
        return structs.replace(entry, state="aborted")
    else:
        ename, reason = lines.SERVER_ENDED, ENDED_REASON
    error = {"ename": ename, "evalue": reason, "traceback": []}
    return structs.replace(entry, state="died", error=error)


def _read_entries(
    file: Path, entries: dict[str, Entry], live: bool, problem: Callable[[str], None]
) -> None:
    for number, raw in _whole_lines(file):
        output_of = lines.output_of(raw)
        if output_of is not None:
            if output_of in entries:
                entries[output_of].size += len(raw)
            continue
        try:
            told = lines.decode(raw)
            msg_id = told["msg"]
            if told["type"] == "begin" and msg_id not in entries:
                entries[msg_id] = lines.entry_of(told)
            if msg_id in entries:  # else its beginning has been removed, being old
                entries[msg_id].apply(told)
                entries[msg_id].live = live
        except (ValueError, KeyError) as error:
            problem(f"{file}:{number}: left out: {error}")


def compacted(file: Path, problem: Callable[[str], None] = log.warning) -> bytes:
    """The lines of a file, without those that later ones have undone.

    Only what is undone is held as more than bytes: all lines at once would take many times the size
    of the file.
    """
    undone = _undone(file, problem)
    before: dict[str, list[Line]] = {}
    changes: dict[str, Changes] = {}
    after: dict[str, list[Line]] = {}
    kept = bytearray()
    for _, raw in _whole_lines(file):
        try:
            line = lines.decode(raw)
            msg_id = line["msg"]
            if msg_id not in undone:
                kept += raw
            elif line["type"] == "begin":
                before.setdefault(msg_id, []).append(line)
                changes.setdefault(msg_id, Changes(whole="again" not in line))
            elif line["type"] == "output":
                changes.setdefault(msg_id, Changes()).read(line)
            else:
                after.setdefault(msg_id, []).append(line)
        except (ValueError, KeyError):
            continue  # it has been told
    for msg_id in {**before, **changes, **after}:
        outputs = changes[msg_id].lines(msg_id) if msg_id in changes else ()
        for told in (*before.get(msg_id, ()), *outputs, *after.get(msg_id, ())):
            kept += lines.encode(told)
    return bytes(kept)


def _undone(file: Path, problem: Callable[[str], None]) -> set[str]:
    """The executions of which lines have been undone by later ones. Tells of what is no line."""
    found = set()
    for number, raw in _whole_lines(file):
        try:
            line = lines.decode(raw)
            msg_id = line["msg"]
            if line["type"] == "output" and line["kind"] != "append":
                found.add(msg_id)
        except (ValueError, KeyError) as error:
            problem(f"{file}:{number}: left out: {error}")
    return found


def _whole_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with open(file, "rb") as opened:
            for number, raw in enumerate(opened, 1):
                if raw.endswith(b"\n"):
                    yield number, raw
    except FileNotFoundError:
        return  # its time had come, just now


# What the server asks for


def last_executions(
    root: Path, key: str, most: int, own: Path | None
) -> list[tuple[Entry, list[Output]]]:
    """See `Journal.executions_of`; `own` is the session of the asking server."""
    found = executions(root, key, but=own)
    last: dict[object, Entry] = {}
    for entry in found.entries.values():
        place = entry.place
        if entry.live and entry.state not in TERMINAL:
            continue  # it runs in another server, which shows it
        same = (entry.code, place.uri, place.range) if place is not None else entry.msg_id
        last.pop(same, None)
        if not entry.hidden:
            last[same] = ended(entry)
    chosen: list[Entry] = []
    size = 0
    for entry in list(last.values())[: -most - 1 : -1]:
        size += entry.size
        if size <= MOST_BYTES:
            chosen.insert(0, entry)
    return with_outputs(found, chosen)


def find(root: Path, execution_id: str, own: Path | None) -> tuple[Entry, list[Output]] | None:
    """See `Journal.find`."""
    found = executions(root, but=own)
    same = [entry for entry in found.entries.values() if entry.execution_id == execution_id]
    return with_outputs(found, [ended(same[-1])])[0] if same else None


def open_executions(
    root: Path, kernel_id: str, own: Path | None
) -> list[tuple[Entry, list[Output]]]:
    """See `Journal.open_executions`."""
    found = executions(root, but=own)
    unended = [
        entry
        for entry in found.entries.values()
        if entry.kernel.kernel_id == kernel_id and entry.state not in TERMINAL and not entry.live
    ]
    return with_outputs(found, unended)


def with_outputs(
    found: Found, chosen: Sequence[Entry], *, problem: Callable[[str], None] = log.warning
) -> list[tuple[Entry, list[Output]]]:
    """Executions that were found, with their outputs."""
    outputs = outputs_of(found.files, {entry.msg_id for entry in chosen}, problem=problem)
    return [(entry, outputs.get(entry.msg_id, [])) for entry in chosen]
