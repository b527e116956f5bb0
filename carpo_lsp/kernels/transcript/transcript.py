"""What executions have shown so far: the outputs a notebook would have, in order."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp.kernels.events import (
    TERMINAL,
    Event,
    ExecutionState,
    InputRequested,
    OutputChanged,
    StateChanged,
)
from carpo_lsp.kernels.recent import Recent
from carpo_lsp.kernels.transcript.shelf import Outputs, Shelf

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carpo_lsp.kernels.transcript.spool import Spool
    from carpo_lsp.protocol import Session

KEPT_EXECUTIONS: Final = 1000
"""Ended executions whose outputs are remembered; beyond that the oldest are forgotten."""

USED_IDS: Final = 10_000
"""Execution ids that are remembered after their records, so that no client takes one again."""


class Record:
    """One execution: its state and its outputs as a notebook would show them now."""

    def __init__(
        self,
        kernel_id: str,
        execution_id: str,
        code: str,
        shelf: Shelf,
        texts: Spool | None = None,
        *,
        restored: bool = False,
    ) -> None:
        self.restored = restored
        """Whether an earlier process ran it."""
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
        self.session: Session | None = None
        """Whose code it is, where that is another client."""
        self._outputs = Outputs(shelf, texts)
        self._clear_next = False

    @property
    def done(self) -> bool:
        return self.state in TERMINAL

    @property
    def outputs(self) -> Outputs:
        """The outputs so far, as a view of what is there now; adjacent stream text is one."""
        return self._outputs

    def apply(self, event: StateChanged | OutputChanged | InputRequested) -> None:
        """Take an event of this execution."""
        if isinstance(event, InputRequested):
            self.prompt = "" if event.password else event.prompt
        elif isinstance(event, StateChanged):
            self.state = event.state
            self.session = event.session or self.session
            self.prompt = ""
            if event.state == "running" and self.started is None:
                self.started = time.monotonic()
            self.execution_count = event.execution_count or self.execution_count
            self.error = event.error or self.error
            self.user_expressions = event.user_expressions
            self.duration_ms = event.duration_ms
            if self.done:
                self._outputs.end_text()
        elif event.kind == "clear":
            self._clear_next = event.wait or self._clear_next
            if not event.wait:
                self._clear()
        elif event.output is None:
            return
        elif event.kind == "append":
            if self._clear_next:
                self._clear()
            self._outputs.append(event.output, event.display_id)
        elif event.display_id is not None:
            self._outputs.update(event.output, event.display_id)

    def _clear(self) -> None:
        self._outputs.clear()
        self._clear_next = False


class Transcript:
    """The records of all executions, by id, in the order in which they were queued."""

    def __init__(self, spool: Spool) -> None:
        self._shelf = Shelf(spool)
        self._records: dict[str, Record] = {}
        self._used: Recent[str, None] = Recent(USED_IDS)

    def used(self, execution_id: str) -> bool:
        """Whether an execution has had the id, be its record still there or not."""
        return execution_id in self._used

    def get(self, execution_id: str) -> Record | None:
        return self._records.get(execution_id)

    def records(self) -> tuple[Record, ...]:
        return tuple(self._records.values())

    def open(
        self, kernel_id: str, execution_id: str, code: str, texts: Spool | None = None
    ) -> Record:
        """A record for a new execution; the oldest ended ones give way. `texts` takes its long
        texts, where they are not to go with the process."""
        record = Record(kernel_id, execution_id, code, self._shelf, texts)
        self._records.pop(execution_id, None)  # one that was restored; the new one is the last
        self._records[execution_id] = record
        self._used[execution_id] = None
        excess = len(self._records) - KEPT_EXECUTIONS
        if excess > 0:
            ended = (key for key, old in self._records.items() if old.done)
            for key in [key for key, _ in zip(ended, range(excess), strict=False)]:
                del self._records[key]
        return record

    def restore(self, executions: Iterable[tuple[str, str, str]]) -> list[Record]:
        """Records of executions of an earlier process, by the ids of their kernels and their own,
        and their code. They come before all others, and their ids may be taken again."""
        restored = {
            execution_id: Record(kernel_id, execution_id, code, self._shelf, restored=True)
            for kernel_id, execution_id, code in executions
        }
        self._records = restored | self._records
        return list(restored.values())

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
                if isinstance(event, OutputChanged) and event.kind == "update":
                    return  # of a display of an execution that has been forgotten
                code = event.code if isinstance(event, StateChanged) else None
                record = self.open(event.kernel_id, event.execution_id, code or "")
            record.apply(event)
