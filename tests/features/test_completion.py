"""Completion: what is asked, when it is not, and how the items go out."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from asked_kernel import URI, Bench, bench, matches
from lsprotocol import types

from carpo_lsp.documents.positions import Encoding
from carpo_lsp.errors import KernelTimeout
from carpo_lsp.features.completion import LATER, complete
from carpo_lsp.features.resolve import resolve
from carpo_lsp.workspace.live import Lane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from carpo_lsp.kernels.messages import Request

SUBSHELLS = "kernel subshells"


@pytest.fixture
async def it() -> AsyncIterator[Bench]:
    it = await bench()
    yield it
    await it.close()


def ask(it: Bench, params: Any) -> asyncio.Task[Any]:
    """A client's request; the task has its answer."""
    result = complete(it.workspace, params)

    async def answer() -> Any:
        return await result if inspect.isawaitable(result) else result

    return asyncio.create_task(answer())


def now(it: Bench, params: Any) -> Any:
    """The answer to a request that needs no kernel."""
    result = complete(it.workspace, params)
    assert isinstance(result, dict)
    return result


async def ready(it: Bench, text: str, *words: str, **more: Any) -> Any:
    """The answer to a request at the end of `text`, for which the kernel has `words`."""
    start = more.pop("start", len(text))
    task = ask(it, it.type(text))
    request = await it.kernel.asked(len(it.kernel.questions))
    it.kernel.answer(request, **matches(*words, start=start, end=len(text), **more))
    return await task


def labels(items: Any) -> list[str]:
    return [item["label"] for item in items["items"]]


# Asking


async def test_items_replace_the_word(it: Bench) -> None:
    items = await ready(it, "x = 1\nos.pa", "path", "pardir", start=9)
    assert items["isIncomplete"] is False
    assert labels(items) == ["path", "pardir"]
    assert items["items"][0]["textEdit"] == {
        "newText": "path",
        "range": {"start": {"line": 1, "character": 3}, "end": {"line": 1, "character": 5}},
    }
    assert it.kernel.questions[0].content == {"code": "x = 1\nos.pa", "cursor_pos": 11}


async def test_a_dot_before_all_names_is_none_of_them(it: Bench) -> None:
    items = await ready(it, "os.pa", ".path", ".pardir", start=2)
    assert labels(items) == ["path", "pardir"]
    edit = items["items"][0]["textEdit"]
    assert (edit["newText"], edit["range"]["start"]["character"]) == ("path", 3)
    assert labels(now(it, it.type("os.pat"))) == ["path"]


async def test_a_dot_of_a_path_stays(it: Bench) -> None:
    items = await ready(it, "open('./", "./data.csv", "./plots", start=6)
    assert labels(items) == ["./data.csv", "./plots"]


@pytest.mark.parametrize(
    ("encoding", "start", "end"),
    [(Encoding.UTF8, 8, 10), (Encoding.UTF16, 5, 7), (Encoding.UTF32, 4, 6)],
)
async def test_columns_follow_the_encoding(
    it: Bench, encoding: Encoding, start: int, end: int
) -> None:
    it.workspace.documents.encoding = encoding
    it.workspace.documents.open(URI, "python", 1, "")
    text = "é𐍈;;fo"
    items = await ready(it, text, "foo", start=4)
    range_ = items["items"][0]["textEdit"]["range"]
    assert it.kernel.questions[0].content["cursor_pos"] == 6
    assert (range_["start"]["character"], range_["end"]["character"]) == (start, end)


async def test_a_string_gets_paths_as_they_are_and_no_magics(it: Bench) -> None:
    kinds = {"%time": "magic", r"my\ file.txt": "path", r"it\'s": "path"}
    items = await ready(it, 'open("', *kinds, types=kinds)
    assert [item["textEdit"]["newText"] for item in items["items"]] == ["my file.txt", r"it\'s"]
    assert labels(now(it, it.type('open("my f'))) == ["my file.txt"]
    items = await ready(it, "%cd ", *kinds, types=kinds)
    assert labels(items) == list(kinds)


async def test_the_newest_question_takes_the_place_of_all_before(it: Bench) -> None:
    first = ask(it, it.type("a"))
    request = await it.kernel.asked(0)
    second = ask(it, it.type("b"))
    assert await first == LATER
    third = ask(it, it.type("c"))
    assert await second == LATER
    assert len(it.kernel.questions) == 1  # one in flight
    it.kernel.answer(request, **matches("alpha", start=0, end=1))
    request = await it.kernel.asked(1)
    assert request.content["code"] == "c"
    it.kernel.answer(request, **matches("cat", start=0, end=1))
    assert labels(await third) == ["cat"]
    assert len(it.kernel.questions) == 2


async def test_what_was_waited_for_may_bring_the_answer(it: Bench) -> None:
    first = ask(it, it.type("al"))
    request = await it.kernel.asked(0)
    second = ask(it, it.type("alp"))
    it.kernel.answer(request, **matches("alpha", "alto", start=0, end=2))
    assert await first == LATER
    assert labels(await second) == ["alpha"]
    assert len(it.kernel.questions) == 1


async def test_a_kernel_that_does_not_answer_costs_the_budget_and_no_more() -> None:
    it = await bench(budget=1.0)
    assert await ask(it, it.type("a")) == LATER
    assert await ask(it, it.type("b")) == LATER
    assert [request.content["code"] for request in it.kernel.questions] == ["a"]
    it.kernel.answer(it.kernel.questions[0], **matches("alpha", start=0, end=1))
    await it.close()


async def test_a_busy_kernel_without_subshells_is_not_asked(it: Bench) -> None:
    await it.run()
    assert now(it, it.type("a")) == LATER
    assert it.kernel.questions == []


async def test_a_busy_kernel_is_asked_through_its_subshell() -> None:
    it = await bench(SUBSHELLS)
    await it.run()
    assert labels(await ready(it, "a", "alpha", start=0)) == ["alpha"]
    assert it.kernel.questions[0].subshell_id == "sub"
    await it.close()


async def test_an_error_is_an_empty_list(it: Bench) -> None:
    lane: Lane[int] = Lane()

    async def question() -> int:
        raise KernelTimeout("It did not answer.")

    assert await lane.ask(question) is None

    async def better() -> int:
        return 1

    assert await lane.ask(better) == 1


# Narrowing


async def test_a_growing_word_is_narrowed(it: Bench) -> None:
    await ready(it, "x.", "alpha", "alto", "Beta", start=2)
    assert labels(now(it, it.type("x.a"))) == ["alpha", "alto"]
    narrowed = now(it, it.type("x.alp"))
    assert labels(narrowed) == ["alpha"]
    assert narrowed["items"][0]["textEdit"]["range"]["end"]["character"] == 5
    assert labels(now(it, it.type("x.b"))) == ["Beta"]  # as clients do, whatever the case
    assert len(it.kernel.questions) == 1


@pytest.mark.parametrize("text", ["x.q", "y.a", "x.alpha.", "x.alpha(", "x", "x.a b"])
async def test_what_is_no_longer_the_word_is_asked_for(it: Bench, text: str) -> None:
    await ready(it, "x.", "alpha", start=2)
    assert labels(await ready(it, text, "new")) == ["new"]


async def test_a_word_that_begins_is_asked_for(it: Bench) -> None:
    await ready(it, "foo(", "key=", start=4)
    assert labels(await ready(it, "foo(k", "key=", "kappa", start=4)) == ["key=", "kappa"]


async def test_names_are_asked_for_anew_once_code_has_run() -> None:
    it = await bench(SUBSHELLS)
    await ready(it, "x.", "alpha", start=2)
    await it.run()
    assert labels(await ready(it, "x.a", "also", start=2)) == ["also"]
    await it.close()


async def test_paths_and_keys_are_narrowed_behind_their_blanks(it: Bench) -> None:
    await ready(it, 'd["m', "my key", "my other", start=3, types={"my key": "dict key"})
    assert labels(now(it, it.type('d["my k'))) == ["my key"]
    assert labels(await ready(it, 'd["my z', "zed")) == ["zed"]


# Items


async def test_texts_with_blanks_are_snippets(it: Bench) -> None:
    it.declare(textDocument={"completion": {"completionItem": {"snippetSupport": True}}})
    items = await ready(it, 'open("', "my $1 }\\.csv", "plain$")
    blank, plain = items["items"]
    assert blank["insertTextFormat"] == 2
    assert blank["textEdit"]["newText"] == "my \\$1 \\}\\\\.csv"
    assert "insertTextFormat" not in plain
    assert plain["textEdit"]["newText"] == "plain$"


async def test_without_snippets_blanks_are_sent_but_to_those_who_cut(it: Bench) -> None:
    items = await ready(it, 'open("', "my file", "other")
    assert [item["textEdit"]["newText"] for item in items["items"]] == ["my file", "other"]
    it.workspace.client.introduce("Neovim", types.ClientCapabilities())
    assert labels(now(it, it.type('open("'))) == ["other"]


async def test_quotes_that_a_kernel_adds_do_not_hide_its_items(it: Bench) -> None:
    items = await ready(it, "d[", "'my key'")
    assert items["isIncomplete"] is True  # who types no quote asks again
    items = await ready(it, "df$m", "df$`my col`", start=0)
    assert items["items"][0]["filterText"] == "df$my col"
    items = await ready(it, "ti", "%time", start=0)
    assert items["items"][0]["filterText"] == "time"


async def test_defaults_are_sent_once(it: Bench) -> None:
    defaults = {"itemDefaults": ["editRange", "data"]}
    item = {"snippetSupport": True, "labelDetailsSupport": True}
    it.declare(textDocument={"completion": {"completionItem": item, "completionList": defaults}})
    task = ask(it, it.type("f"))
    request = await it.kernel.asked(0)
    described = [{"text": "foo", "type": "function", "signature": "(a, b)"}]
    reply = matches("foo", "f o", start=0, end=1)
    it.kernel.answer(request, **reply | {"metadata": {"_jupyter_types_experimental": described}})
    items = await task
    assert items["itemDefaults"]["editRange"]["end"] == {"line": 0, "character": 1}
    first, second = items["items"]
    assert first == {
        "label": "foo",
        "sortText": "00000",
        "filterText": "foo",
        "kind": 3,
        "labelDetails": {"detail": "(a, b)"},
    }
    assert second["textEditText"] == "f o"


# Resolving


def of(items: Any, number: int = 0) -> types.CompletionItem:
    item = items["items"][number]
    return types.CompletionItem(label=item["label"], data=item["data"])


async def test_resolve_adds_what_inspect_says(it: Bench) -> None:
    items = await ready(it, "x = 1\nos.pa", "path", start=9)

    def reply(request: Request) -> dict[str, Any]:
        return {"found": True, "data": {"text/plain": "Signature: path(a)\nDocstring: Joins."}}

    it.kernel.reply = reply
    result = resolve(it.workspace, of(items))
    assert inspect.isawaitable(result)
    item = await result
    assert item.detail == "path(a)"
    assert item.documentation == types.MarkupContent(
        types.MarkupKind.PlainText, "path(a)\n\nJoins."
    )
    assert it.kernel.questions[-1].content["code"] == "os.path"
    assert it.kernel.questions[-1].content["cursor_pos"] == 7


async def test_resolve_leaves_items_alone(it: Bench) -> None:
    key = await ready(it, 'd["', "my key", types={"my key": "dict key"})
    assert resolve(it.workspace, of(key)) == of(key)
    items = await ready(it, "os.", "path")
    stale = attrs.evolve(of(items), data={"list": 99})
    assert resolve(it.workspace, stale) == stale
    await it.run()
    assert resolve(it.workspace, of(items)) == of(items)
