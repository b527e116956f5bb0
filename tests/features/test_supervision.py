"""What users are told of kernels that die, and when these are restarted without being asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from lsprotocol import types
from msgspec import structs
from recorder import Recorder, until

from carpo_lsp.features import supervision
from carpo_lsp.features.commands import Commands
from carpo_lsp.features.supervision import RESTART
from carpo_lsp.kernels.connection import Exit
from carpo_lsp.kernels.startup import explain_end
from carpo_lsp.present import Presenter

if TYPE_CHECKING:
    from scripted import Scripted, ScriptedKernel

ASK = types.WINDOW_SHOW_MESSAGE_REQUEST


@attrs.frozen
class Scene:
    """A client that is told what happens to the kernel of two documents."""

    bench: Scripted
    client: Recorder
    kernel_id: str

    @property
    def kernel(self) -> ScriptedKernel:
        return self.bench.kernels[0]

    @property
    def status(self) -> str:
        return self.bench.workspace.frontend.get_kernel(self.kernel_id).status

    def told(self, method: str = types.WINDOW_SHOW_MESSAGE) -> list[Any]:
        """Messages about the death of kernels."""
        return [params for params in self.client.of(method) if " died: " in params.message]

    async def die(self) -> None:
        """Let the kernel die and stay dead."""
        self.kernel.die()
        await until(lambda: self.status == "dead")

    def revive(self) -> None:
        """The user wants dead kernels restarted."""
        settings = self.bench.workspace.settings
        kernel = attrs.evolve(settings.kernel, auto_restart=True)
        self.bench.workspace.settings = attrs.evolve(settings, kernel=kernel)

    async def until_started(self, times: int) -> None:
        await until(lambda: self.kernel.starts == times and self.status in ("idle", "busy"))


@pytest.fixture
async def scene(bench: Scripted) -> Scene:
    client = Recorder(bench)
    bench.workspace.frontend.subscribe(Presenter(bench.workspace).on_event)
    bench.run = lambda code: None
    for name in ("a", "b"):
        document = bench.open("1\n", f"file:///w/{name}.py")
        for _ in range(2):
            bench.workspace.run(document, "python", "1", None)
    await bench.settle()
    [kernel] = bench.workspace.frontend.list_kernels()
    return Scene(bench, client, kernel.kernel_id)


def asks(scene: Scene) -> None:
    scene.bench.declare(window={"showMessage": {"messageActionItem": {}}})


async def test_one_message_for_all_documents_and_executions(scene: Scene) -> None:
    await scene.die()
    [message] = scene.told()
    assert message.type == types.MessageType.Error
    assert message.message.splitlines() == [
        f"The kernel {scene.kernel.spec.display_name} died: The kernel exited with code 3.",
        "last words",
        "Restart it with the command carpo.restartKernel or its code action.",
    ]
    states = [record.state for record in scene.bench.workspace.frontend.transcript.records()]
    assert states == ["died"] * 4


async def test_a_client_that_can_ask_offers_the_restart(scene: Scene) -> None:
    asks(scene)
    scene.client.answers[ASK] = types.MessageActionItem(title=RESTART)
    scene.kernel.die()
    await scene.until_started(2)
    [question] = scene.told(ASK)
    assert (question.type, [each.title for each in question.actions]) == (1, [RESTART])
    assert scene.told() == []
    assert scene.status == "idle", "what waited has ended, and is not run again"


async def test_an_answer_that_comes_late_restarts_nothing_that_lives(scene: Scene) -> None:
    asks(scene)
    scene.client.answers[ASK] = None  # the message has been closed
    await scene.die()
    await until(lambda: scene.told(ASK))
    await scene.bench.workspace.frontend.restart_kernel(scene.kernel_id)
    assert scene.kernel.starts == 2


async def test_a_client_with_a_plugin_tells_its_user_itself(scene: Scene) -> None:
    scene.bench.workspace.client.wants_notifications = True
    await scene.die()
    assert scene.told() == scene.told(ASK) == []


async def test_no_kernel_is_restarted_that_is_not_to_be(scene: Scene) -> None:
    await scene.die()
    assert (scene.status, scene.kernel.starts) == ("dead", 1)


async def test_a_dead_kernel_is_restarted_three_times_in_a_minute(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.revive()
    for restart in (1, 2, 3):
        scene.kernel.die()
        await scene.until_started(restart + 1)
        assert f"time {restart} of 3" in scene.told()[-1].message
    scene.kernel.die()
    await until(lambda: scene.status == "dead")
    last = scene.told()[-1].message
    assert "not restarted again: it died 4 times within a minute" in last
    assert "carpo.restartKernel" in last
    assert len(scene.told()) == 4
    document = scene.bench.workspace.documents.get("file:///w/a.py")
    bound = scene.bench.workspace.bound_kernel(document, "python")
    assert bound == scene.kernel_id, "documents stay where they are"
    # The minute is over.
    monkeypatch.setattr(supervision, "WITHIN", 0.0)
    await scene.bench.workspace.frontend.restart_kernel(scene.kernel_id)
    scene.kernel.die()
    await scene.until_started(6)


@pytest.mark.parametrize("cause", ["exited", "signal", "outOfMemory", "interrupt"])
async def test_what_a_kernel_is_restarted_after(scene: Scene, cause: Any) -> None:
    scene.revive()
    scene.kernel.die(cause=cause)
    await scene.until_started(2)


async def test_a_kernel_killed_by_a_limit_stays_dead(scene: Scene) -> None:
    scene.revive()
    scene.kernel.die(cause="limit", reason="It took too much.")
    await until(lambda: scene.status == "dead")
    await asyncio.sleep(0)
    assert scene.kernel.starts == 1
    assert "It took too much." in scene.told()[0].message
    assert "carpo.restartKernel" in scene.told()[0].message


async def test_a_shutdown_is_final(scene: Scene) -> None:
    scene.revive()
    await scene.bench.workspace.frontend.shutdown_kernel(scene.kernel_id)
    assert scene.kernel.starts == 1
    assert scene.told() == []


async def test_a_restart_that_fails_is_not_repeated(scene: Scene) -> None:
    scene.revive()

    async def start() -> None:
        from carpo_lsp.errors import KernelStartFailed

        raise KernelStartFailed("Its program is gone.")

    scene.kernel.start = start  # type: ignore[method-assign] # a kernel that breaks meanwhile
    scene.kernel.die()
    await until(lambda: "did not start" in "".join(scene.client.messages()[-1:]))
    assert scene.status == "dead"
    assert "carpo.restartKernel" in scene.client.messages()[-1]


async def test_a_start_that_fails_is_told_once_with_what_mends_it(scene: Scene) -> None:
    spec = structs.replace(scene.kernel.spec, argv=("py",))
    tail = "Traceback\nModuleNotFoundError: No module named 'comm'"

    async def start() -> None:
        raise explain_end(Exit(1, tail, "The kernel exited with code 1.", "exited"), spec)

    scene.kernel.start = start  # type: ignore[method-assign] # a kernel that breaks meanwhile
    Commands(scene.bench.workspace).call("restartKernel", {"uri": "file:///w/a.py"})
    await until(lambda: scene.status == "dead")
    await asyncio.sleep(0)
    told = [params.message for params in scene.client.of(types.WINDOW_SHOW_MESSAGE)]
    [message] = [each for each in told if "did not start" in each]
    assert message.splitlines()[:2] == [
        f"The kernel {spec.display_name} did not start: The kernel exited with code 1. "
        "ModuleNotFoundError: No module named 'comm'",
        "Hint: the Python module comm is missing: py -m pip install comm",
    ]


async def test_what_is_said_of_a_kernel_that_lives(scene: Scene) -> None:
    state = scene.bench.workspace.frontend.manager.get(scene.kernel_id)
    name = scene.kernel.spec.display_name
    state.warn("The kernel uses 90 MB of the 100 MB it may use.")
    state.warn("The kernel does not answer.", "unresponsive")
    state.warn("The kernel is at work again.", "responsive")
    told = scene.client.of(types.WINDOW_SHOW_MESSAGE)[-3:]
    assert [(each.type, each.message) for each in told] == [
        (types.MessageType.Warning, f"{name}: The kernel uses 90 MB of the 100 MB it may use."),
        (types.MessageType.Warning, f"{name}: The kernel does not answer."),
        (types.MessageType.Info, f"{name}: The kernel is at work again."),
    ]
    scene.bench.workspace.client.wants_notifications = True
    before = len(scene.client.messages())
    state.warn("The kernel uses 90 MB of the 100 MB it may use.")
    assert len(scene.client.messages()) == before, "its plugin tells"
