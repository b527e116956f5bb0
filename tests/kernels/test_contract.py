"""The same promises, kept with a kernel that does what it is told and with a real one, whichever
way leads to them: started here, by the connection file of somebody else's, at a Jupyter server or a
gateway, by ssh."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import pytest_asyncio
import sshd
from jupyter_servers import ENTERPRISE, GATEWAY, JUPYTER, Kind, serving
from support import FAKE, Events, check_order, text_of

from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.events import (
    InputRequested,
    MessageReceived,
    OutputChanged,
    StateChanged,
)
from carpo_lsp.kernels.messages import Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")


@attrs.frozen
class Language:
    """How to say a thing in a kernel's language."""

    start: dict[str, str]
    result: str
    """Its result is 42."""
    streams: str
    """Prints out on stdout and err on stderr."""
    error: str
    """Raises ValueError: bad."""
    ask: str
    """Prompts for a line with "who? " and prints it."""
    sleep: str
    """Prints ready, then runs until it is interrupted."""
    displays: str
    """Shows one, then updates it to two."""
    show: str
    """Shows one with the display id `shared`."""
    change: str
    """Updates the display id `shared` to two."""
    clear: str
    """Prints first, clears, prints second."""
    clear_wait: str
    """Prints first, clears with the next output, prints second."""
    incomplete: str
    indent: str
    invalid: str
    expression: str
    """An expression that is 42."""
    prefix: str
    completions: set[str]
    """Some of what the prefix completes to."""
    known: str
    """A name that inspect knows."""
    help: str
    """Part of what it says."""


FAKE_KERNEL = Language(
    start={"spec_path": str(FAKE)},
    result="result 42",
    streams="stream stdout out\nstream stderr err",
    error="error ValueError bad",
    ask="input who? ",
    sleep="stream stdout ready\nsleep-until-interrupted",
    displays="display d one\nupdate d two",
    show="display shared one",
    change="update shared two",
    clear="stream stdout first\nclear\nstream stdout second",
    clear_wait="stream stdout first\nclear wait\nstream stdout second",
    incomplete="stream \\",
    indent="  ",
    invalid="!",
    expression="42",
    prefix="alp",
    completions={"alpha", "alphabet"},
    known="alpha",
    help="is a word",
)

IPYKERNEL = Language(
    start={"spec_name": "python3"},
    result="6 * 7",
    streams="import sys\nprint('out', flush=True)\nprint('err', file=sys.stderr)",
    error="raise ValueError('bad')",
    ask="print(input('who? '))",
    sleep="import time\nprint('ready', flush=True)\ntime.sleep(600)",
    displays="h = display('one', display_id='d')\nh.update('two')",
    show="h = display('one', display_id='shared')",
    change="h.update('two')",
    clear="from IPython.display import clear_output\n"
    "print('first', flush=True)\nclear_output()\nprint('second')",
    clear_wait="from IPython.display import clear_output\n"
    "print('first', flush=True)\nclear_output(wait=True)\nprint('second')",
    incomplete="for x in y:",
    indent="    ",
    invalid="x = = 1",
    expression="6 * 7",
    prefix="enumera",
    completions={"enumerate"},
    known="enumerate",
    help="iterable",
)


Start = Callable[[Frontend], Awaitable[str]]
"""Gives a frontend a kernel of a language; its id there."""


@contextlib.asynccontextmanager
async def started(language: Language, folder: Path) -> AsyncIterator[Start]:
    yield lambda frontend: frontend.start_kernel(**language.start)


@contextlib.asynccontextmanager
async def attached(language: Language, folder: Path) -> AsyncIterator[Start]:
    async with Frontend() as other:

        async def attach(frontend: Frontend) -> str:
            theirs = await other.start_kernel(**language.start)
            return await frontend.attach_kernel(other.get_kernel(theirs).connection_file)

        yield attach


@contextlib.asynccontextmanager
async def served(
    language: Language, folder: Path, *options: str, kind: Kind = JUPYTER
) -> AsyncIterator[Start]:
    async with serving(kind, folder, *options) as server:

        async def start(frontend: Frontend) -> str:
            frontend.manager.servers.name([server.named])
            return await frontend.attach_server(kind.name, **language.start)

        yield start


def served_without_subprotocol(
    language: Language, folder: Path
) -> AbstractAsyncContextManager[Start]:
    """JSON in the frames of the websocket, as of old."""
    return served(language, folder, "--ZMQChannelsWebsocketConnection.kernel_ws_protocol=")


@contextlib.asynccontextmanager
async def by_ssh(language: Language, folder: Path) -> AsyncIterator[Start]:
    with sshd.running(folder) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(server.bin), prepend=":")
        name = f"ssh:{sshd.HOST}/{language.start['spec_name']}"
        yield lambda frontend: frontend.start_kernel(spec_name=name)
        server.wait()


@attrs.frozen
class Running:
    frontend: Frontend
    events: Events
    kernel_id: str
    language: Language
    start: Start
    here: bool
    """Whether the kernel's process is known."""

    async def run(self, code: str, **options: Any) -> tuple[dict[str, Any], ...]:
        """The outputs of code that ends as ok."""
        result = await self.frontend.execute_code(self.kernel_id, code, **options)
        assert result.state == "ok"
        return result.outputs


LOCAL = [
    pytest.param((FAKE_KERNEL, started), id="fake"),
    pytest.param((IPYKERNEL, started), id="ipykernel"),
]
SERVED = [
    pytest.param((IPYKERNEL, road), id=name, marks=pytest.mark.needs_jupyter_server)
    for road, name in ((served, "served"), (served_without_subprotocol, "served-as-json"))
]
SERVED += [
    pytest.param(
        (IPYKERNEL, functools.partial(served, kind=kind)),
        id=kind.name,
        marks=getattr(pytest.mark, f"needs_{kind.name}"),
    )
    for kind in (GATEWAY, ENTERPRISE)
]
BY_SSH = [pytest.param((IPYKERNEL, by_ssh), id="ssh", marks=pytest.mark.needs_sshd)]
ATTACHED = [
    pytest.param((FAKE_KERNEL, attached), id="fake-attached"),
    pytest.param((IPYKERNEL, attached), id="ipykernel-attached"),
]


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=[*LOCAL, *ATTACHED, *SERVED, *BY_SSH]
)
async def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    language, road = request.param
    folder = tmp_path_factory.mktemp("road")
    async with road(language, folder) as start, Frontend() as frontend:
        events = Events(frontend)
        here = road is started
        yield Running(frontend, events, await start(frontend), language, start, here)


async def test_kernel_info(running: Running) -> None:
    kernel = await running.frontend.get_kernel_info(running.kernel_id)
    assert kernel.status == "idle"
    assert (kernel.pid is not None) == running.here
    if running.here:
        assert kernel.owned
        assert kernel.resources is not None
        assert kernel.resources.rss_bytes > 0
    assert kernel.kernel_info is not None
    assert kernel.kernel_info["language_info"]["name"] == kernel.language
    assert running.frontend.get_kernel(running.kernel_id).kernel_info is None


async def test_a_result(running: Running) -> None:
    handle = running.frontend.execute_code(running.kernel_id, running.language.result)
    result = await handle
    count = result.execution_count
    assert result.state == "ok"
    assert result.outputs == (
        {
            "output_type": "execute_result",
            "data": {"text/plain": "42"},
            "metadata": {},
            "execution_count": count,
        },
    )
    assert running.frontend.get_kernel(running.kernel_id).execution_count == count
    events = running.events.of(handle.execution_id)
    check_order(events)
    assert [type(event) for event in events] == [
        StateChanged,
        StateChanged,
        OutputChanged,
        StateChanged,
    ]
    assert running.events.states(handle.execution_id) == ["queued", "running", "ok"]


async def test_streams(running: Running) -> None:
    outputs = await running.run(running.language.streams)
    assert [(output["name"], output["text"]) for output in outputs] == [
        ("stdout", "out\n"),
        ("stderr", "err\n"),
    ]


async def test_an_error(running: Running) -> None:
    handle = running.frontend.execute_code(running.kernel_id, running.language.error)
    result = await handle
    assert result.state == "error"
    assert result.error is not None
    assert (result.error["ename"], result.error["evalue"]) == ("ValueError", "bad")
    assert result.error["traceback"]
    assert result.outputs == ({"output_type": "error", **result.error},)
    check_order(running.events.of(handle.execution_id))


async def test_input(running: Running) -> None:
    handle = running.frontend.execute_code(running.kernel_id, running.language.ask)
    prompts = []
    async for event in handle:
        if isinstance(event, InputRequested):
            prompts.append((event.prompt, event.password))
            await running.frontend.provide_stdin(
                running.kernel_id, "Zoë 😀", execution_id=handle.execution_id
            )
    assert prompts == [("who? ", False)]
    assert text_of((await handle).outputs) == "Zoë 😀\n"
    assert running.events.states(handle.execution_id) == [
        "queued",
        "running",
        "waitingInput",
        "running",
        "ok",
    ]


async def test_interrupt(running: Running) -> None:
    frontend, kernel_id = running.frontend, running.kernel_id
    handle = frontend.execute_code(kernel_id, running.language.sleep)
    await running.events.until(
        lambda event: isinstance(event, OutputChanged) and event.execution_id == handle.execution_id
    )
    await frontend.interrupt(kernel_id)
    result = await handle
    assert result.state == "error"
    assert result.error is not None
    assert result.error["ename"] == "KeyboardInterrupt"
    await running.run(running.language.result)


async def test_interrupt_of_code_that_has_just_been_sent(running: Running) -> None:
    """It ends, whether the interrupt meets the kernel in the code or on its way there."""
    frontend, kernel_id = running.frontend, running.kernel_id
    handle = frontend.execute_code(kernel_id, running.language.sleep)
    await frontend.interrupt(kernel_id)
    assert (await handle).state in ("error", "aborted")
    await running.run(running.language.result)


async def test_interrupt_of_a_question(running: Running) -> None:
    frontend, kernel_id = running.frontend, running.kernel_id
    handle = frontend.execute_code(kernel_id, running.language.ask)
    await running.events.until_input(handle.execution_id)
    await frontend.interrupt(kernel_id)
    assert (await handle).state == "error"
    await running.run(running.language.result)


async def test_user_expressions(running: Running) -> None:
    result = await running.frontend.execute_code(
        running.kernel_id, "", user_expressions={"x": running.language.expression}
    )
    assert result.user_expressions is not None
    assert result.user_expressions["x"]["data"] == {"text/plain": "42"}


async def test_silent_code_counts_for_nothing(running: Running) -> None:
    frontend, kernel_id = running.frontend, running.kernel_id
    await running.run(running.language.result)
    before = frontend.get_kernel(kernel_id).execution_count
    assert before
    await running.run(running.language.streams, silent=True)
    await running.run(running.language.result)
    assert frontend.get_kernel(kernel_id).execution_count == before + 1


async def test_is_complete(running: Running) -> None:
    ask = running.frontend.is_complete
    language = running.language
    assert (await ask(running.kernel_id, language.result)).status == "complete"
    assert (await ask(running.kernel_id, language.invalid)).status == "invalid"
    incomplete = await ask(running.kernel_id, language.incomplete)
    assert (incomplete.status, incomplete.indent) == ("incomplete", language.indent)


async def test_complete(running: Running) -> None:
    prefix = running.language.prefix
    code = f"( {prefix} )"
    reply = await running.frontend.get_completions(running.kernel_id, code, 2 + len(prefix))
    assert running.language.completions <= set(reply.matches)
    assert (reply.cursor_start, reply.cursor_end) == (2, 2 + len(prefix))


async def test_inspect(running: Running) -> None:
    known = running.language.known
    reply = await running.frontend.inspect(running.kernel_id, known, len(known))
    assert reply.found
    assert running.language.help in reply.data["text/plain"]
    reply = await running.frontend.inspect(running.kernel_id, "unheard_of", 3)
    assert not reply.found


async def test_history(running: Running) -> None:
    frontend, kernel_id, code = running.frontend, running.kernel_id, running.language.result
    await running.run(code)
    assert (await frontend.history(kernel_id, n=1)).history[-1][2] == code
    found = (await frontend.history(kernel_id, pattern=f"{code[:3]}*")).history
    assert {source for _, _, source in found} == {code}


async def test_a_display_is_updated(running: Running) -> None:
    (output,) = await running.run(running.language.displays)
    assert output["output_type"] == "display_data"
    assert "two" in output["data"]["text/plain"]


async def test_a_display_of_an_earlier_execution_is_updated(running: Running) -> None:
    frontend, kernel_id = running.frontend, running.kernel_id
    first = frontend.execute_code(kernel_id, running.language.show)
    await first
    assert await running.run(running.language.change) == ()
    event = running.events.of(first.execution_id)[-1]
    assert isinstance(event, OutputChanged)
    assert (event.kind, event.display_id) == ("update", "shared")
    (output,) = frontend.record(first.execution_id).outputs
    assert "two" in output["data"]["text/plain"]


async def test_clear_output(running: Running) -> None:
    for code, wait in ((running.language.clear, False), (running.language.clear_wait, True)):
        handle = running.frontend.execute_code(running.kernel_id, code)
        assert text_of((await handle).outputs) == "second\n"
        changes = [
            (event.kind, event.wait)
            for event in running.events.of(handle.execution_id)
            if isinstance(event, OutputChanged)
        ]
        assert changes == [("append", False), ("clear", wait), ("append", False)]


async def test_a_question_behind_code_is_answered_after_it(running: Running) -> None:
    """What `kernels/probe.py` builds on."""
    frontend, events = running.frontend, running.events
    # The end of a kernel's first code waits for what it may say late.
    await frontend.execute_code(running.kernel_id, running.language.result)
    handle = frontend.execute_code(running.kernel_id, running.language.sleep)
    await events.until(
        lambda event: isinstance(event, OutputChanged) and event.execution_id == handle.execution_id
    )
    question = frontend.send(running.kernel_id, Request("shell", "kernel_info_request", {}))
    await frontend.interrupt(running.kernel_id)
    assert (await handle).state == "error"
    end = events.of(handle.execution_id)[-1]

    def answers(channel: str) -> Any:
        return lambda event: (
            isinstance(event, MessageReceived)
            and event.message.parent_id == question
            and event.message.channel == channel
        )

    answered = [await events.until(answers(channel)) for channel in ("shell", "iopub")]
    assert events.all.index(end) < max(map(events.all.index, answered))


@pytest.mark.parametrize("running", [*LOCAL, *SERVED, *BY_SSH], indirect=True, scope="module")
async def test_restart_and_shutdown(running: Running) -> None:
    """Of a kernel that is ours; those of others are left alone, see test_attach.py."""
    frontend = running.frontend
    kernel_id = await running.start(frontend)
    before = frontend.get_kernel(kernel_id)
    await frontend.execute_code(kernel_id, running.language.result)
    waiting = frontend.execute_code(kernel_id, running.language.sleep)
    queued = frontend.execute_code(kernel_id, running.language.result)
    await frontend.restart_kernel(kernel_id)
    assert ((await waiting).state, (await queued).state) == ("died", "died")
    after = frontend.get_kernel(kernel_id)
    assert (after.status, after.execution_count, after.pending) == ("idle", 0, 0)
    if running.here:
        assert after.pid not in (None, before.pid)
    assert after.connection_file == before.connection_file
    result = await frontend.execute_code(kernel_id, running.language.result)
    assert (result.state, result.execution_count) == ("ok", 1)
    await frontend.shutdown_kernel(kernel_id)
    assert running.events.statuses(kernel_id) == [
        *("starting", "idle", "busy", "idle", "busy"),
        *("restarting", "idle", "busy", "idle", "stopped"),
    ]
    assert [kernel.kernel_id for kernel in frontend.list_kernels()] == [running.kernel_id]
