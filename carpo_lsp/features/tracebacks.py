"""Errors of kernels as places: which line of the code that ran failed, and who called whom.

Places are read from tracebacks of IPython (all formats since 7), plain Python, R and Julia. What
has no place gives None, and the caller falls back to the start of the code.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, structs

from carpo_lsp.features.texts import without_escapes

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FRAMES: Final = 20
"""Frames that are told, of a deep recursion the last ones."""


class Frame(Struct, frozen=True):
    """A place in a traceback, outermost first. One of `count` and `path` says where it is."""

    line: int
    """Counted from 1, as the kernel counts: see `line_of`."""
    count: int | None = None
    """The execution count of the code, as in `In[3]`."""
    path: str | None = None
    function: str = ""


class Problem(Struct, frozen=True):
    """What went wrong in an execution."""

    title: str
    """One line: `ZeroDivisionError: division by zero`."""
    detail: str
    """What more the error says of itself, below the title."""
    line: int | None
    """The failing line of the code that ran, counted from 0; None where no traceback tells."""
    column: int | None
    """With a syntax error, the code point in that line."""
    frames: tuple[Frame, ...]
    """The frames outside the code that ran, and those in it but the failing one."""


def read(error: dict[str, Any], code: str, count: int | None, language: str) -> Problem:
    """An error output's place in `code`, which ran as number `count` in a kernel's `language`."""
    text = without_escapes("\n".join(error.get("traceback") or ()))
    title, _, detail = _message(error).partition("\n")
    lines = code.split("\n")
    if language == "r":
        line, column, frames = _read_r(text, _message(error), lines)
    else:
        line, column, frames = _read_python(text, error, code, count)
    if line is not None and not 0 <= line < len(lines):
        line = column = None
    return Problem(title, detail.strip("\n"), line, column, frames)


def _message(error: dict[str, Any]) -> str:
    ename = without_escapes(str(error.get("ename") or "")).strip()
    evalue = without_escapes(str(error.get("evalue") or "")).strip()
    evalue = _SYNTAX_PLACE.sub("", evalue).rstrip()
    if not ename or (ename == "ERROR" and evalue):  # R's errors have no names
        if evalue.isdigit():  # of bash's errors the exit code is all there is
            return f"The code failed with status {evalue}."
        return evalue or "The code failed."
    return f"{ename}: {evalue}" if evalue else ename


def line_of(code: str, line: int) -> int:
    """The line of `code`, counted from 0, that IPython calls `line`.

    It does not count the blank lines at the start, and of a cell with a cell magic it knows but
    one.
    """
    return line - 1 + _blank_lines(code)


def _blank_lines(code: str) -> int:
    first = re.search(r"\S", code)
    return code.count("\n", 0, first.start()) if first else 0


# Python

_NUMBERED = re.compile(
    r"^ *(?:Cell|Input) In ?\[(?P<count>\d+)\]"
    r"(?:, line (?P<line>\d+))?(?:, in (?P<name>[^\s(<]+))?",
)
_TEMPORARY = re.compile(
    r"^ *(?:File )?[\"']?<ipython-input-(?P<count>\d+)-\w+>[\"']?"
    r"(?:, line (?P<line>\d+))?(?::(?P<line2>\d+))?(?:,? in (?P<name>[^\s(<]+))?"
)
_MAGIC = re.compile(r"^File <(?:timed exec|magic-timeit)>:(?P<line>\d+)")
_FILE = re.compile(
    r"^ *File (?:\"(?P<path>[^\"]+)\", line (?P<line>\d+)|(?P<path2>[^\s<].*?):(?P<line2>\d+))"
    r"(?:, in (?P<name>[^\s(<]+))?"
)
_OLD_FILE = re.compile(r"^(?P<path>[~/]\S+\.py) in (?P<name>\w+)")
_JULIA = re.compile(r"@ (?:Main )?\S*In\[(?P<count>\d+)\]:(?P<line>\d+)")
_ARROW = re.compile(r"^-+> (\d+)(?!\d)")
# IPython's file names are of no use, and the line is where the diagnostic is.
_SYNTAX_PLACE = re.compile(r" *\((?:[^()]*\.py|<[^<>()]*>), line (\d+)\)\s*$")


def _read_python(
    text: str, error: dict[str, Any], code: str, count: int | None
) -> tuple[int | None, int | None, tuple[Frame, ...]]:
    frames = list(_frames(text))
    own = [frame for frame in frames if frame.count is not None and frame.count == count]
    inside = [frame for frame in frames if frame.path == "<magic>"]
    if inside:
        line: int | None = line_of(code, inside[-1].line + 1)
    elif own:
        line = line_of(code, own[-1].line)
    elif found := _SYNTAX_PLACE.search(str(error.get("evalue") or "")):
        line = line_of(code, int(found[1])) if not frames else None
    else:
        line = None
    failing = own[-1:]
    rest = [frame for frame in frames if frame not in failing and frame.path != "<magic>"]
    column = _caret(text, code.split("\n"), line) if line is not None else None
    return line, column, tuple(dict.fromkeys(rest[-MAX_FRAMES:]))


def _frames(text: str) -> Iterator[Frame]:
    """The frames of the last exception of a chain."""
    current: Frame | None = None
    # "Traceback (most recent call last)" begins each exception; before it are its causes.
    last = text.rfind("Traceback (most recent call last)")
    for line in text[max(0, last) :].split("\n"):
        found = _frame(line)
        if found is not None:
            if current is not None and current.line:
                yield current
            current = found
        elif current is not None and not current.line and (arrow := _ARROW.match(line)):
            current = structs.replace(current, line=int(arrow[1]))
    if current is not None and current.line:
        yield current


def _frame(line: str) -> Frame | None:
    if found := _NUMBERED.match(line) or _TEMPORARY.match(line):
        groups = found.groupdict()
        number = groups["line"] or groups.get("line2") or 0
        return Frame(int(number), count=int(groups["count"]), function=groups["name"] or "")
    if found := _MAGIC.match(line):
        return Frame(int(found["line"]), path="<magic>")
    if found := _FILE.match(line):
        path, number = found["path"] or found["path2"], found["line"] or found["line2"]
        return Frame(int(number), path=path, function=found["name"] or "")
    if found := _OLD_FILE.match(line):
        return Frame(0, path=found["path"], function=found["name"])
    if found := _JULIA.search(line):
        return Frame(int(found["line"]), count=int(found["count"]))
    return None


def _caret(text: str, lines: list[str], number: int) -> int | None:
    """Where a syntax error's caret points in a line; the traceback shows the line without its
    indent."""
    wanted = lines[number].strip() if number < len(lines) else ""
    shown = text.split("\n")
    for above, below in itertools.pairwise(shown):
        if wanted and above.strip() == wanted and re.fullmatch(r" *\^+ *", below):
            within = below.index("^") - (len(above) - len(above.lstrip()))
            indent = len(lines[number]) - len(lines[number].lstrip())
            return indent + max(0, within)
    return None


# R

_PARSE_ERROR = re.compile(r"<text>:(\d+):(\d+): ")
_CALL = re.compile(r"^(\d+)\. (.*?)(?: +# at line (\d+) of file (\S+))?$")
_MISSING = re.compile(
    r"object \W(?P<object>.+?)\W not found|could not find function \W(?P<function>.+?)\W$", re.M
)


def _read_r(
    text: str, message: str, lines: list[str]
) -> tuple[int | None, int | None, tuple[Frame, ...]]:
    """R tells lines of functions, but not of the statement that failed: that is looked up by the
    text of the outermost call, or by the name that was missing."""
    if found := _PARSE_ERROR.search(message):
        return int(found[1]) - 1, max(0, int(found[2]) - 1), ()
    calls = [found for line in text.split("\n") if (found := _CALL.match(line))]
    frames = tuple(
        Frame(int(call[3]), path=None if call[4] == "<text>" else call[4], function=call[2])
        for call in calls
        if call[3]
    )
    line = _find_call(calls[0][2], lines) if calls else None
    if line is None and (missing := _MISSING.search(message)):
        name = re.escape(missing["object"] or missing["function"])
        line = _first(rf"(?<![\w.]){name}(?![\w.])", lines)
    return line, None, frames[-MAX_FRAMES:]


def _find_call(call: str, lines: list[str]) -> int | None:
    """The line that makes a call, which R tells as it would write it itself."""
    wanted = _squeezed(call)
    for number, line in enumerate(lines):
        if wanted and wanted in _squeezed(line):
            return number
    name = re.match(r"[\w.:]+(?=\()", call)
    return _first(rf"(?<![\w.]){re.escape(name[0])}\s*\(", lines) if name else None


def _first(pattern: str, lines: list[str]) -> int | None:
    compiled = re.compile(pattern)
    return next((number for number, line in enumerate(lines) if compiled.search(line)), None)


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text).replace("'", '"')


def calls(code: str, frame: Frame) -> bool:
    """Whether the line of an R frame in `code` makes the frame's call: R does not tell which of
    the pieces of code it has read a line is in."""
    lines = code.split("\n")
    return (
        0 < frame.line <= len(lines)
        and _find_call(frame.function, [lines[frame.line - 1]]) is not None
    )
