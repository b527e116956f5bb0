"""What is typed as a password, and tokens and keys, stand in nothing that is written or said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psutil
from support import mode, read_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    import pytest
    from lsp_clients import Wire

    Spawn = Callable[..., Awaitable[Wire]]

PASSWORD = "pass-word-of-nobody"  # noqa: S105 - of a test
TOKEN = "token-of-nobody"  # noqa: S105 - of a test
VARIABLE = "value-of-a-variable-of-nobody"

CODE = """\
import getpass
secret = getpass.getpass("Password: ")
print(len(secret))
raise ValueError("wrong")
"""


async def test_secrets_are_nowhere(
    spawn: Spawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, log, trace = tmp_path / "state", tmp_path / "log", tmp_path / "trace"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    files = ("--log-file", str(log), "--trace", str(trace))
    client = await spawn(*files, "--log-level", "debug")
    server = {"url": f"http://127.0.0.1:1/?token={TOKEN}", "token": TOKEN, "env": {"A": VARIABLE}}
    settings = {
        "carpo": {
            "notifications": True,
            "servers": {"gpu": server, "wrong": {**server, "token": [TOKEN]}},
        }
    }
    await client.initialize(options=settings)
    client.notify("workspace/didChangeConfiguration", {"settings": settings})
    uri = client.open((tmp_path / "x.py").as_uri(), f"# %%\n{CODE}")
    kernel = await client.start(textDocument={"uri": uri}, env={"API_KEY": VARIABLE})
    kernel_id = kernel["kernelId"]
    key = read_json(kernel["connectionFile"])["key"]

    # Answered by a request, and by both forms of a command.
    for way in ("request", "text", "object"):
        await client.request("carpo/execute", {**_cell(uri), "executionId": way})
        assert (await client.until_prompt(way))["password"] is True
        if way == "request":
            await client.request("carpo/stdin", {"kernelId": kernel_id, "value": PASSWORD})
        elif way == "text":
            await client.command("answer", PASSWORD)
        else:
            await client.command("answer", {"kernelId": kernel_id, "value": PASSWORD})
        assert (await client.until_done(way))["state"] == "error"
        assert client.text(way) == f"{len(PASSWORD)}\n"
    url = f"https://user:{PASSWORD}@127.0.0.1:1/?token={TOKEN}"
    await client.fail("carpo/attachKernel", {"serverUrl": url, "token": TOKEN})
    await client.fail("carpo/attachKernel", {"serverUrl": "gpu"})
    reply = {"channel": "shell", "msgType": "input_reply", "content": {"value": PASSWORD}}
    await client.request("carpo/send", {"kernelId": kernel_id, **reply})
    await client.fail("carpo/stdin", {"kernelId": kernel_id, "value": [PASSWORD]})
    await client.fail("carpo/stdin", {"kernelId": kernel_id, "value": PASSWORD})
    await client.command("showOutput", uri)
    await client.until_message("results.md")
    await client.command("restartKernel", uri)
    await client.until_status(kernel_id, "restarting")
    await client.until_status(kernel_id, "idle", after=len(client.notes))
    server = psutil.Process(client.process.pid)
    await client.request("shutdown")
    client.notify("exit")
    assert await client.process.wait() == 0
    assert not server.is_running()

    written = [file for file in state.rglob("*") if file.is_file()]
    assert written
    texts = {file: file.read_bytes() for file in (*written, log, trace)}
    for secret in (PASSWORD, TOKEN, VARIABLE, key):
        assert [file for file, text in texts.items() if secret.encode() in text] == []
        assert secret not in json.dumps(client.notes)
    assert {file: mode(file) for file in texts} == dict.fromkeys(texts, 0o600)
    assert {mode(file.parent) for file in written} == {0o700}


def _cell(uri: str) -> dict[str, object]:
    return {"textDocument": {"uri": uri}, "position": {"line": 1, "character": 0}}
