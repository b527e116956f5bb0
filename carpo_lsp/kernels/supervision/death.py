"""Why a kernel died: from its exit code and what was done to it to a sentence."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from carpo_lsp.kernels.connection import Exit
    from carpo_lsp.kernels.events import Cause


class Why(Struct, frozen=True):
    """Why a kernel has the status it has, as far as there is anything to say."""

    reason: str | None = None
    """One sentence for a person."""
    cause: Cause | None = None
    exit_code: int | None = None
    stderr_tail: str | None = None
    hint: str | None = None
    """What mends it, where that is known."""


def explain_death(exit: Exit, killed_for: str | None, *, interrupted: bool) -> Why:
    """Why a kernel died that was not asked to.

    `killed_for` is the reason for which we have killed it, if we have; `interrupted` says that it
    died before it was done with an interrupt.
    """
    reason, cause = exit.reason, exit.cause
    if killed_for is not None:
        reason, cause = killed_for, "limit"
    elif interrupted and cause in ("exited", "signal") and exit.code != -signal.SIGKILL:
        reason = f"The kernel did not survive the interrupt. {reason}"
        cause = "interrupt"
    return Why(reason, cause, exit.code, exit.stderr_tail)


def describe(code: int) -> str:
    """How a process has ended, by its exit code or, negative, the signal that ended it."""
    if code >= 0:
        return f"The kernel exited with code {code}."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    return f"The kernel was ended by signal {-code} ({name})."
