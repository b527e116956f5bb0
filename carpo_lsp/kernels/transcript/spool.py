"""Outputs that are too big to hold or to push are kept on disk, with a pointer in their place.

The pointer is `metadata.carpo = {truncated: true, path, bytes}` of the output: `path` holds the
whole stream text (UTF-8), or the whole output as JSON; `bytes` is the size of that file. The
output itself keeps the beginning of its text.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from typing import IO, TYPE_CHECKING, Any, Final

from carpo_lsp import jsontext
from carpo_lsp.kernels import outputs
from carpo_lsp.kernels.supervision.guard import OwnFolder

if TYPE_CHECKING:
    from pathlib import Path

    from carpo_lsp.kernels.events import Output

log = logging.getLogger(__name__)

HEAD: Final = 64 * 1024
"""Characters of a truncated text that stay in its output."""


class Spool:
    """A folder of its own (mode 0700) for one process's big outputs, removed by `close`."""

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent
        self._folder: OwnFolder | None = None

    def create(self, suffix: str) -> tuple[IO[bytes], str]:
        """A new file (mode 0600) and its path. Raises `OSError`."""
        if self._folder is None:
            if self._parent is not None:
                self._parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder = OwnFolder("outputs-", self._parent)
        descriptor, path = tempfile.mkstemp(suffix=suffix, dir=self._folder.path)
        return open(descriptor, "wb"), path

    def shrink(self, output: Output, limit: int) -> Output:
        """The output itself, or a pointer to it when it is bigger than `limit` bytes."""
        if output["output_type"] == "stream":
            if len(output["text"]) <= limit:
                return output
            text = SpooledText(self, output["name"], limit)
            text.append(output["text"])
            text.close()
            return text.output()
        if weight(output) <= limit:
            return output
        return self._point_to(output)

    def _point_to(self, output: Output) -> Output:
        body = jsontext.encode(output)
        path = None
        try:
            file, path = self.create(".json")
            with file:
                file.write(body)
        except OSError as error:
            log.error("An output of %d bytes could not be kept: %s", len(body), error)
        kept: Output = {key: value for key, value in output.items() if key != "data"}
        if "data" in output:
            plain = output["data"].get("text/plain")
            kept["data"] = {"text/plain": plain[:HEAD]} if isinstance(plain, str) else {}
        if "traceback" in output:
            kept["traceback"] = [line[:HEAD] for line in output["traceback"][:100]]
            kept["evalue"] = output["evalue"][:HEAD]
        return {**kept, "metadata": {**output.get("metadata", {}), **pointer(path, len(body))}}

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        if self._folder is not None:
            self._folder.close()
            self._folder = None


class SpooledText:
    """Stream text that grows: in memory up to a limit, from there on in a file."""

    def __init__(self, spool: Spool, name: str, limit: int) -> None:
        self.name = name
        self.size = 0
        """Characters so far."""
        self._spool = spool
        self._limit = limit
        self._text = io.StringIO()  # a list of short strings would take many times their size
        self._file: IO[bytes] | None = None
        self._path: str | None = None
        self._bytes = 0

    @property
    def spilled(self) -> bool:
        return self._bytes > 0

    def append(self, text: str) -> None:
        self.size += len(text)
        if not self.spilled:
            self._text.write(text)
            if self.size <= self._limit:
                return
            text = self._text.getvalue()
            self._text = io.StringIO(text[:HEAD])
        self._write(text.encode("utf-8", "replace"))

    def _write(self, body: bytes) -> None:
        first = not self.spilled
        self._bytes += len(body)
        try:
            if first:
                self._file, self._path = self._spool.create(".txt")
            if self._file is not None:
                self._file.write(body)
                self._file.flush()
        except OSError as error:
            # The text cannot be kept; say so once and go on with its beginning alone.
            log.error("The output of a running cell no longer fits on the disk: %s", error)
            self.close()
            self._path = None

    def output(self) -> Output:
        """The text so far as a stream output, with a pointer when it has been spilled."""
        output = outputs.stream(self.name, self._text.getvalue())
        if self.spilled:
            output["metadata"] = pointer(self._path, self._bytes)
        return output

    def close(self) -> None:
        """No more text will come."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


def pointer(path: str | None, size: int) -> dict[str, Any]:
    """The metadata of a truncated output. `path` is null when the disk had no room for it."""
    return {"carpo": {"truncated": True, "path": path, "bytes": size}}


def weight(output: Output) -> int:
    """About the size of an output, without serialising it."""
    total = 0
    pending: list[Any] = [output]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            total += len(value)
        elif isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
        else:
            total += 8
    return total
