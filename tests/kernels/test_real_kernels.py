"""The lives of real kernels, and the page that tells of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from real_kernels import KERNELS, PAGE, Life, RealKernel, row

if TYPE_CHECKING:
    from pathlib import Path

    from carpo_lsp.frontend import Frontend


@pytest.mark.slow
@pytest.mark.parametrize(
    "kernel",
    [
        pytest.param(kernel, id=kernel.name, marks=getattr(pytest.mark, kernel.marker))
        for kernel in KERNELS
    ],
)
async def test_a_life(
    frontend: Frontend, tmp_path: Path, caplog: pytest.LogCaptureFixture, kernel: RealKernel
) -> None:
    with caplog.at_level(logging.WARNING):
        facts = await Life(frontend, kernel, tmp_path).live()
    assert row(kernel, facts) in PAGE.read_text().splitlines(), (
        "docs/kernels.md says otherwise: python tests/real_kernels.py writes it anew"
    )
    forgotten = f"A kernel sent no {kernel.forgets} for an execution; it is taken as ended"
    assert {record.getMessage() for record in caplog.records} <= {forgotten}


def test_the_page_has_a_line_for_each() -> None:
    lines = PAGE.read_text().splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("| kernel |"))
    listed = [line.split(" | ")[0].removeprefix("| ") for line in lines[begin + 2 :]]
    assert listed[: len(KERNELS)] == [kernel.title for kernel in KERNELS]
    assert listed[len(KERNELS)].startswith("<!--")
