"""What is done to the journal beside the writing, by threads that may wait for the disk."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from carpo_lsp.journal import sessions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)


class Upkeep:
    """Brings files to the disk, and removes what is too much: the one does not wait for the other,
    so that the journal stays within its bounds on a disk that takes its time.

    `failed` is told what was not brought to the disk.
    """

    def __init__(self, failed: Callable[[OSError], None]) -> None:
        self._failed = failed
        self._paths: set[Path] = set()
        self._syncing: asyncio.Task[None] | None = None
        self._prune: Callable[[], None] | None = None
        """What is to be done when what is done now has been."""
        self._pruning: asyncio.Task[None] | None = None

    def sync(self, paths: set[Path]) -> None:
        """Have on the disk, soon, what was written to files."""
        self._paths |= paths
        if self._paths and (self._syncing is None or self._syncing.done()):
            self._syncing = asyncio.create_task(self._sync_all(), name="journal to the disk")

    def prune(self, prune: Callable[[], None]) -> None:
        """Have `prune` called in a thread, once for all who ask while it is."""
        self._prune = prune
        if self._pruning is None or self._pruning.done():
            self._pruning = asyncio.create_task(self._prune_all(), name="pruning of the journal")

    async def done(self) -> None:
        """Wait for what has been asked for."""
        for task in (self._syncing, self._pruning):
            if task is not None:
                await asyncio.wait([task])

    async def _sync_all(self) -> None:
        while self._paths:
            paths, self._paths = self._paths, set()
            try:
                await asyncio.to_thread(sessions.to_disk, paths)
            except OSError as error:
                self._failed(error)

    async def _prune_all(self) -> None:
        while self._prune is not None:
            prune, self._prune = self._prune, None
            try:
                await asyncio.to_thread(prune)
            except OSError as error:
                # Of what is run nothing is lost by that.
                log.warning("The journal cannot be kept within its bounds: %s", error)
