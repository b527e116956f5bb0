"""Two documents, two kernels, one variable name: what carpo-lsp does for an editor.

Plays the editor: starts the server, opens two documents, runs their cells, asks for completions
and answers a prompt, and prints what happens. Run it with a Python that carpo-lsp is installed in.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from lsp_client import LspClient

GREETING = """\
# %%
value = "hello"
# %%
value.upp
# %%
name = input("Who are you? ")
print(value, name)
# %%
value
"""

NUMBERS = """\
# %%
value = [1, 2, 3]
# %%
value.app
# %%
value
"""


class Editor:
    """As much of an editor as this needs."""

    def __init__(self) -> None:
        self.documents: dict[str, list[str]] = {}
        self.client = LspClient()
        # An editor asks again when a kernel needs longer than the default 200 ms for completions.
        settings = {"notifications": True, "completion": {"budget": 30_000}}
        params = {
            "processId": None,
            "rootUri": None,
            "capabilities": {},
            "initializationOptions": {"carpo": settings},
        }
        server = self.client.request("initialize", params)["serverInfo"]
        self.client.notify("initialized", {})
        say("server", f"{server['name']} is ready")

    def open(self, name: str, text: str) -> None:
        self.documents[name] = text.splitlines()
        item = {"uri": uri(name), "languageId": "python", "version": 1, "text": text}
        self.client.notify("textDocument/didOpen", {"textDocument": item})

    def run(self, name: str, line: int, answer: str = "") -> None:
        """Run the cell at a line, counted from 0, and show what comes of it."""
        place = {"textDocument": {"uri": uri(name)}, "position": {"line": line, "character": 0}}
        code = takewhile(lambda text: text != "# %%", self.documents[name][line:])
        say(name, "run       " + "; ".join(code))
        execution = self.client.request("carpo/execute", place)["executionId"]
        while True:
            message = self.client.next_notification(
                "carpo/executionState", "carpo/output", "carpo/inputRequest"
            )
            params = message["params"]
            assert params["executionId"] == execution
            match message["method"]:
                case "carpo/output":
                    say(name, "output    " + text_of(params["output"]))
                case "carpo/inputRequest":
                    say(name, f"asks      {params['prompt'].rstrip()}")
                    say(name, f"answer    {answer}")
                    reply = {"kernelId": params["kernelId"], "value": answer}
                    self.client.request("carpo/stdin", reply)
                case _ if params["state"] in ("ok", "error", "aborted", "died"):
                    return

    def complete(self, name: str, line: int) -> None:
        """Show what the document's kernel completes at the end of a line."""
        text = self.documents[name][line]
        place = {"line": line, "character": len(text)}
        params = {"textDocument": {"uri": uri(name)}, "position": place}
        items = self.client.request("textDocument/completion", params)["items"]
        edits = [item["textEdit"] for item in items]
        completed = [
            text[: edit["range"]["start"]["character"]] + edit["newText"] for edit in edits
        ]
        say(name, f"complete  {text} -> {', '.join(completed)}")


def uri(name: str) -> str:
    return f"untitled:/{name}"


def text_of(output: dict[str, Any]) -> str:
    return str(output.get("text") or output["data"]["text/plain"]).rstrip()


def say(who: str, what: str) -> None:
    print(f"{who:12}", what, flush=True)


def main() -> None:
    editor = Editor()
    editor.open("greeting.py", GREETING)
    editor.open("numbers.py", NUMBERS)
    editor.run("greeting.py", 1)
    editor.run("numbers.py", 1)
    editor.complete("greeting.py", 3)
    editor.complete("numbers.py", 3)
    editor.run("greeting.py", 5, answer="Ada")
    editor.run("greeting.py", 8)
    editor.run("numbers.py", 5)
    kernels = editor.client.request("carpo/listKernels", {})["kernels"]
    languages = ", ".join(kernel["language"] for kernel in kernels)
    say("server", f"{len(kernels)} kernels run: {languages}")
    say("server", f"exit code {editor.client.close()}")


if __name__ == "__main__":
    main()
