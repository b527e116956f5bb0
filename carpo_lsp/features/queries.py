"""Questions that no Jupyter message asks, put to idle kernels in their own language.

They look names up and call nothing; what they run is in the folder `kernel_code`.
"""

from __future__ import annotations

import ast
import json
import logging
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from carpo_lsp.errors import CarpoError

if TYPE_CHECKING:
    from carpo_lsp.frontend import Frontend

log = logging.getLogger(__name__)

DEADLINE: Final = 1.0
"""Seconds a kernel has for its answer."""

NAMES: Final = {
    "python": re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*"),
    "r": re.compile(r"([\w.]+:::?)?[^\W\d_][\w.]*|\.[\w.]+"),
}
"""What may be asked about: names, never calls or indices."""


class Variable(Struct, frozen=True):
    """A name in a kernel and what it stands for."""

    name: str
    kind: str
    """ "variable", "function" or "class"."""
    type: str
    value: str
    """A few words at most; empty where a value would be costly to show."""


class Source(Struct, frozen=True):
    """Where something was defined."""

    file: str
    """Path of a file, or the name the kernel has given to a cell; may be empty."""
    line: int
    """0-based."""
    text: str
    """The source of the definition; empty for whole files."""


async def variables(frontend: Frontend, kernel_id: str, language: str) -> list[Variable] | None:
    """What the user has defined in a kernel; None when it cannot be asked now."""
    answer = await _ask(frontend, kernel_id, language, "variables")
    if not isinstance(answer, list):
        return None
    return [Variable(*map(str, entry)) for entry in answer]


async def definition(frontend: Frontend, kernel_id: str, language: str, name: str) -> Source | None:
    """Where the thing with a dotted name was defined; None when that is not known."""
    answer = await _ask(frontend, kernel_id, language, "definition", name)
    if not isinstance(answer, dict):
        return None
    return Source(str(answer["file"] or ""), int(answer["line"]), str(answer["source"]))


async def signature(frontend: Frontend, kernel_id: str, language: str, name: str) -> str | None:
    """The head of a function as it would be called; only for R, whose inspect lacks it."""
    answer = await _ask(frontend, kernel_id, language, "signature", name)
    return answer if isinstance(answer, str) else None


async def _ask(
    frontend: Frontend, kernel_id: str, language: str, query: str, name: str | None = None
) -> Any:
    """What a query function of the language's file says, as data; None when nothing."""
    if language not in NAMES or (name is not None and not NAMES[language].fullmatch(name)):
        return None
    try:
        if language == "python":
            text = await _ask_python(frontend, kernel_id, query, name)
        else:
            text = await _ask_r(frontend, kernel_id, query, name)
    except CarpoError as error:
        log.info("No %s: %s", query, error.message)
        return None
    if text is None:
        return None
    return json.loads(text)


async def _ask_python(
    frontend: Frontend, kernel_id: str, query: str, name: str | None
) -> str | None:
    """A user expression that defines the functions in a namespace of their own and calls one."""
    builtins = "__import__('builtins')"
    arguments = f"{builtins}.globals()" + (f", {name!r}" if name is not None else "")
    expression = (
        f"(lambda carpo: ({builtins}.exec({_code('python.py')!r}, carpo), "
        f"carpo[{query!r}]({arguments}))[1])({{'__name__': 'carpo'}})"
    )
    result = await frontend.evaluate(
        kernel_id, expressions={"carpo": expression}, deadline=DEADLINE
    )
    answer = result.user_expressions.get("carpo")
    data = answer.get("data") if isinstance(answer, dict) else None
    shown = data.get("text/plain") if isinstance(data, dict) else None
    if not isinstance(shown, str):
        log.info("No %s: %s", query, answer)
        return None
    return str(ast.literal_eval(shown))


async def _ask_r(frontend: Frontend, kernel_id: str, query: str, name: str | None) -> str | None:
    """IRkernel has no user expressions, and prints nothing of silent code, but displays."""
    argument = json.dumps(name) if name is not None else ""
    call = f"IRdisplay::display_text(carpo_{query}({argument}))"
    code = f"try(local({{\n{_code('r.R')}\n{call}\n}}), silent = TRUE)"
    result = await frontend.evaluate(kernel_id, code, deadline=DEADLINE)
    for output in result.outputs:
        shown = output.get("data", {}).get("text/plain")
        if isinstance(shown, str):
            return shown
    return None


def _code(file: str) -> str:
    return files("carpo_lsp.features.kernel_code").joinpath(file).read_text("utf-8")
