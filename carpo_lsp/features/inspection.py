"""What kernels say of a thing, made readable: from the data of an inspect reply to Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from carpo_lsp.features.texts import bounded, closed, fenced, neutral, plain, without_escapes

if TYPE_CHECKING:
    from collections.abc import Mapping

_OVERSTRUCK = re.compile(r".\x08")

# IPython colours its headings; without colours they are told from text by their names.
_COLOURED = re.compile(r"^\x1b\[[0-9;]*m([A-Z][\w ]*):\x1b\[[0-9;]*m[ \t]*", re.MULTILINE)
_NAMED = re.compile(
    r"^((?:Init |Call )?[Ss]ignature|(?:Class |Init |Call )?[Dd]ocstring|Type|String form|Length|"
    r"Namespace|Base Class|Source|File|Subclasses):[ \t]*",
    re.MULTILINE,
)
_R_HEADING = re.compile(r"^# (Class attribute|Printed form|Help document):\n", re.MULTILINE)
_R_UNKNOWN = re.compile(r"No documentation for .*? in specified packages", re.DOTALL)

_CLASSES: Final = frozenset(
    "bool bytes complex dict float frozenset int list NoneType range set str tuple".split()
)
"""Types whose docstring says nothing of a value."""

SIGNATURES: Final = ("Signature", "Init signature", "Call signature")

SHOWN_APART: Final = (
    *("Type", "Class attribute", "String form", "Printed form", "Length"),
    *("Source", "File", "Subclasses"),
)

LIMIT: Final = 20_000
"""Characters of one help text that are shown; some help pages are books."""


class Section(Struct, frozen=True):
    """A titled part of a help text; the title is empty for text before the first heading."""

    title: str
    text: str


def clean(text: str) -> str:
    """Text without colours, and without the overstriking of manual pages."""
    return without_escapes(_OVERSTRUCK.sub("", text))


def sections(data: Mapping[str, Any]) -> list[Section]:
    """The parts of an inspect reply's plain text, without ANSI codes; empty when nothing is known.

    IPython and IRkernel have headings; what others say is one section without a title.
    """
    text = _text(data, "text/plain")
    if "\x1b" in text and _COLOURED.search(text):
        heading = _COLOURED
    elif _R_HEADING.search(text):
        heading = _R_HEADING
    else:
        heading = _NAMED
    found = list(heading.finditer(text))
    parts = [Section("", text[: found[0].start()] if found else text)]
    ends = [*(match.start() for match in found[1:]), len(text)]
    parts += [
        Section(match[1], text[match.end() : end]) for match, end in zip(found, ends, strict=False)
    ]
    cleaned = [Section(part.title, clean(part.text).strip("\n")) for part in parts]
    return [part for part in cleaned if not _R_UNKNOWN.match(part.text) and part.text.strip()]


def signature_of(parts: list[Section]) -> str | None:
    """How the thing is called, on one line: `f(a, b=1) -> str`."""
    for part in parts:
        if part.title in SIGNATURES:
            return one_line(part.text)
    return None


def docstring_of(parts: list[Section]) -> str:
    """What the thing is for, empty when nobody has said."""
    texts = [part.text for part in parts if "ocstring" in part.title]
    return "\n\n".join(_dedent(text) for text in texts if text.strip() != "<no docstring>")


def one_line(signature: str) -> str:
    """A signature that was laid out over lines, on one."""
    text = " ".join(signature.split())
    return text.replace("( ", "(").replace(",)", ")").replace(", )", ")")


def to_markdown(data: Mapping[str, Any], language: str) -> str | None:
    """What an inspect reply says, as Markdown; None when it says nothing."""
    if text := _text(data, "text/markdown"):
        return neutral(closed(bounded(text, LIMIT)))
    blocks = _blocks(data, language)
    rendered = [
        neutral(text) if language is None else fenced(text, language) for text, language in blocks
    ]
    return "\n\n".join(rendered) or None


def to_plain(data: Mapping[str, Any]) -> str | None:
    """What an inspect reply says, as plain text; None when it says nothing."""
    blocks = [
        text if language is not None else text.replace("**", "")
        for text, language in _blocks(data, "")
    ]
    return "\n\n".join(blocks) or None


def _blocks(data: Mapping[str, Any], language: str) -> list[tuple[str, str | None]]:
    """Texts in the order to show them, each with its code fence's language (None: prose)."""
    known = (*SIGNATURES, *SHOWN_APART)
    parts = sections(data)
    if not parts and "text/plain" not in data and (text := plain({"data": dict(data)})):
        parts = [Section("", text)]
    titled = {part.title: part.text.strip("\n") for part in parts}
    blocks: list[tuple[str, str | None]] = []
    if signature := signature_of(parts):
        blocks.append((signature, language))
    kind = titled.get("Type") or titled.get("Class attribute", "").removeprefix("[1] ")
    kind = kind.strip('" \n')
    value = titled.get("String form") or titled.get("Printed form")
    if value is not None:
        length = f", length {titled['Length'].strip()}" if "Length" in titled else ""
        blocks.append((f"**{kind}**{length}", None))
        blocks.append((value, language))
        titled.pop("Help document", None)  # of some function of the same name
    if kind not in _CLASSES and (docstring := docstring_of(parts)):
        blocks.append((docstring, "text"))
    if source := titled.get("Source"):
        blocks.append((source, language))
    blocks += [
        (_dedent(text), "text")
        for title, text in titled.items()
        if title not in known and "ocstring" not in title
    ]
    file = titled.get("File", "").strip()
    if file and "ipykernel_" not in file:  # those are the names of cells
        blocks.append((f"Defined in {file}", None))
    if not blocks and kind:
        blocks.append((f"**{kind}**", None))
    return [(bounded(text, LIMIT), language) for text, language in blocks]


def _text(data: Mapping[str, Any], mime: str) -> str:
    text = data.get(mime)
    if isinstance(text, list):
        return "".join(map(str, text))
    return text if isinstance(text, str) else ""


def _dedent(text: str) -> str:
    """Text without the indent its lines share, the first line aside, and without outer blanks."""
    lines = text.strip("\n").rstrip().expandtabs().split("\n")
    rest = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    indent = min(rest, default=0)
    return "\n".join([lines[0].strip(), *(line[indent:].rstrip() for line in lines[1:])])
