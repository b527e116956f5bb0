"""Results as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.benchmarks.rows import Result, Series

HEAD = ("what", "who", "median, ms", "middle half", "p95", "ratio", "to reach", "reached")

VERSIONS = ("ipykernel", "jupyter_client", "pyzmq", "pygls", "lsprotocol")


def lines(result: Result) -> Iterable[str]:
    """The lines of one row in a Markdown table: one for each who was measured."""
    limit = result.series[result.limit].figure("p50")
    for number, (who, series) in enumerate(result.series.items()):
        ratio = "" if who == result.limit else f"{series.figure('p50') / limit:.2f}"
        goals = result.verdicts if number == 0 else ()
        cells = (
            result.name if number == 0 else "",
            who,
            _ms(series.figure("p50")),
            _spread(series),
            _ms(series.figure("p95")),
            ratio,
            ", ".join(verdict.goal for verdict in goals),
            ", ".join(_reached(each.reached, good=each.good) for each in goals),
        )
        yield f"| {' | '.join(cells)} |"
    judged = {verdict.goal.split(" ≤")[0] for verdict in result.verdicts}
    if notes := [
        f"{name}: {value:.3g}" for name, value in result.notes.items() if name not in judged
    ]:
        yield f"| | | | | | | {', '.join(notes)} | |"


def head() -> Iterable[str]:
    yield f"| {' | '.join(HEAD)} |"
    yield "|---|---|--:|--:|--:|--:|---|---|"


def to_json(results: Iterable[Result]) -> str:
    rows: list[dict[str, Any]] = [
        {
            "name": result.name,
            "limit": result.limit,
            "milliseconds": {who: series.values for who, series in result.series.items()},
            "notes": dict(result.notes),
            "goals": [
                {"goal": each.goal, "reached": each.reached, "good": each.good}
                for each in result.verdicts
            ],
        }
        for result in results
    ]
    return json.dumps({"machine": machine(), "rows": rows}, indent=1)


def machine_line() -> str:
    """The machine, in a sentence."""
    what = machine()
    versions = ", ".join(f"{name} {number}" for name, number in what["versions"].items())
    return (
        f"{what['cores']} cores ({what['processor']}), {what['memory']} GB, {what['system']}, "
        f"Python {what['python']}, {versions}; load {what['load']:.1f}."
    )


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in VERSIONS},
        "load": os.getloadavg()[0],
    }


def _processor() -> str:
    """What Linux calls it; elsewhere what Python does."""
    try:
        described = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.+)$", described, re.MULTILINE)
    return found[1] if found else platform.processor()


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _spread(series: Series) -> str:
    low, high = series.spread
    return f"{_ms(low)} to {_ms(high)}"


def _reached(value: float, *, good: bool) -> str:
    return f"{value:.3g}" if good else f"**{value:.3g}**"
