from __future__ import annotations

import pytest

from carpo_lsp.documents.languages import document_language, suffix_of


@pytest.mark.parametrize(
    ("language_id", "uri", "language"),
    [
        ("python", "untitled:x", "python"),
        ("Python", "untitled:x", "python"),
        ("R", "untitled:x", "r"),
        ("shellscript", "untitled:x", "bash"),
        ("typescriptreact", "untitled:x", "typescript"),
        ("cpp", "untitled:x", "c++"),
        ("python.django", "untitled:x", "python"),
        ("new", "file:///a.py", "new"),
        ("", "file:///a.py", "python"),
        ("plaintext", "file:///a/B.R", "r"),
        ("", "untitled:x", "plaintext"),
        ("", "file:///a.py/b", "plaintext"),
    ],
)
def test_the_language_of_a_document(language_id: str, uri: str, language: str) -> None:
    assert document_language(language_id, uri) == language


@pytest.mark.parametrize(
    ("uri", "suffix"),
    [
        ("file:///a.b/c.QMD", ".qmd"),
        ("vscode-notebook-cell:/n.ipynb#W0.py", ".ipynb"),
        ("/a/.hidden", ""),
        ("x", ""),
    ],
)
def test_suffixes(uri: str, suffix: str) -> None:
    assert suffix_of(uri) == suffix
