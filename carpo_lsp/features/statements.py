"""The statement at a line of a cell: by its grammar, by asking the kernel, or by its shape.

Everything works on the lines of one cell's code and gives rows of them. Statements are whole
lines: two on one line are run together.
"""

from __future__ import annotations

import functools
import re
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from carpo_lsp.documents.languages import comment_markers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

PACK: Final = "tree-sitter-language-pack"

GRAMMARS: Final = {
    "bash": "bash",
    "c": "c",
    "c++": "cpp",
    "c#": "csharp",
    "clojure": "clojure",
    "common-lisp": "commonlisp",
    "elixir": "elixir",
    "fish": "fish",
    "go": "go",
    "haskell": "haskell",
    "javascript": "javascript",
    "julia": "julia",
    "kotlin": "kotlin",
    "lua": "lua",
    "ocaml": "ocaml",
    "perl": "perl",
    "php": "php",
    "powershell": "powershell",
    "python": "python",
    "r": "r",
    "ruby": "ruby",
    "rust": "rust",
    "scala": "scala",
    "scheme": "scheme",
    "typescript": "typescript",
}
"""The pack's name of the grammar of a kernel language."""

ASKS: Final = 50
"""Questions a kernel is asked about one statement."""

BEFORE: Final = 25
"""Blocks before the one in question that may be the beginning of the same statement."""

REACH: Final = 2000
"""Lines before and after a row among which its statement is looked for: what is parsed of a longer
cell holds everything else up."""

_MAGIC = re.compile(r"[%!?]|.*\?\s*$")
"""A line of IPython's own, which Python's grammar does not know."""

_CONTINUES = re.compile(
    r"\s|[)\]}]|\|>|%>%"
    r"|(?:else|elif|elsif|elseif|except|finally|catch|rescue|end|then|do|done|fi|esac)\b"
)
"""How a line begins that belongs to the one above."""

_STRING_OR_COMMENT = re.compile(
    r"#.*"
    r'|"""(?:[^\\"]+|\\[\s\S]|"(?!""))*+(?:"""|\Z)'
    r"|'''(?:[^\\']+|\\[\s\S]|'(?!''))*+(?:'''|\Z)"
    r'|"(?:[^"\\\n]+|\\.)*+"?'
    r"|'(?:[^'\\\n]+|\\.)*+'?"
)
"""Of Python, possibly without an end."""

_OPEN = re.compile(r".*(?:[(\[{,\\=&|]|(?<!\+)\+|\|>|->|=>|<-|%[^%\s]*%)\s*$")
"""How a line ends to which the one below belongs."""


class Rows(Struct, frozen=True):
    """Lines of a cell's code, half-open."""

    first: int
    end: int


def around(language: str, lines: Sequence[str], row: int) -> Rows:
    """The lines to look for the statement at a row in: about REACH on both sides of it, between
    two lines that look like the beginning of a statement."""
    if language == "python" and _cell_magic(lines) is not None:
        return Rows(0, len(lines))
    first, end = max(0, row - REACH), min(len(lines), row + REACH)
    if language == "python":
        first = _outside_string(lines, first)
    while first > 0 and not _begins(language, lines, first):
        first -= 1
    while end < len(lines) and not _begins(language, lines, end):
        end += 1
    return Rows(first, end)


def by_grammar(language: str, lines: Sequence[str], row: int) -> Rows | None:
    """The statement at a row, or the next one below it, by the language's grammar.

    None where there is no grammar, or none that understands the statement.
    """
    if language == "python" and (magic := _cell_magic(lines)) is not None:
        return magic
    parser = _parser(language)
    if parser is None:
        return None
    found = _parse(parser, lines, row)
    if found is None and language == "python":
        plain = ["pass" if _MAGIC.match(line) else line for line in lines]
        found = _parse(parser, plain, row)
    return found


async def by_asking(
    blocks: Sequence[Rows],
    lines: Sequence[str],
    row: int,
    ask: Callable[[str], Awaitable[str]],
) -> Rows | None:
    """The statement at a row, or below it, by what a kernel says is complete.

    `blocks` are those `near` the row; `ask` gives the status of an `is_complete_reply`. None
    where the answers do not tell.
    """
    target = _index_at(blocks, row)
    start = 0
    for index, block in enumerate(blocks):
        # A line end closes what is indented.
        code = "\n".join([*lines[blocks[start].first : block.end], ""])
        status = await ask(code)
        if status == "incomplete":
            continue
        if status == "unknown" or (index >= target and status != "complete"):
            return None
        if index >= target:
            return Rows(blocks[start].first, block.end)
        start = index + 1
    return None


def near(blocks: Sequence[Rows], row: int) -> Sequence[Rows]:
    """The blocks that may be parts of the statement at a row; as many as a kernel is asked of."""
    first = max(0, _index_at(blocks, row) - BEFORE)
    return blocks[first : first + ASKS]


def by_shape(blocks: Sequence[Rows], row: int) -> Rows | None:
    """The block of lines at a row, or below it; None when there is nothing but comments."""
    index = _index_at(blocks, row)
    return blocks[index] if index < len(blocks) else None


def blocks_of(language: str, lines: Sequence[str]) -> list[Rows]:
    """The lines cut into what looks like statements, by indents, brackets and operators.

    Comments and blank lines are in none, unless they are inside one.
    """
    comments = comment_markers(language)
    blocks: list[Rows] = []
    is_open = False
    for number, line in enumerate(lines):
        text = line.strip()
        if not text or text.startswith(comments):
            is_open = is_open and bool(text)  # a blank line ends what an operator left open
        elif blocks and (is_open or _CONTINUES.match(line)):
            blocks[-1] = Rows(blocks[-1].first, number + 1)
            is_open = _leaves_open(language, line)
        else:
            blocks.append(Rows(number, number + 1))
            is_open = _leaves_open(language, line)
    return blocks


def _outside_string(lines: Sequence[str], number: int) -> int:
    """A line of Python, or where the string begins that it is in: what a docstring holds may look
    like the beginning of statements."""
    text = "".join(f"{line}\n" for line in lines[:number])
    for match in _STRING_OR_COMMENT.finditer(text):
        if match.end() == len(text):  # with its last line end, so the string goes on
            return text.count("\n", 0, match.start())
    return number


def _begins(language: str, lines: Sequence[str], number: int) -> bool:
    """Whether a line, which is not the first, looks like the beginning of a statement."""
    line = lines[number]
    continues = not line.strip() or _CONTINUES.match(line) is not None
    return not continues and not _leaves_open(language, lines[number - 1])


def _leaves_open(language: str, line: str) -> bool:
    decorator = language in ("python", "javascript", "typescript") and line.startswith("@")
    return decorator or _OPEN.match(line) is not None


def _index_at(blocks: Sequence[Rows], row: int) -> int:
    """The index of the first block that ends after a row, the number of blocks if none does."""
    return next((index for index, block in enumerate(blocks) if block.end > row), len(blocks))


def _cell_magic(lines: Sequence[str]) -> Rows | None:
    """All of a cell that begins with a magic of the kind that takes the whole of it."""
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None or not lines[first].startswith("%%"):
        return None
    return Rows(first, len(lines))


@functools.cache
def _parser(language: str) -> Any:
    """The parser of a language, None where there is none.

    Versions of the pack from 1.0 on have no grammars of their own but fetch them from the
    network when they are used: those are not asked.
    """
    from importlib import metadata  # only now: it reads e-mail headers and archives

    name = GRAMMARS.get(language)
    try:
        if name is None or not metadata.version(PACK).startswith("0."):
            return None
        return import_module("tree_sitter_language_pack").get_parser(name)
    except (ImportError, LookupError):
        return None


def _parse(parser: Any, lines: Sequence[str], row: int) -> Rows | None:
    # A lone surrogate is one character to us; what it is to the grammar does not matter.
    tree = parser.parse("\n".join(lines).encode("utf-8", "replace"))
    for group in _groups(tree.root_node.named_children):
        last, column = group[-1].end_point
        end = max(node.end_point.row for node in group)
        if column == 0 and last == end:
            end -= 1
        if end >= row:
            sound = not any(node.has_error for node in group)
            return Rows(group[0].start_point.row, end + 1) if sound else None
    return None


def _groups(nodes: Sequence[Any]) -> Iterator[list[Any]]:
    """Statements, together with those that share a line with them; no comments."""
    statements = [node for node in nodes if "comment" not in node.type]
    starts = [0] + [
        index
        for index, (upper, lower) in enumerate(pairwise(statements), start=1)
        if lower.start_point.row > upper.end_point.row
    ]
    for start, end in pairwise([*starts, len(statements)]):
        if start < end:
            yield statements[start:end]
