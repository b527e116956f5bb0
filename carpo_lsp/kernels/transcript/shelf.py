"""The outputs of all executions: in memory while they fit into a budget, beyond it on disk.

Outputs are kept in chunks of neighbours. When all chunks together outgrow the budget, those that
have not been touched for longest go to files, and are read when somebody asks for what is in them.
Text that is being printed is never among them.
"""

from __future__ import annotations

import logging
import sys
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, overload

from carpo_lsp.kernels import outputs
from carpo_lsp.kernels.transcript.chunk_files import ChunkFiles
from carpo_lsp.kernels.transcript.spool import SpooledText

if TYPE_CHECKING:
    from carpo_lsp.kernels.events import Output
    from carpo_lsp.kernels.transcript.chunk_files import Entry, Place
    from carpo_lsp.kernels.transcript.spool import Spool

log = logging.getLogger(__name__)

BUDGET: Final = 16 * 1024 * 1024
"""Bytes of outputs that are kept in memory, of all executions together."""

CHUNK: Final = 1024 * 1024
"""Bytes from which on a chunk takes no more outputs: what is read from disk for one of them."""

TEXT_LIMIT: Final = 1024 * 1024
"""Characters of one stream text that are kept in memory."""

LOST: Final = "This output is lost: its file in the server's temporary folder has gone.\n"


class Shelf:
    """Says which chunks stay in memory. One for all executions of a process."""

    def __init__(self, spool: Spool, budget: int = BUDGET) -> None:
        self.spool = spool
        self._budget = budget
        self._held = 0
        self._chunks: OrderedDict[_Chunk, int] = OrderedDict()

    @property
    def held(self) -> int:
        """Bytes of outputs in memory, without the text that is being printed."""
        return self._held

    def touch(self, chunk: _Chunk) -> None:
        """A chunk has been changed: it is now the last to go. Others may have to."""
        self._held += chunk.weight - self._chunks.pop(chunk, 0)
        self._chunks[chunk] = chunk.weight
        while self._held > self._budget and self._chunks:
            oldest, weight = self._chunks.popitem(last=False)
            self._held -= weight
            oldest.store(self.spool)

    def drop(self, chunk: _Chunk) -> None:
        """Forget a chunk."""
        self._held -= self._chunks.pop(chunk, 0)


class _Chunk:
    """Some outputs in a row, in memory or in a file."""

    def __init__(self, files: ChunkFiles) -> None:
        self._files = files
        self.size = 0
        """How many outputs."""
        self.weight = 0
        """Bytes they take in memory, about."""
        self._entries: list[Entry] = []
        self._display_ids: frozenset[str] = frozenset()
        self._place: Place | None = None

    @property
    def full(self) -> bool:
        return self._place is not None or self.weight >= CHUNK

    def append(self, entry: Entry) -> None:
        self._entries.append(entry)
        self.size += 1
        self.weight += _weight(entry[0])

    def entries(self) -> list[Entry]:
        if self._place is None:
            return self._entries
        try:
            return self._place.read(self.size)
        except (OSError, ValueError) as error:
            log.error("Outputs cannot be read back: %s", error)
            return [(outputs.stream("stderr", LOST), None)] * self.size

    def update(self, change: Output, display_id: str) -> bool:
        """Replace the data of a display; whether it is here, and so in memory now."""
        if self._place is not None and display_id not in self._display_ids:
            return False
        here = False
        entries = self.entries()
        for index, (output, shown_as) in enumerate(entries):
            if shown_as == display_id:
                here = True
                changed = {"data": change["data"], "metadata": change["metadata"]}
                entries[index] = ({**output, **changed}, display_id)
        if here:
            self.leave_file()
            self._entries = entries
            self.weight = sum(_weight(output) for output, _ in entries)
        return here

    def store(self, spool: Spool) -> None:
        """Move to a file; what cannot be written stays in memory."""
        try:
            self._place = self._files.write(spool, self._entries)
        except OSError as error:
            log.error("Outputs stay in memory, the disk does not take them: %s", error)
            return
        self._display_ids = frozenset(shown_as for _, shown_as in self._entries if shown_as)
        self._entries = []
        self.weight = 0

    def leave_file(self) -> None:
        if self._place is not None:
            self._place.remove()
            self._place = None


class Outputs(Sequence["Output"]):
    """The outputs of one execution, as a notebook would show them now, in order.

    Reading goes through the files of those that are not in memory, one chunk at a time.
    """

    def __init__(self, shelf: Shelf, texts: Spool | None = None) -> None:
        """`texts` takes text that is too long, where it is not to be the spool of the shelf."""
        self._shelf = shelf
        self._texts = texts or shelf.spool
        self._files = ChunkFiles()
        self._chunks: list[_Chunk] = []
        # Several may hold an execution's record; its files go with the last of them.
        weakref.finalize(self, _discard, shelf, self._chunks).atexit = False
        self._text: SpooledText | None = None
        """The text that grows; it comes behind the chunks."""

    @property
    def text(self) -> SpooledText | None:
        """The text that grows, when it is the last output."""
        return self._text

    def append(self, output: Output, display_id: str | None = None) -> None:
        """Add an output. Text is joined with that of the same stream right before it."""
        if output["output_type"] != "stream" or "metadata" in output:
            self.end_text()
            self._add((output, display_id))
            return
        if self._text is None or self._text.name != output["name"]:
            self.end_text()
            self._text = SpooledText(self._texts, output["name"], TEXT_LIMIT)
        self._text.append(output["text"])

    def update(self, output: Output, display_id: str) -> None:
        """Replace the data of what is shown as `display_id`."""
        for chunk in self._chunks:
            if chunk.update(output, display_id):
                self._shelf.touch(chunk)

    def end_text(self) -> None:
        """The text that was printed last is complete."""
        if self._text is not None:
            self._text.close()
            self._add((self._text.output(), None))
            self._text = None

    def clear(self) -> None:
        """Remove all outputs, and the files they are in but those whose paths others know."""
        if self._text is not None:
            self._text.close()
            self._text = None
        _discard(self._shelf, self._chunks)

    def _add(self, entry: Entry) -> None:
        if not self._chunks or self._chunks[-1].full:
            self._chunks.append(_Chunk(self._files))
        chunk = self._chunks[-1]
        chunk.append(entry)
        self._shelf.touch(chunk)

    # Reading

    def __len__(self) -> int:
        return sum(chunk.size for chunk in self._chunks) + (self._text is not None)

    def __bool__(self) -> bool:
        return bool(self._chunks) or self._text is not None

    def __iter__(self) -> Iterator[Output]:
        for chunk in tuple(self._chunks):
            for output, _ in tuple(chunk.entries()):
                yield output
        if self._text is not None:
            yield self._text.output()

    def __reversed__(self) -> Iterator[Output]:
        if self._text is not None:
            yield self._text.output()
        for chunk in reversed(tuple(self._chunks)):
            for output, _ in reversed(tuple(chunk.entries())):
                yield output

    @overload
    def __getitem__(self, index: int) -> Output: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Output, ...]: ...

    def __getitem__(self, index: int | slice) -> Output | tuple[Output, ...]:
        if isinstance(index, slice):
            return self._slice(*index.indices(len(self)))
        place = range(len(self))[index]
        return self._slice(place, place + 1, 1)[0]

    def _slice(self, start: int, stop: int, step: int) -> tuple[Output, ...]:
        wanted = range(start, stop, step)
        if not wanted:
            return ()
        first, last = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
        found: list[Output] = []
        offset = 0
        for chunk in self._chunks:
            if offset <= last and first < offset + chunk.size:
                entries = chunk.entries()
                found += [
                    entries[place - offset][0]
                    for place in range(max(first, offset), min(last + 1, offset + chunk.size))
                ]
            offset += chunk.size
        if self._text is not None and offset <= last:
            found.append(self._text.output())
        return tuple(found[place - first] for place in wanted)


def _weight(value: Any) -> int:
    """The bytes that plain data takes in memory."""
    total = 0
    pending: list[Any] = [value]
    while pending:
        each = pending.pop()
        total += sys.getsizeof(each)
        if isinstance(each, dict):
            pending.extend(each.values())
        elif isinstance(each, list):
            pending.extend(each)
    return total


def _discard(shelf: Shelf, chunks: list[_Chunk]) -> None:
    for chunk in chunks:
        shelf.drop(chunk)
        chunk.leave_file()
    chunks.clear()
