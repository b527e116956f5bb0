"""The fences of some lines of Markdown, and the anchors where parsing can be taken up again.

An anchor is the first line of a fence, or a `#` heading in the first column, outside lists and
quotes. Such a line ends whatever stands above it and is all that is looked at to know that, and
what stands above means nothing to what follows. So if lines are parsed from an anchor, or from the
start, what is found above an anchor does not depend on the lines below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@attrs.frozen
class Fence:
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


def find_fences(
    lines: Sequence[str], start: int, stop: int, language: Callable[[str], str | None]
) -> tuple[list[Found], list[int]]:
    """The fences and the anchors among the lines from `start`, an anchor or the body's start.

    `language` gives the kernel language of an info string. What comes below the last anchor is
    right only where `stop` is the end of the text.
    """
    # Costs 70 ms once; most documents are no prose.
    from markdown_it import MarkdownIt

    fences: list[Found] = []
    anchors: list[int] = []
    # Inline markup holds no cells, and is most of the work.
    parser = MarkdownIt("commonmark").disable("inline")
    for token in parser.parse("".join(lines[start:stop])):
        if token.map is None:
            continue
        first, end = token.map[0] + start, token.map[1] + start
        line = lines[first]
        top = token.level == 0
        if top and token.type == "heading_open" and line.startswith("#") and token.markup[0] == "#":
            anchors.append(first)
        if token.type != "fence":
            continue
        if top:
            anchors.append(first)
        content = token.content.count("\n") + (token.content[-1:] not in ("", "\n"))
        closed = end - first - 1 > content
        if top and not closed:
            end = stop  # the parser leaves an empty last line out
        prefix = line[: line.index(token.markup)]
        info = token.info.strip()
        fences.append((first, end, Fence(info, prefix, closed, top, language(info))))
    return fences, anchors
