"""textDocument/completion from the live kernel."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, structs

from carpo_lsp.errors import CarpoError
from carpo_lsp.features.excerpt import excerpt
from carpo_lsp.features.scan import scan
from carpo_lsp.features.sync import place_of
from carpo_lsp.workspace.live import Entry, Fetched

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Iterator, Sequence

    from lsprotocol import types

    from carpo_lsp import protocol
    from carpo_lsp.documents.positions import Position
    from carpo_lsp.features.excerpt import Excerpt
    from carpo_lsp.kernels.state import KernelState
    from carpo_lsp.workspace.client import Client
    from carpo_lsp.workspace.live import Moment
    from carpo_lsp.workspace.workspace import Workspace

log = logging.getLogger(__name__)

TYPES: Final = "_jupyter_types_experimental"

KINDS: Final = {
    "class": 7,
    "dict key": 20,
    "function": 3,
    "instance": 6,
    "keyword": 14,
    "magic": 3,
    "module": 9,
    "param": 6,
    "path": 17,
    "property": 10,
    "statement": 6,
}
"""IPython's words for what a match is, and LSP's CompletionItemKind."""

SNIPPET: Final = 2
"""LSP's InsertTextFormat of text in which `$`, `}` and the backslash must be escaped."""

CUTS_AT_BLANKS: Final = frozenset({"neovim"})
"""Clients that insert plain text only up to its first blank."""

Items = dict[str, Any]
"""A CompletionList as JSON: these are many objects, and the converter's work would be felt."""

LATER: Final[Items] = {"isIncomplete": True, "items": []}
"""Nothing yet; the client is to ask again with the next letter."""

NOTHING: Final[Items] = {"isIncomplete": False, "items": []}


def complete(workspace: Workspace, params: types.CompletionParams) -> Awaitable[Items] | Items:
    """What the document's kernel completes at a position.

    Starts the kernel when the settings allow it. The document is read before the first wait.
    """
    uri, position = place_of(workspace, params)
    document = workspace.documents.find(uri)
    if document is None:
        return NOTHING
    cell = document.cell_at(position.line)
    asked = excerpt(document, cell, position)
    if cell is None or asked is None:
        return NOTHING
    kernel_id = workspace.bound_kernel(document, cell.language)
    if kernel_id is None:
        if not workspace.may_start(document):
            return NOTHING
        try:
            kernel_id = workspace.kernel_for(document, cell.language)
        except CarpoError as error:
            log.info("No completion: %s", error.message)
            if "environment" in error.data:  # what the user has, and one command mends
                workspace.client.show_once(error.message)
            return NOTHING
    question = Question(workspace, uri, cell.language, kernel_id, asked)
    if (known := question.known()) is not None:
        return question.items(known)
    if question.must_wait:
        return LATER
    return question.ask()


class Question(Struct, frozen=True):
    """What a client wants completed, as the document was when it asked."""

    workspace: Workspace
    uri: str
    language: str
    kernel_id: str
    excerpt: Excerpt

    @property
    def kernel(self) -> KernelState:
        return self.workspace.frontend.manager.get(self.kernel_id)

    @property
    def must_wait(self) -> bool:
        """Whether code runs that the kernel would finish before it answers."""
        return self.kernel.ready and not self.kernel.answers

    @property
    def moment(self) -> Moment:
        executions = self.kernel.executions
        return executions.execution_count, executions.busy

    def known(self) -> Fetched | None:
        """Completions the kernel has given before and that the typed word still begins."""
        fetched = self.workspace.live.completions.get(self.uri)
        if fetched is None or fetched.kernel_id != self.kernel_id or fetched.moment != self.moment:
            return None
        code = self.excerpt.code[: self.excerpt.cursor]
        if not code.startswith(fetched.head):
            return None
        typed = code[len(fetched.head) :]
        return fetched if still_good(fetched, typed) else None

    async def ask(self) -> Items:
        """What the kernel says within the budget; a newer question takes the place of this."""
        budget = self.workspace.settings.completion.budget / 1000
        try:
            async with asyncio.timeout(budget):
                fetched = await self.workspace.live.lane(self.kernel_id).ask(self.fetch)
        except TimeoutError:
            return LATER
        return LATER if fetched is None else self.items(fetched)

    async def fetch(self) -> Fetched:
        """Ask the kernel, unless what was waited for has brought the answer."""
        if (known := self.known()) is not None:
            return known
        moment = self.moment
        asked = self.excerpt
        code = asked.code
        reply = await self.workspace.frontend.get_completions(self.kernel_id, code, asked.cursor)
        start, end = sorted((max(0, reply.cursor_start), min(len(code), reply.cursor_end)))
        entries = entries_of(reply)
        if self.language == "python" and not scan(code, start, "python").in_code:
            entries = tuple(_in_string(entries, code[start:end]))
        if code.startswith(".", start, end) and all(map(_is_attribute, entries)):
            # Some clients take the word at the cursor for what is replaced, whatever they are told.
            start += 1
            entries = tuple(structs.replace(entry, match=entry.match[1:]) for entry in entries)
        fetched = Fetched(
            number=self.workspace.live.new_number(),
            kernel_id=self.kernel_id,
            language=self.language,
            moment=moment if end == asked.cursor else None,
            head=code[:start],
            typed=code[start:end],
            entries=entries,
        )
        self.workspace.live.completions[self.uri] = fetched
        return fetched

    def items(self, fetched: Fetched) -> Items:
        """Those of the completions that fit what has been typed, as a CompletionList."""
        asked = self.excerpt
        start = len(fetched.head)
        end = max(asked.cursor, start)
        typed = asked.code[start:end]
        entries: Sequence[Entry] = fetched.entries
        if typed != fetched.typed:
            entries = [entry for entry in entries if _begins(entry.match, typed)]
        style = Style.of(self.workspace.client)
        first, last = asked.position(start), asked.position(end)
        return completion_list(fetched, entries, typed, first, last, style)


def entries_of(reply: protocol.CompleteResult) -> tuple[Entry, ...]:
    """The matches with what the kernel tells of their kinds and signatures."""
    types = reply.metadata.get(TYPES)
    described = {
        entry.get("text"): entry
        for entry in (types if isinstance(types, list) else ())
        if isinstance(entry, dict)
    }
    nothing: dict[str, Any] = {}
    return tuple(
        Entry(match, str(entry.get("type") or ""), str(entry.get("signature") or ""))
        for match in reply.matches
        for entry in (described.get(match, nothing),)
    )


def _in_string(entries: Iterable[Entry], typed: str) -> Iterator[Entry]:
    """What belongs into a string of Python: IPython offers its magics there, and escapes paths as
    for a shell where no letter of them has been typed."""
    for entry in entries:
        if entry.kind == "path" and not typed:
            yield structs.replace(entry, match=re.sub(r"\\([^\\'\"])", r"\1", entry.match))
        elif entry.kind != "magic":
            yield entry


def _is_attribute(entry: Entry) -> bool:
    """Whether a match has the dot before the name, as IPython without jedi has it."""
    return entry.match.startswith(".") and entry.match[1:].isidentifier()


# Narrowing


def still_good(fetched: Fetched, typed: str) -> bool:
    """Whether what was fetched for the beginning of a word has all completions of it.

    Words grow by letters; a path or a key also by what it is known to go on with. A kernel holds
    things back until a word has begun, except behind a dot and its like.
    """
    if not typed.startswith(fetched.typed):
        return False
    added = typed[len(fetched.typed) :]
    if not added:
        return True
    if not fetched.typed and not fetched.head.endswith((".", "$", "@", "::", '"', "'", "/")):
        return False
    if not any(_begins(entry.match, typed) for entry in fetched.entries):
        return False
    return added.isidentifier() or re.fullmatch(r"\w+", added) is not None or " " in typed


def _begins(match: str, typed: str) -> bool:
    return match.startswith(typed) or _bare(match).startswith(_bare(typed))


def _bare(text: str) -> str:
    """A word without what a kernel adds to it: quotes, and the sign of a magic."""
    return text.lstrip("%").replace("`", "").replace("'", "").replace('"', "").casefold()


# Items


class Style(Struct, frozen=True):
    """How a client wants its items."""

    snippets: bool = False
    labels: bool = False
    """Whether signatures go beside the labels."""
    range_default: bool = False
    """Whether the range to replace may be given once, for all items."""
    data_default: bool = False
    cuts_at_blanks: bool = False

    @classmethod
    def of(cls, client: Client) -> Style:
        defaults = client.declared("textDocument.completion.completionList.itemDefaults") or ()
        item = "textDocument.completion.completionItem"
        return cls(
            snippets=client.can(f"{item}.snippetSupport"),
            labels=client.can(f"{item}.labelDetailsSupport"),
            range_default="editRange" in defaults,
            data_default="data" in defaults,
            cuts_at_blanks=client.name.lower() in CUTS_AT_BLANKS,
        )


def completion_list(
    fetched: Fetched,
    entries: Sequence[Entry],
    typed: str,
    start: Position,
    end: Position,
    style: Style,
) -> Items:
    """Entries as a CompletionList whose items replace what stands from `start` to `end`."""
    if start.line != end.line:
        return NOTHING  # LSP's edits are of one line
    range_ = {
        "start": {"line": start.line, "character": start.character},
        "end": {"line": end.line, "character": end.character},
    }
    data = {"list": fetched.number}
    whole_text = style.snippets or not style.cuts_at_blanks
    items = [
        _item(entry, number, typed, range_, data, style)
        for number, entry in enumerate(entries)
        if whole_text or not re.search(r"\s", entry.match)
    ]
    defaults: dict[str, Any] = {}
    if style.range_default:
        defaults["editRange"] = range_
    if style.data_default:
        defaults["data"] = data
    # Behind `d[` come keys with quotes; whoever types no quote is to ask again.
    quoted = not typed and any(entry.match[:1] in ("'", '"') for entry in entries)
    return {
        "isIncomplete": quoted,
        **({"itemDefaults": defaults} if defaults and items else {}),
        "items": items,
    }


def _item(
    entry: Entry,
    number: int,
    typed: str,
    range_: dict[str, Any],
    data: dict[str, int],
    style: Style,
) -> Items:
    match = entry.match
    item: Items = {"label": match, "sortText": f"{number:05}"}
    text = match
    if style.snippets and re.search(r"\s", match):
        text = re.sub(r"[\\$}]", r"\\\g<0>", match)
        item["insertTextFormat"] = SNIPPET
    if not style.range_default:
        item["textEdit"] = {"range": range_, "newText": text}
    elif "insertTextFormat" in item:
        item["textEditText"] = text
    if not style.data_default:
        item["data"] = data
    item["filterText"] = _filter_text(match, typed)
    if (kind := KINDS.get(entry.kind)) is not None:
        item["kind"] = kind
    if entry.signature:
        if style.labels:
            item["labelDetails"] = {"detail": entry.signature}
        else:
            item["detail"] = entry.signature
    return item


def _filter_text(match: str, typed: str) -> str:
    """What a client compares with the typed word, which may lack the quotes of the match."""
    if not match.startswith(typed):
        bare, typed_bare = _bare(match), _bare(typed)
        if bare.startswith(typed_bare):
            return typed + bare[len(typed_bare) :]
    return match
