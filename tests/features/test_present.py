from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from lsprotocol import types
from recorder import Recorder, until

from carpo_lsp.features import results
from carpo_lsp.features.configuration import configure
from carpo_lsp.features.hints import inlay_hints
from carpo_lsp.kernels.events import OutputChanged, StateChanged, StatusChanged
from carpo_lsp.present import Presenter
from carpo_lsp.workspace import settings

if TYPE_CHECKING:
    from pathlib import Path

    from scripted import Scripted

    from carpo_lsp.documents.document import Document

REFRESHES: dict[str, Any] = {
    "workspace": {"inlayHint": {"refreshSupport": True}, "codeLens": {"refreshSupport": True}}
}
REQUESTS = (types.WORKSPACE_INLAY_HINT_REFRESH, types.WORKSPACE_CODE_LENS_REFRESH)
PUBLISH = types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def present(bench: Scripted) -> tuple[Recorder, Presenter]:
    """What create_server does: a presenter for the bench, and its client."""
    client, presenter = Recorder(bench), Presenter(bench.workspace)
    bench.workspace.frontend.subscribe(presenter.on_event)
    bench.workspace.on_edit = presenter.on_edit
    bench.workspace.on_clear = presenter.on_clear
    bench.workspace.on_settings = presenter.on_settings
    return client, presenter


async def run(bench: Scripted, document: Document, line: int = 0) -> None:
    await bench.call("runCell", {"uri": document.uri, "line": line})


async def test_what_is_declared_is_refreshed(bench: Scripted) -> None:
    bench.declare(**REFRESHES)
    client, _ = present(bench)
    await run(bench, bench.open("a\n"))
    await client.until(lambda: all(client.of(method) for method in REQUESTS))
    assert client.of(PUBLISH) == []


async def test_the_last_result_is_shown_at_once(
    bench: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carpo_lsp.present.SOON", 0.0)
    monkeypatch.setattr("carpo_lsp.present.INTERVAL", 3600.0)
    client, _ = present(bench)
    document = bench.open("a\n")
    for result in "12":
        bench.run = lambda code: result  # noqa: B023 - it is called in this round
        await run(bench, document)
        await client.until(
            lambda: client.of(PUBLISH) and client.diagnostics()[0].message == f"→ {result}"  # noqa: B023
        )


async def test_results_are_diagnostics_where_hints_are_switched_off(bench: Scripted) -> None:
    bench.declare(**REFRESHES)
    client, presenter = present(bench)
    bench.run = lambda code: "1"
    document = bench.open("a\n")
    range_ = types.Range(types.Position(0, 0), types.Position(9, 0))
    params = types.InlayHintParams(types.TextDocumentIdentifier(document.uri), range_)
    try:
        await run(bench, document)
        await client.until(lambda: client.of(types.WORKSPACE_INLAY_HINT_REFRESH))
        assert client.of(PUBLISH) == []
        await client.until(lambda: client.of(PUBLISH))
        assert client.of(PUBLISH)[-1].diagnostics[0].message == "→ 1"
        # The user switches them on.
        assert [hint.label for hint in inlay_hints(bench.workspace, params) or []] == ["→ 1"]
        await client.until(lambda: client.of(PUBLISH)[-1].diagnostics == [])
    finally:
        presenter.close()


async def test_hints_that_are_asked_for_stay_hints(
    bench: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carpo_lsp.present.DRAWING", 0.0)
    bench.declare(**REFRESHES)
    client, presenter = present(bench)
    bench.run = lambda code: "1"
    document = bench.open("a\n")
    range_ = types.Range(types.Position(0, 0), types.Position(9, 0))
    params = types.InlayHintParams(types.TextDocumentIdentifier(document.uri), range_)
    try:
        inlay_hints(bench.workspace, params)
        for _ in range(3):
            before = len(client.of(types.WORKSPACE_INLAY_HINT_REFRESH))
            await run(bench, document)
            await client.until(
                lambda: len(client.of(types.WORKSPACE_INLAY_HINT_REFRESH)) > before  # noqa: B023 - it is called in this round
            )
        assert client.of(PUBLISH) == []
    finally:
        presenter.close()


async def test_a_setting_moves_the_results_that_are_shown(bench: Scripted) -> None:
    bench.declare(**REFRESHES)
    client, _ = present(bench)
    bench.run = lambda code: "1"
    await run(bench, bench.open("a\n"))
    await client.until(lambda: client.of(types.WORKSPACE_INLAY_HINT_REFRESH))

    def choose(show: str) -> None:
        bench.workspace.configured["configuration"] = {"results": {"show": show}}
        client.notes.clear()
        configure(bench.workspace)

    choose("diagnostic")
    await client.until(lambda: client.of(PUBLISH))
    assert client.of(types.WORKSPACE_INLAY_HINT_REFRESH)  # there are none any more
    assert client.diagnostics()[0].message == "→ 1"
    choose("hint")
    await client.until(lambda: client.of(PUBLISH))
    assert client.of(types.WORKSPACE_INLAY_HINT_REFRESH)
    assert client.diagnostics() == []


async def test_nothing_undeclared_is_sent(bench: Scripted) -> None:
    client, _ = present(bench)
    bench.run = lambda code: "1"
    await run(bench, bench.open("a\n"))
    await client.until(lambda: client.of(PUBLISH))
    methods = {method for method, _ in client.notes}
    assert methods <= {PUBLISH, types.WINDOW_SHOW_MESSAGE}


async def test_the_results_are_written_after_the_end(bench: Scripted) -> None:
    present(bench)
    document = bench.open("a\n")
    path = results.folder_of(document.uri) / "results.md"
    bench.run = lambda code: "first"
    await run(bench, document)
    await until(path.exists)
    bench.kernels[0].run = lambda code: "second"
    await run(bench, document)
    await until(lambda: "second" in path.read_text())


async def test_a_flood_causes_few_refreshes(bench: Scripted) -> None:
    bench.declare(**REFRESHES)
    client, _ = present(bench)
    bench.run = lambda code: None
    await run(bench, bench.open("a\n"))
    kernel = bench.kernels[0]
    assert kernel.running
    began = time.monotonic()
    for number in range(20_000):
        kernel.tell(kernel.running, "iopub", "stream", name="stdout", text=f"{number}\n")
    kernel.finish()
    await until(lambda: client.of(REQUESTS[0]))
    assert len(client.of(REQUESTS[0])) <= 2 + 4 * (time.monotonic() - began)


async def test_an_edit_takes_back_the_error_of_the_cell(bench: Scripted) -> None:
    bench.declare(**REFRESHES)
    client, _ = present(bench)
    bench.run = lambda code: None
    document = bench.open("a\n")
    bench.workspace.on_edit(document.uri)
    await run(bench, document)
    bench.kernels[0].fail("Oops")
    await client.until(lambda: client.of(PUBLISH))
    assert [each.message for each in client.diagnostics()] == ["Oops"]
    document.apply([(None, "b\n")], 2)
    bench.workspace.on_edit(document.uri)
    await client.until(lambda: len(client.of(PUBLISH)) == 2)
    assert (client.of(PUBLISH)[1].version, client.diagnostics()) == (2, [])


async def test_a_document_that_is_opened_again_has_its_errors(bench: Scripted) -> None:
    bench.declare(**REFRESHES)
    client, _ = present(bench)
    bench.run = lambda code: None
    document = bench.open("a\n")
    await run(bench, document)
    bench.kernels[0].fail("Oops")
    await client.until(lambda: client.of(PUBLISH))
    bench.workspace.documents.close(document.uri)
    bench.workspace.runs.close(document.uri)
    bench.workspace.on_edit(document.uri)
    assert client.diagnostics() == []
    document = bench.open("a\n")
    bench.workspace.runs.reopen(document)
    bench.workspace.on_edit(document.uri)
    await client.until(lambda: client.diagnostics())
    assert client.diagnostics()[0].message == "Oops"


async def test_cleared_outputs_are_gone_everywhere(bench: Scripted) -> None:
    client, _ = present(bench)
    bench.run = lambda code: "1"
    document = bench.open("a\n")
    path = results.folder_of(document.uri) / "results.md"
    await run(bench, document)
    await until(path.exists)
    await bench.call("clearOutput", {"uri": document.uri})
    await until(lambda: not path.exists())
    assert client.diagnostics() == []


# Messages


def ended(bench: Scripted, state: Any, seconds: float) -> list[str]:
    """What is told of a cell that ended after some time."""
    client, presenter = present(bench)
    document = bench.open("# %% One\na\n")
    execution_id, kernel_id = bench.workspace.run_cell(document, document.cells()[0])
    error = {"ename": "E", "evalue": "", "traceback": []} if state == "error" else None
    presenter.on_event(
        StateChanged(kernel_id, execution_id, state, error=error, duration_ms=seconds * 1000)
    )
    return client.messages()[1:]


@pytest.mark.parametrize(
    ("state", "seconds", "messages"),
    [
        ("ok", 12.0, ["Cell 1 (One) of a.py finished in 12 s"]),
        ("error", 12.0, ["Cell 1 (One) of a.py failed after 12 s: E"]),
        ("ok", 9.0, []),
        ("aborted", 12.0, []),
    ],
)
async def test_the_end_of_a_long_run_is_told(
    bench: Scripted, state: str, seconds: float, messages: list[str]
) -> None:
    assert ended(bench, state, seconds) == messages


async def test_what_is_long_is_a_setting(bench: Scripted) -> None:
    layer = settings.Layer({"results": {"notifyAfter": 1}})
    bench.workspace.settings, _ = settings.read(layer)
    assert ended(bench, "ok", 2.0) == ["Cell 1 (One) of a.py finished in 2.0 s"]


async def test_a_client_that_takes_notifications_needs_no_messages(bench: Scripted) -> None:
    bench.workspace.client.wants_notifications = True
    assert ended(bench, "ok", 12.0) == []


async def test_the_death_of_a_kernel_is_told_once_with_the_way_on(bench: Scripted) -> None:
    client, presenter = present(bench)
    await run(bench, bench.open("a\n"))
    [kernel] = bench.workspace.frontend.list_kernels()
    before = len(client.messages())
    reason = "The kernel exited with code 3."
    tail = "warning\n\x1b[31mSegmentation fault\x1b[0m\n"
    presenter.on_event(StatusChanged(kernel.kernel_id, "dead", kernel, reason, 3, tail))
    presenter.on_event(OutputChanged(kernel.kernel_id, "unknown", "clear"))
    [message] = client.messages()[before:]
    first, second, third = message.split("\n")
    assert first == f"The kernel {kernel.display_name} died: {reason}"
    assert second == "Segmentation fault"
    assert "carpo.restartKernel" in third
