"""What a user got wrong on the command line, and how it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carpo_lsp.errors import CarpoError


class UserError(Exception):
    """One sentence for the user; the program prints it and ends with exit code 2."""


def describe(error: CarpoError) -> str:
    """The message of an error, with its hint where that is not part of it."""
    hint = str(error.data.get("hint") or "").rstrip(".")
    return f"{error.message} ({hint})" if hint not in error.message else error.message
