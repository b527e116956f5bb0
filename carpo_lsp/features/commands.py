"""workspace/executeCommand: what a client without code of ours runs by name.

Each returns at once; what cannot be done is told to the user in one message.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from lsprotocol.types import MessageType

from carpo_lsp.errors import CarpoError, InvalidParams, KernelStartFailed, NoInputPending
from carpo_lsp.features import export, kernel_choice, results, running
from carpo_lsp.features.arguments import means_document, option, resolve_document

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from carpo_lsp.kernels.state import KernelState
    from carpo_lsp.workspace.workspace import Workspace


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
            self._tell(error)
            return
        if result is not None:
            task = asyncio.create_task(self._finish(result))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Nobody waits for what is under way."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _finish(self, waiting: Coroutine[Any, Any, None]) -> None:
        try:
            await waiting
        except CarpoError as error:
            self._tell(error)

    def _tell(self, error: CarpoError) -> None:
        if not (isinstance(error, KernelStartFailed) and error.announced):
            self._workspace.client.show_message(error.advice)


def restart_and_run_all(workspace: Workspace, arguments: list[Any]) -> Coroutine[Any, Any, None]:
    """Restart a document's kernels, then run all its code cells."""
    return running.restart_and_run_all(workspace, resolve_document(workspace, arguments))


def interrupt(workspace: Workspace, arguments: list[Any]) -> Coroutine[Any, Any, None]:
    """Interrupt what a document's kernels run; without arguments, whatever runs if it is not
    theirs."""
    busy = [kernel for kernel in workspace.frontend.manager.all() if kernel.executions.busy]
    if means_document(workspace, arguments):
        bound = workspace.kernels_of(resolve_document(workspace, arguments))
        own = [kernel for kernel in busy if kernel.kernel_id in bound]
        busy = own if own or arguments else busy
    if not busy:
        raise InvalidParams("Nothing runs.")
    return _each(kernel.interrupt() for kernel in busy)


def restart_kernel(workspace: Workspace, arguments: list[Any]) -> Coroutine[Any, Any, None]:
    """Restart a document's kernels."""
    return _each(kernel.restart() for kernel in _some_kernels(workspace, arguments))


def shutdown_kernel(workspace: Workspace, arguments: list[Any]) -> Coroutine[Any, Any, None]:
    """End a document's kernels. One that was started elsewhere is only let go, unless an argument
    has `force: true`."""
    force = option(arguments, "force")
    if force not in (None, True, False):
        raise InvalidParams(f"arguments: force is true or false, not {force!r}.")
    kernels = _some_kernels(workspace, arguments)
    spared = [kernel.spec.display_name for kernel in kernels if not (kernel.owned or force)]

    async def shut_down() -> None:
        await asyncio.gather(*[kernel.shutdown(force=bool(force)) for kernel in kernels])
        if spared:
            workspace.client.show_message(
                f"{', '.join(spared)} goes on for those who started it; carpo.shutdownKernel with "
                "{force: true} ends it.",
                MessageType.Info,
            )

    return shut_down()


def keep_kernel(workspace: Workspace, arguments: list[Any]) -> Coroutine[Any, Any, None]:
    """Have a document's kernels go on when the editor quits; once more, or with `{keep: false}`
    among the arguments, have them end with it."""
    kernels = _some_kernels(workspace, arguments)
    keep = option(arguments, "keep")
    if keep not in (None, True, False):
        raise InvalidParams(f"arguments: keep is true or false, not {keep!r}.")
    wanted = keep if keep is not None else not all(kernel.kept for kernel in kernels)

    async def finish() -> None:
        await asyncio.gather(
            *[workspace.kept.keep(kernel.kernel_id, keep=wanted) for kernel in kernels]
        )
        names = ", ".join(kernel.spec.display_name for kernel in kernels)
        what = "goes on when the editor quits" if wanted else "ends with the editor"
        workspace.client.show_message(f"{names} {what}.", MessageType.Info)

    return finish()


def answer(workspace: Workspace, arguments: list[Any]) -> None:
    """Answer the prompt that waits: `[text]`, or `[{value, kernelId?}]`.

    Of several, the prompt of the document that the client's last request was about comes first.
    """
    first = arguments[0] if arguments else ""
    kernel_id = None
    if isinstance(first, dict):
        kernel_id, first = first.get("kernelId"), first.get("value", "")
    if not isinstance(first, (str, int, float)):
        raise InvalidParams('arguments: give the answer as text, e.g. ["yes"].')
    kernels = [kernel for kernel in workspace.frontend.manager.all() if _asks(kernel, kernel_id)]
    if not kernels:
        raise NoInputPending("No kernel waits for input.")
    last = workspace.documents.find(workspace.last_place[0]) if workspace.last_place else None
    bound = workspace.kernels_of(last) if last is not None else set()
    kernels.sort(key=lambda kernel: kernel.kernel_id not in bound)
    kernels[0].executions.answer(str(first))


def _asks(kernel: KernelState, kernel_id: str | None) -> bool:
    return kernel.executions.waits_for_input and kernel_id in (None, kernel.kernel_id)


def _some_kernels(workspace: Workspace, arguments: list[Any]) -> list[KernelState]:
    """The kernels of the document a command means. Raises `InvalidParams` when it has none."""
    kernels = _kernels(workspace, arguments)
    if not kernels:
        raise InvalidParams("The document has no kernel yet; run a cell to start one.")
    return kernels


def _kernels(workspace: Workspace, arguments: list[Any]) -> list[KernelState]:
    """The kernels of the document a command means; where it means none, the only one there is."""
    kernels = list(workspace.frontend.manager.all())
    if len(kernels) == 1 and not means_document(workspace, arguments):
        return kernels
    bound = workspace.kernels_of(resolve_document(workspace, arguments))
    return [kernel for kernel in kernels if kernel.kernel_id in bound]


def _each(calls: Iterable[Coroutine[Any, Any, None]]) -> Coroutine[Any, Any, None]:
    """Make the calls now, and wait for them in the result."""
    made = list(calls)

    async def wait() -> None:
        await asyncio.gather(*made)

    return wait()


COMMANDS: Final[dict[str, Callable[[Workspace, list[Any]], Coroutine[Any, Any, None] | None]]] = {
    "runCell": running.run_cell,
    "runCellAndAdvance": running.run_cell_and_advance,
    "runStatement": running.run_statement,
    "runSelection": running.run_selection,
    "runAbove": running.run_above,
    "runBelow": running.run_below,
    "runAll": running.run_all,
    "restartAndRunAll": restart_and_run_all,
    "interrupt": interrupt,
    "restartKernel": restart_kernel,
    "shutdownKernel": shutdown_kernel,
    "keepKernel": keep_kernel,
    "selectKernel": kernel_choice.select_kernel,
    "answer": answer,
    "showOutput": results.show_output,
    "clearOutput": results.clear_output,
    "exportNotebook": export.export_notebook,
}
"""Each by its name without `carpo.`; a coroutine is what goes on after the answer."""
