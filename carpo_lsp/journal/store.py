"""Writes a session's lines to its files, and keeps these short. For one thread at a time, and one
that prunes; these may wait for the disk, the loop does not."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from carpo_lsp.journal import sessions
from carpo_lsp.journal.changes import Changes
from carpo_lsp.journal.lines import encode
from carpo_lsp.journal.pruning import prune
from carpo_lsp.journal.reading import compacted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from carpo_lsp.journal.lines import Entry, Line
    from carpo_lsp.journal.pruning import Policy
    from carpo_lsp.journal.sessions import Session

FILE_LIMIT: Final = 8 * 1024 * 1024
"""Bytes beyond which a file is written anew without what later lines have undone, or goes on in
another one."""

WRITTEN: Final = 32 * 1024 * 1024
"""Bytes a session writes before the bounds of the journal are looked at again."""


class Batch(Struct, kw_only=True):
    """What there is to write of one execution."""

    key: str
    entry: Entry
    """As it was when it was queued."""
    before: list[Line] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    after: list[Line] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    """Paths of big outputs that are complete."""

    def lines(self) -> Iterator[Line]:
        return itertools.chain(self.before, self.changes.lines(self.entry.msg_id), self.after)


class Store:
    """The files of one session, one for each document, and another when that is full."""

    def __init__(self, session: Session, file_limit: int = FILE_LIMIT) -> None:
        self._session = session
        self._root = session.folder.parent
        self._limit = file_limit
        self._numbers: dict[str, int] = {}
        self._undone: set[str] = set()
        """The keys of files that may become shorter."""
        self._written = WRITTEN  # the first look is at what earlier sessions have left

    def write(self, batches: Iterable[Batch], unended: Iterable[Batch]) -> set[Path]:
        """Append lines, and return the files that are to be on the disk, as an execution has ended
        or a file is full (see `sessions.to_disk`). `unended` are all that have not ended.
        Raises `OSError`."""
        ended: set[Path] = set()
        by_key: dict[str, list[Batch]] = {}
        for batch in batches:
            by_key.setdefault(batch.key, []).append(batch)
        for key, those in by_key.items():
            name = sessions.file_name(key, self._numbers.setdefault(key, 1))
            told = (line for batch in those for line in batch.lines())
            size = self._session.append(name, self._encoded(told), sync=False)
            if any(batch.after for batch in those):
                ended |= {self._session.folder, self._session.folder / name}
            ended |= {Path(path) for batch in those for path in batch.files}
            if any(batch.changes.undo for batch in those):
                self._undone.add(key)
            if size > self._limit:
                ended.add(self._session.folder / name)
                ended |= self._make_room(key, size, unended)
        return ended

    def outgrown(self) -> bool:
        """Whether so much has been written that the journal is to be pruned; said once of it."""
        outgrown = self._written >= WRITTEN
        if outgrown:
            self._written = 0
        return outgrown

    def prune(self, policy: Policy) -> None:
        """Keep the journal within its bounds. It may be written to meanwhile."""
        prune(self._root, policy, own=self._session.folder)

    def _encoded(self, told: Iterable[Line]) -> Iterator[bytes]:
        """Lines as bytes, each only when its turn has come."""
        for each in told:
            data = encode(each)
            self._written += len(data)
            yield data

    def close(self, policy: Policy) -> None:
        """The server ends."""
        self._session.close()
        prune(self._root, policy)

    def _make_room(self, key: str, size: int, unended: Iterable[Batch]) -> set[Path]:
        """Write a document's file anew, or go on in another when that does not help; returns what
        is to be on the disk for that."""
        name = sessions.file_name(key, self._numbers[key])
        if key in self._undone:
            self._undone.remove(key)
            data = compacted(self._session.folder / name)
            self._session.replace(name, data)
            size = len(data)
        if size <= self._limit // 2:
            return set()
        self._numbers[key] += 1
        name = sessions.file_name(key, self._numbers[key])
        again = (batch.entry.begin() | {"again": True} for batch in unended if batch.key == key)
        self._session.append(name, self._encoded(again), sync=False)
        return {self._session.folder, self._session.folder / name}
