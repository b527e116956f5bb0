"""Text of one turn of the loop is one event, and nothing overtakes it."""

from __future__ import annotations

import asyncio

from carpo_lsp.kernels import outputs
from carpo_lsp.kernels.events import Event, OutputChanged, StateChanged
from carpo_lsp.kernels.joined import LONGEST, Joined


def text(text: str, name: str = "stdout", execution: str = "e") -> OutputChanged:
    return OutputChanged("k", execution, "append", outputs.stream(name, text))


def end(execution: str = "e") -> StateChanged:
    return StateChanged("k", execution, "ok")


async def test_text_of_a_turn_is_one_event() -> None:
    told: list[Event] = []
    joined = Joined(told.append)
    for part in ("a", "b", "c"):
        joined.take(text(part))
    assert told == []
    await asyncio.sleep(0)
    assert told == [text("abc")]
    joined.take(text("d"))
    await asyncio.sleep(0)
    assert told == [text("abc"), text("d")]


async def test_what_is_no_text_of_the_same_stream_follows_it() -> None:
    told: list[Event] = []
    joined = Joined(told.append)
    cleared = OutputChanged("k", "e", "clear")
    pointer = OutputChanged("k", "e", "append", {**outputs.stream("stdout", "x"), "metadata": {}})
    given = [
        *(text("a"), text("b"), text("c", "stderr"), text("d"), text("e", execution="other")),
        *(cleared, text("f"), pointer, text("g"), end("other"), text("h"), end()),
    ]
    for event in given:
        joined.take(event)
    assert told == [text("ab"), *given[2:]]
    await asyncio.sleep(0)
    assert told == [text("ab"), *given[2:]]


async def test_long_text_is_not_joined() -> None:
    told: list[Event] = []
    joined = Joined(told.append)
    given = [text("a"), text("b" * LONGEST), text("c" * LONGEST), text("d")]
    for event in given:
        joined.take(event)
    assert told == given[:3]
    await asyncio.sleep(0)
    assert told == given
