"""The fences of some lines of Markdown, and the anchors where parsing can be taken up again.

An anchor is the first line of a block outside lists and quotes, or of an item of a list that is in
nothing else, if it is in the first column, and a `#` heading, a fence, an item, or below a blank
line. What stands above an anchor means nothing to what follows, and that nothing above goes on in
it is known from it and the lines above. So if lines are parsed from an anchor, or from the start,
what is found above another anchor does not depend on what is below that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.token import Token


class Fence(Struct, frozen=True):
    """What an edit elsewhere does not change in a fence: its opening line, and how it ends.

    `language` is None where it is no cell. `top` is false inside lists and quotes.
    """

    info: str
    prefix: str
    closed: bool
    top: bool
    language: str | None


# A fence with its first line, and the line after it.
Found = tuple[int, int, Fence]


class Raw(Struct, frozen=True):
    """A block outside lists and quotes that the first line that `closing` matches ends, whatever
    stands before that: a fence, or HTML like a comment. `kinds` of `CLOSES` hold all such lines."""

    start: int
    closing: re.Pattern[str]
    is_fence: bool
    kinds: tuple[str, ...]

    def ends(self, line: str) -> bool:
        return self.closing.match(line) is not None


class Parsed(Struct, frozen=True):
    """What some lines hold, all by their numbers in the whole text.

    `raw` is the last block, where that is one of which only the end matters.
    """

    fences: list[Found]
    anchors: list[int]
    raw: Raw | None = None


class FenceParser:
    """Parses with markdown-it. `language` gives the kernel language of an info string."""

    def __init__(self, language: Callable[[str], str | None]) -> None:
        self._language = language
        self._parser: MarkdownIt | None = None

    def parse(self, lines: Sequence[str], start: int, stop: int) -> Parsed:
        """The fences and anchors among the lines from `start`, an anchor or where the text begins.

        What comes below the last anchor is right only where `stop` is the end of the text.
        """
        fences: list[Found] = []
        anchors: list[int] = []
        raw = None
        for token in self._markdown_it().parse("".join(lines[start:stop])):
            if token.map is None or token.nesting < 0:
                continue
            first, end = token.map[0] + start, token.map[1] + start
            line = lines[first]
            top = token.level == 0
            item = token.level == 1 and token.type == "list_item_open"
            if (top or item) and first > start and line[0] not in " \t":
                ends_paragraphs = item or token.type == "fence" or line[0] == "#"
                if ends_paragraphs or is_blank(lines[first - 1]):
                    if anchors[-1:] != [first]:  # a list starts with its first item
                        anchors.append(first)
            if top:
                raw = _raw(token, first, line)
            if token.type == "fence":
                content = token.content.count("\n") + (token.content[-1:] not in ("", "\n"))
                closed = end - first - 1 > content
                if top and not closed:
                    end = stop  # the parser leaves an empty last line out
                prefix = line[: line.index(token.markup)]
                info = token.info.strip()
                fence = Fence(info, prefix, closed, top, self._language(info))
                fences.append((first, end, fence))
        return Parsed(fences, anchors, raw)

    def _markdown_it(self) -> MarkdownIt:
        if self._parser is None:
            # Costs 70 ms once; most documents are no prose.
            from markdown_it import MarkdownIt

            # Inline markup holds no cells, and is most of the work.
            self._parser = MarkdownIt("commonmark").disable("inline")
        return self._parser


def is_blank(line: str) -> bool:
    """Whether Markdown takes a line for an empty one."""
    return not line.strip(" \t\r\n")


# What opens HTML that goes on over blank lines, what a line that closes it holds, and its pattern.
_HTML = [
    (re.compile(opening, re.IGNORECASE), mark, re.compile(f".*{closing}", re.IGNORECASE))
    for opening, mark, closing in (
        (r"<!--", "-->", "-->"),
        (r"<(?:script|pre|style|textarea)(?:\s|>|$)", "</", "</(?:script|pre|style|textarea)>"),
        (r"<\?", "?>", r"\?>"),
        (r"<!\[CDATA\[", "]]>", r"\]\]>"),
    )
]


def _closes(mark: str, pattern: re.Pattern[str]) -> Callable[[str], bool]:
    # Most lines do not hold the mark, and `in` is quicker than a pattern.
    return lambda line: mark in line and pattern.match(line) is not None


def _fence_end(mark: str, times: str) -> re.Pattern[str]:
    return re.compile(rf" {{0,3}}{mark}{times}[ \t]*[\r\n]*$")


CLOSES: Final[dict[str, Callable[[str], bool]]] = {
    "```": _closes("```", _fence_end("`", "{3}")),
    "~~~": _closes("~~~", _fence_end("~", "{3}")),
    "````": _closes("````", _fence_end("`", "{4,}")),
    "~~~~": _closes("~~~~", _fence_end("~", "{4,}")),
    **{mark: _closes(mark, closing) for _, mark, closing in _HTML},
}
"""Tells, by kind, whether a line could be the last one of a `Raw` block."""


_OPENS_BLOCK = re.compile(r"[ \t>*+\-0-9.)]*(?:```|~~~|<)")


def opens_block(line: str) -> bool:
    """Whether a line could open a fence or HTML, in whatever lists and quotes it stands."""
    return _OPENS_BLOCK.match(line) is not None


def _raw(token: Token, first: int, line: str) -> Raw | None:
    if token.type == "fence":
        mark, length = token.markup[0], len(token.markup)
        kinds = (mark * 3, mark * 4) if length == 3 else (mark * 4,)
        return Raw(first, _fence_end(mark, f"{{{length},}}"), is_fence=True, kinds=kinds)
    if token.type == "html_block":
        for opening, mark, closing in _HTML:
            if opening.match(line.lstrip(" ")):
                return Raw(first, closing, is_fence=False, kinds=(mark,))
    return None
