"""VS Code in a browser: what is on its page is clicked, typed into and waited for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from plugin_components import VSCODE
from screen import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

NODE: Final = VSCODE / "bin" / "node"
DRIVE: Final = Path(__file__).parent / "vscode" / "drive.mjs"
CODE: Final = VSCODE / "node_modules" / "code-server" / "out" / "node" / "entry.js"

SETTINGS: Final = {
    "chat.disableAIFeatures": True,
    "editor.minimap.enabled": False,
    "extensions.autoUpdate": False,
    "files.autoSave": "off",
    "remote.autoForwardPorts": False,
    "security.workspace.trust.enabled": False,
    "telemetry.telemetryLevel": "off",
    "window.commandCenter": False,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.startupEditor": "none",
}

VIEW: Final = ("iframe.webview.ready", "#active-frame")
"""The frames around what a webview shows."""


class Window:
    """VS Code with a folder open, in a browser of its own.

    Places on the page are selectors of Playwright, inside of `frames` where there are any. All
    waits are Playwright's, and end in an error that says what was waited for.
    """

    PICTURE: Final = ".png"

    def __init__(
        self,
        home: Path,
        project: Path,
        *,
        env: Mapping[str, str],
        extensions: Sequence[Path],
        settings: Mapping[str, Any],
    ) -> None:
        """Install extensions from .vsix files and open `project`, with exactly the variables of
        `env`; `settings` are the user's, beside `SETTINGS`."""
        self._env = dict(env)
        # VS Code takes the variables of programs it starts from a login shell.
        (home / ".profile").write_text(f'export PATH="{env["PATH"]}"\n')
        self.user = home / "user"
        (self.user / "User").mkdir(parents=True)
        (self.user / "User" / "settings.json").write_text(json.dumps({**SETTINGS, **settings}))
        folders = ["--user-data-dir", str(self.user), "--extensions-dir", str(home / "extensions")]
        code = [str(NODE), str(CODE), *folders]
        subprocess.run(
            [*code, *(f"--install-extension={extension}" for extension in extensions)],
            env=self._env,
            check=True,
            capture_output=True,
            timeout=60,
        )
        offline = ["--disable-telemetry", "--disable-update-check"]
        self._server = subprocess.Popen(
            [*code, "--bind-addr", "127.0.0.1:0", "--auth", "none", *offline, str(project)],
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._browser: subprocess.Popen[str] | None = None
        try:
            chromium = shutil.which("chromium") or "chromium"
            self._browser = subprocess.Popen(
                [NODE, DRIVE, VSCODE, chromium, home / "profile", self._url()],
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._answer()
        except BaseException:
            self.close()
            raise

    def _url(self) -> str:
        assert self._server.stdout is not None
        said = []
        for line in self._server.stdout:
            said.append(line)
            if found := re.search(r"listening on (http://\S+)", line):
                return found[1]
        raise AssertionError(f"it ended before it served:\n{''.join(said)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser, which ends what VS Code runs for it, and VS Code."""
        if self._browser is not None:
            with self._browser:
                assert self._browser.stdin is not None
                self._browser.stdin.close()
                self._browser.wait(30)
        self._server.terminate()
        with self._server:
            self._server.wait(30)

    def click(self, selector: str, *, frames: Sequence[str] = ()) -> None:
        self._call("click", selector, frames=frames)

    def until(
        self,
        selector: str,
        *,
        frames: Sequence[str] = (),
        absent: bool = False,
        seconds: float = DEADLINE,
    ) -> None:
        """Wait until the first match of a selector is seen, or none is with `absent`."""
        options = {"state": "hidden" if absent else "visible", "timeout": seconds * 1000}
        self._call("first.waitFor", selector, options, frames=frames)

    def text(self, selector: str, *, frames: Sequence[str] = ()) -> str:
        """The text that is seen in an element, with plain blanks."""
        found: str = self._call("first.innerText", selector, frames=frames)
        return found.replace("\xa0", " ")

    def press(self, *keys: str) -> None:
        """Press keys by Playwright's names: `Control+Enter`, `Escape`, `a`."""
        for key in keys:
            self._call("keyboard.press", None, key)

    def type(self, text: str) -> None:
        """Type text as it is."""
        self._call("keyboard.type", None, text)

    def command(self, title: str) -> None:
        """Run a command of the palette."""
        self.press("F1")
        self.until(".quick-input-widget input")
        self.type(title)
        self.click(f".quick-input-list-row >> text={title} >> nth=0")

    def screenshot(self, path: Path) -> None:
        """Write the page to a PNG file."""
        self._call("screenshot", None, {"path": str(path)})

    def _call(
        self, name: str, selector: str | None, *arguments: Any, frames: Sequence[str] = ()
    ) -> Any:
        assert self._browser is not None
        assert self._browser.stdin is not None
        action: dict[str, Any] = {"call": name, "arguments": arguments, "frames": list(frames)}
        if selector is not None:
            action["selector"] = selector
        self._browser.stdin.write(json.dumps(action) + "\n")
        self._browser.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._browser is not None
        assert self._browser.stdout is not None
        line = self._browser.stdout.readline()
        assert line, "the browser has ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]
