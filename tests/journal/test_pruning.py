from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from journals import whole
from support import names

from carpo_lsp.journal import sessions
from carpo_lsp.journal.pruning import DAY, Policy, prune
from carpo_lsp.journal.sessions import OUTPUTS, Session

if TYPE_CHECKING:
    from pathlib import Path

KB = 1000


def make(root: Path, name: str, *, lines: int = 0, outputs: int = 0, days: float = 0) -> Session:
    """A session of a living server, of so many bytes, last written to some days ago."""
    session = Session(root)
    moved = root / f"20260101T{name:0>12}-1-aa"
    session.folder.rename(moved)
    session.folder = moved
    session.append("none.1.jsonl", [whole("1", "x" * lines)], sync=False)
    if outputs:
        (moved / OUTPUTS).mkdir()
        (moved / OUTPUTS / "big.txt").write_bytes(b"x" * outputs)
    then = time.time() - days * DAY
    for path in (*moved.iterdir(), moved):
        os.utime(path, (then, then))
    return session


def left(root: Path) -> list[str]:
    """The sessions by their names, with a + for those that have big outputs."""
    return [
        str(int(session.name[9:21])) + "+" * any(session.glob(f"{OUTPUTS}/*"))
        for session in sessions.sessions(root)
    ]


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    for name, days in (("1", 31), ("2", 29)):
        make(tmp_path, name, days=days).close()
    living = make(tmp_path, "3", days=99)
    prune(tmp_path, Policy(max_days=30))
    assert left(tmp_path) == ["2", "3"], "but not what is in use"
    living.close()


def test_big_outputs_go_first_and_then_the_oldest(tmp_path: Path) -> None:
    for name in ("1", "2", "3"):
        make(tmp_path, name, lines=100 * KB, outputs=100 * KB).close()
    seen = []
    for size in (700, 560, 460, 360, 260, 0):
        prune(tmp_path, Policy(max_bytes=size * KB))
        seen.append(left(tmp_path))
    assert seen == [
        ["1+", "2+", "3+"],
        ["1", "2+", "3+"],
        ["1", "2", "3+"],
        ["1", "2", "3"],
        ["2", "3"],
        [],
    ]
    assert names(tmp_path) == []


def test_what_is_in_use_stays_and_its_big_outputs_do_not_count(tmp_path: Path) -> None:
    living = make(tmp_path, "1", lines=10 * KB, outputs=900 * KB)
    make(tmp_path, "2", lines=10 * KB).close()
    own = make(tmp_path, "3", lines=10 * KB, outputs=900 * KB)
    prune(tmp_path, Policy(max_bytes=200 * KB), own=own.folder)
    assert left(tmp_path) == ["1+", "2", "3+"]
    prune(tmp_path, Policy(max_bytes=1), own=own.folder)
    assert left(tmp_path) == ["1+", "3+"]
    living.close()
    own.close()


def test_a_server_removes_its_own_oldest_files_but_not_the_last_of_a_document(
    tmp_path: Path,
) -> None:
    own = make(tmp_path, "1")
    for number, name in enumerate(("a.1", "a.2", "b.1", "a.3")):
        own.append(f"{name}.jsonl", [whole("1", "x" * 100 * KB)], sync=False)
        os.utime(own.folder / f"{name}.jsonl", (number, number))
    prune(tmp_path, Policy(max_bytes=350 * KB), own=own.folder)
    files = [path.name for path in sessions.files(own.folder)]
    assert files == ["a.2.jsonl", "a.3.jsonl", "b.1.jsonl", "none.1.jsonl"]
    prune(tmp_path, Policy(max_bytes=1), own=own.folder)
    files = [path.name for path in sessions.files(own.folder)]
    assert files == ["a.3.jsonl", "b.1.jsonl", "none.1.jsonl"]
    own.close()


def test_only_what_is_ours_is_touched(tmp_path: Path) -> None:
    make(tmp_path, "1", days=99).close()
    for name in ("notes", "20260101T000000000000-1-aa.bak", ".new"):
        (tmp_path / name).mkdir()
    precious = tmp_path / "precious.txt"
    precious.write_text("x")
    linked = make(tmp_path, "2", days=99)
    linked.close()
    (linked.folder / "link").symlink_to(precious)
    prune(tmp_path, Policy(max_bytes=1))
    assert names(tmp_path) == sorted(
        ["notes", "20260101T000000000000-1-aa.bak", ".new", "precious.txt"]
    )


@pytest.mark.parametrize("file", ["none.1.jsonl", "lock"])
def test_what_a_crash_in_the_middle_of_a_removal_leaves_goes_as_well(
    tmp_path: Path, file: str
) -> None:
    session = make(tmp_path, "1", days=99)
    session.close()
    (session.folder / file).unlink()
    prune(tmp_path, Policy())
    assert left(tmp_path) == []
