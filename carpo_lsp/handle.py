"""An execution as a Python program follows it: its events one by one, or its result."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from carpo_lsp.kernels.events import (
    Event,
    ExecutionState,
    InputRequested,
    Output,
    OutputChanged,
    StateChanged,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from carpo_lsp.kernels.transcript.transcript import Record

Subscribe = Callable[[Callable[[Event], None]], Callable[[], None]]
"""Takes a function that is to be called with every event, gives one that ends that."""

ExecutionEvent = StateChanged | OutputChanged | InputRequested


class ExecutionResult(Struct, frozen=True):
    """How an execution ended and what it showed."""

    execution_id: str
    state: ExecutionState
    execution_count: int | None
    outputs: tuple[Output, ...]
    """nbformat 4 outputs; adjacent stream text is one output."""
    error: dict[str, Any] | None
    """`ename`, `evalue`, `traceback` when the state is `error` or `died`."""
    user_expressions: dict[str, Any] | None
    duration_ms: float | None


class ExecutionHandle:
    """An execution under way: `async for` gives its events in order, `await` its result.

    Events are kept from the start, so it does not matter when the iteration begins; it ends
    after the terminal state. Both may be used, in any order, by one user each.
    """

    def __init__(self, record: Record, subscribe: Subscribe) -> None:
        self.execution_id = record.execution_id
        self.kernel_id = record.kernel_id
        self._record = record
        self._events: deque[ExecutionEvent] = deque()
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._unsubscribe = subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ExecutionEvent) and event.execution_id == self.execution_id:
            self._events.append(event)
            self._changed.set()
            if self._record.done:
                self._unsubscribe()
                self._ended.set()

    async def __aiter__(self) -> AsyncIterator[ExecutionEvent]:
        while self._events or not self._ended.is_set():
            while self._events:
                yield self._events.popleft()
            if self._ended.is_set():
                return
            self._changed.clear()
            await self._changed.wait()

    def __await__(self) -> Generator[Any, None, ExecutionResult]:
        return self._result().__await__()

    async def _result(self) -> ExecutionResult:
        await self._ended.wait()
        record = self._record
        return ExecutionResult(
            execution_id=record.execution_id,
            state=record.state,
            execution_count=record.execution_count,
            outputs=tuple(record.outputs),
            error=record.error,
            user_expressions=record.user_expressions,
            duration_ms=record.duration_ms,
        )
