from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lsprotocol import types
from recorder import Recorder, until

from carpo_lsp.features import prompts
from carpo_lsp.features.prompts import choices_of
from carpo_lsp.kernels.events import InputRequested

if TYPE_CHECKING:
    from scripted import Scripted

CAN_ASK: dict[str, Any] = {"window": {"showMessage": {"messageActionItem": {}}}}


@pytest.mark.parametrize(
    ("prompt", "choices"),
    [
        ("Proceed ([y]/n)? ", ("y", "n")),
        ("Overwrite? [y/N]", ("y", "n")),
        ("Are you sure (yes/no): ", ("yes", "no")),
        ("Save workspace image? [y/n/c]: ", ("y", "n", "c")),
        ("Once deleted, variables cannot be recovered. Proceed (y/[n])?", ("y", "n")),
        ("Name: ", ()),
        ("Path (a/b): ", ()),
        ("/usr/yes/no ", ()),
        ("Date y/m/d", ()),
        ("", ()),
    ],
)
def test_choices_of_questions(prompt: str, choices: tuple[str, ...]) -> None:
    assert choices_of(prompt) == choices


async def ask(bench: Scripted, prompt: str, *, password: bool = False) -> None:
    """Let a cell ask; the bench's events go where the server's do."""

    def on_event(event: object) -> None:
        if isinstance(event, InputRequested):
            prompts.on_input(bench.workspace, event)

    bench.workspace.frontend.subscribe(on_event)
    bench.run = lambda code: None
    bench.open("a\n")
    await bench.call("runCell", {"uri": "file:///w/a.py", "line": 0})
    kernel = bench.kernels[0]
    assert kernel.running
    kernel.tell(kernel.running, "stdin", "input_request", prompt=prompt, password=password)


async def test_a_yes_or_no_question_is_a_choice(bench: Scripted) -> None:
    bench.declare(**CAN_ASK)
    client = Recorder(bench)
    client.answers[types.WINDOW_SHOW_MESSAGE_REQUEST] = types.MessageActionItem(title="y")
    await ask(bench, "Proceed ([y]/n)?")
    kernel = bench.kernels[0]
    await client.until(lambda: client.of(types.WINDOW_SHOW_MESSAGE_REQUEST))
    await until(lambda: kernel.answers)
    [asked] = client.of(types.WINDOW_SHOW_MESSAGE_REQUEST)
    assert (asked.message, [action.title for action in asked.actions]) == (
        "Proceed ([y]/n)?",
        ["y", "n"],
    )
    assert kernel.answers == ["y"]


async def test_a_choice_that_is_dismissed_leaves_the_other_ways(bench: Scripted) -> None:
    bench.declare(**CAN_ASK)
    client = Recorder(bench)
    client.answers[types.WINDOW_SHOW_MESSAGE_REQUEST] = None
    await ask(bench, "Proceed ([y]/n)?")
    await client.until(lambda: any("carpo.answer" in text for text in client.messages()))
    assert bench.kernels[0].answers == []


@pytest.mark.parametrize(("prompt", "can_ask"), [("Name: ", True), ("Sure [y/n]? ", False)])
async def test_other_prompts_are_told_with_the_way_to_answer(
    bench: Scripted, prompt: str, can_ask: bool
) -> None:
    bench.declare(**(CAN_ASK if can_ask else {}))
    client = Recorder(bench)
    await ask(bench, prompt)
    first, second = client.messages()[-1].split("\n")
    assert first == f"The running code asks: {prompt.strip()}"
    assert "carpo.answer" in second
    assert "Send this line as input" in second
    assert client.of(types.WINDOW_SHOW_MESSAGE_REQUEST) == []


async def test_a_password_is_not_asked_for(bench: Scripted) -> None:
    bench.declare(**CAN_ASK)
    client = Recorder(bench)
    await ask(bench, "Password for ann [y/n]: ", password=True)
    assert "password" in client.messages()[-1]
    assert "ann" not in client.messages()[-1]
    assert client.of(types.WINDOW_SHOW_MESSAGE_REQUEST) == []


async def test_a_client_with_a_box_gets_no_message(bench: Scripted) -> None:
    bench.workspace.client.wants_notifications = True
    client = Recorder(bench)
    await ask(bench, "Name: ")
    assert client.notes == []
