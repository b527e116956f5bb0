"""Writes what is run to the journal, as it happens, without ever waiting for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from msgspec import Struct, field, structs

from carpo_lsp.deadlines import Deadline
from carpo_lsp.journal import reading
from carpo_lsp.journal.changes import Changes
from carpo_lsp.journal.lines import Entry, KernelName, Place, key_of, line
from carpo_lsp.journal.pruning import Policy
from carpo_lsp.journal.sessions import KeptSpool, Session, journal_folder
from carpo_lsp.journal.store import Batch, Store
from carpo_lsp.journal.upkeep import Upkeep
from carpo_lsp.kernels.events import TERMINAL, OutputChanged, StateChanged
from carpo_lsp.kernels.recent import Recent
from carpo_lsp.kernels.transcript.spool import Spool, weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from carpo_lsp.kernels.events import Event, Output
    from carpo_lsp.kernels.execution import Execution
    from carpo_lsp.kernels.specs import Spec
    from carpo_lsp.kernels.transcript.spool import SpooledText
    from carpo_lsp.kernels.transcript.transcript import Record

log = logging.getLogger(__name__)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

INTERVAL: Final = 0.05
"""Seconds between two writings of outputs. What is queued or ends is written at once."""

MUCH_WAITING: Final = 2 * 1024 * 1024
"""Bytes of outputs that wait from which on they are written without a pause."""

MAX_WAITING: Final = 16 * 1024 * 1024
"""Bytes of outputs that may wait; then those beyond `SMALL_OUTPUT` bytes go to files at once. As
many of the last outputs are in memory anyway, to be shown."""

SMALL_OUTPUT: Final = 16 * 1024

MAX_STALLED: Final = 64 * 1024 * 1024
"""Bytes of outputs that may wait while the disk takes nothing; then it counts as out of order."""

CHANGE: Final = 100
"""Bytes that a waiting output costs besides its content."""

CLOSING: Final = 5.0
"""Seconds the disk has at the end of the program."""

REMEMBERED: Final = 1000
"""Ended executions whose outputs may still change, by display updates or by being cleared."""

MAX_OUTPUT: Final = 4 * 1024 * 1024
"""Bytes of one output in a line; what is bigger goes to a file of its own."""


class _Known(Struct):
    """An execution that is journaled."""

    key: str
    entry: Entry
    text: SpooledText | None = None
    """The growing text that has been moved to a file, if it is still the last output."""
    files: list[str] = field(default_factory=list)


class Journal:
    """Appends executions to a session of its own, which is made with the first of them.

    Lines wait in memory while others are written: one thread at a time writes, so that their order
    is kept, and outputs that are undone meanwhile are never written. What is written is safe from
    the end of this process; another thread brings what has ended to the disk, and a third one
    removes what is too old or too much. After a fault of the disk, or when too much waits for it,
    the executions of that moment are given up, which is noted once it takes something again, and
    the next one is tried again.
    """

    def __init__(self, folder: Path | None = None, policy: Policy | None = None) -> None:
        self.folder = folder or journal_folder()
        self.policy = policy or Policy()
        self.on_trouble: Callable[[str], None] = log.warning
        """Told once when the journal cannot be written."""
        self.stalled = False
        """Whether a thread still waited for the disk when the journal was closed."""
        self._temporary = Spool()
        self._session: Session | None = None
        self._store: Store | None = None
        self._spool: KeptSpool | None = None
        self._running: dict[str, _Known] = {}
        self._ended: Recent[str, _Known] = Recent(REMEMBERED)
        self._pending: dict[str, Batch] = {}
        self._cut: dict[str, Batch] = {}
        """The notes about those that were given up, not yet written."""
        self._bytes_waiting = 0
        """Bytes of outputs that wait."""
        self._urgent = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._under_way: asyncio.Future[None] | None = None
        self._upkeep = Upkeep(self._give_up)
        self._troubled = False
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        # Wall-clock time that never runs backwards.
        self._began, self._clock = datetime.now(UTC), time.monotonic()

    # Writing

    def begin(self, execution: Execution, spec: Spec, place: Place | None) -> None:
        """An execution is about to be queued. Silent ones, and those without history, are not
        journaled."""
        options = execution.options
        wanted = self.policy.enabled and options.store_history and not options.silent
        if self._closed or not wanted or not self._open_session():
            return
        entry = Entry(
            msg_id=execution.msg_id,
            execution_id=execution.execution_id,
            time=self._now(),
            kernel=KernelName(
                kernel_id=execution.kernel_id,
                spec_name=spec.name,
                display_name=spec.display_name,
                language=spec.language,
            ),
            code=execution.code,
            place=place,
        )
        known = _Known(key_of(place.owner if place else None), entry)
        self._ended.pop(entry.execution_id, None)
        self._running[entry.execution_id] = known
        batch = self._batch(known, whole=True)
        batch.before.append(entry.begin())
        self._wake(urgent=True)

    def spool_of(self, execution_id: str) -> Spool | None:
        """Where the big outputs of an execution go; None for one that is not journaled."""
        return self._spool if execution_id in self._running else None

    def take(self, event: Event, record: Record | None) -> None:
        """Take what an execution tells, after its record has; None for one that is forgotten, of
        which a display is updated."""
        if not isinstance(event, StateChanged | OutputChanged):
            return
        known = self._running.get(event.execution_id) or self._ended.get(event.execution_id)
        if known is None:
            return
        if isinstance(event, OutputChanged):
            self._output(known, event, record)
        elif event.state in TERMINAL:
            self._end(known, event)
        elif event.state == "running":
            msg_id = known.entry.msg_id
            told = line("state", msg_id, state="running", time=self._now())
            self._batch(known).before.append(told)
            self._wake(urgent=True)

    def hide(self, execution_id: str) -> None:
        """An ended execution's user has cleared what it showed."""
        known = self._ended.pop(execution_id, None)
        if known is not None and not self._closed and self._open_session():
            self._batch(known).after.append(line("hide", known.entry.msg_id))
            self._wake(urgent=True)

    def remember(self, entry: Entry) -> None:
        """An execution of an earlier session is shown again; it may be hidden."""
        key = key_of(entry.place.owner if entry.place else None)
        self._ended[entry.execution_id] = _Known(key, entry)

    def unwritten(self) -> asyncio.Future[None] | None:
        """Done when what has been told so far is safe from the end of this process, or given up;
        None when it is by now."""
        return self._waiting or self._under_way

    async def written(self) -> None:
        """Wait for that."""
        if (unwritten := self.unwritten()) is not None:
            await asyncio.wait([unwritten])

    async def close(self) -> None:
        """Write what waits, and let go of the session. Who calls later waits for the same."""
        if self._closing is None:
            self._closed = True
            self._urgent.set()
            self._closing = asyncio.create_task(self._close(), name="end of the journal")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            async with Deadline(CLOSING):
                if self._writing is not None:
                    await asyncio.wait([self._writing])
                await self._upkeep.done()
                if self._store is not None:
                    if self._cut:
                        notes = list(self._cut.values())
                        with contextlib.suppress(OSError):  # of which the user has been told
                            await self._in_thread(self._store.write, notes, ())
                    await self._in_thread(self._store.close, self.policy)
        except TimeoutError:
            self.stalled = True
            log.error("The disk does not take the end of the journal in %s s", CLOSING)
        except OSError as error:
            log.warning("The journal could not be closed: %s", error)
        self._session = self._store = self._spool = None
        self._temporary.close()

    # Reading. An execution that has not ended, and whose server is gone, ends by that.

    async def executions_of(self, uri: str, most: int) -> list[tuple[Entry, list[Output]]]:
        """The last executions of a document or notebook in earlier sessions, the oldest first,
        with their outputs: of those of the same code at the same place the last one only."""
        return await self._in_thread(
            reading.last_executions, self.folder, key_of(uri), most, self._own
        )

    async def find(self, execution_id: str) -> tuple[Entry, list[Output]] | None:
        """The last execution with an id in earlier sessions."""
        return await self._in_thread(reading.find, self.folder, execution_id, self._own)

    async def open_executions(self, kernel_id: str) -> list[tuple[Entry, list[Output]]]:
        """The executions of a kernel that had not ended when their server did, in order: those
        that ran are `running`, those that waited are `queued`. For a kernel that lives on."""
        return await self._in_thread(reading.open_executions, self.folder, kernel_id, self._own)

    @property
    def _own(self) -> Path | None:
        return self._session.folder if self._session is not None else None

    # What happens to executions

    def _output(self, known: _Known, event: OutputChanged, record: Record | None) -> None:
        text = record.outputs.text if record is not None and event.kind == "append" else None
        if text is not None and text is known.text:
            return  # it goes to its file
        known.text = None
        changes = self._batch(known).changes
        if text is not None and text.spilled:
            known.text = text
            output = text.output()
            changes.move(output)
            self._note(known, output)
        elif event.output is not None:
            # Whoever shows pictures faster than they are written must not fill the memory.
            limit = MAX_OUTPUT if self._bytes_waiting < MAX_WAITING else SMALL_OUTPUT
            output = (self._spool or self._temporary).shrink(event.output, limit)
            self._bytes_waiting += weight(output) + CHANGE
            if output is not event.output:
                event = structs.replace(event, output=output)
            changes.add(event)
            self._note(known, output)
            if self._bytes_waiting > MAX_STALLED:
                self._give_up(OSError(errno.ETIMEDOUT, "the disk takes nothing"))
                return
        else:
            changes.add(event)
        self._wake(urgent=self._bytes_waiting > MUCH_WAITING)

    def _note(self, known: _Known, output: Output) -> None:
        """The file of an output, if it has one, is to be on the disk by the end, or soon after."""
        pointer = (output.get("metadata") or {}).get("carpo")
        path = pointer.get("path") if isinstance(pointer, dict) else None
        if isinstance(path, str):
            running = known.entry.execution_id in self._running
            (known.files if running else self._batch(known).files).append(path)

    def _end(self, known: _Known, event: StateChanged) -> None:
        self._running.pop(event.execution_id, None)
        self._ended[event.execution_id] = known
        batch = self._batch(known)
        batch.files, known.files, known.text = known.files, [], None
        batch.after.append(
            line(
                "end",
                known.entry.msg_id,
                state=event.state,
                time=self._now(),
                executionCount=event.execution_count,
                durationMs=event.duration_ms,
                error=event.error,
            )
        )
        self._wake(urgent=True)

    # The writing itself

    def _batch(self, known: _Known, *, whole: bool = False) -> Batch:
        msg_id = known.entry.msg_id
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
        if msg_id not in self._pending:
            batch = Batch(key=known.key, entry=known.entry, changes=Changes(whole=whole))
            self._pending[msg_id] = batch
        return self._pending[msg_id]

    def _wake(self, *, urgent: bool = False) -> None:
        if urgent:
            self._urgent.set()
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="journal")

    async def _write(self) -> None:
        while self._pending and (store := self._store) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL):
                    await self._urgent.wait()
            if not self._closed:
                self._urgent.clear()
            batches, self._pending = list(self._pending.values()), {}
            cut, self._cut = self._cut, {}
            self._bytes_waiting = 0
            self._under_way, self._waiting = self._waiting, None
            unended = [Batch(key=each.key, entry=each.entry) for each in self._running.values()]
            try:
                ended = await self._in_thread(store.write, [*cut.values(), *batches], unended)
            except OSError as error:
                self._cut.update(cut)
                self._note_cut((each.key, each.entry) for each in batches)
                self._give_up(error)
            else:
                self._upkeep.sync(ended)
                if store.outgrown():
                    self._upkeep.prune(functools.partial(store.prune, self.policy))
            _settle(self._under_way)
            self._under_way = None

    def _open_session(self) -> bool:
        if self._session is None:
            try:
                self._session = Session(self.folder)
            except OSError as error:
                self._give_up(error)
                return False
            self._store = Store(self._session)
            self._spool = KeptSpool(self._session, self._temporary)
        return True

    def _note_cut(self, executions: Iterable[tuple[str, Entry]]) -> None:
        for key, entry in executions:
            note = line("cut", entry.msg_id)
            self._cut[entry.msg_id] = Batch(key=key, entry=entry, after=[note])

    def _give_up(self, error: OSError) -> None:
        """What runs now has holes in the journal from here on; what runs next may do better."""
        self._note_cut((each.key, each.entry) for each in self._pending.values())
        self._note_cut((each.key, each.entry) for each in self._running.values())
        self._pending.clear()
        self._running.clear()
        self._bytes_waiting = 0
        _settle(self._waiting)
        self._waiting = None
        log.warning("The journal cannot be written: %s", error)
        if not self._troubled:
            self._troubled = True
            self.on_trouble(
                f"The journal cannot be written: {error.strerror or error}. What runs now goes on, "
                f"but its results may not be there after a restart. It is in {self.folder}."
            )

    def _now(self) -> str:
        now = self._began + timedelta(seconds=time.monotonic() - self._clock)
        return now.isoformat(timespec="microseconds")

    async def _in_thread(
        self,
        function: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Away from the loop, which a slow disk would stop; what is on the loop is not touched."""
        call = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(None, call)


def _settle(told: asyncio.Future[None] | None) -> None:
    if told is not None and not told.done():
        told.set_result(None)
