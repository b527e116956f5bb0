"""The outputs of an execution as a list of changes, kept as short as its outcome allows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from carpo_lsp.journal.lines import line
from carpo_lsp.kernels import outputs
from carpo_lsp.kernels.transcript.spool import HEAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carpo_lsp.journal.lines import Line
    from carpo_lsp.kernels.events import Output, OutputChanged

GONE: Final = "… the rest of this output is no longer kept …\n"


class _Text(Struct):
    """Stream text that grows."""

    name: str
    parts: list[str]

    def output(self) -> Output:
        return outputs.stream(self.name, "".join(self.parts))


class Changes:
    """Changes of outputs, in order, less those that later ones have undone.

    They may be all of an execution, and `outputs` are then what it shows; or some in the middle,
    to be made to whatever came before. So this is what waits to be written, what a file is
    shortened to, and what reads it.
    """

    def __init__(self, *, whole: bool = False) -> None:
        """`whole`: nothing came before."""
        self._whole = self._cleared = whole
        self._clear_next = False
        self._moved: Output | None = None
        self._updates: dict[str, Output] = {}
        self._shown: list[tuple[Output | _Text, str | None]] = []

    def add(self, event: OutputChanged) -> None:
        """Take a change as a kernel makes it."""
        self._take(event.kind, event.output, event.display_id, event.wait)

    def move(self, output: Output) -> None:
        """The text that came last is in a file from now on; `output` is its beginning with a
        pointer to the file."""
        self._take("move", output, None, False)

    def read(self, told: Line) -> None:
        """Take a line. Raises `ValueError` for one that makes no sense."""
        output = told.get("output")
        if told.get("kind") != "clear" and not (
            isinstance(output, dict) and isinstance(output.get("output_type"), str)
        ):
            raise ValueError("an output is missing")
        self._take(told["kind"], output, told.get("displayId"), told.get("wait") is True)

    def _take(self, kind: str, output: Output | None, display_id: str | None, wait: bool) -> None:
        if kind == "clear":
            self._clear_next = wait or self._clear_next
            if not wait:
                self._clear()
        elif output is None:
            return
        elif kind == "append":
            if self._clear_next:
                self._clear()
            self._append(output, display_id)
        elif kind == "move":
            last = self._shown[-1][0] if self._shown else None
            if isinstance(last, _Text) and last.name == output["name"]:
                self._shown.pop()
            if self._shown or self._cleared:
                self._shown.append((output, None))
            else:
                self._moved = output  # the text may have begun in what came before
        elif kind == "update" and display_id is not None:
            self._update(output, display_id)

    @property
    def undo(self) -> bool:
        """Whether some of what came before is not to be shown any more."""
        cleared = self._cleared and not self._whole
        return cleared or self._clear_next or self._moved is not None or bool(self._updates)

    def _clear(self) -> None:
        self._cleared = True
        self._clear_next = False
        self._moved = None
        self._updates.clear()
        self._shown.clear()

    def _append(self, output: Output, display_id: str | None) -> None:
        if output["output_type"] != "stream" or "metadata" in output:
            self._shown.append((output, display_id))
            return
        last = self._shown[-1][0] if self._shown else None
        if isinstance(last, _Text) and last.name == output["name"]:
            last.parts.append(output["text"])
        else:
            self._shown.append((_Text(output["name"], [output["text"]]), None))

    def _update(self, output: Output, display_id: str) -> None:
        if not self._cleared:
            self._updates[display_id] = output  # what came before may show it too
        changed = {"data": output["data"], "metadata": output["metadata"]}
        for index, (entry, shown_as) in enumerate(self._shown):
            if shown_as == display_id and isinstance(entry, dict):
                self._shown[index] = ({**entry, **changed}, display_id)

    def lines(self, msg_id: str) -> Iterator[Line]:
        """The changes as lines."""

        def output_line(kind: str, **fields: Any) -> Line:
            told = {key: value for key, value in fields.items() if value is not None}
            return line("output", msg_id, kind=kind, **told)

        if self._cleared and not self._whole:
            yield output_line("clear")
        if self._moved:
            yield output_line("move", output=self._moved)
        for display_id, output in self._updates.items():
            yield output_line("update", output=output, displayId=display_id)
        for output, shown_as in self._outputs():
            yield output_line("append", output=output, displayId=shown_as)
        if self._clear_next:
            yield output_line("clear", wait=True)

    def outputs(self) -> list[Output]:
        """All outputs as a reader gets them: pointers are to files that are still there."""
        return [_checked(output) for output, _ in self._outputs()]

    def _outputs(self) -> Iterator[tuple[Output, str | None]]:
        for entry, shown_as in self._shown:
            yield (entry.output() if isinstance(entry, _Text) else entry), shown_as


def _checked(output: Output) -> Output:
    metadata = output.get("metadata")
    pointer = metadata.get("carpo") if isinstance(metadata, dict) else None
    path = pointer.get("path") if isinstance(pointer, dict) else None
    if not isinstance(metadata, dict) or not isinstance(pointer, dict) or path is None:
        return output
    try:
        size = os.stat(path).st_size  # text goes on growing after the line has been written
    except OSError:
        path, size = None, pointer.get("bytes", 0)
    pointer = {**pointer, "path": path, "bytes": size}
    found = {**output, "metadata": {**metadata, "carpo": pointer}}
    if path is None and output["output_type"] == "stream":
        found["text"] = output["text"][:HEAD] + "\n" + GONE
    return found
