from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


pytest.register_assert_rewrite("home", "invariants", "rounds", "session", "soak")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("carpo")
    group.addoption("--fault-rounds", type=int, help="how many rounds of fault injection")
    group.addoption("--fault-seed", type=int, help="the seed of the first round, and of the soak")
    group.addoption("--soak-seconds", type=int, help="how long the soak takes")


@pytest.fixture(scope="module", autouse=True)
def _no_process_left() -> Iterator[None]:
    yield
    assert psutil.Process().children(recursive=True) == []
