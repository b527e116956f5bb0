"""The pages of editors have what `carpo-lsp doctor --editor` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from carpo_lsp.cli.editors import SETUPS

ROOT = Path(__file__).parents[2]
PAGES = "\n".join(page.read_text() for page in (ROOT / "editors").glob("*/README.md"))


@pytest.mark.parametrize("name", SETUPS)
def test_a_page_has_the_set_up(name: str) -> None:
    assert SETUPS[name].text in PAGES
