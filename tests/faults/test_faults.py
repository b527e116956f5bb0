"""Servers, kernels, watchdogs and keepers that are killed at random moments: nothing is lost that
was shown, nothing is left behind, and what is kept goes on."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from home import LOG
from rounds import play

if TYPE_CHECKING:
    import pytest

ROUNDS = 8


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        # The options are there when the tests of this folder are asked for.
        first = metafunc.config.getoption("--fault-seed", None) or 0
        rounds = metafunc.config.getoption("--fault-rounds", None) or ROUNDS
        metafunc.parametrize("seed", range(first, first + rounds))


async def test_rounds(seed: int) -> None:
    # Below 108 bytes with all that comes behind it.
    with tempfile.TemporaryDirectory(prefix="cf-") as folder:
        try:
            await play(seed, Path(folder))
        except BaseException:
            print((Path(folder) / LOG).read_text())  # it goes with the folder
            raise
