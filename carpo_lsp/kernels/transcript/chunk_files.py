"""Files of outputs that are not in memory. Each holds chunks of one execution, and goes with the
last of them: one that is changed later, as displays are, goes elsewhere, and leaves its room unused
for as long as its neighbours stay."""

from __future__ import annotations

import itertools
import json
import logging
import os
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from carpo_lsp import jsontext
from carpo_lsp.appending import append

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carpo_lsp.kernels.events import Output
    from carpo_lsp.kernels.transcript.spool import Spool

log = logging.getLogger(__name__)

FILE: Final = 8 * 1024 * 1024
"""Bytes from which on a file takes no more chunks. To make one may cost as much as to fill it."""

Entry = tuple["Output", str | None]
"""An output and the display id by which it can be updated."""


class ChunkFiles:
    """The files of one execution."""

    def __init__(self) -> None:
        self._last: _File | None = None

    def write(self, spool: Spool, entries: Sequence[Entry]) -> Place:
        """Add a chunk, all of it or nothing. Raises `OSError`."""
        if self._last is not None and self._last.takes_more:
            try:
                return self._last.append(entries)
            except FileNotFoundError:
                log.warning("A file of outputs has gone: %s", self._last.path)
        file, path = spool.create(".outputs")
        file.close()
        self._last = _File(path)
        return self._last.append(entries)


class _File:
    def __init__(self, path: str) -> None:
        self.path = path
        self._size = 0
        self._chunks = 0

    @property
    def takes_more(self) -> bool:
        return self._chunks > 0 and self._size < FILE

    def append(self, entries: Sequence[Entry]) -> Place:
        descriptor = os.open(self.path, os.O_WRONLY)
        try:
            written = append(descriptor, map(jsontext.encode_line, entries))
        except OSError:
            if not self._chunks:
                self._remove()
            raise
        finally:
            os.close(descriptor)
        self._size = written.stop
        self._chunks += 1
        return Place(self, written.start)

    def leave(self) -> None:
        """A chunk is no longer in it."""
        self._chunks -= 1
        if not self._chunks:
            self._remove()

    def _remove(self) -> None:
        try:
            os.unlink(self.path)
        except OSError as error:
            log.warning("A file of outputs cannot be removed: %s", error)


class Place(Struct, frozen=True):
    """Where a chunk is, an output a line."""

    file: _File
    start: int

    def read(self, size: int) -> list[Entry]:
        """So many outputs. Raises `OSError`, or `ValueError` for what is none of ours."""
        with open(self.file.path, "rb") as file:
            file.seek(self.start)
            lines = itertools.islice(file, size)
            entries = [(output, shown_as) for output, shown_as in map(json.loads, lines)]
        if len(entries) < size:
            raise ValueError("its end is missing")
        return entries

    def remove(self) -> None:
        """The chunk is no longer there."""
        self.file.leave()
