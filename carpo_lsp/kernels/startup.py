"""Why a kernel did not start: from what is known to a sentence and a hint."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from carpo_lsp.errors import KernelStartFailed

if TYPE_CHECKING:
    from carpo_lsp.kernels.connection import Exit
    from carpo_lsp.kernels.specs import Spec

PORT_TAKEN: Final = re.compile(r"(?i)address already in use|EADDRINUSE|AddrInUse")

CAUSES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"No module named '?(?P<what>ipykernel(_launcher)?)\b'?"),
        "install the kernel into that Python: {python} -m pip install ipykernel",
    ),
    (
        re.compile(r"No module named '?(?P<what>[\w.]+)'?"),
        "the Python module {what} is missing: {python} -m pip install {what}",
    ),
    (
        re.compile(r"there is no package called .(?P<what>[\w.]+)."),
        'the R package {what} is missing: install.packages("{what}")',
    ),
    (PORT_TAKEN, "another program took the port; start it again"),
    (
        re.compile(r"(?i)permission denied.*?(?P<what>/\S+)?"),
        "a file or folder is not accessible; see what it wrote on stderr",
    ),
    (
        re.compile(r"(?i)no such file or directory"),
        "a file is missing; see what it wrote on stderr",
    ),
)
"""What kernels say on stderr, and what mends it. The first that matches counts."""


def explain_end(exit: Exit, spec: Spec) -> KernelStartFailed:
    """The error for a kernel that ended before it was ready."""
    data = {"exitCode": exit.code, "stderrTail": exit.stderr_tail, "argv": list(spec.argv)}
    hint = _hint(exit.stderr_tail, spec)
    if hint:
        data["hint"] = hint
    last = exit.stderr_tail.splitlines()[-1:] or [""]
    message = f"{spec.display_name} did not start: {exit.reason} {last[0]}".strip()
    error = KernelStartFailed(f"{message} ({hint})" if hint else message, **data)
    error.replaced = exit.replaced
    return error


def lost_a_port(error: KernelStartFailed) -> bool:
    """Whether somebody else took a port between its choice and the kernel's start. Nobody can hold
    it for the kernel, which is told a number; so that is nobody's fault."""
    return PORT_TAKEN.search(str(error.data["stderrTail"])) is not None


def explain_timeout(
    seconds: float, stderr_tail: str, spec: Spec, *, owned: bool
) -> KernelStartFailed:
    """The error for a kernel that ran but did not answer in time, `owned` if we started it."""
    if spec.argv:
        hint = "raise the timeout, or run the kernelspec's argv in a terminal to see what it does"
    elif owned:
        hint = "raise the timeout, or see what is logged where it runs"
    else:
        hint = "it may run code, and answer nothing until that has ended: interrupt it"
    return KernelStartFailed(
        f"{spec.display_name} did not answer within {seconds:g} s.",
        exitCode=None,
        stderrTail=stderr_tail,
        argv=list(spec.argv),
        hint=hint,
    )


def _hint(stderr: str, spec: Spec) -> str | None:
    for pattern, hint in CAUSES:
        if match := pattern.search(stderr):
            what = match.groupdict().get("what") or ""
            return hint.format(what=what, python=spec.argv[0] if spec.argv else "python")
    return None
