"""Outputs as text: the best form that a terminal or a Markdown viewer can show, safe and bounded.

What a kernel sends is a stranger's text. As Markdown it keeps its looks, but no raw HTML, no image
and no link but to the web, so that no viewer runs or fetches anything for it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carpo_lsp.kernels.events import Output

LIMIT: Final = 100_000
"""Characters of one output that are shown; of more, the beginning and the end."""

IMAGES: Final = {"image/png": "png", "image/jpeg": "jpg", "image/svg+xml": "svg"}
"""The pictures that can be saved, the better form first, and the endings of their files."""

_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor movements
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, links
    r"|\x1b[@-Z\\^_=>()][0-9A-Za-z]?"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")
_MOVE = re.compile(r"(\r|\n|\x08|\x1b\[\d{0,4}[AK])")
_REPR = re.compile(r"<[^\n]*>\s*")
_TAG = re.compile(r"</?[A-Za-z!][^>]*>")
_FENCES = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)


def without_escapes(text: str) -> str:
    """Text without terminal sequences and control characters; keeps tabs and line ends."""
    return _CONTROL.sub("", _ESCAPE.sub("", text))


def settled(text: str) -> str:
    r"""What a terminal shows after printing `text`: `\r`, backspace and cursor-up have done their
    work, colours are gone."""
    text = bounded(text).replace("\r\n", "\n")
    if "\r" in text or "\x08" in text or "\x1b[" in text:
        text = _played(text)
    return without_escapes(text)


def _played(text: str) -> str:
    """The lines left when the cursor movements of `text` have been made."""
    lines, row, column = [""], 0, 0
    for part in _MOVE.split(text):
        match part[-1:]:
            case "\r":
                column = 0
            case "\n":
                row, column = row + 1, 0
                if row == len(lines):
                    lines.append("")
            case "\x08":
                column = max(0, column - 1)
            case "A" if part.startswith("\x1b["):
                row = max(0, row - int(part[2:-1] or 1))
            case "K" if part.startswith("\x1b["):
                lines[row] = "" if part[2:-1] == "2" else lines[row][:column]
            case _:
                if part := without_escapes(part):
                    line = lines[row].ljust(column)
                    lines[row] = line[:column] + part + line[column + len(part) :]
                    column += len(part)
    return "\n".join(lines)


def bounded(text: str, limit: int = LIMIT) -> str:
    """Text of at most about `limit` characters: the beginning and the end of a longer one."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def clipped(text: str, columns: int) -> str:
    """One line of at most `columns` columns of a terminal, where some characters take two."""
    line = " ".join(text[: 20 * columns].split())
    width = 0
    for index, character in enumerate(line):
        size = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width + size > columns or (width + size == columns and index < len(line) - 1):
            return line[:index].rstrip() + "…"
        width += size
    return line


# An output in one line


def summary(outputs: Sequence[Output]) -> str:
    """The last result or text among outputs as one line of some length, empty when none says
    anything. Errors are not results."""
    for output in reversed(outputs):
        if line := _line_of(output):
            return line
    return ""


def _line_of(output: Output) -> str:
    if output["output_type"] == "stream":
        lines = settled(output["text"][-2000:]).strip().splitlines()
        return lines[-1].strip() if lines else ""
    if output["output_type"] == "error":
        return ""
    return " ".join(plain(output)[:2000].split())


def as_text(output: Output) -> str:
    """Any output as plain text."""
    match output["output_type"]:
        case "stream":
            return settled(output["text"]).strip("\n")
        case "error":
            return error_text(output)
    return plain(output).strip("\n")


def plain(output: Output) -> str:
    """The plain text of a display or result; its kind in words where it has none."""
    data = output.get("data") or {}
    text = data.get("text/plain")
    if isinstance(text, str) and not _is_bare_repr(text):
        return without_escapes(bounded(text))
    for kind in ("text/markdown", "text/latex"):
        if isinstance(data.get(kind), str):
            return without_escapes(bounded(data[kind]))
    if pictures := [kind for kind in data if kind.startswith("image/")]:
        return f"[{pictures[0].removeprefix('image/').removesuffix('+xml')} image]"
    if isinstance(data.get("application/json"), (dict, list)):
        return bounded(json.dumps(data["application/json"], ensure_ascii=False))
    if isinstance(data.get("text/html"), str):
        words = without_escapes(_TAG.sub(" ", _without_scripts(bounded(data["text/html"]))))
        return _unescape(words).strip() or "[HTML]"
    return without_escapes(text) if isinstance(text, str) else ""


def _is_bare_repr(text: str) -> bool:
    """Whether a plain text only says that there is a better form, as `<Figure size 640x480>`."""
    return len(text) < 200 and _REPR.fullmatch(text) is not None


# An output as Markdown


def markdown(output: Output) -> str:
    """An output as Markdown blocks, without its pictures; empty when nothing is to be shown."""
    match output["output_type"]:
        case "stream":
            return fenced(settled(output["text"]).strip("\n"))
        case "error":
            return fenced(error_text(output), "pytb")
    data = output.get("data") or {}
    html, marked, text = (data.get(f"text/{kind}") for kind in ("html", "markdown", "plain"))
    if isinstance(html, str) and "<table" in html.lower():
        from carpo_lsp.features.tables import tables_to_markdown

        if tables := tables_to_markdown(html):
            return neutral(bounded(tables))
    if isinstance(marked, str) and not (isinstance(text, str) and not _is_bare_repr(text)):
        return neutral(closed(bounded(marked)).strip("\n"))
    if isinstance(data.get("application/json"), (dict, list)) and (
        not text or _is_bare_repr(str(text))
    ):
        shown = json.dumps(data["application/json"], indent=2, ensure_ascii=False)
        return fenced(bounded(shown), "json")
    if any(kind in data for kind in IMAGES) and (not text or _is_bare_repr(str(text))):
        return ""
    return fenced(plain(output).strip("\n"))


def error_text(error: dict[str, Any]) -> str:
    """The traceback of an error, or its name and value where there is none."""
    lines = "\n".join(error.get("traceback") or ())
    if not lines.strip():
        lines = ": ".join(part for part in (error.get("ename"), error.get("evalue")) if part)
    return settled(lines).strip("\n")


def fenced(text: str, language: str = "text") -> str:
    """Text in a fence that nothing in it can close; empty for nothing."""
    if not text.strip():
        return ""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def closed(text: str) -> str:
    """Markdown whose last fence is closed, so that it does not swallow what follows."""
    opened = ""
    for run in _FENCES.findall(text):
        if not opened:
            opened = run
        elif run[0] == opened[0] and len(run) >= len(opened):
            opened = ""
    return f"{text}\n{opened}" if opened else text


def neutral(text: str) -> str:
    """Markdown of a stranger without raw HTML, images and links but those to the web."""
    text = without_escapes(text)
    text = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)
    text = text.replace("![", "!\\[").replace("]:", "]\\:")
    return re.sub(r"\]\((?!https?://[^\s()<>&\\]*\))", "]\\(", text)


def without_modelines(text: str) -> str:
    """Text in which neither Vim nor Emacs finds settings for the file it stands in."""
    return re.sub(r"(?i)(\b(?:vim?|ex)\b[<=>\d]*|local variables):", "\\1\u200b:", text)


def _without_scripts(html: str) -> str:
    return re.sub(r"(?is)<(script|style)\b.*?(?:</\1\s*>|$)", "", html)


def _unescape(text: str) -> str:
    from html import unescape  # a large table, for a rare case

    return re.sub(r"\s*\n\s*", "\n", unescape(text))
