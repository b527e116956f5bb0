"""Records the transcript in docs/protocol.md: a session with every kind of message in it.

Prints the messages as they go over the wire, less what LSP itself says of them; `python
record_transcript.py FILE` puts them into a document in place of its last transcript.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from lsp_client import LspClient, Message

DOCUMENT = {"uri": "untitled:/hello.py"}
TEXT = """\
# %%
name = input("Name? ")
print("hello", name)
40 + 2
"""
KERNEL = "3f0c8f6e-5f0a-4c57-9d3c-2a1f1f6f6a10"

REPLACED: dict[str, Any] = {
    "connectionFile": f"/home/ada/.local/share/jupyter/runtime/kernel-{KERNEL}.json",
    "durationMs": 8.5,
    "kernel": {"…": "a Kernel, as above"},
    "lastActivity": "2030-01-01T12:00:01.250+00:00",
    "pid": 4321,
    "specPath": "/home/ada/.venv/share/jupyter/kernels/python3",
    "startedAt": "2030-01-01T12:00:00.000+00:00",
    "traceback": ["…"],
    "types": ["…"],
}
"""What differs from run to run or goes on for long, and what the transcript has instead."""


def session(client: LspClient) -> None:
    """What is recorded."""
    options = {"carpo": {"notifications": True}}
    params: dict[str, Any] = {"processId": None, "rootUri": None, "capabilities": {}}
    client.request("initialize", {**params, "initializationOptions": options})
    client.notify("initialized", {})
    item = {**DOCUMENT, "languageId": "python", "version": 1, "text": TEXT}
    client.notify("textDocument/didOpen", {"textDocument": item})

    client.request("carpo/startKernel", {"textDocument": DOCUMENT, "kernelId": KERNEL})

    place = {"textDocument": DOCUMENT, "position": {"line": 2, "character": 0}}
    client.request("carpo/execute", {**place, "executionId": "hello"})
    client.next_notification("carpo/inputRequest")
    answer = {"kernelId": KERNEL, "executionId": "hello", "value": "Ada"}
    client.request("carpo/stdin", answer)
    until(client, "idle")

    client.request("carpo/execute", {"kernelId": KERNEL, "code": "1/0", "executionId": "oops"})
    until(client, "idle")

    client.request("carpo/complete", {"kernelId": KERNEL, "code": "name.upp", "cursorPos": 8})
    client.request("carpo/outputs", {"executionId": "hello"})
    try:
        client.request("carpo/stdin", answer)
    except RuntimeError:
        pass  # nothing waits for input; the error is part of the transcript
    client.request("carpo/shutdownKernel", {"kernelId": KERNEL})
    client.close()


def until(client: LspClient, status: str) -> None:
    """Wait for a status of the kernel."""
    while client.next_notification("carpo/kernelStatus")["params"]["status"] != status:
        pass


def record() -> list[tuple[str, Message]]:
    """The messages of a session, with their directions."""
    messages: list[tuple[str, Message]] = []

    def on_message(direction: str, message: Message) -> None:
        if direction == "<--" and not message.get("method", "carpo/").startswith("carpo/"):
            return  # LSP's: diagnostics and the like
        message = {key: value for key, value in message.items() if key != "jsonrpc"}
        if "capabilities" in (message.get("result") or {}):
            experimental = message["result"]["capabilities"]["experimental"]
            message["result"] = {"capabilities": {"experimental": experimental}}
        messages.append((direction, message))

    session(LspClient(on_message=on_message))
    return messages


def tidy(value: Any) -> Any:
    """A message as it would be on anybody's machine."""
    if isinstance(value, list):
        return [tidy(item) for item in value]
    if isinstance(value, dict):
        return {
            key: REPLACED[key] if key in REPLACED and item is not None else tidy(item)
            for key, item in value.items()
        }
    return value


def layout(value: Any, indent: int = 0, room: int = 92) -> str:
    """JSON on one line where it fits, else its first level on lines of their own."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= room or not isinstance(value, (dict, list)):
        return line
    inner = indent + 2
    if isinstance(value, dict):
        items = [
            f"{json.dumps(key)}: {layout(item, inner, room - len(key) - 5)}"
            for key, item in value.items()
        ]
        start, end = "{", "}"
    else:
        items = [layout(item, inner, room) for item in value]
        start, end = "[", "]"
    space = " " * inner
    return f"{start}\n{space}" + f",\n{space}".join(items) + f"\n{' ' * indent}{end}"


def parse(transcript: str) -> list[tuple[str, Message]]:
    """The messages of a transcript."""
    parts = re.split(r"^(-->|<--) ", transcript, flags=re.MULTILINE)[1:]
    return [(arrow, json.loads(text)) for arrow, text in zip(parts[::2], parts[1::2], strict=True)]


def main() -> None:
    transcript = "\n".join(f"{arrow} {layout(tidy(message), 4)}" for arrow, message in record())
    if len(sys.argv) == 1:
        print(transcript)
        return
    page = Path(sys.argv[1])
    before, fence, rest = page.read_text().partition("```carpo-transcript\n")
    if not fence:
        sys.exit(f"{page} has no transcript to replace")
    page.write_text(f"{before}{fence}{transcript}\n{rest[rest.index('```') :]}")


if __name__ == "__main__":
    main()
