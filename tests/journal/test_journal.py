"""What a program journals that gives its Frontend a Journal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from journals import K, display, entry, read, text
from support import DEADLINE, Events, fake_spec, mode, names, read_json

from carpo_lsp.frontend import Frontend
from carpo_lsp.journal import journal as module
from carpo_lsp.journal import pruning, reading, sessions, store
from carpo_lsp.journal.journal import Journal
from carpo_lsp.journal.lines import KernelName, Place
from carpo_lsp.journal.pruning import Policy
from carpo_lsp.kernels.events import OutputChanged, StateChanged
from carpo_lsp.kernels.execution import ExecuteOptions, Execution
from carpo_lsp.kernels.specs import Spec
from carpo_lsp.kernels.transcript import transcript
from carpo_lsp.kernels.transcript.spool import Spool
from carpo_lsp.kernels.transcript.transcript import Record, Transcript

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SPEC = Spec(name="fake", path="", argv=(), display_name="Fake", language="fake")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
async def kernel(root: Path, tmp_path: Path) -> AsyncIterator[tuple[Frontend, str]]:
    """A journaled frontend and a fake kernel in it."""
    async with Frontend(journal=Journal(root), output_limit=1024 * 1024) as frontend:
        yield frontend, await frontend.start_kernel(fake_spec(tmp_path / "fake"))


def everything(root: Path) -> str:
    """All that is on the disk."""
    return "".join(
        path.read_text() for session in sessions.sessions(root) for path in sessions.files(session)
    )


async def until_written(root: Path, wanted: Callable[[str], bool]) -> None:
    """Wait until what is on the disk is wanted. Nothing tells of a write."""
    async with asyncio.timeout(DEADLINE):
        while not wanted(everything(root)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_what_is_run_is_written(root: Path, kernel: tuple[Frontend, str]) -> None:
    frontend, kernel_id = kernel
    handle = frontend.execute_code(kernel_id, "stream stdout a\nresult b")
    result = await handle
    failed = await frontend.execute_code(kernel_id, "error ValueError no")
    await frontend.close()
    found = json_of(root)
    assert [told["type"] for told in found[:2]] == ["begin", "state"]
    begin, end = found[0], found[-1]
    assert begin["code"] == "stream stdout a\nresult b"
    assert begin["id"] == result.execution_id
    assert begin["kernel"]["kernelId"] == kernel_id
    assert begin["time"] < end["time"]
    assert (end["state"], end["executionCount"]) == ("error", 2)
    assert end["durationMs"] == failed.duration_ms
    assert end["error"]["ename"] == "ValueError"
    assert [outputs for _, outputs in read(root).values()] == [
        list(result.outputs),
        list(failed.outputs),
    ]


def size_of(path: Path) -> int:
    return path.stat().st_size


def json_of(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in everything(root).splitlines()]


async def test_outputs_are_written_while_code_runs(
    root: Path, kernel: tuple[Frontend, str]
) -> None:
    frontend, kernel_id = kernel
    frontend.submit(kernel_id, "stream stdout so far\nsleep-until-interrupted")
    await until_written(root, lambda all_: '"type":"output"' in all_)
    assert [state for state, _ in read(root).values()] == ["running"]


async def test_what_nobody_is_to_know_is_not_in_it(root: Path) -> None:
    frontend = Frontend(journal=Journal(root))
    events = Events(frontend)
    kernel_id = await frontend.start_kernel(spec_name="python3", env={"TOKEN": "in-the-open"})
    await frontend.execute_code(kernel_id, "print('hu' 'shed')", silent=True)
    await frontend.execute_code(kernel_id, "print('un' 'stored')", store_history=False)
    await frontend.evaluate(kernel_id, "'eval' + 'uated'")
    asking = frontend.execute_code(kernel_id, "from getpass import getpass\ngetpass('Whose? ')[:1]")
    await events.until_input(asking.execution_id)
    await frontend.provide_stdin(kernel_id, "sesame")
    await asking
    key = read_json(frontend.get_kernel(kernel_id).connection_file)["key"]
    await frontend.close()
    written = everything(root)
    assert "getpass('Whose? ')" in written
    assert "'s'" in written
    for secret in ("hushed", "unstored", "uated", "sesame", "in-the-open", key):
        assert secret not in written


async def test_the_journal_can_be_off(root: Path, kernel: tuple[Frontend, str]) -> None:
    frontend, kernel_id = kernel
    assert frontend.journal is not None
    frontend.journal.policy = Policy(enabled=False)
    await frontend.execute_code(kernel_id, "stream stdout a")
    await frontend.close()
    assert names(root.parent) == ["fake"]


async def test_long_text_outlives_the_server_and_is_not_in_a_line(root: Path) -> None:
    async with Frontend(journal=Journal(root)) as frontend:
        kernel_id = await frontend.start_kernel(spec_name="python3")
        code = "for _ in range(40): print('x' * 99_999, flush=True)"
        result = await frontend.execute_code(kernel_id, code)
    assert len(everything(root)) < 2 * 1024 * 1024
    ((_, (output,)),) = read(root).values()
    pointer = output["metadata"]["carpo"]
    path = Path(pointer["path"])
    assert path.parent.parent.parent == root
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert pointer["bytes"] == size_of(path) == 4_000_000
    assert output == result.outputs[0]


async def test_closing_waits_for_what_is_to_be_written(root: Path, tmp_path: Path) -> None:
    async with Frontend(journal=Journal(root)) as frontend:
        kernel_id = await frontend.start_kernel(fake_spec(tmp_path / "fake"))
        events = Events(frontend)
        frontend.submit(kernel_id, "stream stdout a\nsleep-until-interrupted", execution_id="1")
        await events.until_text("a")
    ((state, outputs),) = read(root).values()
    assert (state, outputs) == ("died", [text("a\n")])
    assert not any(sessions.in_use(session) for session in sessions.sessions(root))


# Without a kernel


class Bench:
    """A journal and executions that do what the test says."""

    def __init__(self, root: Path) -> None:
        self.journal = Journal(root)
        self.troubles: list[str] = []
        self.journal.on_trouble = self.troubles.append
        self._transcript = Transcript(Spool())
        self._records: dict[str, Record] = {}

    def begin(self, name: str, **options: Any) -> Execution:
        execution = Execution(K, name, f"code of {name}", ExecuteOptions(**options))
        self.journal.begin(execution, SPEC, Place(uri="file:///w/a.py"))
        self._records[name] = self._transcript.open(K, name, "", self.journal.spool_of(name))
        self.tell(StateChanged(K, name, "running"))
        return execution

    def tell(self, event: StateChanged | OutputChanged) -> None:
        record = self._records[event.execution_id]
        record.apply(event)
        self.journal.take(event, record)

    def print(self, name: str, words: str) -> None:
        self.tell(OutputChanged(K, name, "append", text(words)))

    def end(self, name: str) -> None:
        self.tell(StateChanged(K, name, "ok", execution_count=1, duration_ms=1.0))

    async def print_in(self, name: str, words: str) -> None:
        """A whole execution, of which the beginning is written before the rest."""
        self.begin(name)
        await self.journal.written()
        self.print(name, words)
        self.end(name)


async def test_an_unwritable_folder_is_told_once(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    bench = Bench(blocked / "journal")
    for name in ("1", "2"):
        bench.begin(name)
        bench.print(name, "x" * 5 * 1024 * 1024)
        bench.end(name)
    (trouble,) = bench.troubles
    assert trouble.startswith("The journal cannot be written: Not a directory.")
    await bench.journal.close()


async def test_a_full_disk_is_told_once_and_the_next_execution_is_tried_again(root: Path) -> None:
    bench = Bench(root)
    bench.begin("1")
    await until_written(root, lambda all_: "running" in all_)
    (file,) = sessions.files(sessions.sessions(root)[0])
    kept = file.read_bytes()
    file.unlink()
    file.symlink_to("/dev/full")
    bench.print("1", "lost")
    await until(lambda: bench.troubles != [])
    bench.end("1")
    bench.begin("2")
    bench.end("2")
    await idle(bench.journal)
    file.unlink()
    file.write_bytes(kept)
    bench.begin("3")
    bench.print("3", "kept")
    bench.end("3")
    await bench.journal.close()
    (trouble,) = bench.troubles
    assert trouble.startswith("The journal cannot be written: No space left on device.")
    assert list(read(root).values()) == [("running", []), ("ok", [text("kept")])]
    cut, _ = reading.executions(root).entries.values()
    assert (reading.ended(cut).error or {})["ename"] == "NotJournaled"


async def test_a_full_disk_is_noted_when_the_server_ends(root: Path) -> None:
    bench = Bench(root)
    bench.begin("1")
    await until_written(root, lambda all_: "running" in all_)
    (file,) = sessions.files(sessions.sessions(root)[0])
    kept = file.read_bytes()
    file.unlink()
    file.symlink_to("/dev/full")
    bench.end("1")
    await until(lambda: bench.troubles != [])
    await idle(bench.journal)
    file.unlink()
    file.write_bytes(kept)
    await bench.journal.close()
    (cut,) = reading.executions(root).entries.values()
    assert (reading.ended(cut).error or {})["ename"] == "NotJournaled"


async def test_what_waits_for_a_disk_that_takes_nothing_does_not_fill_the_memory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(root)
    bench.begin("1")
    await idle(bench.journal)
    asked, stalled, taken = threading.Event(), threading.Event(), module.Store.write

    def write(*args: Any) -> Any:
        asked.set()
        assert stalled.wait(DEADLINE)
        return taken(*args)

    monkeypatch.setattr(module.Store, "write", write)
    monkeypatch.setattr(module, "MAX_STALLED", 1024 * 1024)
    bench.print("1", "written late\n")
    await until(asked.is_set)
    for _ in range(2048):
        bench.tell(OutputChanged(K, "1", "append", display("x" * 512)))
    (trouble,) = bench.troubles
    assert trouble.startswith("The journal cannot be written: the disk takes nothing.")
    bench.begin("2")
    bench.print("2", "kept")
    bench.end("2")
    stalled.set()
    await bench.journal.close()
    shown = read(root)
    assert list(shown.values()) == [
        ("running", [text("written late\n")]),
        ("ok", [text("kept")]),
    ]
    cut, _ = reading.executions(root).entries.values()
    assert (reading.ended(cut).error or {})["ename"] == "NotJournaled"


async def test_who_closes_it_again_waits_for_the_same_end(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(root)
    bench.begin("1")
    bench.end("1")
    await asyncio.gather(bench.journal.close(), bench.journal.close())
    await bench.journal.close()
    bench.journal.hide("1")
    assert caplog.messages == []
    (session,) = sessions.sessions(root)
    assert not sessions.in_use(session)


async def until(wanted: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not wanted():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)


async def idle(journal: Journal) -> None:
    """Wait until all is written, well or not: a thread takes one thing after the other."""
    tasks = [task for task in asyncio.all_tasks() if task.get_name() == "journal"]
    if tasks:
        await asyncio.wait(tasks)


async def test_a_display_of_an_execution_that_is_forgotten_is_updated(
    kernel: tuple[Frontend, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    frontend, kernel_id = kernel
    monkeypatch.setattr(transcript, "KEPT_EXECUTIONS", 2)
    events = Events(frontend)
    first = await frontend.execute_code(kernel_id, "display d one")
    for _ in range(3):
        await frontend.execute_code(kernel_id, "result 1")
    for _ in range(3):
        assert (await frontend.execute_code(kernel_id, "update d two")).state == "ok"
        told = events.of(first.execution_id)[-1]
        assert isinstance(told, OutputChanged)
        assert told.kind == "update"
    assert len(frontend.transcript.records()) == 2
    assert all(record.done for record in frontend.transcript.records())
    assert caplog.messages == []


async def ended_display(bench: Bench) -> dict[str, Any]:
    """What an execution that has ended, and is written, has shown as the display `d`."""
    bench.begin("1")
    output = {"output_type": "display_data", "data": {"text/plain": "old"}, "metadata": {}}
    bench.tell(OutputChanged(K, "1", "append", output, "d"))
    bench.end("1")
    await idle(bench.journal)
    return output


async def test_a_display_that_is_updated_after_the_end(root: Path) -> None:
    bench = Bench(root)
    output = await ended_display(bench)
    new = {**output, "data": {"text/plain": "new"}}
    bench.tell(OutputChanged(K, "1", "update", new, "d"))
    await bench.journal.close()
    assert list(read(root).values()) == [("ok", [new])]


async def test_the_file_of_a_display_that_is_updated_after_the_end_is_brought_to_the_disk(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[Path] = set()
    monkeypatch.setattr(sessions, "to_disk", synced.update)
    bench = Bench(root)
    output = await ended_display(bench)
    big = {**output, "data": {"text/plain": "x" * (module.MAX_OUTPUT + 1)}}
    bench.tell(OutputChanged(K, "1", "update", big, "d"))
    await bench.journal.close()
    ((_, (shown,)),) = read(root).values()
    assert Path(shown["metadata"]["carpo"]["path"]) in synced


async def test_a_flood_of_what_is_undone_is_hardly_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INTERVAL", 3600.0)
    bench = Bench(root)
    bench.begin("1")
    await idle_after_begin(root)
    for number in range(10_000):
        bench.tell(OutputChanged(K, "1", "clear", wait=True))
        bench.print("1", f"{number} %")
    bench.end("1")
    await bench.journal.close()
    assert len(everything(root)) < 2000
    assert list(read(root).values()) == [("ok", [text("9999 %")])]


async def idle_after_begin(root: Path) -> None:
    await until_written(root, lambda all_: "running" in all_)


async def test_one_big_output_goes_to_a_file(root: Path) -> None:
    bench = Bench(root)
    bench.begin("1")
    picture = {"output_type": "display_data", "data": {"image/png": "x" * 5_000_000}}
    bench.tell(OutputChanged(K, "1", "append", {**picture, "metadata": {}}))
    bench.end("1")
    await bench.journal.close()
    assert len(everything(root)) < 2000
    ((_, (output,)),) = read(root).values()
    whole = read_json(output["metadata"]["carpo"]["path"])
    assert whole["data"] == picture["data"]


async def test_pictures_that_come_faster_than_they_are_written_go_to_files(root: Path) -> None:
    bench = Bench(root)
    bench.begin("1")
    pictures = [
        {"output_type": "display_data", "data": {"image/png": mark * 500_000}, "metadata": {}}
        for mark in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN"
    ]
    for picture in pictures:  # without a turn of the loop
        bench.tell(OutputChanged(K, "1", "append", picture))
    bench.tell(OutputChanged(K, "1", "append", text("small")))
    bench.end("1")
    await bench.journal.close()
    assert len(everything(root)) < module.MAX_WAITING + 1_000_000
    ((_, outputs),) = read(root).values()
    pointers = [output.get("metadata", {}).get("carpo") for output in outputs]
    files = [read_json(pointer["path"]) for pointer in pointers if pointer]
    assert files
    assert [*outputs[: len(pictures) - len(files)], *files] == pictures
    assert outputs[-1] == text("small")


async def test_only_the_end_of_the_journal_waits_until_old_sessions_are_removed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    done: list[str] = []

    def prune(*_: Any, own: Path | None = None) -> None:
        if own is not None:
            done.append("waited for" if free.wait(DEADLINE) else "in vain")
        else:
            done.append("the last time")

    monkeypatch.setattr(store, "prune", prune)
    monkeypatch.setattr(store, "WRITTEN", 1)
    bench = Bench(root)
    await bench.print_in("1", "so far")
    await bench.journal.written()
    assert "so far" in everything(root)
    closing = asyncio.create_task(bench.journal.close())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await asyncio.shield(closing)
    assert done == []
    free.set()
    await closing
    assert done == ["waited for", "waited for", "the last time"]


async def test_a_disk_that_is_slow_does_not_keep_the_journal_from_being_pruned(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, pruned = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(sessions, "to_disk", lambda paths: free.wait(DEADLINE))
    monkeypatch.setattr(
        store, "prune", lambda *_, **__: loop.call_soon_threadsafe(pruned.set) and None
    )
    bench = Bench(root)
    await bench.print_in("1", "so far")
    async with asyncio.timeout(DEADLINE):
        await pruned.wait()
    pruned.clear()
    monkeypatch.setattr(store, "WRITTEN", 1)
    bench.begin("2")
    async with asyncio.timeout(DEADLINE):
        await pruned.wait()
    assert not free.is_set()
    free.set()
    await bench.journal.close()


async def test_a_journal_that_grows_is_kept_within_its_bounds_while_it_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = Bench(root)
    older.begin("1")
    older.end("1")
    await older.journal.close()
    (old,) = sessions.sessions(root)
    looked, loop = asyncio.Event(), asyncio.get_running_loop()

    def prune(*args: Any, **how: Any) -> None:
        pruning.prune(*args, **how)
        loop.call_soon_threadsafe(looked.set)

    monkeypatch.setattr(store, "prune", prune)
    monkeypatch.setattr(store, "WRITTEN", 10_000)
    bench = Bench(root)
    bench.begin("2")
    async with asyncio.timeout(DEADLINE):
        await looked.wait()
        assert old.exists(), "nothing is too much yet"
        looked.clear()
        bench.journal.policy = Policy(max_bytes=1)
        bench.print("2", "x" * 5_000)
        await bench.journal.written()
        assert old.exists(), "nor is it looked at before enough has been written"
        bench.print("2", "x" * 5_000)
        await looked.wait()
    assert not old.exists()
    await bench.journal.close()


async def test_what_cannot_be_removed_costs_nothing_of_what_is_run(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def prune(*_: Any, own: Path | None = None) -> None:
        raise PermissionError(13, "it belongs to another")

    monkeypatch.setattr(store, "prune", prune)
    bench = Bench(root)
    await bench.print_in("1", "so far")
    await bench.journal.close()
    assert bench.troubles == []
    assert "cannot be kept within its bounds" in caplog.text
    assert [(state, outputs) for state, outputs in read(root).values()] == [
        ("ok", [text("so far")])
    ]


async def test_a_disk_that_takes_what_it_was_given_after_the_end(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, taken = threading.Event(), module.Store.write

    def write(self: module.Store, *args: Any) -> set[Path]:
        free.wait(DEADLINE)
        return taken(self, *args)

    monkeypatch.setattr(module.Store, "write", write)
    monkeypatch.setattr(module, "CLOSING", 0.1)
    bench = Bench(root)
    bench.begin("1")
    unwritten = bench.journal.unwritten()
    assert unwritten is not None
    await bench.journal.close()
    assert bench.journal.stalled
    free.set()
    async with asyncio.timeout(DEADLINE):
        await unwritten


async def test_what_had_not_ended_when_its_server_did(root: Path) -> None:
    bench = Bench(root)
    running = bench.begin("1")
    bench.print("1", "so far")
    ended = Execution(K, "2", "")
    bench.journal.begin(ended, SPEC, None)
    queued = Execution(K, "3", "waits")
    bench.journal.begin(queued, SPEC, None)
    other = Execution("other kernel", "4", "")
    bench.journal.begin(other, SPEC, None)
    bench.journal.take(StateChanged(K, "2", "aborted"), Transcript(Spool()).open(K, "2", ""))
    await bench.journal.close()
    next_ = Journal(root)
    found = await next_.open_executions(K)
    assert [(each.msg_id, each.state, outputs) for each, outputs in found] == [
        (running.msg_id, "running", [text("so far")]),
        (queued.msg_id, "queued", []),
    ]
    assert found[0][0].kernel == KernelName(
        kernel_id=K, spec_name="fake", display_name="Fake", language="fake"
    )
    entry_, _ = await next_.find("1") or (entry("0"), [])
    assert (entry_.state, (entry_.error or {})["ename"]) == ("died", "ServerEnded")
    assert await next_.find("none") is None
    await next_.close()


async def test_of_the_same_code_at_the_same_place_the_last_run_is_read(root: Path) -> None:
    bench = Bench(root)
    for name in ("1", "2", "3"):
        execution = Execution(K, name, "same" if name != "2" else "other")
        bench.journal.begin(execution, SPEC, Place(uri="file:///w/a.py"))
    await bench.journal.close()
    next_ = Journal(root)
    found = await next_.executions_of("file:///w/a.py", 10)
    assert [each.execution_id for each, _ in found] == ["2", "3"]
    found = await next_.executions_of("file:///w/a.py", 1)
    assert [each.execution_id for each, _ in found] == ["3"]
    assert await next_.executions_of("file:///w/b.py", 10) == []
