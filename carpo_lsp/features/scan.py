"""A quick look at code before the cursor: is it in a string, what is called there?

No parser: code that is being written is rarely correct. Strings, comments and brackets are told
apart, by the rules of Python, R, and what most languages share.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from msgspec import Struct

from carpo_lsp.documents.languages import comment_markers

_OPENING: Final = {"(": ")", "[": "]", "{": "}"}

_TRIPLE: Final = frozenset({"python", "julia", "scala", "kotlin", "java"})
"""Languages with strings in three quotes."""

_MULTILINE: Final = frozenset({"r", "ruby", "perl", "php", "bash", "lua", "julia", "rust", "sql"})
"""Languages whose plain strings may go over lines."""

_NAME: Final = re.compile(r"[\w.]*\w$")
_R_NAME: Final = re.compile(r"(?:[\w.]+|`[^`\n]+`)(?:(?:::?:?|\$|@)(?:[\w.]+|`[^`\n]+`))*$")
_MAGIC: Final = re.compile(r"^[ \t]*%{1,2}\Z", re.MULTILINE)
_NOT_CALLED: Final = frozenset(
    "and assert async await class def del elif else except for from function func fn if import in "
    "is lambda not or raise repeat return switch while with yield".split()
)


class Bracket(Struct, frozen=True):
    """A bracket that is open at the cursor."""

    kind: str
    start: int
    """Its offset in the code."""
    arguments: tuple[int, ...]
    """Where each argument so far begins: behind the bracket and behind each comma."""


class Scan(Struct, frozen=True):
    """What stands open at the cursor."""

    in_code: bool
    """False inside a string or a comment."""
    brackets: tuple[Bracket, ...]
    """From the outermost inwards."""


class Call(Struct, frozen=True):
    """A call that the cursor is in the arguments of."""

    name: str
    argument: int
    """Number of the argument at the cursor, from 0."""
    keyword: str | None
    """The name that argument is given by, where it is."""


def scan(code: str, cursor: int, language: str) -> Scan:
    """Look at the code up to `cursor`, a code point."""
    signs = _signs(language)
    brackets: list[tuple[str, int, list[int]]] = []
    position = 0
    while (sign := signs.search(code, position, cursor)) is not None:
        position = sign.end()
        if sign["comment"]:
            position = code.find("\n", position, cursor)
            if position < 0:
                return Scan(False, _frozen(brackets))
        elif sign["quote"]:
            end = _end_of_string(code, sign.start(), language)
            if end is None or end > cursor:
                return Scan(False, _frozen(brackets))
            position = end
        elif sign[0] in _OPENING:
            brackets.append((sign[0], sign.start(), [position]))
        elif sign[0] == ",":
            if brackets:
                brackets[-1][2].append(position)
        else:
            while brackets and _OPENING[brackets.pop()[0]] != sign[0]:
                pass  # an opening one that was never closed
    return Scan(True, _frozen(brackets))


@functools.cache
def _signs(language: str) -> re.Pattern[str]:
    """What a scan has to look at."""
    comments = "|".join(map(re.escape, comment_markers(language)))
    quotes = "\"'" if language == "python" else "\"'`"
    return re.compile(rf"(?P<comment>{comments})|(?P<quote>[{quotes}])|[()\[\]{{}},]")


def call_at(code: str, cursor: int, language: str) -> Call | None:
    """The innermost call of something with a name whose arguments hold the cursor."""
    found = scan(code, cursor, language)
    for bracket in reversed(found.brackets):
        name = name_before(code, bracket.start, language) if bracket.kind == "(" else ""
        if not name or name in _NOT_CALLED or _is_definition(code, bracket.start, name):
            continue
        text = code[bracket.arguments[-1] :]
        keyword = re.match(r"\s*([^\W\d][\w.]*)\s*=(?!=)", text)
        return Call(name, len(bracket.arguments) - 1, keyword[1] if keyword else None)
    return None


def name_before(code: str, end: int, language: str) -> str:
    """The dotted name that ends at `end`; empty where it hangs on a call or an index."""
    text = code[:end].rstrip(" \t")
    match = (_R_NAME if language == "r" else _NAME).search(text)
    if match is None or (match[0][0] == "." and language != "r"):
        return ""
    before = text[: match.start()]
    if before.endswith((".", "$", "@", ":")) or match[0][0].isdigit():
        return ""
    return match[0]


def expression_before(code: str, end: int, language: str) -> str:
    """What to ask a kernel about the name that ends at `end`; empty where nothing can be asked.

    IPython, given all of the code, may tell of the call the name stands in instead. Of other
    languages we cannot tell names; their kernels get the code and find them.
    """
    if language not in ("python", "r"):
        return code[:end]
    name = name_before(code, end, language)
    magic = language == "python" and _MAGIC.search(code, 0, end - len(name))
    return "%" + name if magic else name


def name_at(code: str, cursor: int, language: str) -> tuple[str, int, int] | None:
    """The dotted name up to the end of the word at the cursor, and that word's start and end.

    None where there is no word, and inside strings and comments.
    """
    word = re.compile(r"`[^`\n]+`|[\w.]+" if language == "r" else r"\w+")
    line = code.rfind("\n", 0, cursor) + 1
    for match in word.finditer(code, line):
        if match.start() > cursor or "\n" in code[line : match.start()]:
            break
        if match.end() >= cursor:
            if not scan(code, match.start(), language).in_code:
                return None
            name = name_before(code, match.end(), language)
            return (name, match.start(), match.end()) if name else None
    return None


def _is_definition(code: str, start: int, name: str) -> bool:
    before = code[:start].rstrip(" \t").removesuffix(name).rstrip(" \t")
    return re.search(r"\b(def|class|function|func|fn)$", before) is not None


def _end_of_string(code: str, start: int, language: str) -> int | None:
    """Where the string that begins at `start` ends; None when it is open to the end of the code.

    One that its line does not close ends with the line.
    """
    quote = code[start]
    if language in _TRIPLE and code.startswith(quote * 3, start):
        end = code.find(quote * 3, start + 3)
        return end + 3 if end >= 0 else None
    position = start + 1
    while position < len(code):
        character = code[position]
        if character == "\\":
            position += 1
        elif character == quote:
            return position + 1
        elif character == "\n" and language not in _MULTILINE:
            return position + 1
        position += 1
    return None


def _frozen(brackets: list[tuple[str, int, list[int]]]) -> tuple[Bracket, ...]:
    return tuple(Bracket(kind, start, tuple(arguments)) for kind, start, arguments in brackets)
