"""What `Editor` objects to, so that a test that finds nothing means something."""

from __future__ import annotations

from typing import Any

import pytest
from editor_clients import BARE, HELIX, NEOVIM, PROFILES, VSCODE, Profile, objections

ERROR = {"diagnostics": [{"message": "no", "relatedInformation": []}]}

UNDECLARED: list[tuple[Profile, str, Any, str]] = [
    (VSCODE, "carpo/output", {}, "no method"),
    (VSCODE, "client/registerCapability", {}, "no method"),
    (BARE, "workspace/configuration", {}, "without workspace.configuration"),
    (BARE, "window/workDoneProgress/create", {}, "without window.workDoneProgress"),
    (HELIX, "window/showMessageRequest", {}, "without window.showMessage"),
    (HELIX, "workspace/inlayHint/refresh", None, "without workspace.inlayHint"),
    (NEOVIM, "workspace/codeLens/refresh", None, "without workspace.codeLens"),
    (NEOVIM, "$/progress", {"token": "1"}, "not created"),
    (HELIX, "textDocument/publishDiagnostics", ERROR, "relatedInformation without"),
]

DECLARED: list[tuple[Profile, str, Any]] = [
    *((profile, "window/showMessage", {}) for profile in PROFILES),
    (HELIX, "window/showDocument", {}),
    (HELIX, "workspace/configuration", {}),
    (NEOVIM, "workspace/inlayHint/refresh", None),
    (NEOVIM, "window/showMessageRequest", {}),
    (NEOVIM, "$/progress", {"token": "2"}),
    (VSCODE, "workspace/codeLens/refresh", None),
    (VSCODE, "textDocument/publishDiagnostics", ERROR),
]


@pytest.mark.parametrize(("profile", "method", "params", "why"), UNDECLARED)
def test_what_was_not_declared(profile: Profile, method: str, params: Any, why: str) -> None:
    (objection,) = objections(profile, ["2"], method, params)
    assert why in objection


@pytest.mark.parametrize(("profile", "method", "params"), DECLARED)
def test_what_was_declared(profile: Profile, method: str, params: Any) -> None:
    assert not list(objections(profile, ["2"], method, params))
