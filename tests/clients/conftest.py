from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("carpo")
    group.addoption("--fuzz-rounds", type=int, help="how many rounds of fuzzing")
    group.addoption("--fuzz-seed", type=int, help="the seed of the first round")


@pytest.fixture(scope="module", autouse=True)
def _no_process_left() -> Iterator[None]:
    """A module ends what it started; the tests with one editor share its server."""
    yield
    assert psutil.Process().children(recursive=True) == []
