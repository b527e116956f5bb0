"""Editors as servers see them: what they declare, how they answer, and what they cannot take."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
from lsp_clients import Wire, at
from lsprotocol import converters, types
from pytest_lsp.checks import check_result_against_client_capabilities

if TYPE_CHECKING:
    from collections.abc import Iterator

CAPTURED: Final = resources.files("pytest_lsp.clients")
"""What pytest-lsp has recorded of editors."""

WRITTEN: Final = Path(__file__).with_name("capabilities")
"""What is not among it, written down from the sources of the editors."""

PUBLISH: Final = "textDocument/publishDiagnostics"
HINT_REFRESH: Final = "workspace/inlayHint/refresh"

ALLOWED: Final[dict[str, str | None]] = {
    "window/logMessage": None,
    "window/showMessage": None,
    "textDocument/publishDiagnostics": None,
    "$/progress": "window.workDoneProgress",
    "window/showDocument": "window.showDocument.support",
    "window/showMessageRequest": "window.showMessage",
    "window/workDoneProgress/create": "window.workDoneProgress",
    "workspace/applyEdit": "workspace.applyEdit",
    "workspace/codeLens/refresh": "workspace.codeLens.refreshSupport",
    "workspace/configuration": "workspace.configuration",
    "workspace/inlayHint/refresh": "workspace.inlayHint.refreshSupport",
}
"""What a server may send, and the capability a client needs for it. LSP has none for the first."""

DIAGNOSTIC_FIELDS: Final = {
    "codeDescription": "textDocument.publishDiagnostics.codeDescriptionSupport",
    "data": "textDocument.publishDiagnostics.dataSupport",
    "relatedInformation": "textDocument.publishDiagnostics.relatedInformation",
    "tags": "textDocument.publishDiagnostics.tagSupport",
}

ANSWERS: Final[dict[str, Any]] = {
    "window/showDocument": {"success": True},
    "window/workDoneProgress/create": None,
    "workspace/applyEdit": {"applied": True},
    "workspace/codeLens/refresh": None,
    "workspace/configuration": [None],
    "workspace/inlayHint/refresh": None,
}


@attrs.frozen
class Profile:
    """An editor: the capabilities it declares, and how its users start what a server offers."""

    name: str
    file: Any
    runs: Literal["kind", "menu", "lens", "command"]
    """By a key for a kind of code actions, from their menu, by a lens, or a command by its name."""
    takes: frozenset[str] = frozenset()
    """Methods that it takes without declaring them."""

    def __str__(self) -> str:
        return self.name

    def read(self) -> dict[str, Any]:
        """`clientInfo` and `capabilities`."""
        content: dict[str, Any] = json.loads(self.file.read_text())
        return content

    def declares(self, path: str) -> Any:
        """What is declared under a path of names, None where nothing is."""
        value: Any = self.read()["capabilities"]
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value


HELIX: Final = Profile(
    "helix", WRITTEN / "helix_v25.01.json", "menu", frozenset({"window/showDocument"})
)
NEOVIM: Final = Profile("neovim", CAPTURED / "neovim_v0.11.0.json", "kind")
VSCODE: Final = Profile("vscode", WRITTEN / "visual_studio_code_v1.100.0.json", "lens")
EGLOT: Final = Profile("eglot", CAPTURED / "emacs_v29.1.json", "kind")
BARE: Final = Profile("bare", WRITTEN / "bare.json", "command")

PROFILES: Final = (HELIX, NEOVIM, VSCODE, EGLOT, BARE)


def objections(profile: Profile, tokens: list[str], method: str, params: Any) -> Iterator[str]:
    """Why a client should not have been sent something, in words; nothing where it may.

    `tokens` are those of the progress displays that it was asked to make.
    """
    if method not in ALLOWED:
        yield f"{method} is no method that a client need know"
        return
    needed = ALLOWED[method]
    if needed and not profile.declares(needed) and method not in profile.takes:
        yield f"{method} without {needed}"
    if method == "$/progress" and params["token"] not in tokens:
        yield f"$/progress for {params['token']}, which was not created"
    if method == PUBLISH:
        for field, path in DIAGNOSTIC_FIELDS.items():
            if any(field in each for each in params["diagnostics"]) and not profile.declares(path):
                yield f"{field} without {path}"


class Editor(Wire):
    """A client with the capabilities of an editor, which answers what the server asks."""

    profile: Profile
    encoding: str

    undeclared: list[str]
    """What the server should not have sent to this client, each in words."""
    asked: list[str]
    """The methods of the server's requests."""
    choice: str | None = None
    """What is answered to a message with choices; as long as it is None, nothing is chosen."""
    answers: bool = True
    """Whether requests are answered at all."""

    async def begin(self, profile: Profile, root: Path) -> Any:
        """Introduce the client as an editor; returns the server's capabilities."""
        content = profile.read()
        self.profile = profile
        self.undeclared = []
        self.asked = []
        self._typed = converters.get_converter().structure(
            content["capabilities"], types.ClientCapabilities
        )
        result = await self.initialize(
            root,
            options={},
            capabilities=content["capabilities"],
            client_info=content["clientInfo"],
        )
        self.encoding = result["capabilities"]["positionEncoding"]
        return result["capabilities"]

    def declares(self, path: str) -> Any:
        """What is declared under a path of names, None where nothing is."""
        return self.profile.declares(path)

    # What comes from the server

    def receive(self, message: dict[str, Any]) -> None:
        method, params = message["method"], message.get("params")
        self.undeclared += objections(self.profile, self.tokens(), method, params)
        if "id" in message:
            self.asked.append(method)
            if self.answers:
                self._answer(message["id"], method, params)
        super().receive(message)

    def _answer(self, number: object, method: str, params: Any) -> None:
        if method == "window/showMessageRequest":
            titles = [action["title"] for action in params["actions"]]
            chosen = {"title": self.choice} if self.choice in titles else None
            self.send({"id": number, "result": chosen})
        elif method in ANSWERS:
            self.send({"id": number, "result": ANSWERS[method]})
        else:
            self.send({"id": number, "error": {"code": -32601, "message": method}})

    def tokens(self) -> list[str]:
        """The progress displays that the server has asked for."""
        return [params["token"] for params in self.named("window/workDoneProgress/create")]

    async def request(self, method: str, params: Any = None) -> Any:
        """The result of a request, which must be such as the client can take."""
        result = await super().request(method, params)
        if method != "initialize" and method in types.METHOD_TO_TYPES:
            response = {"jsonrpc": "2.0", "id": 0, "result": result}
            kind = types.METHOD_TO_TYPES[method][1]
            typed = converters.get_converter().structure(response, kind).result
            check_result_against_client_capabilities(self._typed, method, typed)
        return result

    # What its user does and sees

    def columns(self, text: str) -> int:
        """The length of a text as the client counts."""
        width = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[self.encoding]
        return len(text.encode(f"{self.encoding}{'-le' if width > 1 else ''}")) // width

    async def actions(self, uri: str, line: int, only: str | None = None) -> list[Any]:
        """The code actions at the beginning of a line."""
        start = {"line": line, "character": 0}
        # Helix' cursor is a selection of the character it is on.
        end = {"line": line, "character": 1 if self.profile is HELIX else 0}
        context = {"diagnostics": [], **({"only": [only]} if only else {})}
        found: list[Any] = await self.request(
            "textDocument/codeAction",
            {**of(uri), "range": {"start": start, "end": end}, "context": context},
        )
        literals = self.declares("textDocument.codeAction.codeActionLiteralSupport") is not None
        for action in found:
            assert isinstance(action["command"], dict) == literals
        return found

    async def act(self, uri: str, line: int, kind: str, title: str) -> None:
        """Do what a key for a kind of actions does, or a choice in the menu of all of them."""
        if self.profile.runs == "kind":
            (action,) = await self.actions(uri, line, kind)
        else:
            found = await self.actions(uri, line)
            action = next(each for each in found if each["title"].startswith(title))
        literal = isinstance(action["command"], dict)
        await self.execute_command(action["command"] if literal else action)

    async def execute_command(self, command: dict[str, Any]) -> None:
        params = {key: command[key] for key in ("command", "arguments")}
        assert await self.request("workspace/executeCommand", params) is None

    async def run_cell(self, uri: str, line: int) -> None:
        """Run the cell that begins at a line, as the users of the editor do."""
        match self.profile.runs:
            case "lens":
                lenses = await self.lenses(uri)
                lens = next(each for each in lenses if each["range"]["start"]["line"] == line)
                await self.execute_command(lens["command"])
            case "command":
                await self.command("runCell", {"uri": uri, "line": line})
            case _:
                await self.act(uri, line, "carpo.run.cell", "Run cell")

    async def lenses(self, uri: str) -> list[Any]:
        found: list[Any] = await self.request("textDocument/codeLens", of(uri))
        return found

    def diagnostics(self, uri: str) -> list[Any]:
        """Those that were published last."""
        published = [each for each in self.named(PUBLISH) if each["uri"] == uri]
        return list(published[-1]["diagnostics"]) if published else []

    @property
    def draws_hints(self) -> bool:
        return self.declares(ALLOWED[HINT_REFRESH] or "") is True

    async def results(self, uri: str) -> dict[int, str]:
        """The short results by their lines; where each begins is checked."""
        if not self.draws_hints:
            return {
                each["range"]["end"]["line"]: each["message"]
                for each in self.diagnostics(uri)
                if each["severity"] == types.DiagnosticSeverity.Information
            }
        all_ = {"start": {"line": 0, "character": 0}, "end": {"line": 999, "character": 0}}
        hints = await self.request("textDocument/inlayHint", {**of(uri), "range": all_})
        return {each["position"]["line"]: each["label"] for each in hints}

    async def until_result(self, uri: str, text: str) -> int:
        """Wait until a short result with a text is shown; returns its line."""
        while True:
            after = len(self.notes)
            for line, result in (await self.results(uri)).items():
                if text in result:
                    return line
            await self.until(lambda method, _: method in (PUBLISH, HINT_REFRESH), after=after)

    async def until_error(self, uri: str, text: str, line: int | None = None) -> Any:
        """Wait for an error with a text among the diagnostics, at a line if one is given."""

        def found() -> Any:
            for each in self.diagnostics(uri):
                is_error = each["severity"] == types.DiagnosticSeverity.Error
                at_line = line in (None, each["range"]["start"]["line"])
                if is_error and at_line and text in each["message"]:
                    return each
            return None

        await self.until(lambda *_: found())
        return found()

    async def completions(self, uri: str, line: int, character: int) -> list[str]:
        """The labels at a place; an incomplete list is asked for again, as editors do."""
        while (found := await self.complete(uri, line, character))["isIncomplete"]:
            pass
        return [item["label"] for item in found["items"]]

    async def hover(self, uri: str, line: int, character: int = 0) -> str:
        """The text of a hover, in a format that the client has declared."""
        found = await self.request("textDocument/hover", at(uri, line, character))
        formats = self.declares("textDocument.hover.contentFormat") or ["plaintext"]
        assert found["contents"]["kind"] == formats[0]
        return str(found["contents"]["value"])


def of(uri: str) -> dict[str, Any]:
    """The params of a request about a document."""
    return {"textDocument": {"uri": uri}}
