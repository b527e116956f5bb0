"""Loading modules, of which there are hundreds."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """What is made meanwhile stays: it is not searched for garbage, neither now, which would be a
    tenth of a start, nor in any collection to come."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
