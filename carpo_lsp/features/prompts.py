"""Input that running code waits for, in clients without a box for it."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from lsprotocol import types

from carpo_lsp.errors import CarpoError
from carpo_lsp.features import texts

if TYPE_CHECKING:
    from carpo_lsp.kernels.events import InputRequested
    from carpo_lsp.workspace.workspace import Workspace

log = logging.getLogger(__name__)

COLUMNS: Final = 60
"""Columns of a prompt in the first line of a message."""

_CHOICES = re.compile(r"(?<![\w/])\[?\w+\]?(?:/\[?\w+\]?)+(?![\w/])")

HIDDEN: Final = (
    "The running code asks for a password, and this editor has no box that hides one.\n"
    "What is given to carpo.answer may be logged by the editor: better interrupt the code, and run "
    "it in a client with a password box, or with the password from a keyring or the environment."
)

HOW: Final = (
    'Answer with the command carpo.answer "text", or write the answer on a line and choose the '
    'code action "Send this line as input".'
)


def on_input(workspace: Workspace, event: InputRequested) -> None:
    """Bring a prompt to the user, unless the client has a box for it."""
    if workspace.client.wants_notifications:
        return
    if event.password:
        workspace.client.show_message(HIDDEN)
        return
    choices = choices_of(event.prompt)
    if choices and workspace.client.can_ask:
        workspace.client.spawn(_choose(workspace, event, choices))
    else:
        _tell(workspace, event.prompt)


def choices_of(prompt: str) -> tuple[str, ...]:
    """The answers a yes-or-no question names, as `Proceed ([y]/n)?` does; else none."""
    for found in reversed(list(_CHOICES.finditer(prompt))):
        choices = tuple(re.sub(r"[\[\]]", "", found[0]).lower().split("/"))
        if {"y", "yes"} & set(choices) and {"n", "no"} & set(choices):
            return choices
    return ()


async def _choose(workspace: Workspace, event: InputRequested, choices: tuple[str, ...]) -> None:
    chosen = await workspace.client.choose(line(event.prompt), choices)
    try:
        kernel = workspace.frontend.manager.get(event.kernel_id)
        if chosen is None:
            if kernel.executions.waits_for_input:
                _tell(workspace, event.prompt)
        else:
            kernel.executions.answer(chosen, event.execution_id)
    except CarpoError as error:
        log.info("A prompt was answered too late: %s", error.message)


def _tell(workspace: Workspace, prompt: str) -> None:
    message = f"The running code asks: {line(prompt)}\n{HOW}"
    workspace.client.show_message(message, types.MessageType.Warning)


def line(prompt: str) -> str:
    """A prompt in one line."""
    return texts.clipped(texts.without_escapes(prompt), COLUMNS) or "(no prompt)"
