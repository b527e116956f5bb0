"""What a user got wrong on the command line."""

from __future__ import annotations


class UserError(Exception):
    """One sentence for the user; the program prints it and ends with exit code 2."""
