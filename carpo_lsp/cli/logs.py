"""Logging of the server: to a file, or to stderr without ever waiting for its reader."""

from __future__ import annotations

import logging
import os
import select
from typing import TYPE_CHECKING, Final

from carpo_lsp.cli.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

LEVELS: Final = ("debug", "info", "warning", "error")

PIPE_BUF: Final = 4096
"""Bytes that a pipe with room takes in one piece: shorter writes never block once it has room."""

_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class StderrHandler(logging.Handler):
    """Writes to stderr what fits into it. What nobody reads is dropped, for the server goes on."""

    def __init__(self, fd: int = 2) -> None:
        super().__init__()
        self._fd = fd

    def emit(self, record: logging.LogRecord) -> None:
        try:
            for line in self.format(record).splitlines():
                data = line.encode("utf-8", "replace")[: PIPE_BUF - 2] + b"\n"
                if not select.select([], [self._fd], [], 0)[1]:
                    return
                os.write(self._fd, data)
        except OSError:
            # stderr is gone; there is no other place to say so.
            return


def configure(level: str, file: Path | None) -> None:
    """Send the log of this process to `file`, else to stderr. Raises `UserError`."""
    handler: logging.Handler
    if file is None:
        handler = StderrHandler()
    else:
        try:
            # A log tells what its user works on: a new one is for nobody else.
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            handler = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise UserError(f"the log file {str(file)!r}: {error.strerror}") from error
    handler.setFormatter(logging.Formatter(_FORMAT))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())
    # Python's own way for warnings would wait for the reader of stderr.
    logging.captureWarnings(True)
