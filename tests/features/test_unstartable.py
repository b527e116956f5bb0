"""A kernel that does not start: completion tries it once, and again only after its user has."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING

import pytest
from lsprotocol import types
from support import Events

from carpo_lsp.errors import KernelStartFailed
from carpo_lsp.features.completion import complete
from carpo_lsp.frontend import Frontend
from carpo_lsp.workspace.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


async def test_completion_does_not_start_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kernels" / "logo"
    folder.mkdir(parents=True)
    spec = {"argv": ["/none/logo", "{connection_file}"], "display_name": "L", "language": "logo"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    async with Frontend() as frontend:
        workspace = Workspace(frontend)
        events = Events(frontend)
        document = workspace.documents.open("file:///w/a.logo", "logo", 1, "forw")
        workspace.trust.add(workspace.project_of(document))  # code of it has been run before
        params = types.CompletionParams(
            types.TextDocumentIdentifier(document.uri), types.Position(0, 4)
        )

        async def ask() -> None:
            answer = complete(workspace, params)
            if inspect.isawaitable(answer):
                await answer

        await ask()
        await events.until_status("dead")
        assert not workspace.may_start(document)
        await ask()
        assert frontend.list_kernels() == []

        kernel_id = workspace.kernel_for(document, "logo")  # what running code does
        assert workspace.may_start(document)
        with pytest.raises(KernelStartFailed):
            await frontend.wait_ready(kernel_id)
        assert not workspace.may_start(document)
