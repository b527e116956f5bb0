"""workspace/executeCommand: what a client without code of ours runs by name.

Each returns at once; what cannot be done is told to the user in one message.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp.errors import CarpoError, InvalidParams, NoInputPending
from carpo_lsp.features.arguments import resolve
from carpo_lsp.features.kernels import code_cell_at

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from carpo_lsp.kernels.state import KernelState
    from carpo_lsp.workspace import Workspace

log = logging.getLogger(__name__)


class Commands:
    """The commands, with the tasks of those that have to wait for a kernel."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._tasks: set[asyncio.Task[None]] = set()

    def call(self, name: str, *arguments: Any) -> None:
        """Run a command by its name without `carpo.`."""
        try:
            result = COMMANDS[name](self._workspace, list(arguments))
        except CarpoError as error:
            self._workspace.client.show_message(error.message)
            return
        if result is not None:
            task = asyncio.create_task(self._finish(result))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _finish(self, waiting: Coroutine[Any, Any, None]) -> None:
        try:
            await waiting
        except CarpoError as error:
            self._workspace.client.show_message(error.message)


def run_cell(workspace: Workspace, arguments: list[Any]) -> None:
    """Run the cell at a place."""
    target = resolve(workspace, arguments)
    workspace.run_cell(target.document, code_cell_at(target.document, target.position.line))


def run_all(workspace: Workspace, arguments: list[Any]) -> None:
    """Run all code cells of a document, in order."""
    document = resolve(workspace, arguments).document
    cells = [cell for cell in document.cells() if cell.kind == "code" and cell.evaluate]
    if not cells:
        raise InvalidParams("The document has no code cells.")
    for cell in cells:
        workspace.run_cell(document, cell)


def interrupt(workspace: Workspace, arguments: list[Any]) -> Coroutine[Any, Any, None]:
    """Interrupt what a document's kernels run; without a place, the only kernel that is busy."""
    busy = [state for state in _kernels(workspace, arguments) if state.executions.busy]
    if not busy:
        raise InvalidParams("Nothing runs.")
    return _each(state.interrupt for state in busy)


def restart_kernel(workspace: Workspace, arguments: list[Any]) -> Coroutine[Any, Any, None]:
    """Restart a document's kernels."""
    states = _kernels(workspace, arguments)
    if not states:
        raise InvalidParams("The document has no kernel yet; run a cell to start one.")
    return _each(state.restart for state in states)


def answer(workspace: Workspace, arguments: list[Any]) -> None:
    """Answer the prompt that waits: `[text]`, or `[{value, kernelId?}]`."""
    first = arguments[0] if arguments else ""
    kernel_id = None
    if isinstance(first, dict):
        kernel_id, first = first.get("kernelId"), first.get("value", "")
    if not isinstance(first, (str, int, float)):
        raise InvalidParams('arguments: give the answer as text, e.g. ["yes"].')
    for state in workspace.frontend.manager.all():
        if state.executions.waits_for_input and kernel_id in (None, state.kernel_id):
            state.executions.answer(str(first))
            return
    raise NoInputPending("No kernel waits for input.")


def _kernels(workspace: Workspace, arguments: list[Any]) -> list[KernelState]:
    """The kernels of the document a command means; all, where it means none."""
    manager = workspace.frontend.manager
    if not arguments and workspace.last_place is None:
        return list(manager.all())
    bound = workspace.kernels_of(resolve(workspace, arguments).document)
    states = [state for state in manager.all() if state.kernel_id in bound]
    return states if states or arguments else list(manager.all())


async def _each(calls: Any) -> None:
    await asyncio.gather(*[call() for call in calls])


COMMANDS: Final[dict[str, Callable[[Workspace, list[Any]], Coroutine[Any, Any, None] | None]]] = {
    "runCell": run_cell,
    "runAll": run_all,
    "interrupt": interrupt,
    "restartKernel": restart_kernel,
    "answer": answer,
}
