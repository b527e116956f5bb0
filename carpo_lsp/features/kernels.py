"""The carpo/* requests: one plain function each, from a workspace and params to a result.

A `def` that returns a coroutine has looked at the documents, and changed what it changes, before
it waits for a kernel: what a client sends without waiting for an answer happens in that order.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carpo_lsp import protocol
from carpo_lsp.documents.positions import Position, Range
from carpo_lsp.errors import ExecutionNotFound
from carpo_lsp.features.selected_code import code_cell_at, code_in, main_language
from carpo_lsp.kernels.execution import ExecuteOptions
from carpo_lsp.kernels.manager import StartOptions
from carpo_lsp.kernels.messages import Request

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from carpo_lsp.documents.document import Document
    from carpo_lsp.kernels.transcript.transcript import Record
    from carpo_lsp.workspace.workspace import Workspace


def list_kernel_specs(
    workspace: Workspace, params: protocol.ListKernelSpecsParams
) -> protocol.ListKernelSpecsResult | Coroutine[Any, Any, protocol.ListKernelSpecsResult]:
    """At once, unless there are servers or hosts to be asked as well."""
    frontend = workspace.frontend
    specs = frontend.list_kernel_specs(near=workspace.root_paths)
    if not frontend.is_more_elsewhere:
        return protocol.ListKernelSpecsResult(specs=tuple(specs))

    async def with_remote() -> protocol.ListKernelSpecsResult:
        offers = await frontend.list_remote()
        remote = [spec.to_wire() for offer in offers for spec in offer.specs]
        return protocol.ListKernelSpecsResult(specs=(*specs, *remote))

    return with_remote()


def start_kernel(
    workspace: Workspace, params: protocol.StartKernelParams
) -> Coroutine[Any, Any, protocol.Kernel]:
    """Begins at once, so that a client that chose the id can send code without a wait."""
    frontend = workspace.frontend
    options = StartOptions(
        kernel_id=params.kernel_id,
        cwd=params.cwd,
        env=params.env,
        timeout=params.timeout,
        limits=params.limits,
        keep=workspace.settings.kernel.keep_minutes if params.keep else None,
        ends=params.keep is False,
    )
    if params.text_document is not None:
        document = workspace.documents.get_main(params.text_document.uri)
        workspace.trust.add(workspace.project_of(document))
        kernel_id = workspace.kernel_for(document, main_language(document), options)
        dead = frontend.get_kernel(kernel_id).status == "dead"
    else:
        near = (
            Path(params.cwd) if params.cwd is not None else next(iter(workspace.root_paths), None)
        )
        spec = frontend.find_spec(params.spec_path, params.spec_name, params.language, near)
        kernel_id = frontend.begin_kernel(spec, workspace.with_settings(options))
        dead = False
    started = (frontend.restart_kernel if dead else frontend.wait_ready)(kernel_id)
    return _when_ready(workspace, kernel_id, started)


def _when_ready(
    workspace: Workspace, kernel_id: str, started: Coroutine[Any, Any, None]
) -> Coroutine[Any, Any, protocol.Kernel]:
    """The kernel once its start or restart has come to its end."""
    # A task, as a request that is cancelled before its first step would leave it unawaited.
    ready = asyncio.ensure_future(started)
    ready.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def kernel() -> protocol.Kernel:
        await ready
        return workspace.with_documents(workspace.frontend.get_kernel(kernel_id))

    return kernel()


async def attach_kernel(
    workspace: Workspace, params: protocol.AttachKernelParams
) -> protocol.Kernel:
    frontend = workspace.frontend
    if params.server_url is not None:
        kernel_id = await frontend.attach_server(
            params.server_url,
            token=params.token,
            remote_kernel_id=params.remote_kernel_id,
            spec_name=params.spec_name,
        )
    else:
        kernel_id = await frontend.attach_kernel(params.connection_file)
    return workspace.with_documents(workspace.frontend.get_kernel(kernel_id))


def list_kernels(
    workspace: Workspace, params: protocol.ListKernelsParams
) -> protocol.ListKernelsResult:
    kernels = workspace.frontend.list_kernels()
    return protocol.ListKernelsResult(kernels=tuple(map(workspace.with_documents, kernels)))


async def kernel_info(workspace: Workspace, params: protocol.KernelInfoParams) -> protocol.Kernel:
    return workspace.with_documents(await workspace.frontend.get_kernel_info(params.kernel_id))


def select_kernel(workspace: Workspace, params: protocol.SelectKernelParams) -> None:
    document = workspace.documents.get_main(params.text_document.uri)
    workspace.select_kernel(document.uri, params.kernel_id, params.language)


def execute(workspace: Workspace, params: protocol.ExecuteParams) -> protocol.ExecuteResult:
    """Queues the code and answers at once; what comes of it arrives as notifications."""
    options = ExecuteOptions(
        silent=params.silent,
        store_history=params.store_history,
        user_expressions=params.user_expressions,
        allow_stdin=params.allow_stdin,
        stop_on_error=params.stop_on_error,
    )
    if params.kernel_id is not None:
        execution_id = workspace.frontend.submit(
            params.kernel_id, params.code or "", execution_id=params.execution_id, options=options
        )
        return protocol.ExecuteResult(execution_id=execution_id, kernel_id=params.kernel_id)
    assert params.text_document is not None  # parse has seen that one of the two is there
    if params.code is not None:
        document = workspace.documents.get_main(params.text_document.uri)
    else:
        document = workspace.documents.get(params.text_document.uri)
    if params.position is not None:
        execution_id, kernel_id = workspace.run_cell(
            document,
            code_cell_at(document, params.position.line),
            execution_id=params.execution_id,
            options=options,
        )
    else:
        code, language = _code_of(document, params)
        execution_id, kernel_id = workspace.run(
            document,
            language,
            code,
            params.range,
            execution_id=params.execution_id,
            options=options,
        )
    return protocol.ExecuteResult(execution_id=execution_id, kernel_id=kernel_id)


def _code_of(document: Document, params: protocol.ExecuteParams) -> tuple[str, str]:
    """The code an execute without a position means, and its language."""
    if params.code is not None:
        return params.code, main_language(document)
    assert params.range is not None  # parse has seen that one of the three is there
    return code_in(document, _range(params.range))


def stdin(workspace: Workspace, params: protocol.StdinParams) -> None:
    workspace.frontend.answer_input(params.kernel_id, params.value, params.execution_id)


async def complete(
    workspace: Workspace, params: protocol.CompleteParams
) -> protocol.CompleteResult:
    return await workspace.frontend.get_completions(
        params.kernel_id, params.code, params.cursor_pos
    )


async def inspect(workspace: Workspace, params: protocol.InspectParams) -> protocol.InspectResult:
    return await workspace.frontend.inspect(
        params.kernel_id, params.code, params.cursor_pos, params.detail_level
    )


async def is_complete(
    workspace: Workspace, params: protocol.IsCompleteParams
) -> protocol.IsCompleteResult:
    return await workspace.frontend.is_complete(params.kernel_id, params.code)


async def history(workspace: Workspace, params: protocol.HistoryParams) -> protocol.HistoryResult:
    return await workspace.frontend.history(params.kernel_id, params.n, params.pattern)


def interrupt(workspace: Workspace, params: protocol.InterruptParams) -> Coroutine[Any, Any, None]:
    return workspace.frontend.interrupt(params.kernel_id)


def restart_kernel(
    workspace: Workspace, params: protocol.RestartKernelParams
) -> Coroutine[Any, Any, protocol.Kernel]:
    restarted = workspace.frontend.restart_kernel(params.kernel_id)
    return _when_ready(workspace, params.kernel_id, restarted)


def shutdown_kernel(
    workspace: Workspace, params: protocol.ShutdownKernelParams
) -> Coroutine[Any, Any, None]:
    return workspace.frontend.shutdown_kernel(params.kernel_id, force=params.force)


async def keep_kernel(workspace: Workspace, params: protocol.KeepKernelParams) -> protocol.Kernel:
    await workspace.kept.keep(params.kernel_id, params.minutes, keep=params.keep)
    return workspace.with_documents(workspace.frontend.get_kernel(params.kernel_id))


def outputs(
    workspace: Workspace, params: protocol.OutputsParams
) -> protocol.OutputsResult | Coroutine[Any, Any, protocol.OutputsResult]:
    """What is in memory at once; what an earlier session has left, when the disk has answered."""
    if params.execution_id is not None:
        record = workspace.frontend.transcript.get(params.execution_id)
        if record is None:
            return _journaled(workspace, params.execution_id)
        return protocol.OutputsResult(executions=(_outputs(workspace, record),))
    assert params.text_document is not None  # parse has seen that one of the two is there
    documents = workspace.documents.all_of(params.text_document.uri)
    uris = {document.uri for document in documents}
    restored = [task for each in documents if (task := workspace.restoring.under_way(each))]
    if not restored:
        return _outputs_of(workspace, uris)

    async def later() -> protocol.OutputsResult:
        await asyncio.wait(restored)
        return _outputs_of(workspace, uris)

    return later()


def _outputs_of(workspace: Workspace, uris: set[str]) -> protocol.OutputsResult:
    records = (
        record
        for record in workspace.frontend.transcript.records()
        if (place := workspace.place(record.execution_id)) is not None and place.uri in uris
    )
    return protocol.OutputsResult(executions=tuple(_outputs(workspace, each) for each in records))


async def _journaled(workspace: Workspace, execution_id: str) -> protocol.OutputsResult:
    """An execution of an earlier session. Raises `ExecutionNotFound`."""
    journal = workspace.frontend.journal
    found = None
    if journal is not None and journal.policy.enabled:
        found = await journal.find(execution_id)
    if found is None:
        raise ExecutionNotFound.of(execution_id)
    entry, shown = found
    execution = protocol.ExecutionOutputs(
        execution_id=execution_id,
        range=entry.place.range if entry.place else None,
        state=entry.state,
        execution_count=entry.execution_count,
        error=_error(entry.error),
        outputs=tuple(shown),
    )
    return protocol.OutputsResult(executions=(execution,))


def _outputs(workspace: Workspace, record: Record) -> protocol.ExecutionOutputs:
    place = workspace.place(record.execution_id)
    return protocol.ExecutionOutputs(
        execution_id=record.execution_id,
        range=place.range if place else None,
        state=record.state,
        execution_count=record.execution_count,
        error=_error(record.error),
        outputs=tuple(record.outputs),
        session=record.session,
        code=record.code if record.session is not None else None,
    )


def _error(error: dict[str, Any] | None) -> protocol.ExecutionError | None:
    if error is None:
        return None
    return protocol.ExecutionError(
        ename=error["ename"], evalue=error["evalue"], traceback=tuple(error["traceback"])
    )


def send(
    workspace: Workspace, params: protocol.SendParams
) -> protocol.SendResult | Coroutine[Any, Any, protocol.SendResult]:
    """Sends at once, or once the start or restart under way is done."""
    frontend = workspace.frontend
    request = Request(
        params.channel,
        params.msg_type,
        params.content,
        metadata=params.metadata,
        buffers=params.buffers,
    )
    if frontend.get_kernel(params.kernel_id).status not in ("starting", "restarting"):
        return protocol.SendResult(msg_id=frontend.send(params.kernel_id, request))
    started = frontend.wait_ready(params.kernel_id)

    async def later() -> protocol.SendResult:
        await started
        return protocol.SendResult(msg_id=frontend.send(params.kernel_id, request))

    return later()


def _range(range_: protocol.Range) -> Range:
    start, end = range_.start, range_.end
    return Range(Position(start.line, start.character), Position(end.line, end.character))


HANDLERS: dict[str, tuple[type[Any], Any]] = {
    protocol.LIST_KERNEL_SPECS: (protocol.ListKernelSpecsParams, list_kernel_specs),
    protocol.START_KERNEL: (protocol.StartKernelParams, start_kernel),
    protocol.ATTACH_KERNEL: (protocol.AttachKernelParams, attach_kernel),
    protocol.LIST_KERNELS: (protocol.ListKernelsParams, list_kernels),
    protocol.KERNEL_INFO: (protocol.KernelInfoParams, kernel_info),
    protocol.SELECT_KERNEL: (protocol.SelectKernelParams, select_kernel),
    protocol.EXECUTE: (protocol.ExecuteParams, execute),
    protocol.STDIN: (protocol.StdinParams, stdin),
    protocol.COMPLETE: (protocol.CompleteParams, complete),
    protocol.INSPECT: (protocol.InspectParams, inspect),
    protocol.IS_COMPLETE: (protocol.IsCompleteParams, is_complete),
    protocol.HISTORY: (protocol.HistoryParams, history),
    protocol.INTERRUPT: (protocol.InterruptParams, interrupt),
    protocol.RESTART_KERNEL: (protocol.RestartKernelParams, restart_kernel),
    protocol.SHUTDOWN_KERNEL: (protocol.ShutdownKernelParams, shutdown_kernel),
    protocol.KEEP_KERNEL: (protocol.KeepKernelParams, keep_kernel),
    protocol.OUTPUTS: (protocol.OutputsParams, outputs),
    protocol.SEND: (protocol.SendParams, send),
}
"""Method to the type of its params and the function that answers it."""
