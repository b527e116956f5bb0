"""The YAML header of a document: which kernel, language or engine it asks for.

Only these few keys matter here, so a reader of nested `key: value` lines does; no YAML parser.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from carpo_lsp.documents.languages import kernel_language
from carpo_lsp.documents.options import yaml_scalar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Header(Struct, frozen=True):
    """What a header says. `end_line` is the line after it; what it leaves open is None.

    `kernel` is a kernelspec's name, `language` a kernel language, `engine` Quarto's ("knitr").
    """

    end_line: int
    kernel: str | None = None
    language: str | None = None
    engine: str | None = None


_RULE = re.compile(r"---[ \t]*[\r\n]*$")
_END = re.compile(r"(?:---|\.\.\.)[ \t]*[\r\n]*$")
# What may stand before a script's header.
_INTERPRETER = re.compile(r"#!|#.*coding[:=]")
_ENTRY = re.compile(r"( *)([\w.-]+):(?:\s+(.*\S))?\s*$")
_FLOW_NAME = re.compile(r"\bname\s*:\s*['\"]?([\w.+-]+)")
_FLOW_LANGUAGE = re.compile(r"\blanguage\s*:\s*['\"]?([\w.+#-]+)")


def may_open_header(lines: Sequence[str]) -> bool:
    """Whether the text starts as a YAML block does, closed or not."""
    # A rule and a blank line is a thematic break.
    return bool(_RULE.match(lines[0])) and len(lines) > 1 and lines[1].strip() != ""


def ends_header(line: str) -> bool:
    """Whether a line ends a YAML block that has been opened."""
    return line.startswith(("---", "...")) and _END.match(line) is not None


def front_matter(lines: Sequence[str], end_line: int) -> Header:
    """The header of a markdown document: a `---` block at its start, up to `end_line`."""
    return _read(lines[1 : end_line - 1], end_line)


def script_header(lines: Sequence[str], markers: Sequence[str]) -> Header | None:
    """The header of a script, as jupytext writes it: commented, between two `# ---`."""
    start = 0
    while start < len(lines) and _INTERPRETER.match(lines[start]):
        start += 1
    comment = re.compile(rf"(?:{'|'.join(map(re.escape, markers))}) ?")
    content: list[str] = []
    for number in range(start, len(lines)):
        match = comment.match(lines[number])
        if match is None:
            return None
        rest = lines[number][match.end() :]
        if number == start:
            if not _RULE.match(rest):
                return None
        elif _RULE.match(rest):
            return _read(content, number + 1)
        else:
            content.append(rest)
    return None


def _read(lines: Iterable[str], end_line: int) -> Header:
    """The keys we know, as paths through the nesting the indents tell."""
    values: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in lines:
        match = _ENTRY.match(line)
        if match is None:
            continue
        indent = len(match[1])
        while path and path[-1][0] >= indent:
            path.pop()
        path.append((indent, match[2]))
        values[".".join(key for _, key in path)] = match[3] or ""
    kernel = language = None
    # Quarto and jupytext nest the kernelspec under `jupyter`, MyST does not.
    for key in ("jupyter", "jupyter.kernelspec", "kernelspec"):
        if (value := values.get(key, "")).startswith("{"):
            kernel = kernel or _first(_FLOW_NAME.search(value))
            language = language or _first(_FLOW_LANGUAGE.search(value))
    kernel = kernel or _text(values, "jupyter.kernelspec.name", "kernelspec.name", "jupyter")
    language = language or _text(values, "jupyter.kernelspec.language", "kernelspec.language")
    engine = _text(values, "engine") or ("knitr" if "knitr" in values else None)
    return Header(end_line, kernel, kernel_language(language) if language else None, engine)


def _first(match: re.Match[str] | None) -> str | None:
    return match[1] if match else None


def _text(values: dict[str, str], *keys: str) -> str | None:
    """The first of these that is a plain word."""
    for key in keys:
        value = yaml_scalar(values.get(key, ""))
        if isinstance(value, str) and value and not value.startswith("{"):
            return value
    return None
