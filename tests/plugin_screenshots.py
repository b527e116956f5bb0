"""`--screenshots`: tests of editors write what these look like to docs/images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots", action="store_true", help="write screenshots of editors to docs/images"
    )
