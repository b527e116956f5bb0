"""How the C library keeps memory that has been freed."""

from __future__ import annotations

import contextlib
from typing import Final

LARGE: Final = 1024 * 1024
"""Bytes from which on a block comes from the system, and goes back to it when it is freed."""

KEPT: Final = 16 * LARGE
"""Free bytes at the end of a heap that stay with the process: memory that is new costs more than
what is done with it, and a flood needs some all the time."""

GROWTH: Final = 2 * LARGE
"""Bytes by which a heap grows beyond what is asked for."""

ARENAS: Final = 2
"""Heaps: the threads that wait for the disk need none each."""

# Of mallopt(3).
_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


def return_large_blocks() -> None:
    """Have the memory of a flood go back to the system behind it.

    glibc takes each large block that is freed for a sign that more of them come: it raises the size
    from which on they go back, to 32 MB in the end. Their room then stays with the process, in
    pieces between what lives longer, and ten minutes of random work cost 80 MB. What is free at the
    end of a heap goes back as well, but for `KEPT`. Other C libraries are left as they are.
    """
    import ctypes

    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in (
            (_M_ARENA_MAX, ARENAS),
            (_M_MMAP_THRESHOLD, LARGE),
            (_M_TRIM_THRESHOLD, KEPT),
            (_M_TOP_PAD, GROWTH),
        ):
            mallopt(parameter, value)
