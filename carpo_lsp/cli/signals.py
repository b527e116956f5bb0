"""The life of the kernels of a command: however it ends, none is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from carpo_lsp.frontend import Frontend

log = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

HURRIED: Final = 1.0
"""Seconds kernels have to end when a signal or an error ends the program."""


class Lifetime:
    """Closes the Frontend, when there is one, at its end. Until then a signal cancels the task that
    entered it; the block ends, and `exit_code` tells. A signal while the kernels end kills them,
    and the process exits at once.

    `take_interrupt` is asked first on SIGINT; the signal is done with when it returns True.
    """

    def __init__(
        self,
        frontend: Frontend | None = None,
        take_interrupt: Callable[[], bool] | None = None,
    ) -> None:
        self.frontend = frontend
        self._take_interrupt = take_interrupt
        self._signal: int | None = None
        self._task: asyncio.Task[object] | None = None

    @property
    def exit_code(self) -> int:
        """What a shell expects of a program that was ended by the signal; 0 when none came."""
        return 0 if self._signal is None else 128 + self._signal

    async def __aenter__(self) -> Lifetime:
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        # From here on a signal must not cancel what ends the kernels.
        task, self._task = self._task, None
        stopped = self._signal is not None and isinstance(error, asyncio.CancelledError)
        if stopped and task is not None:
            task.uncancel()
        if self.frontend is not None:
            await (self.frontend.close() if error is None else self.frontend.close(HURRIED))
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        return stopped

    def _on_signal(self, number: signal.Signals) -> None:
        if self._signal is not None or self._task is None:
            self._end_at_once(number)
        if number == signal.SIGINT and self._take_interrupt is not None and self._take_interrupt():
            return
        log.info("ending on %s", number.name)
        self._signal = number
        self._task.cancel()

    def _end_at_once(self, number: signal.Signals) -> NoReturn:
        log.info("ending at once on %s", number.name)
        if self.frontend is not None:
            _kill_all(self.frontend)
        os._exit(128 + number)


def _kill_all(frontend: Frontend) -> None:
    from carpo_lsp.kernels import process

    kernels = frontend.list_kernels()
    kept = [kernel.pid for kernel in kernels if kernel.kept and kernel.pid is not None]
    process.kill_all(process.descendants(os.getpid(), kept))
    for kernel in kernels:
        if kernel.owned and not kernel.kept and kernel.connection_file:
            # Holds the key of a kernel that is gone; another cleaner may have been here.
            with contextlib.suppress(OSError):
                os.unlink(kernel.connection_file)
