"""The server as `carpo-lsp` runs it, on a disk that takes nothing of the journal."""

import sys
import threading

from carpo_lsp.__main__ import main
from carpo_lsp.journal import journal
from carpo_lsp.journal.store import Store


def write(*_: object) -> set[object]:
    threading.Event().wait()
    return set()


if __name__ == "__main__":
    Store.write = write  # type: ignore[method-assign, assignment]
    journal.CLOSING = 0.2  # type: ignore[misc]
    sys.exit(main())
