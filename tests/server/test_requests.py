"""Every request: the shape of its result, and the one error a wrong one gets: sections 3 and 5."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from lsp_clients import all_gone, below
from support import FAKE, fake_spec

from carpo_lsp import protocol

if TYPE_CHECKING:
    from pathlib import Path

    from lsp_clients import Wire

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNKNOWN = "00000000-0000-4000-8000-000000000000"

KERNEL = {
    "kernelId",
    "specName",
    "specPath",
    "displayName",
    "language",
    "status",
    "owned",
    "kept",
    "connectionFile",
    "pid",
    "documents",
    "executionCount",
    "pending",
    "startedAt",
    "lastActivity",
    "resources",
}

# Results


async def test_list_kernel_specs(server: Wire, fake_kernels: dict[str, str]) -> None:
    specs = (await server.request("carpo/listKernelSpecs", {}))["specs"]
    by_name = {spec["name"]: spec for spec in specs}
    assert by_name["fake"] == {
        "name": "fake",
        "specPath": fake_kernels["fake"].removesuffix("/kernel.json"),
        "displayName": "fake",
        "language": "fake",
        "interruptMode": "signal",
        "origin": "jupyter",
    }
    assert by_name["python3"]["language"] == "python"
    assert all(set(spec) == set(by_name["fake"]) for spec in specs)


@pytest.mark.parametrize("key", ["specPath", "specName", "language", "textDocument"])
async def test_start_kernel(
    server: Wire, fake_kernels: dict[str, str], tmp_path: Path, key: str
) -> None:
    uri = server.open((tmp_path / "x.py").as_uri(), "# %%\n1\n", "fake")
    values: dict[str, Any] = {
        "specPath": fake_kernels["fake"],
        "specName": "fake",
        "language": "fake",
        "textDocument": {"uri": uri},
    }
    kernel = await server.start(**{key: values[key]})
    assert set(kernel) == KERNEL
    assert kernel["specName"] == "fake"
    assert kernel["status"] == "idle"
    assert kernel["owned"] is True
    assert kernel["documents"] == ([uri] if key == "textDocument" else [])
    assert psutil.pid_exists(kernel["pid"])
    processes = below(kernel["pid"])
    assert await server.request("carpo/shutdownKernel", {"kernelId": kernel["kernelId"]}) is None
    await all_gone(processes, 5)
    assert kernel["kernelId"] not in await server.kernels()
    error = await server.fail("carpo/shutdownKernel", {"kernelId": kernel["kernelId"]})
    assert error.code == 1001


async def test_start_kernel_with_all_options(server: Wire, tmp_path: Path) -> None:
    kernel = await server.start(
        specName="fake",
        kernelId="ABCDEF01-2345-4678-9abc-def012345678",
        cwd=str(tmp_path),
        env={"CARPO_TEST": "yes"},
        limits={"memoryMb": 4096, "executionSeconds": 600, "idleMinutes": 60},
        timeout=60,
    )
    assert kernel["kernelId"].lower() == "abcdef01-2345-4678-9abc-def012345678"
    assert kernel["kernelId"] in kernel["connectionFile"]
    facts = json.loads(await server.evaluate(kernel["kernelId"], "facts"))
    assert facts["cwd"] == str(tmp_path)
    assert facts["env"]["CARPO_TEST"] == "yes"
    assert facts["pid"] == kernel["pid"]
    again = await server.fail(
        "carpo/startKernel", {"specName": "fake", "kernelId": kernel["kernelId"]}
    )
    assert (again.code, again.data["name"]) == (1009, "KernelExists")
    await server.request("carpo/shutdownKernel", {"kernelId": kernel["kernelId"]})


async def test_list_kernels(server: Wire, python: str) -> None:
    kernel = (await server.kernels())[python]
    assert set(kernel) == KERNEL
    assert kernel["resources"]["rssBytes"] > 1_000_000
    assert kernel["resources"]["cpuPercent"] >= 0
    assert kernel["pending"] == 0
    assert kernel["displayName"].startswith("Python 3")
    assert kernel["startedAt"] <= kernel["lastActivity"]
    assert "T" in kernel["startedAt"]


async def test_kernel_info(server: Wire, python: str) -> None:
    kernel = await server.request("carpo/kernelInfo", {"kernelId": python})
    assert set(kernel) == KERNEL | {"kernelInfo"}
    assert kernel["kernelInfo"]["language_info"]["name"] == "python"
    assert kernel["kernelInfo"]["implementation"] == "ipython"


async def test_complete(server: Wire, python: str) -> None:
    await server.run(python, "one_of_mine = 1\none_of_yours = 2")
    code = "é😀 = one_of_"
    result = await server.request(
        "carpo/complete", {"kernelId": python, "code": code, "cursorPos": len(code)}
    )
    assert result["matches"] == ["one_of_mine", "one_of_yours"]
    assert (result["cursorStart"], result["cursorEnd"]) == (5, len(code))
    assert set(result) == {"matches", "cursorStart", "cursorEnd", "metadata"}


async def test_inspect(server: Wire, python: str) -> None:
    place = {"kernelId": python, "code": "len", "cursorPos": 3}
    result = await server.request("carpo/inspect", place)
    assert set(result) == {"found", "data", "metadata"}
    assert result["found"] is True
    assert "number of items" in result["data"]["text/plain"]
    more = await server.request("carpo/inspect", {**place, "detailLevel": 1})
    assert more["found"] is True
    nothing = await server.request(
        "carpo/inspect", {"kernelId": python, "code": "not_there", "cursorPos": 4}
    )
    assert nothing == {"found": False, "data": {}, "metadata": {}}


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("1", {"status": "complete", "indent": ""}),
        ("if 1:", {"status": "incomplete", "indent": "    "}),
        ("1 +* 1", {"status": "invalid", "indent": ""}),
    ],
)
async def test_is_complete(server: Wire, python: str, code: str, answer: object) -> None:
    place = {"kernelId": python, "code": code}
    assert await server.request("carpo/isComplete", place) == answer


async def test_history(server: Wire, python: str) -> None:
    for code in ("'to be found'", "'the last but one'", "'the last'"):
        await server.run(python, code)
    result = await server.request("carpo/history", {"kernelId": python, "n": 2})
    assert [entry[2] for entry in result["history"]] == ["'the last but one'", "'the last'"]
    assert all(isinstance(entry[0], int) and entry[1] > 0 for entry in result["history"])
    found = await server.request("carpo/history", {"kernelId": python, "pattern": "*be found*"})
    assert [entry[2] for entry in found["history"]] == ["'to be found'"]


async def test_attach_kernel(server: Wire, python: str) -> None:
    owned = (await server.kernels())[python]
    attached = await server.request(
        "carpo/attachKernel", {"connectionFile": owned["connectionFile"]}
    )
    assert set(attached) == KERNEL
    assert attached["owned"] is False
    assert attached["pid"] is None
    assert attached["language"] == "python"
    assert attached["kernelId"] != python
    await server.run(python, "from_the_owner = 'shared'")
    assert await server.evaluate(attached["kernelId"], "from_the_owner") == "'shared'"
    await server.request("carpo/shutdownKernel", {"kernelId": attached["kernelId"]})
    spare = await server.request("carpo/startKernel", {"specPath": str(FAKE)})
    newest = await server.request("carpo/attachKernel", {})
    assert newest["connectionFile"] == spare["connectionFile"]
    await server.request("carpo/shutdownKernel", {"kernelId": newest["kernelId"], "force": True})
    dead = await server.until_status(spare["kernelId"], "dead")
    assert dead["exitCode"] == 0
    await server.request("carpo/shutdownKernel", {"kernelId": spare["kernelId"]})
    assert await server.evaluate(python, "from_the_owner") == "'shared'"
    assert psutil.pid_exists(owned["pid"])


async def test_restart_kernel(server: Wire, tmp_path: Path) -> None:
    uri = server.open((tmp_path / "r.py").as_uri(), "# %%\n1\n", "fake")
    before = await server.start(textDocument={"uri": uri})
    after = await server.request("carpo/restartKernel", {"kernelId": before["kernelId"]})
    assert set(after) == KERNEL
    assert after["kernelId"] == before["kernelId"]
    assert after["documents"] == [uri]
    assert after["status"] == "idle"
    assert not psutil.pid_exists(before["pid"])
    await server.request("carpo/shutdownKernel", {"kernelId": before["kernelId"]})


# Errors

GOOD: dict[str, dict[str, Any]] = {
    "startKernel": {"specName": "fake"},
    "attachKernel": {"connectionFile": "/x"},
    "kernelInfo": {"kernelId": UNKNOWN},
    "selectKernel": {"textDocument": {"uri": "file:///x"}, "kernelId": None},
    "execute": {"kernelId": UNKNOWN, "code": "1"},
    "stdin": {"kernelId": UNKNOWN, "value": ""},
    "complete": {"kernelId": UNKNOWN, "code": "", "cursorPos": 0},
    "inspect": {"kernelId": UNKNOWN, "code": "", "cursorPos": 0},
    "isComplete": {"kernelId": UNKNOWN, "code": ""},
    "history": {"kernelId": UNKNOWN},
    "interrupt": {"kernelId": UNKNOWN},
    "restartKernel": {"kernelId": UNKNOWN},
    "shutdownKernel": {"kernelId": UNKNOWN},
    "keepKernel": {"kernelId": UNKNOWN},
    "outputs": {"executionId": "x"},
    "send": {"kernelId": UNKNOWN, "channel": "shell", "msgType": "x", "content": {}},
}
"""Params of the right shape for each request that has any."""

KEEPS_NOTHING = ("startKernel", "attachKernel", "selectKernel", "outputs")


async def test_the_table_has_every_request() -> None:
    without = {"carpo/listKernels", "carpo/listKernelSpecs"}
    assert {f"carpo/{name}" for name in GOOD} | without == set(protocol.PARAMS)


@pytest.mark.parametrize("name", [*GOOD, "listKernels", "listKernelSpecs"])
@pytest.mark.parametrize("params", [[], "text", 7, True], ids=repr)
async def test_params_must_be_an_object(server: Wire, name: str, params: object) -> None:
    assert (await server.fail(f"carpo/{name}", params)).code == -32602


@pytest.mark.parametrize(
    ("name", "field"), [(name, field) for name, params in GOOD.items() for field in params]
)
async def test_a_field_of_the_wrong_type_is_named(server: Wire, name: str, field: str) -> None:
    error = await server.fail(f"carpo/{name}", {**GOOD[name], field: [[]]})
    assert error.code == -32602
    assert field in error.message


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (name, field)
        for name, params in GOOD.items()
        for field in params
        if (name, field) not in (("selectKernel", "kernelId"), ("attachKernel", "connectionFile"))
    ],
)
async def test_a_missing_field_is_named(server: Wire, name: str, field: str) -> None:
    params = {key: value for key, value in GOOD[name].items() if key != field}
    error = await server.fail(f"carpo/{name}", params)
    assert error.code == -32602
    assert field in error.message


@pytest.mark.parametrize("name", [name for name in GOOD if name not in KEEPS_NOTHING])
async def test_an_unknown_kernel(server: Wire, name: str) -> None:
    error = await server.fail(f"carpo/{name}", GOOD[name])
    assert (error.code, error.data["name"]) == (1001, "KernelNotFound")


WRONG: list[tuple[str, dict[str, Any], int]] = [
    ("selectKernel", {"textDocument": {"uri": "file:///x"}, "kernelId": None}, 1006),
    ("execute", {"textDocument": {"uri": "file:///x"}, "code": "1"}, 1006),
    ("startKernel", {"textDocument": {"uri": "file:///x"}}, 1006),
    ("outputs", {"textDocument": {"uri": "file:///x"}}, 1006),
    ("outputs", {"executionId": "never was"}, 1004),
    ("startKernel", {"language": "klingon"}, 1007),
    ("startKernel", {"specName": "not installed"}, 1002),
    ("startKernel", {"specPath": "/no/such/kernel.json"}, 1002),
    ("startKernel", {"specName": "fake", "cwd": "/no/such/folder"}, 1002),
    ("startKernel", {"specName": "broken"}, 1002),
    ("startKernel", {"specName": "fake", "kernelId": "../../etc"}, -32602),
    ("startKernel", {"specName": "fake", "language": "fake"}, -32602),
    ("startKernel", {"specName": "fake", "timeout": 0}, -32602),
    ("attachKernel", {"connectionFile": "/no/such/file"}, 1002),
    ("execute", {"kernelId": UNKNOWN}, -32602),
    ("execute", {"kernelId": UNKNOWN, "position": {"line": 0, "character": 0}}, -32602),
    ("execute", {"kernelId": UNKNOWN, "code": "1", "executionId": ""}, -32602),
    ("execute", {"kernelId": UNKNOWN, "code": "1", "executionId": "x" * 129}, -32602),
    ("complete", {"kernelId": UNKNOWN, "code": "", "cursorPos": -1}, -32602),
    ("complete", {"kernelId": UNKNOWN, "code": "😀", "cursorPos": 2}, -32602),
    ("inspect", {"kernelId": UNKNOWN, "code": "😀", "cursorPos": 2}, -32602),
    ("send", {"kernelId": UNKNOWN, "channel": "iopub", "msgType": "x", "content": {}}, -32602),
    ("send", {**GOOD["send"], "buffers": ["not base64!"]}, -32602),
    ("noSuchMethod", {}, -32601),
]


@pytest.mark.parametrize(("name", "params", "code"), WRONG, ids=lambda value: str(value)[:60])
async def test_wrong_requests(server: Wire, name: str, params: dict[str, Any], code: int) -> None:
    error = await server.fail(f"carpo/{name}", params)
    assert error.code == code
    assert len(error.message) > 10


async def test_a_start_that_fails_tells_why(server: Wire) -> None:
    before = len(server.notes)
    error = await server.fail("carpo/startKernel", {"specName": "broken"})
    assert error.data["name"] == "KernelStartFailed"
    assert error.data["exitCode"] == 3
    assert error.data["stderrTail"] == "it is broken"
    assert "fake_kernel.py" in str(error.data["argv"])
    status = await server.until(
        lambda method, params: method == "carpo/kernelStatus" and params["status"] == "dead",
        after=before,
    )
    assert status["stderrTail"] == "it is broken"
    assert status["kernelId"] not in await server.kernels()


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("startKernel", {"specName": "no such name"}),
        ("startKernel", {"specPath": "/no/such/kernel.json"}),
        ("startKernel", {"specName": "fake", "cwd": "/no/such/folder"}),
        ("attachKernel", {"connectionFile": "/no/such/file"}),
    ],
    ids=str,
)
async def test_a_start_that_fails_before_anything_is_run(
    server: Wire, name: str, params: dict[str, str]
) -> None:
    error = await server.fail(f"carpo/{name}", params)
    assert error.code == 1002
    assert error.data["exitCode"] is None
    assert error.data["stderrTail"] == ""
    assert isinstance(error.data["argv"], list)
    assert error.data["hint"]


async def test_a_missing_module_is_hinted_at(server: Wire, tmp_path: Path) -> None:
    path = fake_spec(tmp_path / "k", "--die", "No module named ipykernel")
    error = await server.fail("carpo/startKernel", {"specPath": path})
    assert "pip install ipykernel" in error.data["hint"]


async def test_a_kernel_that_never_answers_at_its_start(server: Wire, tmp_path: Path) -> None:
    path = fake_spec(tmp_path / "k", "--mute", "kernel_info_request")
    error = await server.fail("carpo/startKernel", {"specPath": path, "timeout": 1})
    assert error.code == 1002
    assert "1 s" in error.message


async def test_a_language_without_a_kernel_is_hinted_at(server: Wire) -> None:
    error = await server.fail("carpo/startKernel", {"language": "julia"})
    assert error.data["name"] == "NoKernelForLanguage"
    assert "IJulia" in error.data["hint"]


async def test_input_that_nobody_waits_for(server: Wire, fake: str) -> None:
    error = await server.fail("carpo/stdin", {"kernelId": fake, "value": "x"})
    assert (error.code, error.data["name"]) == (1005, "NoInputPending")
    asking = await server.execute(fake, "input Who?")
    await server.until_prompt(asking)
    other = {"kernelId": fake, "executionId": "another", "value": "x"}
    assert (await server.fail("carpo/stdin", other)).code == 1004
    other["executionId"] = await server.execute(fake, "stream stdout queued")
    assert (await server.fail("carpo/stdin", other)).code == 1005
    await server.request("carpo/stdin", {**other, "executionId": asking})
    await server.until_done(asking)
    assert server.text(asking) == "x\n"


async def test_an_execution_id_that_is_taken(server: Wire, fake: str) -> None:
    await server.run(fake, "stream stdout 1", executionId="taken")
    again = {"kernelId": fake, "code": "stream stdout 2", "executionId": "taken"}
    error = await server.fail("carpo/execute", again)
    assert (error.code, error.data["name"]) == (1009, "KernelExists")
    assert server.text("taken") == "1\n"


async def test_an_execution_id_is_taken_for_good(server: Wire, tmp_path: Path) -> None:
    uri = server.open((tmp_path / "cleared.py").as_uri(), "# %%\nstream stdout 1\n", "fake")
    cell = {"textDocument": {"uri": uri}, "position": {"line": 1, "character": 0}}
    await server.request("carpo/execute", {**cell, "executionId": "cleared"})
    await server.until_done("cleared")
    await server.command("clearOutput", {"uri": uri, "line": 1})
    assert (await server.fail("carpo/outputs", {"executionId": "cleared"})).code == 1004
    error = await server.fail("carpo/execute", {**cell, "executionId": "cleared"})
    assert (error.code, error.data["name"]) == (1009, "KernelExists")


async def test_a_kernel_that_does_not_answer_in_time(server: Wire) -> None:
    kernel = await server.start(specName="mute")
    place = {"kernelId": kernel["kernelId"], "code": ""}
    error = await server.fail("carpo/isComplete", place)
    assert (error.code, error.data["name"]) == (1008, "KernelTimeout")
    await server.request("carpo/shutdownKernel", {"kernelId": kernel["kernelId"]})


async def test_a_kernel_that_dies_under_a_request(server: Wire) -> None:
    kernel_id = (await server.start(specName="mute"))["kernelId"]
    asked = server.post("carpo/complete", {"kernelId": kernel_id, "code": "", "cursorPos": 0})
    dying = await server.execute(kernel_id, "exit 3")
    assert (await server.until_done(dying))["state"] == "died"
    with pytest.raises(Exception, match="1003"):
        await asked
    status = await server.until_status(kernel_id, "dead")
    assert status["exitCode"] == 3
    # Dead kernels stay, so that they can be restarted, but take no requests.
    assert (await server.kernels())[kernel_id]["status"] == "dead"
    place = {"kernelId": kernel_id, "code": "stream stdout x"}
    assert (await server.fail("carpo/execute", place)).code == 1003
    assert (await server.fail("carpo/isComplete", place)).code == 1003
    assert (await server.fail("carpo/send", {**GOOD["send"], "kernelId": kernel_id})).code == 1003
    await server.request("carpo/restartKernel", {"kernelId": kernel_id})
    assert await server.evaluate(kernel_id, "stream stdout back") == "back\n"
    await server.request("carpo/shutdownKernel", {"kernelId": kernel_id})
