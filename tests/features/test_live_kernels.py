"""Live help from real kernels: idle, asleep, in a busy loop, and from one that never answers."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from lsprotocol import types
from support import Events, fake_spec

from carpo_lsp.features.completion import LATER, complete
from carpo_lsp.features.definition import definition
from carpo_lsp.features.hover import hover
from carpo_lsp.features.selected_code import code_cell_at
from carpo_lsp.features.signature import signature_help
from carpo_lsp.features.variables import workspace_symbols
from carpo_lsp.workspace.settings import Completion
from carpo_lsp.workspace.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from carpo_lsp.documents.document import Document
    from carpo_lsp.frontend import Frontend

PYTHON = """\
# %% definitions
value = 41
keys = {"my key": 1}

def foo(a, b: int = 2, *args, key=None):
    "Does foo."

class Thing:
    def method(self, z): ...
# %% use
foo(value, key=Thing.method
# %% keys
keys["m
# %% file
json.dumps
"""

R = """\
# %% definitions
value <- 41; few <- c(1.5, NA); many <- 1:100; parts <- list(a = "x", few, mean); data <- iris
foo <- function(a, b = 2) {
  a
}
# %% use
foo(value, b = 1
"""


@attrs.frozen
class Live:
    """A document whose first cell has been run."""

    workspace: Workspace
    document: Document
    kernel_id: str
    events: Events

    async def at(self, feature: Any, line: int, text: str) -> Any:
        """What a feature says behind `text` in a line."""
        uri = types.TextDocumentIdentifier(self.document.uri)
        shown = self.document.line(line)
        place = types.Position(line, shown.index(text) + len(text))
        result = feature(self.workspace, types.TextDocumentPositionParams(uri, place))
        return await result if inspect.isawaitable(result) else result

    async def variables(self, query: str = "") -> dict[str, tuple[str | None, int]]:
        symbols = await workspace_symbols(self.workspace, types.WorkspaceSymbolParams(query))
        return {
            symbol.name: (symbol.container_name, symbol.location.range.start.line)
            for symbol in symbols
        }

    async def busy(self, code: str) -> None:
        """Run code that prints `ready` and goes on."""
        self.workspace.frontend.submit(self.kernel_id, code)
        await self.events.until_text("ready")


async def live(frontend: Frontend, text: str, language: str, spec: str | None = None) -> Live:
    workspace = Workspace(frontend)
    # A machine under load must not fail the test; that the budget holds has its own.
    workspace.settings = attrs.evolve(workspace.settings, completion=Completion(budget=30_000))
    document = workspace.documents.open(f"file:///none/a.{language}", language, 1, text)
    events = Events(frontend)
    kernel_id = await frontend.start_kernel(spec, language=None if spec else language)
    workspace.documents.bind(document.uri, kernel_id)
    if spec is None:
        execution_id, _ = workspace.run_cell(document, code_cell_at(document, 1))
        await events.until_state("ok", execution_id)
    return Live(workspace, document, kernel_id, events)


def place(location: types.Location) -> tuple[str, int]:
    return location.uri, location.range.start.line


async def test_ipython(frontend: Frontend) -> None:
    it = await live(frontend, PYTHON, "python")
    uri = it.document.uri
    shown = await it.at(hover, 10, "val")
    assert shown.contents.value == "int\n\n41"
    shown = await it.at(hover, 10, "fo")
    assert shown.contents.value == "foo(a, b: int = 2, *args, key=None)\n\nDoes foo."
    called = await it.at(signature_help, 10, "key=")
    assert called.signatures[0].label == "foo(a, b: int = 2, *args, key=None)"
    assert called.active_parameter == 3
    assert place(await it.at(definition, 10, "fo")) == (uri, 4)
    assert place(await it.at(definition, 10, "Thing")) == (uri, 7)
    assert place(await it.at(definition, 10, "Thing.meth")) == (uri, 8)
    assert await it.at(definition, 10, "val") is None
    assert await it.variables() == {
        "value": ("int = 41", 1),
        "keys": ("dict = {'my key': 1}", 2),
        "foo": ("function", 4),
        "Thing": ("type", 7),
    }
    assert list(await it.variables("VL")) == ["value"]
    items = await it.at(complete, 12, 'keys["m')
    assert [item["label"] for item in items["items"]] == ["my key"]


async def test_hover_on_a_last_line_shows_the_output_too(frontend: Frontend) -> None:
    it = await live(frontend, "value = 41\nprint(value)", "python")
    shown = await it.at(hover, 1, "print(val")
    output, value = shown.contents.value.split("\n\n", 1)
    assert output.endswith("\n41")
    assert value == "int\n\n41"
    shown = await it.at(hover, 1, "print(value)")
    assert shown.contents.value == output


async def test_definitions_follow_an_edited_cell_and_files(frontend: Frontend) -> None:
    it = await live(frontend, PYTHON, "python")
    await frontend.execute_code(it.kernel_id, "import json")
    location = await it.at(definition, 14, "dumps")
    assert location.uri.endswith("json/__init__.py")
    assert location.range.start.line > 0
    edited = PYTHON.replace("value = 41\n", "value = 41\n\n\n")
    it.workspace.documents.change(it.document.uri, 2, [(None, edited)])
    assert place(await it.at(definition, 12, "fo")) == (it.document.uri, 6)


@pytest.mark.parametrize(
    "code",
    [
        "import time\nprint('ready', flush=True)\ntime.sleep(600)",
        "print('ready', flush=True)\nwhile True: pass",
    ],
    ids=["sleep", "loop"],
)
async def test_a_busy_ipython_still_helps(frontend: Frontend, code: str) -> None:
    it = await live(frontend, PYTHON, "python")
    before = await it.variables()
    await it.busy(code)
    items = await it.at(complete, 10, "foo")
    assert "foo" in [item["label"] for item in items["items"]]
    shown = await it.at(hover, 10, "val")
    assert shown is None or shown.contents.value == "int\n\n41"
    assert await it.variables() == before  # as they were
    assert frontend.get_kernel(it.kernel_id).status == "busy"


async def test_a_sleeping_ipython_knows_definitions(frontend: Frontend) -> None:
    it = await live(frontend, PYTHON, "python")
    await it.busy("import time\nprint('ready', flush=True)\ntime.sleep(600)")
    assert place(await it.at(definition, 10, "fo")) == (it.document.uri, 4)
    called = await it.at(signature_help, 10, "foo(")
    assert called.active_parameter == 0


async def test_questions_do_not_take_the_input_of_a_cell(frontend: Frontend) -> None:
    it = await live(frontend, PYTHON, "python")
    handle = frontend.execute_code(it.kernel_id, "print(input('who? ')); print(input('and? '))")
    await it.events.until_input(handle.execution_id)
    assert (await it.at(hover, 10, "val")).contents.value == "int\n\n41"
    await it.variables()
    await frontend.provide_stdin(it.kernel_id, "me")
    await it.events.until_text("me")
    await it.events.until(lambda event: getattr(event, "prompt", "") == "and? ")
    await frontend.provide_stdin(it.kernel_id, "you")
    assert (await handle).state == "ok"


@pytest.mark.needs_r
async def test_r(frontend: Frontend) -> None:
    it = await live(frontend, R, "r")
    shown = await it.at(hover, 6, "val")
    assert shown.contents.value == "numeric\n\n[1] 41"
    shown = await it.at(hover, 6, "fo")
    assert shown.contents.value == "foo(a, b = 2)"
    called = await it.at(signature_help, 6, "b =")
    assert called.signatures[0].label == "foo(a, b = 2)"
    assert called.active_parameter == 1
    assert place(await it.at(definition, 6, "fo")) == (it.document.uri, 2)
    assert await it.variables() == {
        "value": ("numeric = 41", 1),
        "few": ("numeric = c(1.5, NA)", 0),
        "many": ("integer = c(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …) (100 items)", 0),
        "parts": ('list = list(a = "x", c(…), <function>)', 0),
        "data": ("data.frame = 150 × 5: Sepal.Length, Sepal.Width, Petal.Length, …", 0),  # noqa: RUF001 - a times sign
        "foo": ("function", 2),
    }
    await it.busy("cat('ready\\n'); flush.console(); Sys.sleep(600)")
    assert await it.at(complete, 6, "foo(val") == LATER
    assert await it.at(hover, 6, "val") is None
    assert await it.at(signature_help, 6, "b =") is None
    assert await it.at(definition, 6, "fo") is None


async def test_a_kernel_that_never_answers(frontend: Frontend, tmp_path: Path) -> None:
    mute = ("--mute", "complete_request", "--mute", "inspect_request")
    it = await live(frontend, "alpha(", "fake", fake_spec(tmp_path / "mute", *mute))
    it.workspace.settings = attrs.evolve(it.workspace.settings, completion=Completion(budget=50))
    assert await it.at(complete, 0, "alp") == LATER
    assert await it.at(complete, 0, "alph") == LATER
    assert await it.at(hover, 0, "alp") is None
    assert await it.at(signature_help, 0, "(") is None
    assert await it.at(definition, 0, "alp") is None
    assert await it.variables() == {}
