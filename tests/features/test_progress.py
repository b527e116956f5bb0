from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lsprotocol import types
from recorder import Recorder, until

from carpo_lsp.features.progress import bar_of
from carpo_lsp.present import Presenter
from carpo_lsp.workspace import settings

if TYPE_CHECKING:
    from pathlib import Path

    from scripted import Scripted

SHOWS = {"window": {"workDoneProgress": True}}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("printed", "bar"),
    [
        ("\r 10%|#  | 1/10 [00:01<00:09,  1.0it/s]", "10%|# | 1/10 [00:01<00:09, 1.0it/s]"),
        ("\r10%\r\x1b[32m20%\x1b[0m\n", "20%"),
        ("epoch 1\nepoch 2/10\n", "epoch 2/10"),
        ("Downloading 3.2MB/s", "Downloading 3.2MB/s"),
        ("hello\n", ""),
        ("", ""),
        ("10%\ndone\n", ""),
    ],
)
def test_bars_are_told_from_other_text(printed: str, bar: str) -> None:
    assert bar_of(printed) == bar


async def begin(bench: Scripted) -> tuple[Recorder, Presenter]:
    """A cell that runs, and a client that shows its progress."""
    bench.declare(**SHOWS)
    client = Recorder(bench)
    client.answers[types.WINDOW_WORK_DONE_PROGRESS_CREATE] = None
    presenter = Presenter(bench.workspace)
    bench.workspace.frontend.subscribe(presenter.on_event)
    bench.run = lambda code: None
    document = bench.open("# %% One\na\n")
    await bench.call("runCell", {"uri": document.uri, "line": 0})
    return client, presenter


async def test_a_long_run_is_shown_with_its_bar_until_its_end(bench: Scripted) -> None:
    client, _ = await begin(bench)
    kernel = bench.kernels[0]
    assert kernel.running
    kernel.tell(kernel.running, "iopub", "stream", name="stderr", text="\r 30%|#  | 3/10")
    await client.until(lambda: len(client.progress()) >= 2)
    kernel.finish()
    await client.until(lambda: len(client.progress()) >= 3)
    start, report, end = client.progress()
    assert (start.title, start.cancellable) == ("Running cell 1 (One) of a.py", True)
    assert (report.message, report.percentage) == ("30%|# | 3/10", 30)
    assert end.kind == "end"
    assert len({params.token for params in client.of(types.PROGRESS)}) == 1


async def test_without_a_bar_it_tells_the_time(bench: Scripted) -> None:
    client, _ = await begin(bench)
    await client.until(lambda: len(client.progress()) >= 2)
    assert client.progress()[1].message.endswith(" s")
    bench.kernels[0].finish()
    await client.until(lambda: client.progress()[-1].kind == "end")


@pytest.mark.parametrize(
    ("prompt", "password", "told"),
    [("name? ", False, "asks name? (answer"), ("secret: ", True, "asks for a password (answer")],
)
async def test_it_tells_what_is_asked(
    bench: Scripted, prompt: str, password: bool, told: str
) -> None:
    client, _ = await begin(bench)
    kernel = bench.kernels[0]
    assert kernel.running
    kernel.tell(kernel.running, "iopub", "stream", name="stderr", text="\r 30%|#  | 3/10")
    kernel.ask(prompt, password=password)
    await client.until(lambda: len(client.progress()) >= 2)
    assert told in client.progress()[1].message
    await bench.call("answer", "me")
    await client.until(lambda: client.progress()[-1].message.startswith("30%"))
    kernel.finish()


async def test_it_ends_before_the_message_about_the_end(bench: Scripted) -> None:
    bench.workspace.settings = settings.read(settings.Layer({"results": {"notifyAfter": 0.001}}))[0]
    client, _ = await begin(bench)
    await client.until(lambda: len(client.progress()) >= 2)
    bench.kernels[0].finish()
    await client.until(lambda: any("finished" in message for message in client.messages()))
    methods = [method for method, _ in client.notes]
    last = len(methods) - 1 - methods[::-1].index(types.PROGRESS)
    assert client.progress()[-1].kind == "end"
    assert "finished" in client.notes[last + 1][1].message


async def test_cancelling_it_interrupts(bench: Scripted) -> None:
    client, presenter = await begin(bench)
    kernel = bench.kernels[0]
    await client.until(lambda: client.progress())
    presenter.cancel_progress("carpo-unknown")
    presenter.cancel_progress(client.of(types.PROGRESS)[0].token)
    await until(lambda: kernel.interrupts)
    kernel.finish()
    await client.until(lambda: client.progress()[-1].kind == "end")
    assert kernel.interrupts == 1


async def test_a_quick_run_does_not_flicker(bench: Scripted) -> None:
    client, _ = await begin(bench)
    bench.kernels[0].finish("1")
    await bench.call("runCell", {"uri": "file:///w/a.py", "line": 0})
    await client.until(lambda: client.progress())
    assert len(client.of(types.WINDOW_WORK_DONE_PROGRESS_CREATE)) == 1
    bench.kernels[0].finish()


async def test_a_client_that_refuses_it_is_left_alone(bench: Scripted) -> None:
    client, _ = await begin(bench)
    del client.answers[types.WINDOW_WORK_DONE_PROGRESS_CREATE]
    await client.until(lambda: client.of(types.WINDOW_WORK_DONE_PROGRESS_CREATE))
    bench.kernels[0].finish("1")
    await client.until(lambda: "→ 1" in client.diagnostics()[0].message)
    assert client.progress() == []
