"""What the users of each editor are told when a kernel dies: one message, with the way on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

import psutil
import pytest_asyncio
from editor_clients import PROFILES, Editor
from support import DEADLINE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from editor_clients import Profile

FOREVER = """\
import os, pathlib, time
pathlib.Path("new").write_text(str(os.getpid()))
pathlib.Path("new").rename("pid")
while True: time.sleep(0.01)
"""

AGAIN = "print('again')\n"

DEATH = " died: "
RESTART = "Restart kernel"
ASK = "window/showMessageRequest"


@pytest_asyncio.fixture(params=PROFILES, ids=str)
async def editor(request: Any, tmp_path: Path) -> AsyncIterator[Editor]:
    profile: Profile = request.param
    editor = await Editor.spawn()
    assert isinstance(editor, Editor)
    try:
        await editor.begin(profile, tmp_path)
        yield editor
    finally:
        await editor.close()
    assert editor.undeclared == []


async def until_said(editor: Editor, text: str, times: int = 1) -> list[str]:
    """All messages, with choices or without, that hold a text, once there are so many."""

    def found() -> list[str]:
        return [
            params["message"]
            for method, params in editor.notes
            if method in (ASK, "window/showMessage") and text in params["message"]
        ]

    await editor.until(lambda *_: len(found()) >= times)
    return found()


async def test_a_kernel_of_two_documents_dies(editor: Editor, tmp_path: Path) -> None:
    editor.choice = RESTART
    uris = {name: (tmp_path / f"{name}.py").as_uri() for name in ("one", "two", "three")}
    for name, uri in uris.items():
        editor.open(uri, AGAIN if name == "three" else FOREVER)
        if name != "three":
            await editor.command("runCell", {"uri": uri, "line": 0})
    pid = await until_written(tmp_path / "pid")
    os.kill(pid, signal.SIGKILL)
    (message,) = await until_said(editor, DEATH)
    assert message.splitlines()[0].endswith("The kernel was ended by signal 9 (SIGKILL).")
    if editor.declares("window.showMessage") is not None:
        (question,) = [each for each in editor.named(ASK) if DEATH in each["message"]]
        assert question["actions"] == [{"title": RESTART}]
    else:
        assert "carpo.restartKernel" in message
        await editor.command("restartKernel", {"uri": uris["one"], "line": 0})
    await until_restarted(editor)
    await editor.command("runCell", {"uri": uris["three"], "line": 0})
    await editor.until_result(uris["three"], "again")
    assert len(await until_said(editor, DEATH)) == 1, "for two documents and two executions"


async def until_written(file: Path) -> int:
    """Wait for the file in which a kernel tells its process id."""
    async with asyncio.timeout(DEADLINE):
        while (pid := number_in(file)) is None:  # noqa: ASYNC110 - no event exists to wait for
            await asyncio.sleep(0.01)
    return pid


def number_in(file: Path) -> int | None:
    return int(file.read_text()) if file.exists() else None


async def until_restarted(editor: Editor) -> None:
    """Wait for the process of another kernel."""
    server = psutil.Process(editor.process.pid)
    async with asyncio.timeout(DEADLINE):
        while not any("ipykernel_launcher" in each for each in commands(server)):  # noqa: ASYNC110 - no event exists to wait for
            await asyncio.sleep(0.01)


def commands(server: psutil.Process) -> list[str]:
    """The command lines of what runs below a server."""
    found = []
    for process in server.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found
