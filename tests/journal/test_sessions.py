"""The files of the journal: who may read them, what a crash leaves of them, several servers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from journals import KEY, URI, ended, entry, printed, read, text, whole
from support import mode, names

from carpo_lsp.appending import PIECE
from carpo_lsp.journal import reading, sessions
from carpo_lsp.journal.changes import Changes
from carpo_lsp.journal.lines import encode, key_of
from carpo_lsp.journal.sessions import KeptSpool, Session
from carpo_lsp.journal.store import Batch, Store
from carpo_lsp.kernels.events import OutputChanged
from carpo_lsp.kernels.transcript.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = f"{KEY}.1.jsonl"


def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    root = tmp_path / "state" / "journal"
    old = os.umask(0)
    try:
        session = Session(root)
        session.append(NAME, [whole("1", "x")], sync=True)
        session.replace(NAME, whole("1", "x"))
        file, path = KeptSpool(session, Spool()).create(".txt")
    finally:
        os.umask(old)
    file.close()
    folders = (root, session.folder, session.folder / sessions.OUTPUTS)
    assert [mode(folder) for folder in folders] == [0o700] * 3
    files = [session.folder / name for name in (NAME, sessions.LOCK)]
    assert [mode(each) for each in (*files, session.folder / path)] == [0o600] * 3
    session.close()


def test_a_torn_line_is_left_out_wherever_it_is_torn(tmp_path: Path) -> None:
    session = Session(tmp_path)
    before, last = whole("1", "first"), whole("2", "second")
    session.close()
    file = session.folder / NAME
    states = []
    problems: list[str] = []
    for length in range(len(last) + 1):
        file.write_bytes(before + last[:length])
        found = read(tmp_path, problem=problems.append)
        assert found["1"] == ("ok", [text("first")])
        states.append(found.get("2", ("", []))[0])
        if length < len(last):
            # What comes later begins in a line of its own only where the last one was whole.
            outputs = found.get("2", ("", []))[1]
            assert outputs in ([], [text("second")])
    assert list(dict.fromkeys(states)) == ["", "queued", "running", "ok"]
    assert problems == []


@pytest.mark.parametrize(
    "garbage", [b"\0" * 100, b"{", b"[]", b'{"type": "begin", "msg": "9"}', b"\xff\xfe", b'"x"']
)
def test_garbage_in_the_middle_is_passed_over_and_told(tmp_path: Path, garbage: bytes) -> None:
    session = Session(tmp_path)
    session.append(NAME, [whole("1", "first") + garbage + b"\n" + whole("2", "second")], sync=False)
    session.close()
    problems: list[str] = []
    found = read(tmp_path, problem=problems.append)
    assert found == {"1": ("ok", [text("first")]), "2": ("ok", [text("second")])}
    (problem,) = problems
    assert f"{NAME}:5: left out: " in problem


def test_lines_of_which_some_cannot_be_written_are_not_there(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.append(NAME, [whole("1", "first")], sync=False)
    before = (session.folder / NAME).read_bytes()

    def lines() -> Iterator[bytes]:
        yield whole("2", "x" * PIECE)
        yield whole("3", "x" * PIECE)
        assert (session.folder / NAME).read_bytes() != before
        raise LookupError("there is no second line")

    with pytest.raises(LookupError):
        session.append(NAME, lines(), sync=False)
    session.close()
    assert (session.folder / NAME).read_bytes() == before


def test_short_lines_and_long_ones_keep_their_order(tmp_path: Path) -> None:
    session = Session(tmp_path)
    lines = [b"%d %s\n" % (n, b"x" * (n % 7) * PIECE) for n in range(20)]
    assert session.append(NAME, lines, sync=False) == sum(map(len, lines))
    session.close()
    assert (session.folder / NAME).read_bytes() == b"".join(lines)


def test_what_the_disk_does_not_take_whole_is_not_there(tmp_path: Path) -> None:
    """In a process of its own, whose files may not grow beyond a limit."""
    session = Session(tmp_path)
    session.append(NAME, [whole("1", "first")], sync=True)
    size = (session.folder / NAME).stat().st_size
    program = f"""
import resource
from pathlib import Path
from carpo_lsp.journal.sessions import Session
session = Session(Path({str(tmp_path)!r}))
session.folder = Path({str(session.folder)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 10}, {size + 10}))
try:
    session.append({NAME!r}, [b"x" * 100], sync=True)
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "File too large\n"
    assert (session.folder / NAME).read_bytes() == whole("1", "first")
    session.close()


def test_a_session_is_in_use_for_as_long_as_its_server_lives(tmp_path: Path) -> None:
    session = Session(tmp_path)
    assert sessions.in_use(session.folder)
    session.close()
    assert not sessions.in_use(session.folder)
    assert not sessions.in_use(tmp_path / "none")


def test_several_servers_at_once(tmp_path: Path) -> None:
    first, second = Session(tmp_path), Session(tmp_path)
    first.append(NAME, [whole("1", "one")], sync=False)
    second.append(NAME, [whole("2", "two")], sync=False)
    first.append(NAME, [whole("3", "three")], sync=False)
    second.append(NAME, [encode(entry("4").begin())], sync=False)
    first.close()
    found = reading.executions(tmp_path, KEY)
    assert list(found.entries) == ["1", "2", "3", "4"], "by the times at which they were queued"
    assert [each.live for each in found.entries.values()] == [False, True, False, True]
    second.close()


def test_the_files_of_a_document_are_found_without_the_others(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.append(NAME, [whole("1", "x")], sync=False)
    session.append(f"{key_of('file:///w/b.py')}.1.jsonl", [b"not looked at\n"], sync=False)
    session.append(f"{KEY}.10.jsonl", [printed_line("1", "z")], sync=False)
    session.append(f"{KEY}.9.jsonl", [printed_line("1", "y")], sync=False)
    session.close()
    problems: list[str] = []
    assert read(tmp_path, key=key_of(URI), problem=problems.append)["1"] == ("ok", [text("xyz")])
    assert problems == []


def printed_line(msg_id: str, words: str) -> bytes:
    return encode(printed(msg_id, words))


def test_a_file_is_shortened_and_goes_on_in_another(tmp_path: Path) -> None:
    session = Session(tmp_path)
    store = Store(session, file_limit=2000)

    def write(msg_id: str, words: str, *, clear: bool = False) -> None:
        batch = Batch(key=KEY, entry=entry(msg_id))
        if clear:
            batch.changes.add(OutputChanged("kernel", msg_id, "clear"))
        batch.after.append(printed(msg_id, words))
        store.write([batch], [Batch(key=KEY, entry=running)])

    running = entry("1")
    store.write([Batch(key=KEY, entry=running, before=[running.begin()])], [])
    for _ in range(100):
        write("1", "a" * 100, clear=True)
    assert [path.name for path in sessions.files(session.folder)] == [NAME], "the last text only"
    for _ in range(20):
        write("1", "b" * 100)
    assert len(sessions.files(session.folder)) > 1
    store.write([Batch(key=KEY, entry=running, after=[ended("1")])], [])
    assert read(tmp_path)["1"] == ("ok", [text("a" * 100 + "b" * 2000)])
    for old in sessions.files(session.folder)[:-1]:
        old.unlink()
    assert read(tmp_path)["1"][0] == "ok", "the last file tells of it as well"
    session.close()


def test_a_full_file_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(tmp_path)
    store = Store(session, file_limit=2000)
    monkeypatch.setattr(os, "fsync", pytest.fail)
    running = Batch(key=KEY, entry=entry("1"))
    to_disk: set[Path] = set()
    while len(sessions.files(session.folder)) < 3:
        batch = Batch(key=KEY, entry=running.entry, before=[printed("1", "b" * 1000)])
        to_disk |= store.write([batch], [running])
    assert set(sessions.files(session.folder)) <= to_disk
    session.close()


def test_big_outputs_go_elsewhere_when_the_folder_does_not_take_them(tmp_path: Path) -> None:
    session = Session(tmp_path / "journal")
    (session.folder / sessions.OUTPUTS).write_text("in the way")
    otherwise = Spool(tmp_path / "spool")
    file, path = KeptSpool(session, otherwise).create(".txt")
    file.close()
    assert names(tmp_path / "spool")
    assert str(tmp_path / "spool") in path
    otherwise.close()
    session.close()


def test_changes_alone_need_no_disk() -> None:
    assert list(Changes(whole=True).lines("m")) == []
