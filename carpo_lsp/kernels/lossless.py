"""Kernels that drop output when nobody takes it fast enough, and how to keep them from it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp.errors import KernelTimeout

if TYPE_CHECKING:
    from carpo_lsp.kernels.evaluation import Evaluations

log = logging.getLogger(__name__)

LIFT: Final = (
    "(lambda thread: thread.schedule(lambda: thread.socket.set_hwm(0)))"
    "(get_ipython().kernel.iopub_thread)"
)
"""A Python expression: sockets belong to the thread that uses them, so that thread does it."""

DEADLINE: Final = 5.0
"""Seconds for it. A kernel that has just answered is at rest."""


async def lift_output_limit(evaluations: Evaluations, info: dict[str, Any]) -> None:
    """Have ipykernel queue all the output that its peers have yet to take.

    ZeroMQ's default is 1,000 messages, and an iopub socket drops the others without a word: that
    many come together while this process is stopped, or starved on a busy machine, for a moment.
    `info` is the content of the kernel_info_reply; other kernels are left as they are.
    """
    if info.get("implementation") != "ipython":
        return
    try:
        answer = await evaluations.ask("", {"lifted": LIFT}, DEADLINE)
    except KernelTimeout as error:
        log.warning("Output of the kernel may get lost: %s", error.message)
        return
    lifted = answer.user_expressions.get("lifted", {})
    if lifted.get("status") != "ok":
        log.warning("Output of the kernel may get lost: %s", lifted.get("evalue"))
