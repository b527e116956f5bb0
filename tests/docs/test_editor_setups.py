"""The pages of editors have what `carpo-lsp doctor --editor` prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from carpo_lsp.cli.editors import SETUPS

ROOT = Path(__file__).parents[2]
PAGES = "\n".join(page.read_text() for page in (ROOT / "editors").glob("*/README.md"))


@pytest.mark.parametrize("name", SETUPS)
def test_a_page_has_the_set_up(name: str) -> None:
    assert SETUPS[name].text in PAGES


@pytest.mark.parametrize("name", ["coc", "neovim", "vim-lsp", "yegappan"])
@pytest.mark.parametrize("language", ["python", "r", "markdown", "quarto", "rmd"])
def test_what_these_editors_call_quarto_and_r_markdown_is_served(name: str, language: str) -> None:
    assert re.search(rf"[\"']{language}[\"']", SETUPS[name].text)
