"""Where the settings come from, a later source before an earlier: the user's file, the project's
file, the client's initializationOptions, and its configuration, which it sends or is asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from lsprotocol import types

from carpo_lsp.documents.uris import path_of
from carpo_lsp.journal.pruning import Policy
from carpo_lsp.workspace import settings
from carpo_lsp.workspace import user as user_settings
from carpo_lsp.workspace.project import read_project

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from carpo_lsp.workspace.workspace import Workspace

SOURCES: Final = ("options", "configuration")
"""What a client sends with `initialize`, and what it tells later, which goes before it."""


async def initialized(workspace: Workspace, params: types.InitializedParams) -> None:
    """Ask for the user's settings, where the client can be asked; and load what kernels need, while
    nobody waits for one."""
    await asyncio.gather(_ask(workspace), workspace.frontend.manager.load())


def did_change_configuration(
    workspace: Workspace, params: types.DidChangeConfigurationParams
) -> Awaitable[None] | None:
    """Take the new settings. A client that sends none means to be asked for them."""
    values = settings_of(params.settings)
    if values is None:
        return _ask(workspace)
    workspace.configured["configuration"] = values
    configure(workspace)
    return None


def configure(workspace: Workspace) -> None:
    """Read the settings from all sources anew; what is wrong in them is said once."""
    root = path_of(workspace.folders[0]) if workspace.folders else None
    project, problems = read_project(root) if root is not None else (None, [])
    layers = [settings.Layer(workspace.configured.get(source)) for source in SOURCES]
    user, wrong_there = user_settings.read_user()
    problems += wrong_there
    layers[:0] = [layer for layer in (user, project) if layer is not None]
    before = workspace.settings.results
    workspace.settings, wrong = settings.read(*layers)
    workspace.frontend.output_limit = workspace.settings.output.max_push_bytes
    if workspace.frontend.journal is not None:
        kept = workspace.settings.journal
        workspace.frontend.journal.policy = Policy(
            enabled=kept.enabled,
            max_bytes=kept.max_megabytes * 1_000_000,
            max_days=kept.max_days,
        )
    named = user_settings.servers(workspace.settings.servers, wrong)
    workspace.frontend.manager.servers.name(named)
    workspace.frontend.manager.hosts.name(user_settings.hosts(workspace.settings.hosts))
    for problem in (*problems, *wrong):
        workspace.client.show_once(f"carpo settings: {problem}")
    if workspace.settings.results != before:
        workspace.on_settings()


async def _ask(workspace: Workspace) -> None:
    values = await workspace.client.configuration("carpo")
    if values is not None:
        workspace.configured["configuration"] = values or None  # some send a list for nothing
        configure(workspace)


def settings_of(values: object) -> object:
    """The `carpo` section of something the client sent, whatever it is; a wrong one will be said.
    None for an empty one, which some clients send as a list."""
    return (values.get("carpo") if isinstance(values, dict) else values) or None


def section_of(values: object) -> dict[str, Any]:
    """The `carpo` section of something the client sent, empty when there is none."""
    section = settings_of(values)
    return section if isinstance(section, dict) else {}


HANDLERS: Final[dict[str, Callable[..., Awaitable[None] | None]]] = {
    types.INITIALIZED: initialized,
    types.WORKSPACE_DID_CHANGE_CONFIGURATION: did_change_configuration,
}
