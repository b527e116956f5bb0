"""What a client is told of executions, in order: section 4 of the protocol."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from jupyter_client import AsyncKernelClient
from lsp_clients import ServerError, at, check_order

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lsp_clients import Wire

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def neighbour(server: Wire, python: str) -> AsyncIterator[AsyncKernelClient]:
    """Another client of the Python kernel, which found its connection file."""
    kernel = (await server.kernels())[python]
    client = AsyncKernelClient(connection_file=kernel["connectionFile"])
    client.load_connection_file()
    client.start_channels()
    await client.wait_for_ready(timeout=30)
    yield client
    client.stop_channels()


async def test_the_answer_comes_before_the_code_has_run(server: Wire, python: str) -> None:
    execution_id = await server.execute(python, "input()", executionId="asks")
    assert execution_id == "asks"
    await server.until_prompt("asks")
    await server.request("carpo/stdin", {"kernelId": python, "value": ""})
    await server.until_done("asks")


async def test_states_and_outputs_of_one_execution(server: Wire, python: str) -> None:
    execution_id = await server.run(python, "print('out')\n6 * 7")
    first, second, *outputs, last = server.of(execution_id)
    assert first == {
        "kernelId": python,
        "executionId": execution_id,
        "seq": 0,
        "state": "queued",
        "queuePosition": 0,
    }
    assert second == {
        "kernelId": python,
        "executionId": execution_id,
        "seq": 1,
        "state": "running",
    }
    stream, result = outputs
    assert stream == {
        "kernelId": python,
        "executionId": execution_id,
        "seq": 2,
        "kind": "append",
        "output": {"output_type": "stream", "name": "stdout", "text": "out\n"},
    }
    assert result["output"] == {
        "output_type": "execute_result",
        "data": {"text/plain": "42"},
        "metadata": {},
        "execution_count": last["executionCount"],
    }
    assert last["state"] == "ok"
    assert last["durationMs"] > 0
    assert "error" not in last


async def test_an_error_is_told_in_the_state_and_in_the_outputs(server: Wire, python: str) -> None:
    execution_id = await server.run(python, "{}['missing']")
    end = server.of(execution_id)[-1]
    assert end["state"] == "error"
    assert end["error"]["ename"] == "KeyError"
    assert end["error"]["evalue"] == "'missing'"
    assert any("missing" in line for line in end["error"]["traceback"])
    (output,) = [params["output"] for params in server.outputs(execution_id)]
    assert output == {"output_type": "error", **end["error"]}


async def test_the_queue(server: Wire, python: str) -> None:
    first = await server.execute(python, "input('first')")
    waiting = [await server.execute(python, f"print({number})") for number in range(3)]
    await server.until_prompt(first)
    for each in waiting:
        await server.until_state(each, "queued")
    assert [server.of(each)[0].get("queuePosition") for each in (first, *waiting)] == [0, 1, 2, 3]
    assert [server.states(each) for each in waiting] == [["queued"]] * 3
    assert (await server.kernels())[python]["pending"] == 4
    assert (await server.kernels())[python]["status"] == "busy"
    await server.request("carpo/stdin", {"kernelId": python, "value": ""})
    for number, execution_id in enumerate(waiting):
        await server.until_done(execution_id)
        assert server.text(execution_id) == f"{number}\n"
    assert (await server.kernels())[python]["pending"] == 0


async def test_an_error_ends_what_waits_behind_it(server: Wire, python: str) -> None:
    first = await server.execute(python, "input(); 1 / 0")
    second = await server.execute(python, "print('never')")
    await server.until_prompt(first)
    await server.request("carpo/stdin", {"kernelId": python, "value": ""})
    assert (await server.until_done(first))["state"] == "error"
    assert (await server.until_done(second))["state"] == "aborted"
    assert server.states(second) == ["queued", "aborted"]


async def test_an_error_leaves_the_queue_where_it_is_told_to(server: Wire, python: str) -> None:
    first = await server.execute(python, "input(); 1 / 0", stopOnError=False)
    second = await server.execute(python, "print('still')")
    await server.until_prompt(first)
    await server.request("carpo/stdin", {"kernelId": python, "value": ""})
    assert (await server.until_done(first))["state"] == "error"
    assert (await server.until_done(second))["state"] == "ok"


async def test_options_reach_the_kernel(server: Wire, python: str) -> None:
    counted = await server.run(python, "answer = 42", userExpressions={"twice": "answer * 2"})
    end = server.of(counted)[-1]
    assert end["userExpressions"]["twice"]["data"]["text/plain"] == "84"
    silent = await server.run(python, "print('shown'); answer", silent=True)
    assert "executionCount" not in server.of(silent)[-1] or (
        server.of(silent)[-1]["executionCount"] == end["executionCount"]
    )
    assert [each["output"]["output_type"] for each in server.outputs(silent)] == ["stream"]
    forgotten = await server.run(python, "'not in the history'", storeHistory=False)
    history = await server.request("carpo/history", {"kernelId": python, "n": 1})
    assert "not in the history" not in str(history)
    assert server.of(forgotten)[-1]["state"] == "ok"
    mute = await server.run(python, "input()", allowStdin=False)
    assert server.of(mute)[-1]["error"]["ename"] == "StdinNotImplementedError"


async def test_nothing_is_lost_while_the_server_is_stopped(
    server: Wire, python: str, tmp_path: Path
) -> None:
    printed = tmp_path / "printed"
    os.mkfifo(printed)
    code = (
        "for i in range(5000): print(i, flush=True)\n"
        f"with open({str(printed)!r}, 'w'): pass\nprint()"
    )
    wrote = asyncio.create_task(asyncio.to_thread(printed.read_bytes))
    try:
        execution_id = await server.execute(python, code)
        await server.until_state(execution_id, "running")
        server.process.send_signal(signal.SIGSTOP)
        # More than the kernel's socket takes by itself and the operating system for it.
        await wrote
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert (await server.until_done(execution_id))["state"] == "ok"
    assert server.text(execution_id) == "".join(f"{i}\n" for i in range(5000)) + "\n"


async def test_streams_keep_their_order_and_their_names(server: Wire, python: str) -> None:
    code = (
        "import sys\nfor n in range(20):\n    print(n, flush=True)\n"
        "    print(-n, file=sys.stderr, flush=True)"
    )
    execution_id = await server.run(python, code)
    assert server.text(execution_id) == "".join(f"{n}\n" for n in range(20))
    assert server.text(execution_id, "stderr") == "".join(f"{-n}\n" for n in range(20))
    names = [each["output"]["name"] for each in server.outputs(execution_id)]
    assert names == ["stdout", "stderr"] * 20


async def test_a_display_update_reaches_the_execution_that_owns_it(
    server: Wire, python: str
) -> None:
    owner = await server.run(
        python, "from IPython.display import display\nshown = display('old', display_id='mine')"
    )
    (append,) = server.outputs(owner)
    assert (append["kind"], append["displayId"]) == ("append", "mine")
    updater = await server.run(python, "shown.update('new')")
    assert server.outputs(updater) == []
    update = server.outputs(owner)[-1]
    assert (update["kind"], update["displayId"]) == ("update", "mine")
    assert update["output"]["data"]["text/plain"] == "'new'"
    check_order(server.of(owner))
    held = await server.request("carpo/outputs", {"executionId": owner})
    assert held["executions"][0]["outputs"][0]["data"]["text/plain"] == "'new'"


async def test_clear_output(server: Wire, python: str) -> None:
    execution_id = await server.run(
        python,
        "from IPython.display import clear_output\n"
        "print('one\\n', end=''); clear_output(); print('two\\n', end='')\n"
        "clear_output(wait=True); print('three\\n', end='')",
    )
    outputs = server.outputs(execution_id)
    assert [(each["kind"], each.get("wait")) for each in outputs] == [
        ("append", None),
        ("clear", False),
        ("append", None),
        ("clear", True),
        ("append", None),
    ]
    held = await server.request("carpo/outputs", {"executionId": execution_id})
    assert [each["text"] for each in held["executions"][0]["outputs"]] == ["three\n"]


async def test_output_after_the_end_comes_as_external(
    server: Wire, python: str, tmp_path: Path
) -> None:
    before = len(server.notes)
    gate = tmp_path / "gate"
    execution_id = await server.run(
        python,
        "import os, threading, time\n"
        "def late():\n"
        f"    while not os.path.exists({str(gate)!r}):\n        time.sleep(0.01)\n"
        "    print('too late', flush=True)\n"
        "threading.Thread(target=late).start()\nprint('in time')",
    )
    gate.touch()
    late = await server.until(
        lambda method, params: (
            method == "carpo/output" and "too late" in params["output"].get("text", "")
        ),
        after=before,
    )
    external = late["executionId"]
    assert external.startswith("external:")
    check_order(server.of(execution_id))
    assert server.text(execution_id) == "in time\n"
    # It ends no later than with the next execution.
    assert await server.evaluate(python, "1") == "1"
    assert (await server.until_done(external))["state"] == "ok"
    assert server.text(external) == "too late\n"


async def test_another_clients_code_comes_as_external(
    server: Wire, python: str, neighbour: AsyncKernelClient
) -> None:
    before = len(server.notes)
    neighbour.execute("print('from next door')\n1 / 0")
    output = await server.until(
        lambda method, params: (
            method == "carpo/output" and "next door" in params["output"].get("text", "")
        ),
        after=before,
    )
    execution_id = output["executionId"]
    assert execution_id.startswith("external:")
    assert output["kernelId"] == python
    end = await server.until_done(execution_id)
    assert server.states(execution_id) == ["queued", "running", "error"]
    assert end["error"]["ename"] == "ZeroDivisionError"
    held = await server.request("carpo/outputs", {"executionId": execution_id})
    assert held["executions"][0]["outputs"][0]["text"] == "from next door\n"


async def test_every_change_of_a_kernel_is_told(server: Wire) -> None:
    before = len(server.notes)
    kernel_id = (await server.start(specName="fake"))["kernelId"]
    await server.run(kernel_id, "stream stdout hello")
    await server.until_status(kernel_id, "idle", after=before)
    await server.request("carpo/restartKernel", {"kernelId": kernel_id})
    await server.request("carpo/shutdownKernel", {"kernelId": kernel_id})
    await server.until_status(kernel_id, "stopped")
    told = [each for each in server.named("carpo/kernelStatus") if each["kernelId"] == kernel_id]
    assert [each["status"] for each in told] == [
        "starting",
        "idle",
        "busy",
        "idle",
        "restarting",
        "idle",
        "stopped",
    ]
    assert all(each["kernel"]["kernelId"] == kernel_id for each in told)
    assert [each["kernel"]["status"] for each in told] == [each["status"] for each in told]


async def test_interrupt(server: Wire, python: str) -> None:
    running = await server.execute(python, "import time\nprint('in', flush=True)\ntime.sleep(600)")
    queued = [await server.execute(python, "print('never')") for _ in range(3)]
    await server.until_text(running, "in\n")
    assert await server.request("carpo/interrupt", {"kernelId": python}) is None
    end = await server.until_done(running)
    assert (end["state"], end["error"]["ename"]) == ("error", "KeyboardInterrupt")
    for execution_id in queued:
        assert (await server.until_done(execution_id))["state"] == "aborted"
    assert await server.evaluate(python, "'fine'") == "'fine'"


async def test_an_interrupt_while_it_waits_for_input(server: Wire, python: str) -> None:
    asking = await server.execute(python, "input('?')")
    await server.until_prompt(asking)
    await server.request("carpo/interrupt", {"kernelId": python})
    assert (await server.until_done(asking))["state"] == "error"
    error = await server.fail("carpo/stdin", {"kernelId": python, "value": "x"})
    assert (error.code, error.data["name"]) == (1005, "NoInputPending")
    second = await server.execute(python, "input('again?')")
    await server.until_prompt(second)
    await server.request("carpo/stdin", {"kernelId": python, "value": "y"})
    await server.until_done(second)
    assert server.outputs(second)[-1]["output"]["data"]["text/plain"] == "'y'"


async def test_an_interrupt_of_nothing(server: Wire, python: str) -> None:
    assert await server.request("carpo/interrupt", {"kernelId": python}) is None
    assert await server.evaluate(python, "'fine'") == "'fine'"


async def test_code_that_is_sent_right_after_an_interrupt_runs(server: Wire, fake: str) -> None:
    running = await server.execute(fake, "stream stdout in\nsleep-until-interrupted")
    await server.until_text(running, "in\n")
    place = {"kernelId": fake, "executionId": "after the interrupt"}
    with server.together():
        interrupted = server.post("carpo/interrupt", {"kernelId": fake})
        executed = server.post("carpo/execute", {**place, "code": "stream stdout ran"})
    await asyncio.gather(interrupted, executed)
    assert (await server.until_done(running))["state"] == "error"
    assert (await server.until_done(place["executionId"]))["state"] == "ok"


async def test_a_restart_ends_what_runs_and_what_waits(server: Wire) -> None:
    before = await server.start(specName="fake")
    kernel_id = before["kernelId"]
    running = await server.execute(kernel_id, "stream stdout in\nsleep-until-interrupted")
    waiting = await server.execute(kernel_id, "stream stdout never")
    await server.until_text(running, "in\n")
    after = await server.request("carpo/restartKernel", {"kernelId": kernel_id})
    assert after["kernelId"] == kernel_id
    assert after["pid"] != before["pid"]
    assert after["status"] == "idle"
    for execution_id in (running, waiting):
        end = await server.until_done(execution_id)
        assert (end["state"], end["error"]["ename"]) == ("died", "KernelDied")
    assert await server.evaluate(kernel_id, "stream stdout back") == "back\n"
    await server.request("carpo/shutdownKernel", {"kernelId": kernel_id})


async def test_code_that_is_sent_right_after_a_restart_runs_in_the_new_kernel(
    server: Wire,
) -> None:
    kernel_id = (await server.start(specName="fake"))["kernelId"]
    place = {"kernelId": kernel_id}
    with server.together():
        restarted = server.post("carpo/restartKernel", place)
        executed = server.post("carpo/execute", {**place, "code": "stream stdout new"})
    await asyncio.gather(restarted, executed)
    end = await server.until_done((await executed)["executionId"])
    assert end["state"] == "ok"
    await server.request("carpo/shutdownKernel", {"kernelId": kernel_id})


async def test_code_that_is_sent_right_after_a_shutdown(server: Wire) -> None:
    place = {"kernelId": (await server.start(specName="fake"))["kernelId"]}
    with server.together():
        ended = server.post("carpo/shutdownKernel", place)
        refused = server.post("carpo/execute", {**place, "code": "stream stdout never"})
    assert await ended is None
    with pytest.raises(ServerError) as failure:
        await refused
    assert failure.value.code == 1003


async def test_an_error_of_silent_code_drops_nothing(server: Wire) -> None:
    place = {"kernelId": (await server.start(specName="fake"))["kernelId"]}
    with server.together():
        failed = server.post("carpo/execute", {**place, "code": "error E m", "silent": True})
        waiting = server.post("carpo/execute", {**place, "code": "stream stdout ran"})
    assert (await server.until_done((await failed)["executionId"]))["state"] == "error"
    assert (await server.until_done((await waiting)["executionId"]))["state"] == "ok"
    await server.request("carpo/shutdownKernel", place)


@pytest.mark.needs_r
async def test_r_stands_an_interrupt_at_once(server: Wire) -> None:
    """IRkernel ends when it is interrupted between its first message and the code."""
    place = {"kernelId": (await server.start(specName="ir"))["kernelId"]}
    for _ in range(3):
        with server.together():
            executed = server.post("carpo/execute", {**place, "code": "Sys.sleep(600)"})
            interrupted = server.post("carpo/interrupt", place)
        await interrupted
        end = await server.until_done((await executed)["executionId"])
        assert end["state"] in ("error", "aborted")
    after = await server.execute(place["kernelId"], "cat('alive')")
    assert (await server.until_done(after))["state"] == "ok"
    await server.request("carpo/shutdownKernel", place)


async def test_code_that_is_sent_right_after_a_start_with_an_id_of_ours(server: Wire) -> None:
    kernel_id = "11111111-2222-4333-8444-555555555555"
    place = {"kernelId": kernel_id}
    with server.together():
        started = server.post("carpo/startKernel", {"specName": "fake", **place})
        executed = server.post("carpo/execute", {**place, "code": "stream stdout hi"})
    assert (await started)["kernelId"] == kernel_id
    assert (await executed)["kernelId"] == kernel_id
    assert (await server.until_done((await executed)["executionId"]))["state"] == "ok"
    await server.request("carpo/shutdownKernel", {"kernelId": kernel_id})


async def test_outputs_of_a_document_in_order(server: Wire, tmp_path: Path) -> None:
    uri = server.open(
        (tmp_path / "held.py").as_uri(), "# %%\nprint('first')\n# %%\nprint('second')\n", "fake"
    )
    await server.start(textDocument={"uri": uri})
    document = {"textDocument": {"uri": uri}}
    first = await server.execute(uri, "stream stdout first")
    second = (await server.request("carpo/execute", at(uri, 3, 2)))["executionId"]
    await server.until_done(first)
    await server.until_done(second)
    held = (await server.request("carpo/outputs", document))["executions"]
    assert [each["executionId"] for each in held] == [first, second]
    assert held[0] == {
        "executionId": first,
        "state": "ok",
        "executionCount": 1,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "first\n"}],
    }
    assert held[1]["state"] == "error"
    assert held[1]["range"] == {
        "start": {"line": 3, "character": 0},
        "end": {"line": 3, "character": 15},
    }
    assert held[1]["outputs"][0]["output_type"] == "error"
    (alone,) = (await server.request("carpo/outputs", {"executionId": second}))["executions"]
    assert alone == held[1]


async def test_code_of_a_range_and_of_the_cell_at_a_position(server: Wire, tmp_path: Path) -> None:
    uri = server.open((tmp_path / "é.py").as_uri(), "# %%\n'😀', 1 + 1\n# %%\n'b'\n")
    document = {"textDocument": {"uri": uri}}
    range_ = {"start": {"line": 1, "character": 6}, "end": {"line": 1, "character": 11}}
    part = await server.request("carpo/execute", {**document, "range": range_})
    cell = await server.request("carpo/execute", at(uri, 2, 1))
    await server.until_done(part["executionId"])
    await server.until_done(cell["executionId"])
    results = [
        server.outputs(each["executionId"])[0]["output"]["data"]["text/plain"]
        for each in (part, cell)
    ]
    assert results == ["2", "'b'"]
    queued = server.of(part["executionId"])[0]
    assert queued["textDocument"] == {"uri": uri}
    assert queued["range"] == range_
    assert part["kernelId"] == cell["kernelId"]


async def test_a_range_that_begins_in_prose_is_in_the_language_of_the_document(
    server: Wire, tmp_path: Path
) -> None:
    text = "# %% [markdown]\n# Prose.\n# %%\n'code'\n"
    uri = server.open((tmp_path / "prose.py").as_uri(), text)
    range_ = {"start": {"line": 0, "character": 0}, "end": {"line": 4, "character": 0}}
    everything = {"textDocument": {"uri": uri}, "range": range_}
    execution_id = (await server.request("carpo/execute", everything))["executionId"]
    assert (await server.until_done(execution_id))["state"] == "ok"
    (result,) = server.outputs(execution_id)
    assert result["output"]["data"]["text/plain"] == "'code'"


async def test_the_place_of_code_that_waits_long(server: Wire, tmp_path: Path) -> None:
    uri = server.open((tmp_path / "many.py").as_uri(), "# %%\ninput Go?\n", "fake")
    asking = await server.request("carpo/execute", at(uri, 1, 0))
    await server.until_prompt(asking["executionId"])
    ids = [await server.execute(uri, "stream stdout x") for _ in range(1001)]
    await server.request("carpo/interrupt", {"kernelId": asking["kernelId"]})
    for execution_id in (asking["executionId"], *ids):
        end = await server.until_done(execution_id)
        assert end["textDocument"] == {"uri": uri}


async def test_an_execution_that_was_refused_leaves_no_place(server: Wire, tmp_path: Path) -> None:
    uri = server.open((tmp_path / "dead.py").as_uri(), "# %%\nexit 3\n", "fake")
    dying = await server.request("carpo/execute", at(uri, 1, 0))
    await server.until_status(dying["kernelId"], "dead")
    again = {**at(uri, 1, 0), "executionId": "refused"}
    assert (await server.fail("carpo/execute", again)).code == 1003
    await server.request("carpo/restartKernel", {"kernelId": dying["kernelId"]})
    await server.run(dying["kernelId"], "stream stdout x", executionId="refused")
    assert not any("textDocument" in params for params in server.of("refused"))


async def test_the_code_is_that_of_the_moment(server: Wire, tmp_path: Path) -> None:
    """What is typed after an execute does not change it, however fast."""
    uri = server.open((tmp_path / "typed.py").as_uri(), "# %%\nstream stdout old\n", "fake")
    with server.together():
        executed = server.post("carpo/execute", at(uri, 1, 0))
        server.change(uri, 2, "# %%\nstream stdout new\n")
    execution_id = (await executed)["executionId"]
    await server.until_done(execution_id)
    assert server.text(execution_id) == "old\n"


async def test_messages_of_a_comm(server: Wire, python: str) -> None:
    await server.run(
        python,
        "from ipykernel.comm import CommManager\n"
        "from IPython import get_ipython\n"
        "def target(comm, open_message):\n"
        "    comm.send({'opened': open_message['content']['data']})\n"
        "    def on_message(message):\n"
        "        comm.send({'echo': message['content']['data']},\n"
        "                  buffers=[bytes(message['buffers'][0])[::-1]])\n"
        "    comm.on_msg(on_message)\n"
        "get_ipython().kernel.comm_manager.register_target('mirror', target)",
    )
    before = len(server.notes)
    opened = await server.request(
        "carpo/send",
        {
            "kernelId": python,
            "channel": "shell",
            "msgType": "comm_open",
            "content": {"comm_id": "one", "target_name": "mirror", "data": {"a": 1}},
        },
    )
    first = await server.until(is_comm({"opened": {"a": 1}}), after=before)
    assert first["parentHeader"]["msg_id"] == opened["msgId"]
    assert first["channel"] == "iopub"
    assert first["kernelId"] == python
    await server.request(
        "carpo/send",
        {
            "kernelId": python,
            "channel": "shell",
            "msgType": "comm_msg",
            "content": {"comm_id": "one", "data": {"class": "kept", "text/html": 1}},
            "buffers": [base64.b64encode(b"\x00\x01\xff").decode()],
        },
    )
    echo = await server.until(is_comm({"echo": {"class": "kept", "text/html": 1}}), after=before)
    assert [base64.b64decode(buffer) for buffer in echo["buffers"]] == [b"\xff\x01\x00"]
    # A comm message that an execution causes comes as well.
    await server.run(
        python,
        "comm = next(iter(get_ipython().kernel.comm_manager.comms.values()))\n"
        "comm.send({'from': 'a cell'})",
    )
    await server.until(is_comm({"from": "a cell"}), after=before)


async def test_a_message_that_is_sent_right_after_a_start_waits_for_it(server: Wire) -> None:
    kernel_id = str(uuid.uuid4())
    request = {"channel": "shell", "msgType": "kernel_info_request", "content": {}}
    with server.together():
        starting = server.post("carpo/startKernel", {"specName": "fake", "kernelId": kernel_id})
        sending = server.post("carpo/send", {"kernelId": kernel_id, **request})
    msg_id = (await sending)["msgId"]
    reply = await server.until(
        lambda method, params: (
            method == "carpo/message"
            and params["header"]["msg_type"] == "kernel_info_reply"
            and params["parentHeader"]["msg_id"] == msg_id
        )
    )
    assert reply["kernelId"] == kernel_id
    await starting
    with server.together():
        restarting = server.post("carpo/restartKernel", {"kernelId": kernel_id})
        sending = server.post("carpo/send", {"kernelId": kernel_id, **request})
    assert (await sending)["msgId"] != msg_id
    await restarting
    await server.request("carpo/shutdownKernel", {"kernelId": kernel_id})


async def test_any_message_and_what_answers_it(server: Wire, python: str) -> None:
    before = len(server.notes)
    sent = await server.request(
        "carpo/send",
        {
            "kernelId": python,
            "channel": "control",
            "msgType": "kernel_info_request",
            "content": {},
        },
    )
    reply = await server.until(
        lambda method, params: (
            method == "carpo/message" and params["header"]["msg_type"] == "kernel_info_reply"
        ),
        after=before,
    )
    assert reply["parentHeader"]["msg_id"] == sent["msgId"]
    assert reply["channel"] == "control"
    assert reply["content"]["status"] == "ok"
    assert reply["buffers"] == []
    assert set(reply) == {
        "kernelId",
        "channel",
        "header",
        "parentHeader",
        "metadata",
        "content",
        "buffers",
    }


def is_comm(data: dict[str, Any]) -> Any:
    return lambda method, params: (
        method == "carpo/message"
        and params["header"]["msg_type"] == "comm_msg"
        and params["content"]["data"] == data
    )
