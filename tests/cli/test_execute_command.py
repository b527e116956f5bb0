"""Commands on kernels that run already: started by jupyter_client alone, as another program."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
from cli_program import LONG, Program
from jupyter_client.manager import KernelManager
from support import is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_client.blocking import BlockingKernelClient

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAf"
    "FcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
ID = "3f0c9a52-8d53-4b0e-a6f4-3b2f6a1c7d10"
SLEEP = "import time\nprint('asleep', flush=True)\ntime.sleep(600)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runtime folder of its own: what is in it is not ours to end."""
    return tmp_path_factory.mktemp("jupyter")


@pytest.fixture(scope="module")
def manager(folder: Path) -> Iterator[KernelManager]:
    manager = KernelManager(
        kernel_name="python3", connection_file=str(folder / f"kernel-{ID}.json")
    )
    manager.start_kernel()
    client = manager.client()
    client.start_channels(hb=False)
    client.wait_for_ready(timeout=LONG)
    client.stop_channels()
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.fixture
def program(folder: Path, manager: KernelManager, tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path, folder)
    yield program
    for process in program.started:
        process.kill()
        process.communicate()


@pytest.fixture
def kernel(manager: KernelManager) -> str:
    return ID[:6]


@pytest.fixture
def client(manager: KernelManager) -> Iterator[BlockingKernelClient]:
    client = manager.client()
    client.start_channels(hb=False)
    client.wait_for_ready(timeout=LONG)
    yield client
    client.stop_channels()


def until_printed(client: BlockingKernelClient, text: str) -> None:
    while True:
        message = client.get_iopub_msg(timeout=LONG)
        if text in message["content"].get("text", ""):
            return


def run_json(program: Program, *args: str | Path, stdin: str = "") -> Any:
    done = program.run(*args, "--json", stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def running(program: Program) -> dict[str, Any]:
    """The kernels that are listed, by id: those of other tests as well."""
    return {each["kernelId"]: each for each in run_json(program, "kernels", "--running")}


# --- execute


def test_what_code_shows(program: Program, kernel: str) -> None:
    done = program.run("execute", kernel, "import sys\nprint('a')\nsys.stderr.write('b')\n6 * 7")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\n42\n", "b")
    done = program.run("execute", "newest", "-", stdin="x = 'π'\nx")
    assert (done.returncode, done.stdout, done.stderr) == (0, "'π'\n", "")
    done = program.run("execute", kernel, "x")
    assert done.stdout == "'π'\n", "the kernel is the same"


def test_json(program: Program, kernel: str) -> None:
    result = run_json(program, "execute", kernel, "print('a')\n1 + 1")
    assert result.pop("durationMs") > 0
    count = result.pop("executionCount")
    assert result == {
        "kernelId": ID,
        "state": "ok",
        "outputs": [
            {"output_type": "stream", "name": "stdout", "text": "a\n"},
            {
                "output_type": "execute_result",
                "data": {"text/plain": "2"},
                "metadata": {},
                "execution_count": count,
            },
        ],
        "error": None,
        "problem": None,
    }


def test_code_that_fails(program: Program, kernel: str) -> None:
    done = program.run("execute", kernel, "1 / 0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ZeroDivisionError: division by zero" in done.stderr
    done = program.run("execute", kernel, "1 / 0", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    result = json.loads(done.stdout)
    assert (result["state"], result["error"]["ename"]) == ("error", "ZeroDivisionError")


def test_images(program: Program, kernel: str) -> None:
    code = f"from IPython.display import Image\nimport base64\nImage(base64.b64decode('{PNG}'))"
    done = program.run("execute", kernel, code)
    assert (done.returncode, done.stdout) == (0, "")
    assert "is not saved; see --images" in done.stderr
    done = program.run("execute", kernel, code, "--images", "shots")
    (image,) = (program.folder / "shots").iterdir()
    assert done.stderr == f"carpo-lsp: image saved: shots/{image.name}\n"
    (output,) = run_json(program, "execute", kernel, code)["outputs"]
    assert output["data"]["image/png"].startswith("iVBOR")
    (output,) = run_json(program, "execute", kernel, code, "--images", "more")["outputs"]
    assert "image/png" not in output["data"]
    saved = program.folder / output["metadata"]["carpo"]["image"]
    assert saved.read_bytes() == image.read_bytes()


def test_questions_are_answered_or_refused(program: Program, kernel: str) -> None:
    asks = "print(input('a? '), input('b? '))"
    done = program.run("execute", kernel, asks, "--input", "1", "--input", "2")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "a? b? 1 2")
    done = program.run("execute", kernel, asks, "--input", "1", stdin="never read")
    assert done.returncode == 5
    assert "asks for input, and nobody is there to answer; give what" in done.stderr
    done = program.run("execute", kernel, asks, "--json")
    assert done.returncode == 5
    result = json.loads(done.stdout)
    assert result["state"] == "error"
    assert "--input" in result["problem"]


def test_a_timeout(program: Program, kernel: str) -> None:
    done = program.run("execute", kernel, SLEEP, "--timeout", "0.5")
    assert done.returncode == 3
    assert "ran longer than 0.5 s and was interrupted" in done.stderr


def test_ctrl_c(program: Program, kernel: str) -> None:
    process = program.start("execute", kernel, SLEEP, "--timeout", str(LONG))
    assert process.stdout is not None
    assert process.stdout.readline() == b"asleep\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LONG)
    assert process.returncode == 130
    assert b"KeyboardInterrupt" in err
    assert program.run("execute", kernel, "1").returncode == 0


def test_a_kernel_that_runs_other_code(
    program: Program, kernel: str, client: BlockingKernelClient
) -> None:
    """Our code waits, and its end is not that of the other's."""
    client.execute(SLEEP)
    until_printed(client, "asleep")
    done = program.run("execute", kernel, "1", "--timeout", "0.5")
    assert done.returncode == 3
    assert "did not begin within 0.5 s: the kernel runs other code" in done.stderr
    done = program.run("complete", kernel, "time.slee")
    assert "sleep" in done.stdout.split(), "ipykernel answers beside its code"
    assert run_json(program, "interrupt", kernel) == {"kernelId": ID, "status": "busy"}
    reply = client.get_shell_msg(timeout=LONG)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert program.run("interrupt", kernel).stdout == "nothing ran\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("execute", "nothing", "1"), "No kernel runs whose id fits 'nothing'"),
        (("execute", "./none.json", "1"), "cannot be read"),
        (("complete", "nothing", "1"), "No kernel runs"),
        (("inspect", "newest", "1", "--cursor", "2"), "--cursor: 2 is behind the end of CODE"),
    ],
)
def test_what_is_wrong(program: Program, arguments: tuple[str, ...], told: str) -> None:
    done = program.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


# --- questions


def test_completion_and_inspection(program: Program, kernel: str) -> None:
    done = program.run("execute", kernel, "name = 'text'\ndef func():\n    'It does.'")
    assert done.returncode == 0
    done = program.run("complete", kernel, "name.upp")
    assert done.returncode == 0
    assert done.stdout in ("upper\n", "name.upper\n"), "versions of IPython differ"
    found = run_json(program, "complete", kernel, "-", "--cursor", "8", stdin="name.upp + 1")
    assert "name.upp"[: found["cursorStart"]] + found["matches"][0] == "name.upper"
    assert found["cursorEnd"] == 8
    done = program.run("inspect", kernel, "func")
    assert done.returncode == 0
    assert "It does." in done.stdout
    found = run_json(program, "inspect", kernel, "func")
    assert found["found"] is True
    assert set(found["data"]) >= {"text/plain"}
    done = program.run("inspect", kernel, "nothing_of_the_kind")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


# --- documents


def test_a_document_is_run_in_it(program: Program, kernel: str) -> None:
    (program.folder / "a.py").write_text("# %%\nin_document = 3\n# %%\nin_document + 1\n")
    done = program.run("run", "--existing", kernel, "a.py")
    assert (done.returncode, done.stdout) == (0, "4\n")
    assert program.run("execute", kernel, "in_document").stdout == "3\n"
    done = program.run("run", "--existing", kernel, "--kernel", "python3", "a.py")
    assert done.returncode == 2


# --- which run


def test_it_is_listed_as_not_ours(program: Program, manager: KernelManager) -> None:
    listed = running(program)[ID]
    assert (listed["ours"], listed["kept"], listed["servers"]) == (False, False, [])
    assert (listed["language"], listed["state"]) == ("python", "idle")
    assert listed["pid"] == manager.provisioner.process.pid
    assert listed["connectionFile"] == manager.connection_file
    assert "(others)" in program.run("kernels", "--running").stdout


# --- stop; the last, as it ends the kernel of all others


def test_it_is_stopped_only_when_asked_twice(program: Program, manager: KernelManager) -> None:
    pid = manager.provisioner.process.pid
    for name in (ID[:4], str(manager.connection_file)):
        done = program.run("stop", name)
        assert (done.returncode, done.stdout) == (2, "")
        assert "was not started by carpo" in done.stderr
        assert "--force" in done.stderr
    assert manager.is_alive()
    done = program.run("stop", ID[:4], "--force")
    assert (done.returncode, done.stdout) == (0, f"{ID}  ipython: ended\n")
    assert not is_alive(pid)
    assert ID not in running(program)
    assert program.run("execute", ID, "1").returncode == 2


@pytest.mark.needs_r
def test_a_kernel_that_answers_nothing_while_it_runs_code(program: Program, folder: Path) -> None:
    manager = KernelManager(kernel_name="ir", connection_file=str(folder / "kernel-busy.json"))
    manager.start_kernel()
    client = manager.client()
    client.start_channels(hb=False)
    try:
        client.wait_for_ready(timeout=LONG)
        for _ in range(2):
            asked = client.execute("cat('asleep\\n'); flush.console(); Sys.sleep(600)")
            until_printed(client, "asleep")
            done = program.run("execute", "--timeout", "1", "--json", "kernel-busy.json", "1")
            assert done.returncode == 3
            result = json.loads(done.stdout)
            assert (result["state"], result["outputs"]) == ("aborted", [])
            assert result["problem"].startswith("did not begin within 1 s: the kernel runs other")
            done = program.run("interrupt", "kernel-busy.json")
            assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
            while client.get_shell_msg(timeout=LONG)["parent_header"].get("msg_id") != asked:
                pass
        client.execute("cat('asleep\\n'); flush.console(); Sys.sleep(600)")
        until_printed(client, "asleep")
        assert program.run("stop", "--force", "kernel-busy.json").returncode == 0
        assert not manager.is_alive()
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
