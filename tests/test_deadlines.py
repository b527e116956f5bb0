"""Deadlines on a loop whose clock the tests set: nothing here waits."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

import pytest

from carpo_lsp.deadlines import Deadline, Stopwatch

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Sleeper(selectors.BaseSelector):
    """A selector that does not wait, but sets the clock to when it would have come back.

    `sleeps` are moments at which the process is stopped, and for how many seconds.
    """

    def __init__(self, sleeps: dict[float, float]) -> None:
        self.now = 0.0
        self._sleeps = sleeps
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> Any:
        woken = self.now + (timeout or 0.0)
        for moment in sorted(self._sleeps):
            if moment <= woken:
                woken = max(woken, moment + self._sleeps.pop(moment))
        self.now = woken
        return self._real.select(0)

    def register(self, fileobj: Any, events: Any, data: Any = None) -> Any:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> Any:
        return self._real.unregister(fileobj)

    def get_map(self) -> Any:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


def run(coroutine: Coroutine[Any, Any, None], sleeps: dict[float, float]) -> float:
    """Run something on a loop of its own; returns when, by its clock, it was over."""
    selector = Sleeper(sleeps)
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign] # the clock of the test
    try:
        loop.run_until_complete(coroutine)
        return selector.now
    finally:
        loop.close()


async def _expires(seconds: float) -> None:
    with pytest.raises(TimeoutError):
        async with Deadline(seconds):
            await asyncio.Event().wait()


@pytest.mark.parametrize("seconds", [0.2, 1.0, 2.5, 10.0])
def test_a_deadline_of_a_process_that_is_awake(seconds: float) -> None:
    assert run(_expires(seconds), {}) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("seconds", "sleeps", "left"),
    [
        pytest.param(0.2, {0.1: 60.0}, 0.2, id="short"),
        pytest.param(10.0, {2.5: 60.0}, 8.0, id="in the middle"),
        pytest.param(10.0, {9.5: 60.0}, 1.0, id="over the end"),
        pytest.param(10.0, {2.5: 5.0}, 8.0, id="over before its end"),
    ],
)
def test_a_sleep_takes_nothing_of_a_deadline(
    seconds: float, sleeps: dict[float, float], left: float
) -> None:
    ((moment, length),) = sleeps.items()
    assert run(_expires(seconds), dict(sleeps)) == pytest.approx(moment + length + left)


def test_every_sleep_is_left_out() -> None:
    assert run(_expires(3.0), {0.5: 60.0, 61.0: 60.0, 122.0: 60.0}) == pytest.approx(185.0)


def test_what_comes_in_time_is_not_lost_to_a_sleep() -> None:
    async def answered() -> None:
        loop = asyncio.get_running_loop()
        answer = loop.create_future()

        def wake() -> None:
            # What was sent during the sleep is read a little after it.
            loop.call_later(0.1, answer.set_result, "here")

        loop.call_later(0.5, wake)
        async with Deadline(1.0):
            assert await answer == "here"

    run(answered(), {0.4: 60.0})


def test_without_end() -> None:
    async def waits() -> None:
        async with Deadline(None):
            await asyncio.sleep(1000)

    assert run(waits(), {}) == pytest.approx(1000)


def test_time_that_is_paused_does_not_count() -> None:
    async def paused() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with Deadline(5.0, paused=lambda: loop.time() < 3.5):
                await asyncio.Event().wait()

    assert run(paused(), {}) == pytest.approx(8.0)


def test_an_error_inside_is_passed_on_and_leaves_no_timer() -> None:
    async def fails() -> None:
        with pytest.raises(ValueError, match="bad"):
            async with Deadline(5.0):
                raise ValueError("bad")
        await asyncio.sleep(10)

    assert run(fails(), {}) == pytest.approx(10)


def test_a_stopwatch_leaves_sleep_out() -> None:
    now = 0.0
    watch = Stopwatch(2.0, clock=lambda: now)
    for now, lap in [(1.0, 1.0), (2.5, 1.5), (62.5, 2.0), (63.0, 0.5)]:  # noqa: B007 - the clock
        assert watch.lap() == lap
