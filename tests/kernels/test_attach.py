"""Kernels with more than one client: ours and a client of jupyter_client, on a real kernel."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from jupyter_client.asynchronous import AsyncKernelClient
from support import DEADLINE, FAKE, Events, check_order, fake_spec, is_alive, read_json, text_of

from carpo_lsp.errors import KernelNotOurs, KernelStartFailed, KernelTimeout
from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.elsewhere import attached
from carpo_lsp.kernels.events import MessageReceived, StateChanged
from carpo_lsp.kernels.messages import Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SLEEP = "import time\nprint('asleep', flush=True)\ntime.sleep(600)"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def frontend() -> AsyncIterator[Frontend]:
    async with Frontend() as frontend:
        yield frontend


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kernel(frontend: Frontend) -> str:
    return await frontend.start_kernel(spec_name="python3")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(frontend: Frontend, kernel: str) -> AsyncIterator[AsyncKernelClient]:
    file = frontend.get_kernel(kernel).connection_file
    assert file is not None
    client = AsyncKernelClient(connection_file=file)
    client.load_connection_file()
    client.start_channels(hb=False)
    await client.wait_for_ready(timeout=10)
    yield client
    client.stop_channels()


async def test_the_other_clients_output_is_external(
    frontend: Frontend, events: Events, kernel: str, client: AsyncKernelClient
) -> None:
    client.execute("print('theirs')\n6 * 7")
    output = await events.until_text("theirs")
    external = output.execution_id
    assert external.startswith("external:")
    assert output.kernel_id == kernel
    await events.until_state("ok", external)
    check_order(events.of(external))
    queued, running, *_ = (each for each in events.of(external) if isinstance(each, StateChanged))
    assert queued.code == "print('theirs')\n6 * 7"
    assert queued.session is not None
    assert queued.session.id == client.session.session
    assert queued.session.username == client.session.username
    assert (running.state, running.session) == ("running", queued.session)
    assert frontend.record(external).session == queued.session
    assert frontend.record(external).code == queued.code
    stream, result = frontend.record(external).outputs
    assert stream["text"] == "theirs\n"
    assert result["data"] == {"text/plain": "42"}
    assert frontend.record(external).execution_count
    await events.until_status("idle", kernel)
    assert events.statuses(kernel) == ["busy", "idle"]


async def test_what_the_other_client_runs_silently_is_not_told(
    frontend: Frontend, events: Events, kernel: str, client: AsyncKernelClient
) -> None:
    """Editors do so to learn something."""
    client.execute("1", silent=True)
    await events.until_status("busy", kernel)
    await events.until_status("idle", kernel)
    assert not [event for event in events.all if isinstance(event, StateChanged)]


async def test_the_other_clients_error_and_ours_beside_it(
    frontend: Frontend, events: Events, kernel: str, client: AsyncKernelClient
) -> None:
    client.execute("x = 3\n1 / 0")
    error = await events.until_state("error")
    assert error.execution_id.startswith("external:")
    assert error.error is not None
    assert error.error["ename"] == "ZeroDivisionError"
    result = await frontend.execute_code(kernel, "x")
    assert [output["data"] for output in result.outputs] == [{"text/plain": "3"}]


async def test_an_interrupt_reaches_the_other_clients_code(
    frontend: Frontend, events: Events, kernel: str, client: AsyncKernelClient
) -> None:
    client.execute(SLEEP)
    await events.until_text("asleep")
    await frontend.interrupt(kernel)
    error = await events.until_state("error")
    assert error.error is not None
    assert error.error["ename"] == "KeyboardInterrupt"


async def test_a_display_of_the_other_client_is_updated_by_ours(
    frontend: Frontend, events: Events, kernel: str, client: AsyncKernelClient
) -> None:
    client.execute("h = display('one', display_id='theirs')")
    shown = await events.until_text("one")
    await events.until_state("ok", shown.execution_id)
    await frontend.execute_code(kernel, "h.update('two')")
    update = await events.until_text("two")
    assert (update.kind, update.execution_id) == ("update", shown.execution_id)


async def test_output_of_a_thread_is_not_lost(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    code = "import threading\ngo = threading.Event()\n"
    code += "def late():\n    go.wait()\n    print('late', flush=True)\n"
    code += "thread = threading.Thread(target=late)\nthread.start()"
    handle = frontend.execute_code(kernel, code)
    assert (await handle).outputs == ()
    release = frontend.execute_code(kernel, "go.set()\nthread.join()")
    await release
    late = await events.until_text("late")
    assert late.execution_id != handle.execution_id
    for execution_id in {late.execution_id, handle.execution_id, release.execution_id}:
        await frontend.execute_code(kernel, "")
        check_order(events.of(execution_id))


async def test_attach(frontend: Frontend, kernel: str) -> None:
    async with Frontend() as other:
        events = Events(other)
        theirs = frontend.get_kernel(kernel)
        assert theirs.connection_file is not None
        attached_id = await other.attach_kernel(theirs.connection_file)
        ours = await other.get_kernel_info(attached_id)
        assert (ours.owned, ours.pid, ours.language) == (False, None, "python")
        assert ours.connection_file == theirs.connection_file
        assert ours.display_name == "ipython"
        assert ours.kernel_info is not None
        assert ours.execution_count is None, "what it has run before is not known"
        result = await other.execute_code(attached_id, "print('both')\nx = 5")
        assert text_of(result.outputs) == "both\n"
        handle = other.execute_code(attached_id, "input('who? ')")
        await events.until_input(handle.execution_id)
        await other.provide_stdin(attached_id, "me")
        assert (await handle).outputs[0]["data"] == {"text/plain": "'me'"}
        handle = other.execute_code(attached_id, SLEEP)
        await events.until_text("asleep")
        await other.interrupt(attached_id)
        assert (await handle).state == "error"
        with pytest.raises(KernelNotOurs, match="restart it there"):
            await other.restart_kernel(attached_id)
        assert (await other.execute_code(attached_id, "x")).state == "ok"
        await other.shutdown_kernel(attached_id)
        assert other.list_kernels() == []
    # It is not ours to end.
    assert theirs.pid is not None
    assert is_alive(theirs.pid)
    assert (await frontend.execute_code(kernel, "x")).state == "ok"


async def test_what_runs_while_we_attach(frontend: Frontend, events: Events, kernel: str) -> None:
    """The messages of an execution whose beginning we have not seen do not confuse us."""
    asks = frontend.execute_code(kernel, "print(input('go? '))")
    await events.until_input(asks.execution_id)
    async with Frontend() as other:
        seen = Events(other)
        file = frontend.get_kernel(kernel).connection_file
        assert file is not None
        attaching = asyncio.create_task(other.attach_kernel(file))
        await seen.until_status("starting")
        await frontend.provide_stdin(kernel, "go")
        attached_id = await attaching
        await asks
        assert (await other.execute_code(attached_id, "1")).state == "ok"
        await seen.until_status("idle")
        assert not [
            event
            for event in seen.all
            if isinstance(event, StateChanged) and event.state in ("died", "aborted")
        ]


async def test_the_death_of_an_attached_kernel(
    frontend: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attached, "ABSENCE", 0.2)
    kernel = await frontend.start_kernel(str(FAKE))
    async with Frontend() as other:
        events = Events(other)
        snapshot = frontend.get_kernel(kernel)
        assert snapshot.connection_file is not None
        assert snapshot.pid is not None
        attached_id = await other.attach_kernel(snapshot.connection_file)
        handle = other.execute_code(attached_id, "stream stdout a\nsleep-until-interrupted")
        await events.until_text("a\n")
        os.kill(snapshot.pid, signal.SIGKILL)
        dead = await events.until_status("dead")
        assert (await handle).state == "died"
        assert dead.exit_code is None
        assert dead.reason is not None
        assert "heartbeat" in dead.reason
    await frontend.shutdown_kernel(kernel)


async def test_the_restart_of_an_attached_kernel_by_its_owner(
    frontend: Frontend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However soon the next kernel is there, what ran in the one before has ended."""
    monkeypatch.setattr(attached, "ABSENCE", DEADLINE)
    kernel = await frontend.start_kernel(fake_spec(tmp_path, "--ignore-sigint"))
    file = frontend.get_kernel(kernel).connection_file
    assert file is not None
    async with Frontend() as other:
        events = Events(other)
        attached_id = await other.attach_kernel(file)
        handle = other.execute_code(attached_id, "stream stdout a\nsleep-until-interrupted")
        await events.until_text("a\n")
        await frontend.restart_kernel(kernel)
        dead = await events.until_status("dead")
        assert (await handle).state == "died"
        assert dead.reason is not None
        assert "restarted by somebody else" in dead.reason
        await other.restart_kernel(attached_id)
        assert (await other.execute_code(attached_id, "result 1")).state == "ok"
    await frontend.shutdown_kernel(kernel)


async def test_a_kernel_that_is_not_there(
    frontend: Frontend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attached, "ARRIVAL", 0.1)
    kernel = await frontend.start_kernel(str(FAKE))
    content = read_json(frontend.get_kernel(kernel).connection_file)
    await frontend.shutdown_kernel(kernel)
    copy = tmp_path / "kernel-old.json"
    copy.write_text(json.dumps(content))
    with pytest.raises(KernelStartFailed) as caught:
        await frontend.attach_kernel(str(copy))
    assert "heartbeat" in caught.value.message
    assert "kernel-old.json" in caught.value.message
    assert str(copy) not in [kernel.connection_file for kernel in frontend.list_kernels()]


@pytest.mark.parametrize(
    "flags", [(), ("--ignore-shutdown",), ("--ignore-shutdown", "--ignore-sigterm")]
)
async def test_an_attached_kernel_that_is_to_end_all_the_same(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    async with Frontend() as frontend, Frontend() as other:
        events = Events(frontend)
        kernel = await frontend.start_kernel(fake_spec(tmp_path, *flags))
        file = frontend.get_kernel(kernel).connection_file
        assert file is not None
        attached_id = await other.attach_kernel(file)
        await other.shutdown_kernel(attached_id, force=True)
        assert other.list_kernels() == []
        await events.until_status("dead", kernel)


async def test_an_attached_kernel_that_does_not_end(tmp_path: Path) -> None:
    """By a copy of its connection file its process is not found."""
    async with Frontend() as frontend, Frontend() as other:
        kernel = await frontend.start_kernel(fake_spec(tmp_path, "--ignore-shutdown"))
        copy = tmp_path / "copy.json"
        copy.write_text(json.dumps(read_json(frontend.get_kernel(kernel).connection_file)))
        attached_id = await other.attach_kernel(str(copy))
        with pytest.raises(KernelTimeout, match="does not end"):
            await other.shutdown_kernel(attached_id, force=True)
        assert other.list_kernels() == []
        assert (await frontend.execute_code(kernel, "result 1")).state == "ok"


ADDRESS = {
    **{"transport": "tcp", "ip": "127.0.0.1", "key": "k", "signature_scheme": "hmac-sha256"},
    **{"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5},
}
CURVE = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"


@pytest.mark.parametrize(
    "wrong",
    [
        *({"shell_port": value} for value in ("x", -1, None, [])),
        *({"ip": value} for value in ("not a host", "*")),
        *({"transport": "udp"}, {"signature_scheme": "none"}),
        *({"curve_publickey": value} for value in ("short", 5, CURVE)),
    ],
)
async def test_connection_files_with_wrong_values(
    frontend: Frontend, tmp_path: Path, wrong: dict[str, object]
) -> None:
    file = tmp_path / "kernel.json"
    file.write_text(json.dumps({**ADDRESS, **wrong}))
    before = {kernel.kernel_id for kernel in frontend.list_kernels()}
    with pytest.raises(KernelStartFailed, match="cannot be used") as caught:
        await frontend.attach_kernel(str(file))
    assert str(file) in caught.value.message
    assert {kernel.kernel_id for kernel in frontend.list_kernels()} == before


async def test_a_heartbeat_with_a_wrong_address(
    frontend: Frontend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It would only have told of the kernel's death."""
    kernel = await frontend.start_kernel(str(FAKE))
    content = read_json(frontend.get_kernel(kernel).connection_file)
    file = tmp_path / "kernel.json"
    file.write_text(json.dumps({**content, "hb_port": "x"}))
    async with Frontend() as other:
        attached_id = await other.attach_kernel(str(file))
        assert (await other.execute_code(attached_id, "result 1")).state == "ok"
    assert f"{file} has no heartbeat" in caplog.text
    await frontend.shutdown_kernel(kernel)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "not valid JSON"),
        ("[]", "lacks"),
        (json.dumps({"transport": "tcp", "ip": "127.0.0.1"}), "lacks shell_port"),
        (b"\xff", "not valid JSON"),
    ],
)
async def test_files_that_are_no_connection_files(
    frontend: Frontend, tmp_path: Path, content: str | bytes | None, message: str
) -> None:
    file = tmp_path / "kernel.json"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(KernelStartFailed) as caught:
        await frontend.attach_kernel(str(file))
    assert message in caught.value.message
    assert str(file) in caught.value.message


async def test_a_kernel_that_is_busy_is_used_at_once(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    """What it can do beside the code it does; our code waits for its end, and may be dropped."""
    handle = frontend.execute_code(kernel, "asked = 1\nprint(input('go? '))")
    await events.until_input(handle.execution_id)
    file = frontend.get_kernel(kernel).connection_file
    async with Frontend() as other:
        seen = Events(other)
        attached_id = await other.attach_kernel(file)
        assert other.get_kernel(attached_id).status == "busy"
        assert other.get_kernel(attached_id).language == "python"
        assert "asked" in (await other.get_completions(attached_id, "aske", 4)).matches
        waits = other.submit(attached_id, "asked += 1")
        dropped = other.submit(attached_id, "asked += 10")
        assert other.drop(dropped)
        assert seen.states(dropped) == ["queued", "aborted"]
        assert seen.states(waits) == ["queued"]
        await frontend.provide_stdin(kernel, "gone")
        await seen.until_state("ok", waits)
        assert not other.drop(waits)
        text = await seen.until_text("gone")
        assert text.execution_id.startswith("external:")
        await seen.until_state("ok", text.execution_id)
        await seen.until_status("idle", attached_id)
        assert (await other.execute_code(attached_id, "asked")).outputs[0]["data"] == {
            "text/plain": "2"
        }


async def test_the_code_of_others_is_interrupted(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    handle = frontend.execute_code(kernel, SLEEP)
    await events.until_text("asleep")
    async with Frontend() as other:
        attached_id = await other.attach_kernel(frontend.get_kernel(kernel).connection_file)
        await other.interrupt(attached_id)
        result = await handle
        assert result.error is not None
        assert result.error["ename"] == "KeyboardInterrupt"


@pytest.mark.needs_r
async def test_a_kernel_that_looks_at_nothing_but_its_code_is_interrupted(
    frontend: Frontend, events: Events
) -> None:
    theirs = await frontend.start_kernel(spec_name="ir")
    code = "cat('napping\\n'); flush.console(); Sys.sleep(600)"
    async with Frontend() as other:
        attached_id = await other.attach_kernel(frontend.get_kernel(theirs).connection_file)
        handle = frontend.execute_code(theirs, code)
        await events.until_text("napping")
        await other.interrupt(attached_id)
        assert (await handle).state in ("error", "aborted")
        assert (await other.execute_code(attached_id, "1 + 1")).state == "ok"
    await frontend.shutdown_kernel(theirs)


async def test_nothing_of_ours_stays_in_the_kernel(
    frontend: Frontend, events: Events, kernel: str
) -> None:
    async def subshells() -> list[str]:
        request = Request("control", "list_subshell_request", {})
        frontend.send(kernel, request)
        reply = await events.until(
            lambda event: (
                isinstance(event, MessageReceived)
                and event.message.channel == "control"
                and event.message.parent_id == request.msg_id
            )
        )
        return list(reply.message.content["subshell_id"])

    before = await subshells()
    handle = frontend.execute_code(kernel, "input('go? ')")
    await events.until_input(handle.execution_id)
    async with Frontend() as other:
        attached_id = await other.attach_kernel(frontend.get_kernel(kernel).connection_file)
        assert "input" in (await other.get_completions(attached_id, "inpu", 4)).matches
        assert len(await subshells()) == len(before) + 1
    assert await subshells() == before
    await frontend.provide_stdin(kernel, "gone")
    await handle
