"""What users of each editor get without a plugin, and that it is sent nothing it cannot take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import attrs
import pytest
import pytest_asyncio
from editor_clients import PROFILES, Editor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from editor_clients import Profile

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXT = """\
# %% value
import pathlib, time
x = 41
x + 1  # 😀
# %% failing
def fail():
    raise ValueError("no")
fail()
# %% gated
gate = pathlib.Path(__file__ + ".gate")
while not gate.exists():
    time.sleep(0.01)
"opened"
# %% quick
print("quickly")
1 / 0
# %% deciding
print("decided:", input("Proceed (y/n)? "))
# %% naming
print("named:", input("Name? "))
# %% endless
print("begun", flush=True)
while True: time.sleep(0.01)  # one line, which is where it is interrupted
# %% forever
while True: time.sleep(0.02)
# %% [markdown]
# Ada
"""


@attrs.frozen
class Desk:
    """An editor and the document that is open in it."""

    editor: Editor
    path: Path

    @property
    def uri(self) -> str:
        return self.path.as_uri()

    def open_gate(self) -> None:
        Path(f"{self.path}.gate").touch()

    def line(self, text: str) -> int:
        """The first line that holds a text."""
        lines = TEXT.splitlines()
        return next(number for number, line in enumerate(lines) if text in line)

    async def value(self) -> int:
        """See to it that the first cell has run; returns the line of its result."""
        if not any("→ 42" in each for each in (await self.editor.results(self.uri)).values()):
            await self.run("value")
        return await self.editor.until_result(self.uri, "→ 42")

    async def run(self, title: str) -> None:
        await self.editor.run_cell(self.uri, self.line(f"# %% {title}"))


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PROFILES, ids=str)
async def desk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Desk]:
    """One for all tests with an editor."""
    profile: Profile = request.param
    folder = tmp_path_factory.mktemp(profile.name)
    path = folder / "document.py"
    path.write_text(TEXT)
    editor = await Editor.spawn("--log-file", str(folder / "log"))
    assert isinstance(editor, Editor)
    try:
        await editor.begin(profile, folder)
        editor.open(path.as_uri(), TEXT.replace("__file__", repr(str(path))))
        yield Desk(editor, path)
        await editor.request("shutdown")
        editor.notify("exit")
    finally:
        await editor.close()
    assert editor.stray == []
    assert "ERROR" not in (folder / "log").read_text()


@pytest.fixture(autouse=True)
def _nothing_undeclared(desk: Desk) -> Iterator[None]:
    """Fail the test during which the server sent what the client has not declared."""
    yield
    assert desk.editor.undeclared == []


async def test_a_result_beside_its_cell(desk: Desk) -> None:
    """As a hint where the client can refresh hints, else as a diagnostic."""
    editor = desk.editor
    assert await desk.value() == desk.line("x + 1")
    if editor.draws_hints:
        assert editor.diagnostics(desk.uri) == []
    else:
        (shown, *_) = editor.diagnostics(desk.uri)
        assert shown["range"]["end"]["character"] == editor.columns("x + 1  # 😀")


async def test_an_error_at_its_line(desk: Desk) -> None:
    await desk.value()
    await desk.run("failing")
    error = await desk.editor.until_error(desk.uri, "ValueError: no")
    assert error["range"]["start"]["line"] == desk.line("raise ValueError")
    assert error["source"] == "carpo"


async def test_the_whole_output_in_a_hover(desk: Desk) -> None:
    await desk.value()
    assert "42" in await desk.editor.hover(desk.uri, desk.line("# %% value"))
    assert "41" in await desk.editor.hover(desk.uri, desk.line("x = 41"))


async def test_completions_from_the_kernel(desk: Desk) -> None:
    await desk.value()
    line = desk.line("time.sleep")
    labels = await desk.editor.completions(desk.uri, line, len("    time.sl"))
    assert [label for label in labels if "sleep" in label]


async def test_lenses_with_the_state(desk: Desk) -> None:
    """For clients that ask for them; a change makes those ask again that can."""
    editor = desk.editor
    await desk.value()
    titles = [each["command"]["title"] for each in await editor.lenses(desk.uri)]
    assert titles[0] == "▶ Run cell"
    assert titles[1].startswith("✓ In[")
    assert "Run above" in titles
    if editor.declares("workspace.codeLens.refreshSupport"):
        await editor.until(lambda method, _: method == "workspace/codeLens/refresh")


async def test_the_results_file(desk: Desk) -> None:
    """Shown where the client can, else named in a message."""
    editor = desk.editor
    await desk.value()
    before = len(editor.notes)
    await editor.command("showOutput", desk.uri)
    if (
        editor.declares("window.showDocument.support")
        or "window/showDocument" in editor.profile.takes
    ):
        shown = await editor.until(lambda method, _: method == "window/showDocument", after=before)
        assert shown["takeFocus"] is False
        path = Path(unquote(urlsplit(shown["uri"]).path))
    else:
        message = await editor.until_message("The results are in ", after=before)
        path = Path(message["message"].removeprefix("The results are in "))
    assert "42" in path.read_text()


async def test_progress_until_the_end(desk: Desk) -> None:
    editor = desk.editor
    before = len(editor.notes)
    await desk.value()
    await desk.run("gated")
    shows_progress = editor.declares("window.workDoneProgress")
    if shows_progress:
        begin = await editor.until(is_progress("begin"), after=before)
        assert begin["value"]["title"] == "Running cell 3 (gated) of document.py"
        assert begin["value"]["cancellable"] is True
        report = await editor.until(is_progress("report"), after=before)
        assert report["value"]["message"].startswith("In [")
    else:
        await editor.until_result(desk.uri, "running")
    desk.open_gate()
    await editor.until_result(desk.uri, "opened")
    if shows_progress:
        await editor.until(is_progress("end"), after=before)


async def test_a_cancelled_progress_interrupts(desk: Desk) -> None:
    editor = desk.editor
    if not editor.declares("window.workDoneProgress"):
        assert not editor.tokens()
        return
    await desk.value()
    before = len(editor.notes)
    await desk.run("endless")
    begin = await editor.until(is_progress("begin"), after=before)
    editor.notify("window/workDoneProgress/cancel", {"token": begin["token"]})
    await editor.until_error(desk.uri, "KeyboardInterrupt", desk.line("True: time.sleep(0.01)"))
    await editor.until(is_progress("end"), after=before)


async def test_an_interrupt(desk: Desk) -> None:
    editor = desk.editor
    await desk.value()
    await desk.run("forever")
    await editor.until_result(desk.uri, "running")
    if editor.profile.runs in ("kind", "menu"):
        line = desk.line("# %% forever")
        await editor.act(desk.uri, line, "carpo.kernel.interrupt", "Interrupt the kernel")
    else:
        await editor.command("interrupt")
    await editor.until_error(desk.uri, "KeyboardInterrupt", desk.line("True: time.sleep(0.02)"))


async def test_a_choice_for_a_prompt(desk: Desk) -> None:
    """A message to choose from where the client has that, else one that says how to answer."""
    editor = desk.editor
    can_choose = editor.declares("window.showMessage") is not None
    before = len(editor.notes)
    editor.choice = "y"
    await desk.run("deciding")
    if can_choose:
        asked = await editor.until(
            lambda method, _: method == "window/showMessageRequest", after=before
        )
        assert asked["message"] == "Proceed (y/n)?"
        assert [action["title"] for action in asked["actions"]] == ["y", "n"]
    else:
        await editor.until_message("Proceed (y/n)?", after=before)
        await editor.command("answer", "y")
    await editor.until_result(desk.uri, "decided: y")


async def test_words_for_a_prompt(desk: Desk) -> None:
    editor = desk.editor
    before = len(editor.notes)
    await desk.run("naming")
    message = await editor.until_message("Name?", after=before)
    assert "carpo.answer" in message["message"]
    if editor.profile.runs == "command":
        await editor.command("answer", "# Ada")
    else:
        await editor.act(desk.uri, desk.line("# Ada"), "carpo.input.answer", "Send this line")
    await editor.until_result(desk.uri, "named: # Ada")


async def test_requests_are_few(desk: Desk) -> None:
    """A quick cell causes none but those that have the client ask for lenses and hints anew."""
    editor = desk.editor
    await desk.value()
    before = len(editor.asked)
    await desk.run("quick")
    await editor.until_error(desk.uri, "ZeroDivisionError")
    refreshes = {"workspace/codeLens/refresh", "workspace/inlayHint/refresh"}
    assert set(editor.asked[before:]) <= refreshes
    assert editor.asked.count("workspace/configuration") == int(
        editor.declares("workspace.configuration") is True
    )


def is_progress(kind: str) -> Callable[[str, Any], bool]:
    return lambda method, params: method == "$/progress" and params["value"]["kind"] == kind
