"""A kernel as those see it who watch it: see `limits.Limited` and `vigil.Watched`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from carpo_lsp.errors import CarpoError
from carpo_lsp.kernels.supervision.limits import INTERVAL, Limiter
from carpo_lsp.kernels.supervision.usage import cpu_seconds, is_stopped, memory

if TYPE_CHECKING:
    from carpo_lsp.kernels.events import Cause
    from carpo_lsp.kernels.questions import Questions
    from carpo_lsp.kernels.state import KernelState
    from carpo_lsp.kernels.supervision.limits import Step
    from carpo_lsp.kernels.supervision.usage import Trees
    from carpo_lsp.protocol import Limits


class Supervised:
    """What is to be known of a kernel, and what can be done about it."""

    def __init__(self, state: KernelState, questions: Questions, trees: Trees) -> None:
        self._state = state
        self._questions = questions
        self._trees = trees
        self._helpless = False
        """Whether the last thing to be done about its limits could not be done."""

    @property
    def pid(self) -> int | None:
        return self._state.pid

    @property
    def cpu_seconds(self) -> float | None:
        return cpu_seconds(self.pid) if self.pid is not None else None

    @property
    def stopped(self) -> bool:
        return self.pid is not None and is_stopped(self.pid)

    @property
    def running(self) -> tuple[str, float] | None:
        return self._state.executions.running

    @property
    def idle(self) -> bool:
        return not self._state.executions.busy

    @property
    def works(self) -> bool:
        return self._state.executions.busy

    @property
    def waited_for(self) -> bool:
        executions = self._state.executions
        return (executions.busy and not executions.waits_for_input) or self._questions.waiting

    async def beat(self) -> bool | None:
        return await self._state.beat()

    def warn(self, reason: str, cause: Cause = "limit") -> None:
        self._state.warn(reason, cause)

    async def limit(self, limits: Limits) -> None:
        """Watch its limits, until cancelled."""
        limiter = Limiter(limits, self)
        while True:
            await asyncio.sleep(INTERVAL)
            used = await self._memory(limiter.least)
            for step in limiter.look(used):
                if not await self._take(step):
                    break

    async def _memory(self, least: float | None) -> int | None:
        if self.pid is None or least is None:
            return None
        # In a thread, as the system takes long to tell what many gigabytes are.
        return await asyncio.to_thread(memory, self.pid, least, self._trees.recent(INTERVAL))

    async def _take(self, step: Step) -> bool:
        """Do what is to be done; False, and a word the first time, where there is no way to it."""
        try:
            await self._do(step)
        except CarpoError as error:
            if not self._helpless:
                self.warn(f"The limits of the kernel cannot be held now: {error.message}")
            self._helpless = True
            return False
        self._helpless = False
        return True

    async def _do(self, step: Step) -> None:
        match step.act:
            case "warn":
                self._state.warn(step.reason)
            case "interrupt":
                await self._state.interrupt()
            case "kill":
                await self._state.kill(step.reason)
            case "retire":
                await self._state.retire(step.reason)
