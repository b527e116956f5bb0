"""textDocument/signatureHelp: the parameters of the call under the cursor, from inspect."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from lsprotocol import types
from msgspec import Struct

from carpo_lsp.documents.positions import Encoding, from_code_points
from carpo_lsp.features import inspection, queries
from carpo_lsp.features.asking import Asked, asked_at, inspected
from carpo_lsp.features.scan import Call, call_at, scan
from carpo_lsp.features.texts import fenced

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from carpo_lsp.workspace.client import Client
    from carpo_lsp.workspace.workspace import Workspace

USAGES: Final = 10
"""Forms of one function that are offered; R's help pages may name dozens."""


class Parameter(Struct, frozen=True):
    """A parameter in a signature, which reads from `start` to `end` of its label."""

    name: str
    start: int
    end: int

    @property
    def takes_many(self) -> bool:
        return self.name == "..." or (self.name.startswith("*") and not self.takes_names)

    @property
    def takes_names(self) -> bool:
        return self.name.startswith("**")


def signature_help(
    workspace: Workspace, params: types.SignatureHelpParams
) -> Awaitable[types.SignatureHelp | None] | types.SignatureHelp | None:
    """How what is called at the cursor is called; None when the kernel cannot tell now."""
    asked = asked_at(workspace, params)
    if asked is None:
        return None
    call = call_at(asked.code, asked.cursor, asked.language)
    return None if call is None else _ask(workspace, asked, call)


async def _ask(workspace: Workspace, asked: Asked, call: Call) -> types.SignatureHelp | None:
    data = await inspected(workspace, asked.kernel_id, call.name, len(call.name)) or {}
    parts = inspection.sections(data)
    label = inspection.signature_of(parts)
    documentation = inspection.docstring_of(parts)
    labels = [label] if label else []
    if asked.language == "r" and not label:
        labels = usages(inspection.clean(str(data.get("text/plain") or "")), call.name)
        own = await queries.signature(workspace.frontend, asked.kernel_id, "r", call.name)
        # What the function says of itself comes first: the page may be about another one.
        labels = [own, *(each for each in labels if each != own)] if own else labels
    if not labels:
        return None
    signatures = [
        information(workspace.client, each, documentation, call) for each in labels[:USAGES]
    ]
    return types.SignatureHelp(
        signatures=signatures,
        active_signature=0,
        active_parameter=signatures[0].active_parameter,
    )


def information(
    client: Client, label: str, documentation: str, call: Call
) -> types.SignatureInformation:
    """A signature with its parameters, in the forms the client declares."""
    found = parameters(label)
    capability = "textDocument.signatureHelp.signatureInformation"
    by_offset = client.can(f"{capability}.parameterInformation.labelOffsetSupport")

    def place(parameter: Parameter) -> str | tuple[int, int]:
        if not by_offset:
            return label[parameter.start : parameter.end]
        # Offsets in labels are UTF-16 ones, whatever has been agreed on for documents.
        return (
            from_code_points(label, parameter.start, Encoding.UTF16),
            from_code_points(label, parameter.end, Encoding.UTF16),
        )

    formats = client.declared(f"{capability}.documentationFormat") or ()
    text: str | types.MarkupContent | None = documentation or None
    if documentation and types.MarkupKind.Markdown in formats:
        text = types.MarkupContent(kind=types.MarkupKind.Markdown, value=fenced(documentation))
    return types.SignatureInformation(
        label=label,
        documentation=text,
        parameters=[types.ParameterInformation(label=place(parameter)) for parameter in found],
        # Absent it would be sent as null, which says that no parameter is active.
        active_parameter=active_parameter(found, call),
    )


def parameters(label: str) -> list[Parameter]:
    """The parameters of `f(a, b: int = 2, *args) -> str`, without the signs `*` and `/`."""
    start = label.find("(")
    if start < 0:
        return []
    end = _closing(label, start)
    commas = [start, *_commas(label, start + 1, end), end]
    found = []
    for before, after in pairwise(commas):
        text = label[before + 1 : after]
        first = before + 1 + len(text) - len(text.lstrip())
        last = before + 1 + len(text.rstrip())
        name = re.match(r"\*{0,2}[^\W\d][\w.]*|\.\.\.|\.[\w.]+|`[^`]+`", label[first:last])
        if name is not None:
            found.append(Parameter(name[0], first, last))
    return found


def active_parameter(found: list[Parameter], call: Call) -> int:
    """The number of the parameter the cursor's argument is for; beyond the last when for none."""
    names = [parameter.name for parameter in found]
    if call.keyword is not None:
        if call.keyword in names:
            return names.index(call.keyword)
        rest = (n for n, each in enumerate(found) if each.takes_names or each.name == "...")
        return next(rest, len(found))
    for number, parameter in enumerate(found[: call.argument + 1]):
        if parameter.takes_many:
            return number
    return call.argument


def usages(page: str, name: str) -> list[str]:
    """The forms of a call in the Usage section of one of R's help pages."""
    section = re.search(r"^Usage:\n(.*?)(?=^\S|\Z)", page, re.MULTILINE | re.DOTALL)
    if section is None:
        return []
    text = section[1]
    base = re.escape(name.rpartition(":")[2])
    found = []
    for match in re.finditer(rf"^\s+{base}\(", text, re.MULTILINE):
        start = match.end() - 1
        end = _closing(text, start)
        found.append(inspection.one_line(text[match.start() : end + 1]))
    return found


def _closing(text: str, start: int) -> int:
    """Where the bracket that opens at `start` closes; the end of the text when it does not."""
    for match in re.finditer(r"\)", text[start:]):
        end = start + match.end()
        if not scan(text[start:end], end - start, "r").brackets:
            return end - 1
    return len(text)


def _commas(text: str, start: int, end: int) -> list[int]:
    """The commas between `start` and `end` outside strings and brackets."""
    found = [start + match.start() for match in re.finditer(",", text[start:end])]
    outside = (scan(text[start:at], at - start, "r") for at in found)
    return [
        at for at, there in zip(found, outside, strict=True) if there.in_code and not there.brackets
    ]
