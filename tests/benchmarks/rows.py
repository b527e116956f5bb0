"""What a row of the table is, how its rounds are run, and what comes of them."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from tests.benchmarks.lab import Lab

OURS = "carpo-lsp"

Measure = Callable[[], Awaitable[Iterable[float]]]
"""Does the work of one round and gives its times in milliseconds, one or several."""

Subjects = dict[str, Measure]
"""Who is measured, by name: `OURS`, the limit, and peers."""

Setup = Callable[["Lab"], AbstractAsyncContextManager[Subjects]]
"""Makes the subjects of a row ready, and clears up behind them."""


@attrs.frozen
class Goal:
    """What a row is to reach: a figure of ours, compared with the limit's or with a number."""

    figure: str
    """`p50`, `p95`, `max`, or one of what the lab has noted beside the times."""
    how: Literal["times", "more", "at most"]
    bound: float

    def __str__(self) -> str:
        sign = {"times": "≤ {} times", "more": "≤ +{} ms", "at most": "≤ {}"}[self.how]
        return f"{self.figure} {sign.format(f'{self.bound:g}')}"


@attrs.frozen
class Row:
    name: str
    limit: str
    """The subject that the others are measured against."""
    setup: Setup
    goals: tuple[Goal, ...]
    rounds: int = 7
    short: bool = True
    """Whether it is in the short form."""


@attrs.frozen
class Series:
    """The times of one subject, in milliseconds."""

    values: tuple[float, ...]

    def figure(self, name: str) -> float:
        match name:
            case "p50":
                return statistics.median(self.values)
            case "p95":
                return self._quantile(0.95)
            case "max":
                return max(self.values)
        raise ValueError(f"no figure {name!r}")

    @property
    def spread(self) -> tuple[float, float]:
        """The middle half of the values."""
        return self._quantile(0.25), self._quantile(0.75)

    def _quantile(self, share: float) -> float:
        ordered = sorted(self.values)
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])


@attrs.frozen
class Verdict:
    """A goal and what was reached."""

    goal: str
    reached: float
    good: bool


@attrs.frozen
class Result:
    """One row of the table."""

    name: str
    limit: str
    series: Mapping[str, Series]
    notes: Mapping[str, float]
    """Figures beside the times, such as memory in MB: the worst of all rounds."""
    verdicts: tuple[Verdict, ...]


async def run(row: Row, labs: Mapping[str, Lab], rounds: int | None = None) -> Result | None:
    """Run the rounds of a row, all subjects in turn in each (A B A B).

    With one lab its subjects are compared with the limit; None when that is not there, a peer that
    is not installed. With several, of which each has a
    server of its own, ours of all of them are compared with that of the last.
    """
    rounds = rounds or row.rounds
    async with AsyncExitStack() as stack:
        ready = {
            label: await stack.enter_async_context(row.setup(lab)) for label, lab in labs.items()
        }
        subjects = _choose(ready)
        limit = row.limit if len(labs) == 1 else list(labs)[-1]
        if limit not in subjects:
            return None
        times: dict[str, list[float]] = {name: [] for name in subjects}
        for number in range(rounds + 1):
            for name, measure in subjects.items():
                values = list(await measure())
                if number:  # the first round warms up
                    times[name] += values
    series = {name: Series(tuple(values)) for name, values in times.items()}
    taken = {label: lab.take_notes() for label, lab in labs.items()}
    notes = taken[OURS]
    for label, theirs in taken.items():
        if label != OURS:
            notes |= {f"{name} ({label})": value for name, value in theirs.items()}
    ours = series[OURS if len(labs) == 1 else next(iter(labs))]
    # Against another revision the ratio is what counts.
    verdicts = _judge(row.goals, ours, series[limit], notes) if len(labs) == 1 else ()
    return Result(row.name, limit, series, notes, verdicts)


def _choose(ready: Mapping[str, Subjects]) -> Subjects:
    if len(ready) == 1:
        return next(iter(ready.values()))
    return {label: subjects[OURS] for label, subjects in ready.items()}


def _judge(
    goals: Sequence[Goal], ours: Series, limit: Series, notes: Mapping[str, float]
) -> tuple[Verdict, ...]:
    verdicts = []
    for goal in goals:
        if goal.figure in notes:
            reached = notes[goal.figure]
        else:
            reached = ours.figure(goal.figure)
            if goal.how == "times":
                reached /= limit.figure(goal.figure)
            elif goal.how == "more":
                reached -= limit.figure(goal.figure)
        verdicts.append(Verdict(str(goal), reached, reached <= goal.bound))
    return tuple(verdicts)
