from __future__ import annotations

from typing import TYPE_CHECKING

from support import mode, names

from carpo_lsp.kernels.remote.sessions import Sessions

if TYPE_CHECKING:
    from pathlib import Path

KERNEL = ("http://h/", "k")


def test_a_session_is_taken_over_from_one_that_has_left(tmp_path: Path) -> None:
    first, second = Sessions(tmp_path / "s"), Sessions(tmp_path / "s")
    session = first.begin(*KERNEL, over=True)
    assert second.begin(*KERNEL, over=True) != session, "it is in use"
    first.end(session, forget=False)
    assert second.begin("http://h/", "another", over=True) != session
    assert second.begin(*KERNEL, over=True) == session


def test_a_kernel_that_is_new_has_a_new_session(tmp_path: Path) -> None:
    first, second = Sessions(tmp_path), Sessions(tmp_path)
    session = first.begin(*KERNEL, over=True)
    first.end(session, forget=False)
    fresh = second.begin(*KERNEL, over=False)
    assert fresh != session
    second.end(fresh, forget=False)
    assert first.begin(*KERNEL, over=True) == fresh


def test_two_of_one_process(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    first, second = (sessions.begin(*KERNEL, over=True) for _ in range(2))
    assert first != second
    sessions.end(second, forget=True)
    sessions.end(first, forget=False)
    assert sessions.begin(*KERNEL, over=True) == first


def test_what_is_over_is_forgotten(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path / "s")
    session = sessions.begin(*KERNEL, over=True)
    (note,) = (tmp_path / "s").iterdir()
    assert (mode(note), mode(tmp_path / "s")) == (0o600, 0o700)
    sessions.end(session, forget=True)
    assert names(tmp_path / "s") == []


def test_a_note_that_is_none(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    sessions.end(sessions.begin(*KERNEL, over=True), forget=False)
    (note,) = tmp_path.iterdir()
    note.write_text("../../x?session_id=y")
    assert len(sessions.begin(*KERNEL, over=True)) == 32


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("")
    sessions = Sessions(tmp_path / "s")
    session = sessions.begin(*KERNEL, over=True)
    assert len(session) == 32
    sessions.end(session, forget=True)
