"""Options of cells: Quarto's `#| key: value`, knitr's chunk headers, jupytext's marker lines.

All readers are tolerant: what they do not understand stays a string or is left out.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from carpo_lsp.documents.positions import without_line_end

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WORDS = {
    "true": True,
    "yes": True,
    "t": True,
    "false": False,
    "no": False,
    "f": False,
    "null": None,
    "~": None,
}
_NUMBER = re.compile(r"[+-]?(?:\d+|(\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?)$")
_QUOTED = re.compile(r"(['\"])(.*)\1$")
_KNITR_PAIR = re.compile(r"([\w.-]+)\s*=\s*(.+)", re.DOTALL)
_TYPE = re.compile(r"(?:^|\s)\[(markdown|md|raw|code)\](?=\s|$)")
_JSON = re.compile(r"(?:^|\s)(\{.*\})\s*$")
_PAIR = re.compile(
    r"(?:^|(?<=\s))([A-Za-z_][\w.:-]*)="
    r"(\"(?:[^\"\\]|\\.)*\"|'[^']*'|\[[^\]]*\]|\{[^}]*\}|\S+)"
)


def scalar(text: str) -> Any:
    """A value as YAML and R write it: bool, None, int, float, string, or a flat list of them."""
    text = text.strip()
    if quoted := _QUOTED.match(text):
        return quoted[2]
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if number := _NUMBER.match(text):
        return float(text) if number[1] else int(text)
    if text.startswith("[") and text.endswith("]"):
        return [scalar(item) for item in split_list(text[1:-1])]
    return text


def split_list(text: str) -> list[str]:
    """The parts of `text` between commas that are in no quotes or brackets; no empty parts."""
    parts = [""]
    quote = ""
    depth = 0
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth <= 0:
            parts.append("")
            continue
        parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def yaml_scalar(text: str) -> Any:
    """`scalar` of the rest of a YAML line, which may end in a comment."""
    return scalar(text if _QUOTED.match(text.strip()) else re.sub(r"\s+#.*", "", text))


def option_lines(lines: Iterable[str], markers: Sequence[str]) -> dict[str, Any]:
    """The options in the `#| key: value` lines at the head of `lines`."""
    markers_pattern = "|".join(map(re.escape, markers))
    pattern = re.compile(rf"\s*(?:{markers_pattern})\|\s?(?:([\w.-]+):(?:\s+(.*))?)?")
    options = {}
    for line in lines:
        match = pattern.match(without_line_end(line))
        if match is None:
            break
        if match[1]:
            options[match[1]] = yaml_scalar(match[2] or "")
    return options


def chunk_options(text: str) -> dict[str, Any]:
    """The options of a knitr chunk header, less its braces and language: `a, eval=FALSE`."""
    options = {}
    for part in split_list(text):
        if pair := _KNITR_PAIR.match(part):
            options[pair[1]] = scalar(pair[2])
        else:
            options.setdefault("label", part)
    return options


def marker_options(text: str) -> tuple[str, str, dict[str, Any]]:
    """Title, cell type ("code" if none is named) and options of what follows a `# %%`."""
    options: dict[str, Any] = {}
    cell_type = "code"
    if match := _TYPE.search(text):
        cell_type = "markdown" if match[1] == "md" else match[1]
        text = text[: match.start()] + text[match.end() :]
    if match := _JSON.search(text):
        value = _json(match[1])
        if isinstance(value, dict):
            options |= value
            text = text[: match.start()]
    for match in _PAIR.finditer(text):
        options[match[1]] = _json(match[2])
    return _PAIR.sub("", text).strip(), cell_type, options


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return scalar(text)
