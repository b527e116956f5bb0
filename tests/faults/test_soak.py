"""Work without an end does not cost more and more."""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

import pytest
import soak

SECONDS = 30

MIB = 1024 * 1024

GROWTH = {True: 32 * MIB, False: 12 * MIB}
"""Bytes by which the memory at the end may be above that after warming up, for a short run, which
is too short to be warm, and a long one."""

THREADS = 3 + (os.cpu_count() or 1) + 4
"""The loop's, ZeroMQ's, and asyncio's pool, which grows with the work that comes together."""

LONG = 300
"""Seconds from which on a run is long."""


@pytest.mark.slow
async def test_soak(pytestconfig: pytest.Config) -> None:
    seconds = pytestconfig.getoption("--soak-seconds", None) or SECONDS
    seed = pytestconfig.getoption("--fault-seed", None) or 0
    slices = max(6, seconds // 20)
    with tempfile.TemporaryDirectory(prefix="cs-") as folder:
        found = await soak.play(seconds, seed, Path(folder), slices)
    warm = found[slices // 3 :]
    for name in ("descriptors", "children"):
        counts = [each[name] for each in warm]
        assert max(counts) <= counts[0], name
    assert max(each["threads"] for each in warm) <= THREADS
    assert all(each["tasks"] == warm[0]["tasks"] for each in warm)
    quarter = max(1, len(warm) // 4)
    first, last = (
        statistics.fmean(each["rss"] for each in part) for part in (warm[:quarter], warm[-quarter:])
    )
    assert last - first < GROWTH[seconds < LONG]
