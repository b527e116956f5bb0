"""The commands with kernels of a Jupyter server that is named in the user's file of settings."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from jupyter_servers import JUPYTER, TOKEN, serving

from carpo_lsp.frontend import Frontend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from cli_program import Program
    from jupyter_servers import Running

pytestmark = pytest.mark.needs_jupyter_server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jupyter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with serving(JUPYTER, tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest.fixture(autouse=True)
def _named(program: Program, jupyter: Running, tmp_path: Path) -> None:
    """One server that runs, where this folder is called otherwise, and one that does not."""
    config = tmp_path / "config" / "carpo-lsp" / "carpo.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f"""
        [servers.gpu]
        url = "{jupyter.url}"
        tokenEnv = "GPU_TOKEN"
        paths = {{ "{tmp_path}" = "{jupyter.folder}" }}
        [servers.off]
        url = "http://127.0.0.1:1/"
    """)
    program.env |= {"XDG_CONFIG_HOME": str(tmp_path / "config"), "GPU_TOKEN": TOKEN}


def test_the_list_has_what_the_server_has(program: Program) -> None:
    done = program.run("kernels", "--json")
    assert done.returncode == 0
    specs = {spec["name"]: spec for spec in json.loads(done.stdout)}
    assert specs["python3@gpu"]["origin"] == "server"
    assert specs["python3@gpu"]["language"] == "python"
    assert done.stderr.startswith("carpo-lsp: No Jupyter server can be reached at http://127.0")
    assert "python3@gpu" in program.run("kernels").stdout


def test_a_document_runs_there_in_the_folder_that_is_set(
    program: Program, jupyter: Running, write: Callable[[str, str], Path]
) -> None:
    write("a.py", "import os\nprint(os.getcwd())\n")
    done = program.run("run", "--kernel", "python3@gpu", "a.py")
    assert (done.returncode, done.stdout) == (0, f"{jupyter.folder}\n"), done.stderr


def test_a_kernelspec_that_is_not_there(
    program: Program, write: Callable[[str, str], Path]
) -> None:
    write("a.py", "1\n")
    done = program.run("run", "--kernel", "cobol@gpu", "a.py")
    assert done.returncode == 1
    assert "cobol" in done.stderr


@pytest.mark.asyncio(loop_scope="module")
async def test_a_running_kernel_is_used_by_its_id(program: Program, jupyter: Running) -> None:
    async with Frontend() as frontend:
        kernel_id = await frontend.attach_server(jupyter.url, token=TOKEN)
        await frontend.execute_code(kernel_id, "x = 'of the server'")
        name = f"{frontend.get_kernel(kernel_id).remote_kernel_id}@gpu"
        listed = json.loads(program.run("kernels", "--running", "--json").stdout)
        (row,) = (each for each in listed if each["kernelId"] == name)
        assert (row["language"], row["state"], row["ours"]) == ("python", "idle", False)
        done = program.run("execute", f"{name[:12]}@gpu", "print(x)")
        assert (done.returncode, done.stdout) == (0, "of the server\n"), done.stderr
        assert program.run("stop", name).returncode == 2
        done = program.run("stop", "--force", name)
        assert (done.returncode, done.stdout) == (0, f"{name}  Python 3 on gpu: ended\n")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_server_that_goes_away_under_the_code_is_said(
    program: Program, tmp_path: Path
) -> None:
    async with serving(JUPYTER, tmp_path / "jupyter") as server, Frontend() as frontend:
        config = tmp_path / "config" / "carpo-lsp" / "carpo.toml"
        config.write_text(f'[servers.gone]\nurl = "{server.url}"\ntoken = "{TOKEN}"\n')
        kernel_id = await frontend.attach_server(server.url, token=TOKEN)
        remote_id = frontend.get_kernel(kernel_id).remote_kernel_id
        assert remote_id is not None
        code = "import time\nprint('asleep', flush=True)\ntime.sleep(600)"
        running = program.start("execute", "--timeout", "5", f"{remote_id[:8]}@gone", code)
        assert running.stdout is not None
        assert await asyncio.to_thread(running.stdout.readline) == b"asleep\n"
        for process in (server.process, *server.process.children(recursive=True)):
            process.kill()
        _, told = await asyncio.to_thread(running.communicate)
    said = told.decode()
    assert running.returncode == 3, said
    assert "The connection to gone is cut" in said
    assert "could not be interrupted: " in said
    assert "ran longer than 5 s and could not be interrupted" in said
    assert "Traceback" not in said


def test_names_that_lead_nowhere_on_a_server(program: Program) -> None:
    for name, message in (
        ("3f0c@gpu", "No kernel runs on gpu whose id begins with '3f0c'"),
        ("3f0c@elsewhere", "No Jupyter server is named 'elsewhere' (named: gpu, off)"),
    ):
        done = program.run("execute", name, "1")
        assert done.returncode == 2
        assert message in done.stderr


def test_the_doctor_looks_at_servers(program: Program, jupyter: Running) -> None:
    done = program.run("doctor", "--no-start", "--json")
    found = {
        finding["subject"]: finding
        for finding in json.loads(done.stdout)
        if finding["check"] == "server"
    }
    good = found[f"gpu ({jupyter.url})"]
    assert good["state"] == "ok"
    assert "python3" in good["message"]
    bad = found["off (http://127.0.0.1:1/)"]
    assert bad["state"] == "broken"
    assert "No Jupyter server can be reached" in bad["message"]
    assert done.returncode == 1
    assert TOKEN not in done.stdout
