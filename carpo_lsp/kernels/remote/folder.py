"""Having a kernel work in a folder: no server starts one in a folder of its caller's choice."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Final

from carpo_lsp.errors import CarpoError, KernelTimeout

if TYPE_CHECKING:
    from carpo_lsp.kernels.evaluation import Evaluations

CODE: Final = {
    "python": "__import__('os').chdir({})",
    "r": "setwd({})",
    "julia": "cd({})",
    "bash": "cd {}",
    "javascript": "Deno.chdir({})",
    "typescript": "Deno.chdir({})",
    "octave": "cd({});",
}
"""By language; the folder is written as in JSON, which all of these read."""

DEADLINE: Final = 5.0
"""Seconds for it. A kernel that has just answered is at rest."""


PATIENCE: Final = 24 * 3600.0
"""Seconds for a kernel to tell its home: one of others may run code for long."""

HOME: Final = "__import__('os').path.expanduser('~')"


async def home_of(evaluations: Evaluations, language: str, *, busy: bool) -> str | None:
    """What `~` is for a kernel, which may be `busy`: IPython writes it into tracebacks."""
    if language != "python":
        return None
    try:
        answer = await evaluations.ask("", {"home": HOME}, PATIENCE if busy else DEADLINE)
        text = answer.user_expressions["home"]["data"]["text/plain"]
        home = ast.literal_eval(text)
    except (CarpoError, KeyError, TypeError, ValueError, SyntaxError):
        return None
    return home if isinstance(home, str) else None


async def enter(evaluations: Evaluations, language: str, folder: str) -> str | None:
    """Have a kernel work in a folder of its own file system; why it does not, in a sentence."""
    code = CODE.get(language)
    if code is None:
        return f"How to enter a folder in {language} is not known; {folder} is not entered."
    try:
        answer = await evaluations.ask(code.format(json.dumps(folder)), {}, DEADLINE)
    except KernelTimeout:
        return f"The kernel has not entered {folder} in time."
    return None if answer.ok else f"The kernel cannot enter {folder}: is it there?"
