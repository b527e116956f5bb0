"""How carpo/startKernel treats what its client and its user have set."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from carpo_lsp import protocol
from carpo_lsp.features.kernels import restart_kernel, start_kernel
from carpo_lsp.kernels.manager import StartOptions
from carpo_lsp.workspace.settings import Layer, read

if TYPE_CHECKING:
    from scripted import Scripted


def limit(bench: Scripted, **limits: Any) -> None:
    settings, problems = read(Layer({"kernel": {"timeout": 7, "limits": limits}}))
    assert problems == []
    bench.workspace.settings = settings


async def test_a_start_has_the_limits_of_the_settings(bench: Scripted) -> None:
    limit(bench, memoryMb=500, idleMinutes=0)
    options = bench.workspace.with_settings(StartOptions(cwd="/w"))
    assert options.cwd == "/w"
    assert options.timeout == 7
    assert options.limits == protocol.Limits(memory_mb=500)


async def test_what_the_client_asks_for_goes_before_the_settings(bench: Scripted) -> None:
    limit(bench, memoryMb=500, executionSeconds=9)
    wanted = StartOptions(timeout=2, limits=protocol.Limits(execution_seconds=3))
    assert bench.workspace.with_settings(wanted) == wanted


@pytest.mark.parametrize("again", [False, True])
async def test_a_request_that_is_cancelled_before_its_first_step_leaves_no_waiter(
    bench: Scripted, again: bool
) -> None:
    """A coroutine that nobody awaits warns when it is collected, and a warning is an error here."""
    document = bench.open("x")
    params = protocol.StartKernelParams(text_document=protocol.TextDocument(document.uri))
    kernel = await start_kernel(bench.workspace, params)
    if again:
        restart = protocol.RestartKernelParams(kernel_id=kernel.kernel_id)
        waiting = restart_kernel(bench.workspace, restart)
    else:
        waiting = start_kernel(bench.workspace, params)
    waiting.close()
    del waiting
    gc.collect()
    await bench.workspace.frontend.wait_ready(kernel.kernel_id)
    assert bench.workspace.frontend.get_kernel(kernel.kernel_id).status == "idle"
