"""The token that a client needs to be served on a TCP port: where it comes from."""

from __future__ import annotations

import os
import re
import secrets
from typing import TYPE_CHECKING, Final

from carpo_lsp.cli.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE: Final = "CARPO_TOKEN"

_TOKEN = re.compile(r"[!-~]{16,}")
_WHAT_FITS: Final = "at least 16 characters of ASCII, without blanks"


def take_token(file: Path | None) -> tuple[str, bool]:
    """The token, and whether it is a new one that its user has yet to be told.

    That of the file or of the variable CARPO_TOKEN, else a new one, which goes into the file if
    there is one. Raises `UserError`.
    """
    # Taken away, so that kernels do not inherit it.
    given = os.environ.pop(VARIABLE, None)
    if file is not None:
        return _in_file(file, given), False
    if given is not None:
        return _checked(given, f"the variable {VARIABLE}"), False
    return secrets.token_urlsafe(), True


def _in_file(file: Path, given: str | None) -> str:
    """What the file holds; a new file gets what was given, or a new token."""
    try:
        with file.open(encoding="ascii", errors="replace") as stream:
            if os.fstat(stream.fileno()).st_mode & 0o077:
                raise UserError(f"others can read the token file {str(file)!r}; chmod 600 it.")
            return _checked(stream.read().strip(), f"the token file {str(file)!r}")
    except FileNotFoundError:
        token = secrets.token_urlsafe() if given is None else _checked(given, VARIABLE)
    except OSError as error:
        raise UserError(f"the token file {str(file)!r}: {error.strerror}") from error
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as stream:
            stream.write(token + "\n")
    except OSError as error:
        raise UserError(f"the token file {str(file)!r}: {error.strerror}") from error
    return token


def _checked(token: str, source: str) -> str:
    if _TOKEN.fullmatch(token) is None:
        raise UserError(f"{source} holds no token: it takes {_WHAT_FITS}.")
    return token
