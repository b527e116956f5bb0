"""A client that declares everything and never answers a request: nothing waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from editor_clients import VSCODE, Editor

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
# %% value
x = 41
x + 1
# %% deciding
print("decided:", input("Proceed (y/n)? "))
# %% endless
import time
while True:
    time.sleep(0.01)
"""


async def test_nothing_waits_for_answers(tmp_path: Path) -> None:
    uri = (tmp_path / "document.py").as_uri()
    editor = await Editor.spawn("--log-file", str(tmp_path / "log"))
    assert isinstance(editor, Editor)
    editor.answers = False
    try:
        await editor.begin(VSCODE, tmp_path)
        editor.open(uri, TEXT)
        await editor.run_cell(uri, 0)
        await editor.until_result(uri, "→ 42")

        # Nobody answers the question for the prompt, and the command does it.
        await editor.run_cell(uri, 3)
        await editor.until(lambda method, _: method == "window/showMessageRequest")
        await editor.command("answer", "y")
        await editor.until_result(uri, "decided: y")

        # Nobody makes a progress display, so that none is written to; live help goes on.
        await editor.run_cell(uri, 5)
        await editor.until(lambda method, _: method == "window/workDoneProgress/create")
        assert "x" in await editor.completions(uri, 2, 1)
        # Nobody says that the results file is shown, so that after a while a message does.
        await editor.command("showOutput", uri)
        await editor.until_message("The results are in ")
        assert editor.named("$/progress") == []
        await editor.command("interrupt")
        await editor.until_error(uri, "KeyboardInterrupt")

        await editor.request("shutdown")
        editor.notify("exit")
    finally:
        await editor.close()
    assert editor.undeclared == []
    assert editor.stray == []
    log = (tmp_path / "log").read_text()
    assert "did not answer window/showDocument" in log
    assert "ERROR" not in log
