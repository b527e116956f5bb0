"""What executions have shown so far: the outputs a notebook would have, in order."""

from __future__ import annotations

import time
from typing import Any, Final

from carpo_lsp.kernels.events import (
    TERMINAL,
    Event,
    ExecutionState,
    InputRequested,
    Output,
    OutputChanged,
    StateChanged,
)
from carpo_lsp.kernels.recent import Recent
from carpo_lsp.kernels.spool import Spool, SpooledText

KEPT_EXECUTIONS: Final = 1000
"""Ended executions whose outputs are remembered; beyond that the oldest are forgotten."""

USED_IDS: Final = 10_000
"""Execution ids that are remembered after their records, so that no client takes one again."""

TEXT_LIMIT: Final = 1024 * 1024
"""Characters of one stream text that are kept in memory."""


class Record:
    """One execution: its state and its outputs as a notebook would show them now."""

    def __init__(self, kernel_id: str, execution_id: str, code: str, spool: Spool) -> None:
        self.kernel_id = kernel_id
        self.execution_id = execution_id
        self.code = code
        self.state: ExecutionState = "queued"
        self.execution_count: int | None = None
        self.error: dict[str, Any] | None = None
        self.user_expressions: dict[str, Any] | None = None
        self.duration_ms: float | None = None
        self.started: float | None = None
        """When it began to run, in seconds of `time.monotonic`."""
        self.prompt = ""
        """What it asks while it waits for input; empty for passwords."""
        self._spool = spool
        self._entries: list[tuple[Output | SpooledText, str | None]] = []
        self._clear_next = False

    @property
    def done(self) -> bool:
        return self.state in TERMINAL

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The outputs so far; adjacent stream text is one output."""
        return tuple(
            entry.output() if isinstance(entry, SpooledText) else entry
            for entry, _ in self._entries
        )

    @property
    def has_outputs(self) -> bool:
        """Whether there are outputs, without making them."""
        return bool(self._entries)

    def apply(self, event: StateChanged | OutputChanged | InputRequested) -> None:
        """Take an event of this execution."""
        if isinstance(event, InputRequested):
            self.prompt = "" if event.password else event.prompt
        elif isinstance(event, StateChanged):
            self.state = event.state
            self.prompt = ""
            if event.state == "running" and self.started is None:
                self.started = time.monotonic()
            self.execution_count = event.execution_count or self.execution_count
            self.error = event.error or self.error
            self.user_expressions = event.user_expressions
            self.duration_ms = event.duration_ms
            if self.done:
                self._close_text()
        elif event.kind == "clear":
            if event.wait:
                self._clear_next = True
            else:
                self._clear()
        elif event.output is not None and event.kind == "update":
            self._update(event.output, event.display_id)
        elif event.output is not None:
            if self._clear_next:
                self._clear()
            self._append(event.output, event.display_id)

    def _append(self, output: Output, display_id: str | None) -> None:
        if output["output_type"] == "stream" and "metadata" not in output:
            last = self._entries[-1][0] if self._entries else None
            if not isinstance(last, SpooledText) or last.name != output["name"]:
                self._close_text()
                last = SpooledText(self._spool, output["name"], TEXT_LIMIT)
                self._entries.append((last, None))
            last.append(output["text"])
        else:
            self._close_text()
            self._entries.append((output, display_id))

    def _update(self, output: Output, display_id: str | None) -> None:
        for index, (entry, shown_as) in enumerate(self._entries):
            if display_id is not None and shown_as == display_id and isinstance(entry, dict):
                changed = {"data": output["data"], "metadata": output["metadata"]}
                self._entries[index] = ({**entry, **changed}, display_id)

    def _clear(self) -> None:
        self._close_text()
        self._entries.clear()
        self._clear_next = False

    def _close_text(self) -> None:
        for entry, _ in self._entries[-1:]:
            if isinstance(entry, SpooledText):
                entry.close()


class Transcript:
    """The records of all executions, by id, in the order in which they were queued."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._records: dict[str, Record] = {}
        self._used: Recent[str, None] = Recent(USED_IDS)

    def used(self, execution_id: str) -> bool:
        """Whether an execution has had the id, be its record still there or not."""
        return execution_id in self._used

    def get(self, execution_id: str) -> Record | None:
        return self._records.get(execution_id)

    def records(self) -> tuple[Record, ...]:
        return tuple(self._records.values())

    def open(self, kernel_id: str, execution_id: str, code: str) -> Record:
        """A record for a new execution; the oldest ended ones give way."""
        record = Record(kernel_id, execution_id, code, self._spool)
        self._records[execution_id] = record
        self._used[execution_id] = None
        excess = len(self._records) - KEPT_EXECUTIONS
        if excess > 0:
            ended = (key for key, old in self._records.items() if old.done)
            for key in [key for key, _ in zip(ended, range(excess), strict=False)]:
                del self._records[key]
        return record

    def forget(self, execution_id: str) -> None:
        """Drop the record of an ended execution: nobody wants to see its outputs any more."""
        record = self._records.get(execution_id)
        if record is not None and record.done:
            del self._records[execution_id]

    def apply(self, event: Event) -> None:
        """Take any event; those of executions nobody opened (external ones) open a record."""
        if isinstance(event, StateChanged | OutputChanged | InputRequested):
            record = self._records.get(event.execution_id)
            if record is None:
                record = self.open(event.kernel_id, event.execution_id, "")
            record.apply(event)
