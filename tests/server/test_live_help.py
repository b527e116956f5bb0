"""Live help over the wire: what is declared, and what comes back as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lsp_clients import at

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lsp_clients import Wire

TEXT = """\
# %% one
def fé(a, b=2):
    "Does it."
value = 41
# %% two
fé(value, b=3)
"""

MARKDOWN = {"contentFormat": ["markdown", "plaintext"], "documentationFormat": ["markdown"]}
CAPABILITIES = {
    "textDocument": {
        "hover": MARKDOWN,
        "completion": {"completionItem": {"snippetSupport": True, **MARKDOWN}},
        "signatureHelp": {
            "signatureInformation": {"parameterInformation": {"labelOffsetSupport": True}}
        },
    },
    "general": {"positionEncodings": ["utf-8"]},
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_all_of_it(spawn: Callable[..., Awaitable[Wire]], encoding: str) -> None:
    client = await spawn()
    general = {"positionEncodings": [encoding]}
    result = await client.initialize(capabilities={**CAPABILITIES, "general": general})
    capabilities = result["capabilities"]
    assert capabilities["completionProvider"]["resolveProvider"] is True
    assert capabilities["signatureHelpProvider"]["triggerCharacters"] == ["(", ","]
    for name in ("hoverProvider", "definitionProvider", "workspaceSymbolProvider"):
        assert capabilities[name] is not None

    uri = client.open("file:///none/help.py", TEXT)
    place = {"textDocument": {"uri": uri}}
    run = await client.request("carpo/execute", {**place, "position": {"line": 1, "character": 0}})
    await client.until_done(run["executionId"])
    after_name = 3 if encoding == "utf-8" else 2

    hover = await client.request("textDocument/hover", at(uri, 5, 0))
    assert hover["contents"]["kind"] == "markdown"
    assert hover["contents"]["value"] == "```python\nfé(a, b=2)\n```\n\n```text\nDoes it.\n```"
    assert hover["range"]["end"] == {"line": 5, "character": after_name}

    inside = at(uri, 5, after_name + len("(value, b="))
    help_ = await client.request("textDocument/signatureHelp", inside)
    assert help_["activeParameter"] == 1
    assert [each["label"] for each in help_["signatures"][0]["parameters"]] == [[3, 4], [6, 9]]

    location = await client.request("textDocument/definition", at(uri, 5, 1))
    assert (location["uri"], location["range"]["start"]["line"]) == (uri, 1)

    symbols = await client.request("workspace/symbol", {"query": "val"})
    assert [(each["name"], each["containerName"]) for each in symbols] == [("value", "int = 41")]

    items = await client.complete(uri, 5, after_name + len("(val"))
    item = next(item for item in items["items"] if item["label"] == "value")
    resolved = await client.request("completionItem/resolve", item)
    assert resolved["documentation"]["value"] == "**int**\n\n```python\n41\n```"
    assert resolved["textEdit"] == item["textEdit"]


async def test_help_is_null_without_a_kernel(spawn: Callable[..., Awaitable[Wire]]) -> None:
    client = await spawn()
    await client.initialize()
    uri = client.open("file:///none/quiet.py", "value\n")
    for method in ("hover", "definition", "signatureHelp"):
        assert await client.request(f"textDocument/{method}", at(uri, 0, 1)) is None
        assert await client.request(f"textDocument/{method}", at("file:///none", 9, 9)) is None
    item = {"label": "value", "data": {"list": 1234}}
    assert await client.request("completionItem/resolve", item) == item
