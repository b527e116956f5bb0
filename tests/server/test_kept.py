"""Kernels that outlive the editor: they go on, are taken up where they were, and end in the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from lsp_clients import Wire
from support import gone, mode, names

from carpo_lsp.kernels.kept.registry import Registry, lock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from carpo_lsp.kernels.kept.registry import Entry

KEPT = {"carpo": {"notifications": True, "kernel": {"keepAlive": True}}}
ENDS = {"carpo": {"notifications": True}}

LOOP = {
    "python": """
        import time, os
        for i in range(6):
            print(i, flush=True)
            while i >= 2 and not os.path.exists(flag): time.sleep(0.01)
        x += 1
    """,
    "r": """
        for (i in 0:5) {
            cat(i, "\\n"); flush.console()
            while (i >= 2 && !file.exists(flag)) Sys.sleep(0.01)
        }
        x <- x + 1
    """,
}
"""Prints three numbers, waits for a file, and prints three more."""

R = pytest.param("r", marks=pytest.mark.needs_r)
LANGUAGES = ["python", R]

WAIT = {
    "python": "import os, time\nwhile not os.path.exists(flag): time.sleep(0.01)\n",
    "r": "while (!file.exists(flag)) Sys.sleep(0.01)\n",
}
"""Waits for the file."""

CHILD = 'import subprocess; print(subprocess.Popen(["sleep", "600"]).pid)'
"""Starts a process that outlives the kernel, and prints its id."""

ENDINGS: dict[str, Callable[[Wire], None]] = {
    "asked": lambda client: client.notify("exit"),
    "hung up": lambda client: client.hang_up(),
    "terminated": lambda client: client.process.terminate(),
    "killed": lambda client: client.process.kill(),
}


class Desk:
    """A folder with a document, and the folders of the user who edits it."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "s"
        self.runtime = folder / "r"
        self.tmp = folder / "t"
        self.work = folder / "w"
        self.work.mkdir()
        self.tmp.mkdir()
        self.flag = self.work / "flag"
        self.clients: list[Wire] = []

    @property
    def env(self) -> dict[str, str]:
        return {
            "XDG_STATE_HOME": str(self.state),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "TMPDIR": str(self.tmp),
        }

    @property
    def registry(self) -> Registry:
        return Registry(self.state / "carpo-lsp" / "kept")

    def uri(self, language: str = "python") -> str:
        return (self.work / f"a.{language}").as_uri()

    def text(self, language: str = "python") -> str:
        set_ = (
            f'x = 1; flag = "{self.flag}"'
            if language == "python"
            else f'x <- 1; flag <- "{self.flag}"'
        )
        loop = "\n".join(line[8:] for line in LOOP[language].strip("\n").split("\n"))
        return f"# %%\n{set_}\n# %%\n{loop}\n# %%\nx\n"

    async def editor(
        self, language: str | None = "python", options: dict[str, Any] | None = None
    ) -> Wire:
        """An editor that has opened the document, if it has a language."""
        client = await Wire.spawn(env=self.env)
        self.clients.append(client)
        await client.initialize(self.work, options=options or KEPT)
        if language is not None:
            client.open(self.uri(language), self.text(language), language)
        return client

    async def run(self, client: Wire, line: int, language: str = "python") -> str:
        """Run the cell at a line of the document."""
        place = {
            "textDocument": {"uri": self.uri(language)},
            "position": {"line": line, "character": 0},
        }
        return str((await client.request("carpo/execute", place))["executionId"])

    async def leave(self, client: Wire, how: str = "asked") -> None:
        """Quit an editor and wait for its server's end."""
        if how == "asked":
            await client.request("shutdown")
        ENDINGS[how](client)
        await client.process.wait()

    async def end_with_the_machine(self, client: Wire) -> None:
        """Kill an editor's server and all that would go on or clean up, at once."""
        processes = self.processes()
        assert len(processes) >= 2
        for process in (psutil.Process(client.process.pid), *processes):
            process.suspend()
        for process in (psutil.Process(client.process.pid), *processes):
            process.send_signal(signal.SIGKILL)
        for process in processes:
            await gone(process.pid)

    async def carpo(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of `carpo-lsp ...`."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "carpo_lsp",
            *arguments,
            stdout=pipe,
            stderr=pipe,
            env=os.environ | self.env,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def running(self) -> dict[str, dict[str, Any]]:
        """What `carpo-lsp kernels --running` lists, by kernel id."""
        code, out, err = await self.carpo("kernels", "--running", "--json")
        assert (code, err) == (0, "")
        return {each["kernelId"]: each for each in json.loads(out)}

    def processes(self) -> list[psutil.Process]:
        """What runs with these folders: keepers and kernels are nobody's children."""
        folder = str(self.state.parent)
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if any(folder in argument for argument in process.info["cmdline"] or ())
        ]

    async def until_logged(self, entry: Entry, what: bytes, times: int = 1) -> None:
        """Wait until a keeper has logged something, so many times: nothing tells of it."""
        log = self.registry.folder(entry.kernel_id) / "log"
        async with asyncio.timeout(60):
            while log.read_bytes().count(what) < times:  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.02)

    async def until_nothing_is_to_tell(self, entry: Entry) -> None:
        """Wait until a keeper knows that a server has all it has logged: nothing tells of it."""
        folder = self.registry.folder(entry.kernel_id)
        async with asyncio.timeout(60):
            while any(log.stat().st_size for log in folder.glob("log*")):  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.02)

    def keepers(self) -> list[psutil.Process]:
        return [
            each for each in self.processes() if "carpo_lsp.kernels.kept.keeper" in each.cmdline()
        ]

    def left(self) -> list[str]:
        """What is left of kernels on the disk."""
        kept = names(self.registry.root) if self.registry.root.exists() else []
        return [
            *kept,
            *(names(self.runtime) if self.runtime.exists() else []),
            *(name for name in names(self.tmp) if name.startswith("carpo-")),
        ]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    # Below 108 bytes with all that comes behind it.
    with tempfile.TemporaryDirectory(prefix="ck-") as folder:
        desk = Desk(Path(folder))
        try:
            yield desk
        finally:
            for client in desk.clients:
                await client.close()
            for keeper in desk.keepers():
                keeper.resume()  # a test that failed may have left it stopped
            stopped = await desk.carpo("stop", "--all", "--force")
            for keeper in desk.keepers():
                await gone(keeper.pid)
            left = desk.processes()
            for process in left:
                process.kill()
        assert not left, stopped
        assert desk.left() == []


@pytest.mark.parametrize(
    ("how", "language"),
    [
        *((how, "python") for how in ENDINGS),
        pytest.param("killed", "r", marks=pytest.mark.needs_r),
    ],
)
async def test_what_runs_goes_on_and_is_shown_in_the_next_editor(
    desk: Desk, language: str, how: str
) -> None:
    first = await desk.editor(language)
    await first.until_done(await desk.run(first, 1, language))
    execution_id = await desk.run(first, 3, language)
    await first.until_text(execution_id, "2")
    (before,) = (await first.kernels()).values()
    assert before["kept"] is True
    await desk.leave(first, how)
    second = await desk.editor(language)
    await second.until_text(execution_id, "2")
    desk.flag.touch()
    end = await second.until_done(execution_id)
    assert end["state"] == "ok"
    assert end["executionCount"] == 2
    assert end["textDocument"]["uri"] == desk.uri(language)
    assert second.text(execution_id).split() == ["0", "1", "2", "3", "4", "5"]
    last = await desk.run(second, 9, language)
    assert (await second.until_done(last))["executionCount"] == 3
    (output,) = (note["output"] for note in second.outputs(last))
    assert "2" in output["data"]["text/plain"]
    (after,) = (await second.kernels()).values()
    same = ("kernelId", "pid", "connectionFile", "displayName", "owned", "kept", "documents")
    assert {key: after[key] for key in same} == {key: before[key] for key in same}
    shown = await second.request("carpo/outputs", {"textDocument": {"uri": desk.uri(language)}})
    assert [each["executionCount"] for each in shown["executions"]] == [1, 2, 3]


async def test_code_that_is_run_at_once_waits_for_what_runs(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    execution_id = await desk.run(first, 3)
    await first.until_text(execution_id, "2")
    await desk.leave(first, "killed")
    second = await desk.editor()
    last = await second.execute(desk.uri(), "print('after', x)")
    await second.until_text(execution_id, "2")
    desk.flag.touch()
    assert (await second.until_done(execution_id))["state"] == "ok"
    await second.until_done(last)
    assert second.text(execution_id).split() == ["0", "1", "2", "3", "4", "5"]
    assert second.text(last) == "after 2\n"


@pytest.mark.parametrize(
    ("how", "language"),
    [
        ("asked", "python"),
        ("killed", "python"),
        pytest.param("killed", "r", marks=pytest.mark.needs_r),
    ],
)
async def test_a_question_waits_for_the_next_editor(desk: Desk, language: str, how: str) -> None:
    first = await desk.editor(language)
    await first.until_done(await desk.run(first, 1, language))
    code = {
        "python": f'print("a", flush=True)\n{WAIT["python"]}print("hello", input("name? "))',
        "r": f'cat("a\\n"); flush.console()\n{WAIT["r"]}cat("hello", readline("name? "))',
    }[language]
    execution_id = await first.execute(desk.uri(language), code)
    await first.until_text(execution_id, "a")
    await desk.leave(first, how)
    desk.flag.touch()
    second = await desk.editor(language)
    prompt = await second.until_prompt(execution_id)
    assert prompt["prompt"] == "name? "
    await second.request("carpo/stdin", {"kernelId": prompt["kernelId"], "value": "Ada"})
    await second.until_done(execution_id)
    assert "hello Ada" in second.text(execution_id)


async def test_a_question_that_was_answered_is_not_asked_again(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    code = f'print(input("name? "), flush=True)\n{WAIT["python"]}'
    execution_id = await first.execute(desk.uri(), code)
    prompt = await first.until_prompt(execution_id)
    await first.request("carpo/stdin", {"kernelId": prompt["kernelId"], "value": "secret"})
    await first.until_text(execution_id, "secret")
    await desk.leave(first)
    second = await desk.editor()
    await second.until_text(execution_id, "secret")
    desk.flag.touch()
    await second.until_done(execution_id)
    assert second.named("carpo/inputRequest") == []


async def test_what_ended_meanwhile_is_shown(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    execution_id = await desk.run(first, 3)
    await first.until_text(execution_id, "2")
    await desk.leave(first)
    desk.flag.touch()
    (entry,) = desk.registry.entries()
    async with asyncio.timeout(60):
        while (await desk.running())[entry.kernel_id]["state"] != "idle":
            pass
    second = await desk.editor()
    end = await second.until_done(execution_id)
    assert end["state"] == "ok"
    assert second.text(execution_id).split() == ["0", "1", "2", "3", "4", "5"]


async def test_a_kernel_that_died_meanwhile_is_told_of(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    child = int(await first.evaluate(desk.uri(), CHILD))
    code = f"""print("a", flush=True)
{WAIT["python"]}os.system("echo last words >&2")
print("b", flush=True)
time.sleep(600)"""
    execution_id = await first.execute(desk.uri(), code)
    await first.until_text(execution_id, "a")
    await desk.leave(first)
    desk.flag.touch()
    (entry,) = desk.registry.entries()
    await desk.until_logged(entry, rb'"b\n"')
    os.kill(entry.pid, signal.SIGKILL)
    for process in desk.processes():
        await gone(process.pid)
    await gone(child)
    second = await desk.editor()
    end = await second.until_done(execution_id)
    assert end["state"] == "died"
    assert second.text(execution_id).split() == ["a", "b"]
    dead = await second.until_status(entry.kernel_id, "dead")
    assert "last words" in dead["stderrTail"]
    assert (dead["cause"], dead.get("exitCode")) == ("exited", None)
    restarted = await second.request("carpo/restartKernel", {"kernelId": entry.kernel_id})
    assert restarted["kept"] is True
    assert await second.evaluate(desk.uri(), "1 + 1") == "2"


async def test_a_restart_while_the_keeper_of_a_dead_kernel_is_dismissed(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    await desk.leave(first)
    second = await desk.editor()
    (entry,) = desk.registry.entries()
    kernel_id = entry.kernel_id
    await second.until_status(kernel_id, "idle")
    (keeper,) = desk.keepers()
    keeper.suspend()
    os.kill(entry.pid, signal.SIGKILL)
    await second.until_status(kernel_id, "dead")
    restarting = second.post("carpo/restartKernel", {"kernelId": kernel_id})
    await second.kernels()  # the restart is under way
    keeper.resume()
    assert (await restarting)["kept"] is True
    assert await second.evaluate(desk.uri(), "1 + 1") == "2"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_kernel_is_kept_by_command(desk: Desk, language: str) -> None:
    first = await desk.editor(language, ENDS)
    await first.until_done(await desk.run(first, 1, language))
    (kernel,) = (await first.kernels()).values()
    assert kernel["kept"] is False
    await first.command("keepKernel", desk.uri(language))
    await first.until_message("goes on when the editor quits")
    (kernel,) = (await first.kernels()).values()
    assert kernel["kept"] is True
    await first.evaluate(desk.uri(language), "y = 6 * 7")
    await desk.leave(first, "killed")
    second = await desk.editor(language, ENDS)
    assert "42" in await second.evaluate(desk.uri(language), "y")
    await second.command("keepKernel", desk.uri(language))
    await second.until_message("ends with the editor")
    (kernel,) = (await second.kernels()).values()
    assert kernel["kept"] is False
    await desk.leave(second)
    await gone(kernel["pid"])
    assert desk.left() == []


@pytest.mark.parametrize("how", ["asked", "killed"])
async def test_a_kernel_is_kept_while_it_runs_code(desk: Desk, how: str) -> None:
    first = await desk.editor("python", ENDS)
    await first.until_done(await desk.run(first, 1))
    execution_id = await desk.run(first, 3)
    await first.until_text(execution_id, "2")
    kernel_id = next(iter(await first.kernels()))
    kernel = await first.request("carpo/keepKernel", {"kernelId": kernel_id})
    assert (kernel["kept"], kernel["status"]) == (True, "busy")
    await desk.leave(first, how)
    desk.flag.touch()
    second = await desk.editor("python", ENDS)
    assert (await second.until_done(execution_id))["state"] == "ok"
    assert second.text(execution_id).split()[-3:] == ["3", "4", "5"]
    assert await second.evaluate(desk.uri(), "x") == "2"


@pytest.mark.needs_r
async def test_a_kernel_that_takes_nobody_in_between_is_kept_from_the_end_of_its_code(
    desk: Desk,
) -> None:
    first = await desk.editor("r", ENDS)
    await first.until_done(await desk.run(first, 1, "r"))
    execution_id = await desk.run(first, 3, "r")
    await first.until_text(execution_id, "2")
    kernel_id = next(iter(await first.kernels()))
    keeping = first.post("carpo/keepKernel", {"kernelId": kernel_id})
    desk.flag.touch()
    assert (await keeping)["kept"] is True
    await first.until_done(execution_id)
    assert first.text(execution_id).split() == ["0", "1", "2", "3", "4", "5"]
    await desk.leave(first, "killed")
    second = await desk.editor("r", ENDS)
    assert "2" in await second.evaluate(desk.uri("r"), "x")


@pytest.mark.parametrize(("options", "keep"), [(ENDS, True), (KEPT, False)])
async def test_a_start_says_whether_the_kernel_is_kept(
    desk: Desk, options: dict[str, Any], keep: bool
) -> None:
    client = await desk.editor(options=options)
    for params in ({"specName": "python3"}, {"textDocument": {"uri": desk.uri()}}):
        kernel = await client.request("carpo/startKernel", {**params, "keep": keep})
        assert kernel["kept"] is keep


async def test_a_kernel_that_nobody_wants_kept_ends_with_the_editor(desk: Desk) -> None:
    first = await desk.editor("python", ENDS)
    await first.until_done(await desk.run(first, 1))
    (kernel,) = (await first.kernels()).values()
    await desk.leave(first)
    await gone(kernel["pid"])
    assert desk.left() == []


async def test_another_document_gets_a_kept_kernel_by_choice(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    (entry,) = desk.registry.entries()
    await desk.leave(first)
    second = await desk.editor(None)
    other = second.open((desk.work / "other.py").as_uri(), "# %%\nx\n")
    await second.command("selectKernel", other)
    listed = f"'{entry.kernel_id}' ({entry.spec.display_name}, kept (pid {entry.pid}"
    await second.until_message(listed)
    await second.command("selectKernel", other, entry.kernel_id)
    await second.until_status(entry.kernel_id, "idle")
    assert await second.evaluate(other, "x") == "1"
    (noted,) = desk.registry.entries()
    assert [uri for uri, _ in noted.documents] == [desk.uri(), other]


async def test_two_editors_at_once(desk: Desk) -> None:
    first, second = await desk.editor(), await desk.editor(None)
    await first.until_done(await desk.run(first, 1))
    second.open(desk.uri(), desk.text())
    kernel_id = next(iter(await first.kernels()))
    await second.until_status(kernel_id, "idle")
    ours = await first.run(desk.uri(), "print('from the first')")
    theirs = await second.run(desk.uri(), "print('from the second', x)")
    assert first.text(ours) == "from the first\n"
    assert second.text(theirs) == "from the second 1\n"
    for client, text in ((first, "from the second 1\n"), (second, "from the first\n")):
        note = await client.until(
            lambda method, params, text=text: (
                method == "carpo/output" and (params.get("output") or {}).get("text") == text
            )
        )
        assert note["executionId"].startswith("external:")
    await desk.leave(first, "killed")
    assert await second.evaluate(desk.uri(), "x + 1") == "2"
    third = await desk.editor()
    assert await third.evaluate(desk.uri(), "x + 2") == "3"
    await third.request("carpo/shutdownKernel", {"kernelId": kernel_id})
    await second.until_status(kernel_id, "dead")
    assert names(desk.registry.root) == []
    # Whoever of them was first has its address, for a restart: with both it is gone.
    for client in (second, third):
        await desk.leave(client)
    assert desk.left() == []


async def test_a_kernel_taken_up_can_be_interrupted_restarted_and_ended(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    execution_id = await desk.run(first, 3)
    await first.until_text(execution_id, "2")
    await desk.leave(first)
    second = await desk.editor()
    await second.until_text(execution_id, "2")
    (kernel,) = (await second.kernels()).values()
    kernel_id, pid = kernel["kernelId"], kernel["pid"]
    await second.request("carpo/interrupt", {"kernelId": kernel_id})
    assert (await second.until_done(execution_id))["error"]["ename"] == "KeyboardInterrupt"
    restarted = await second.request("carpo/restartKernel", {"kernelId": kernel_id})
    assert restarted["kept"] is True
    assert restarted["connectionFile"] == kernel["connectionFile"]
    await gone(pid)
    assert "NameError" in str(second.of(await second.run(desk.uri(), "x")))
    await second.run(desk.uri(), "x = 5")
    await desk.leave(second, "killed")
    third = await desk.editor()
    assert await third.evaluate(desk.uri(), "x") == "5"
    await third.request("carpo/shutdownKernel", {"kernelId": kernel_id})
    assert desk.left() == []


async def test_an_idle_kernel_is_ended_after_the_time_that_was_set(desk: Desk) -> None:
    kernel = {"keepAlive": True, "keepMinutes": 0.02}
    first = await desk.editor("python", {"carpo": {"notifications": True, "kernel": kernel}})
    await first.until_done(await desk.run(first, 1))
    (entry,) = desk.registry.entries()
    assert entry.minutes == 0.02
    child = int(await first.evaluate(desk.uri(), CHILD))
    keepers = desk.keepers()
    assert keepers
    await desk.leave(first)
    await gone(entry.pid)
    await gone(child)
    for keeper in keepers:
        await gone(keeper.pid)
    assert desk.left() == []


def limited(**limits: float) -> dict[str, Any]:
    kernel = {"keepAlive": True, "limits": limits}
    return {"carpo": {"notifications": True, "kernel": kernel}}


async def test_an_execution_is_interrupted_after_its_time_when_nobody_is_there(desk: Desk) -> None:
    options = limited(executionSeconds=3)
    first = await desk.editor(options=options)
    await first.until_done(await desk.run(first, 1))
    code = f'print("a", flush=True)\n{WAIT["python"]}while True: time.sleep(0.01)'
    execution_id = await first.execute(desk.uri(), code)
    await first.until_text(execution_id, "a")
    await desk.leave(first)
    desk.flag.touch()
    (entry,) = desk.registry.entries()
    await desk.until_logged(entry, b"KeyboardInterrupt")
    second = await desk.editor(options=options)
    assert (await second.until_done(execution_id))["error"]["ename"] == "KeyboardInterrupt"
    told = await second.until(
        lambda method, params: method == "carpo/kernelStatus" and params.get("cause") == "limit"
    )
    assert told["reason"] == "An execution was interrupted after its limit of 3 s."
    assert await second.evaluate(desk.uri(), "x") == "1"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS compresses what is not touched")
async def test_a_kernel_that_takes_too_much_memory_is_killed_when_nobody_is_there(
    desk: Desk,
) -> None:
    options = limited(memoryMb=200)
    first = await desk.editor(options=options)
    await first.until_done(await desk.run(first, 1))
    code = f"""print("a", flush=True)
{WAIT["python"]}kept = b'x' * 400_000_000
time.sleep(600)"""
    execution_id = await first.execute(desk.uri(), code)
    await first.until_text(execution_id, "a")
    await desk.leave(first)
    desk.flag.touch()
    (entry,) = desk.registry.entries()
    await gone(entry.pid)
    second = await desk.editor(options=options)
    end = await second.until_done(execution_id)
    assert end["state"] == "died"
    assert "of the 200 MB it may use; it was killed." in end["error"]["evalue"]
    assert (await second.until_status(entry.kernel_id, "dead"))["cause"] == "limit"


async def test_a_kernel_that_computes_is_not_idle(desk: Desk) -> None:
    kernel = {"keepAlive": True, "keepMinutes": 0.005}
    first = await desk.editor("python", {"carpo": {"notifications": True, "kernel": kernel}})
    await first.until_done(await desk.run(first, 1))
    code = "import os, time\nwhile not os.path.exists(flag):\n    time.sleep(0.02); print('tick')"
    execution_id = await first.execute(desk.uri(), code)
    await first.until_text(execution_id, "tick")
    await desk.leave(first)
    (entry,) = desk.registry.entries()
    await desk.until_logged(entry, b"tick", 100)
    assert entry.alive
    desk.flag.touch()
    second = await desk.editor()
    assert (await second.until_done(execution_id))["state"] == "ok"


async def test_running_kernels_are_listed_and_stopped(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    kernel_id = next(iter(await first.kernels()))
    listed = (await desk.running())[kernel_id]
    assert listed["kept"] is True
    assert listed["servers"] == [first.process.pid]
    code, out, err = await desk.carpo("stop", kernel_id[:8])
    assert (code, out) == (2, "")
    assert f"in use by the server with process id {first.process.pid}" in err
    execution_id = await desk.run(first, 3)
    await first.until_text(execution_id, "2")
    await desk.leave(first)
    listed = (await desk.running())[kernel_id]
    (entry,) = desk.registry.entries()
    assert listed == {
        "kernelId": kernel_id,
        "displayName": entry.spec.display_name,
        "language": "python",
        "pid": entry.pid,
        "state": "busy",
        "rssBytes": listed["rssBytes"],
        "documents": [desk.uri()],
        "since": entry.since,
        "servers": [],
        "kept": True,
        "ours": True,
        "connectionFile": entry.connection_file,
    }
    assert listed["rssBytes"] > 10_000_000
    code, out, _ = await desk.carpo("kernels", "--running")
    assert code == 0
    assert kernel_id in out
    assert "busy" in out
    code, out, err = await desk.carpo("stop", kernel_id[:8])
    assert (code, err) == (0, "")
    assert kernel_id in out
    await gone(entry.pid)
    assert desk.left() == []
    assert await desk.running() == {}


async def test_a_kernel_in_use_is_stopped_by_force(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    kernel_id = next(iter(await first.kernels()))
    code, _, _ = await desk.carpo("stop", "--all", "--force")
    assert code == 0
    await first.until_status(kernel_id, "dead")
    # Its address may be kept by the first server now, for a restart.
    await desk.leave(first)
    assert desk.left() == []


async def test_a_kernel_that_another_has_ended_is_restarted(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    kernel_id = next(iter(await first.kernels()))
    code, _, _ = await desk.carpo("stop", "--all", "--force")
    assert code == 0
    await first.until_status(kernel_id, "dead")
    restarted = await first.request("carpo/restartKernel", {"kernelId": kernel_id})
    assert restarted["kept"] is True
    assert await first.evaluate(desk.uri(), "1 + 1") == "2"


@pytest.mark.parametrize("method", ["restartKernel", "shutdownKernel"])
async def test_a_kernel_that_is_being_ended_is_not_taken_up_when_its_server_is_killed(
    desk: Desk, method: str
) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    code = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("on", flush=True)
while True:
    try: time.sleep(1)
    except BaseException: pass
"""
    execution_id = await first.execute(desk.uri(), code)
    await first.until_text(execution_id, "on")
    (entry,) = desk.registry.entries()
    first.post(f"carpo/{method}", {"kernelId": entry.kernel_id})
    assert (await first.until_done(execution_id))["state"] == "died"
    await desk.leave(first, "killed")
    await gone(entry.pid)
    for process in desk.processes():
        await gone(process.pid)
    assert desk.left() == []
    second = await desk.editor()
    assert await second.kernels() == {}


async def test_a_kernel_that_ends_with_its_server_is_listed_and_not_stopped(desk: Desk) -> None:
    first = await desk.editor("python", ENDS)
    await first.until_done(await desk.run(first, 1))
    (kernel,) = (await first.kernels()).values()
    listed = (await desk.running())[kernel["kernelId"]]
    assert (listed["kept"], listed["pid"]) == (False, kernel["pid"])
    assert listed["servers"] == [first.process.pid]
    code, _, err = await desk.carpo("stop", kernel["kernelId"])
    assert code == 2
    assert f"it ends with the server with process id {first.process.pid}" in err
    assert "or give --force" in err
    assert (await desk.running())[kernel["kernelId"]]["state"] == "idle"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give the id of a kernel, or --all"),
        (("",), "give the id of a kernel, or --all"),
        (("--all", "abc"), "give the id of a kernel, or --all"),
        (("abc",), "the kernel abc was not started by carpo"),
    ],
)
async def test_stop_says_what_is_wrong(desk: Desk, arguments: tuple[str, ...], told: str) -> None:
    code, out, err = await desk.carpo("stop", *arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


async def test_nothing_is_kept(desk: Desk) -> None:
    assert await desk.carpo("stop", "--all") == (0, "", "No kernel is kept.\n")
    assert await desk.carpo("kernels", "--running") == (0, "", "No kernel runs.\n")


async def test_a_keeper_that_crashes_is_replaced(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    execution_id = await desk.run(first, 3)
    await first.until_text(execution_id, "2")
    kernel_id = next(iter(await first.kernels()))
    (keeper,) = desk.keepers()
    keeper.kill()
    await first.until(
        lambda method, params: (
            method == "carpo/kernelStatus" and "crashed" in (params.get("reason") or "")
        )
    )
    desk.flag.touch()
    await first.until_done(execution_id)
    assert first.text(execution_id).split() == ["0", "1", "2", "3", "4", "5"]
    await desk.leave(first)
    second = await desk.editor()
    assert await second.evaluate(desk.uri(), "x") == "2"
    assert next(iter(await second.kernels())) == kernel_id


async def test_a_kernel_without_a_keeper_is_taken_up_and_stopped(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    await desk.leave(first)
    for _ in range(2):
        (keeper,) = desk.keepers()
        keeper.kill()
        await gone(keeper.pid)
        (listed,) = (await desk.running()).values()
        assert (listed["state"], listed["kept"]) == ("unknown", True)
        second = await desk.editor()
        told = await second.until(
            lambda method, params: (
                method == "carpo/kernelStatus" and params.get("cause") == "outputLost"
            )
        )
        assert "since then is lost" in told["reason"]
        assert await second.evaluate(desk.uri(), "x") == "1"
        await desk.leave(second)
    (keeper,) = desk.keepers()
    keeper.kill()
    await gone(keeper.pid)
    third = await desk.editor(options={"carpo": {"kernel": {"keepAlive": True}}})
    await third.until_message("Its keeper had crashed")
    await desk.leave(third)
    assert (await desk.carpo("stop", "--all"))[0] == 0


async def test_a_kernel_whose_keeper_does_not_answer_is_left_alone(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    await desk.leave(first)
    (entry,) = desk.registry.entries()
    (keeper,) = desk.keepers()
    keeper.suspend()
    second = await desk.editor()
    dead = await second.until_status(entry.kernel_id, "dead")
    assert "keeper of the kernel does not answer" in dead["reason"]
    await desk.leave(second)
    keeper.resume()
    assert entry.alive
    third = await desk.editor()
    assert await third.evaluate(desk.uri(), "x") == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process")
async def test_what_a_full_disk_has_lost_is_told(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    (keeper,) = desk.keepers()
    unlimited = keeper.rlimit(psutil.RLIMIT_FSIZE)
    keeper.rlimit(psutil.RLIMIT_FSIZE, (0, unlimited[1]))
    code = "import os; print('lost', flush=True); os.mkdir(flag)"
    execution_id = await first.execute(desk.uri(), code)
    async with asyncio.timeout(60):
        while not desk.flag.exists():  # noqa: ASYNC110 - nothing else comes through
            await asyncio.sleep(0.02)
    keeper.rlimit(psutil.RLIMIT_FSIZE, unlimited)
    told = await first.until(
        lambda method, params: (
            method == "carpo/kernelStatus" and params.get("cause") == "outputLost"
        )
    )
    assert "The disk was full" in told["reason"]
    await first.until_done(execution_id)
    assert first.text(execution_id) == ""
    assert await first.evaluate(desk.uri(), "x + 1") == "2"


async def test_kernels_that_ended_with_the_machine_are_swept(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    (entry,) = desk.registry.entries()
    await desk.until_nothing_is_to_tell(entry)
    await desk.end_with_the_machine(first)
    assert len(desk.left()) == 3, "the entry, the connection file, the temporary folder"
    await (await desk.editor(None)).kernels()  # what comes with a start comes before any answer
    assert desk.left() == []


async def test_what_a_crash_has_left_in_the_registry_is_swept(desk: Desk) -> None:
    for name in ("left", "new", "spoiled", "struck", "used"):
        (desk.registry.root / name).mkdir(parents=True)
    (desk.registry.root / "spoiled" / "entry.json").write_text("{")
    (desk.registry.root / "struck" / "entry.json").touch()
    desk.registry.strike("struck")
    for name in ("left", "spoiled", "used"):
        os.utime(desk.registry.root / name, (0, 0))
    held = lock(desk.registry.folder("used"))
    assert held is not None
    os.utime(desk.registry.root / "used", (0, 0))
    desk.registry.sweep()
    assert sorted(names(desk.registry.root)) == ["new", "used"]
    os.close(held)
    for name in ("new", "used"):
        desk.registry.forget(name)


async def test_what_an_unreadable_entry_does_not_lead_to_is_swept(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    (entry,) = desk.registry.entries()
    await desk.until_nothing_is_to_tell(entry)
    await desk.end_with_the_machine(first)
    folder = desk.registry.folder(entry.kernel_id)
    (folder / "entry.json").write_text("{")
    os.utime(folder, (0, 0))
    assert len(desk.left()) == 3, "the entry, the connection file, the temporary folder"
    await (await desk.editor(None)).kernels()  # what comes with a start comes before any answer
    assert desk.left() == []


async def without_an_entry(desk: Desk, spoil: Callable[[Entry], None]) -> Entry:
    """A kernel that lives, whose keeper has been killed, and whose entry is no more: another server
    has been started since."""
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    (entry,) = desk.registry.entries()
    await desk.leave(first)
    (keeper,) = desk.keepers()
    keeper.kill()
    await gone(keeper.pid)
    spoil(entry)
    await desk.leave(await desk.editor(None))
    return entry


async def test_a_kernel_that_was_to_end_is_swept(desk: Desk) -> None:
    entry = await without_an_entry(desk, lambda entry: desk.registry.strike(entry.kernel_id))
    await gone(entry.pid)
    assert desk.left() == []


async def test_a_kernel_that_lives_is_not_swept_with_its_entry(desk: Desk) -> None:
    def spoil(entry: Entry) -> None:
        folder = desk.registry.folder(entry.kernel_id)
        (folder / "entry.json").write_text("{")
        os.utime(folder, (0, 0))

    entry = await without_an_entry(desk, spoil)
    code, out, _ = await desk.carpo("execute", entry.kernel_id, "x")
    assert (code, out) == (0, "1\n")
    assert (await desk.carpo("stop", "--force", entry.kernel_id))[0] == 0
    await gone(entry.pid)
    spoil(entry)
    await desk.leave(await desk.editor(None))
    assert desk.left() == []


async def test_only_the_user_can_read_what_is_kept(desk: Desk) -> None:
    first = await desk.editor()
    await first.until_done(await desk.run(first, 1))
    (entry,) = desk.registry.entries()
    folder = desk.registry.folder(entry.kernel_id)
    assert mode(desk.registry.root) == mode(folder) == mode(Path(entry.folder)) == 0o700
    assert {mode(file) for file in folder.iterdir()} == {0o600}
    assert mode(Path(entry.connection_file)) == 0o600
