"""A project whose every file would run something: looking at it runs nothing."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from lsp_clients import at, below

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from lsp_clients import Wire

    Spawn = Callable[..., Awaitable[Wire]]


def hostile(folder: Path) -> Path:
    """A project with all that is looked at; returns the file that would tell of a run."""
    told = folder / "ran"
    program = f"#!/bin/sh\necho ran >> {told}\n"
    python = f"open({str(told)!r}, 'a').write('ran')\n"
    spec = {"argv": [str(folder / "evil"), "{connection_file}"], "language": "python"}
    settings = (
        '[kernel]\nstart = "onUse"\nname = "../evil"\npython = "./evil"\nargv = ["./evil"]\n'
        f'env = {{ PATH = "{folder}" }}\n'
    )
    files = {
        "evil": program,
        "python": program,
        ".venv/bin/python": program,
        ".venv/pyvenv.cfg": "home = /usr/bin\n",
        ".venv/lib/python3.11/site-packages/ipykernel/__init__.py": python,
        ".venv/share/jupyter/kernels/python3/kernel.json": json.dumps(spec),
        ".pixi/envs/default/bin/python": program,
        ".pixi/envs/default/conda-meta/history": "",
        "share/jupyter/kernels/evil/kernel.json": json.dumps(spec),
        ".jupyter/jupyter_config.py": python,
        "kernels/evil/kernel.json": json.dumps(spec),
        "ipykernel_launcher.py": python,
        "ipython_config.py": python,
        "sitecustomize.py": python,
        ".Rprofile": f'cat("ran", file = "{told}")\n',
        "carpo.toml": settings,
        "pyproject.toml": settings.replace("[kernel]", "[tool.carpo.kernel]"),
        "environment.yml": "name: ../../evil\n",
        "uv.lock": "",
    }
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if text == program:
            file.chmod(0o755)
    return told


DOCUMENTS = {
    "a.py": ("python", "# ---\n# jupyter:\n#   kernelspec:\n#     name: ../evil\n# ---\n# %%\nal"),
    "b.md": (
        "markdown",
        "---\njupyter: ./kernels/evil\n---\n```python\nal\n```\n\n```r\nal\n```\n",
    ),
    "c.R": ("r", "al"),
}


async def test_looking_at_it_runs_nothing(spawn: Spawn, tmp_path: Path) -> None:
    """Only runs start kernels where none has been run; that the project would have it otherwise
    does not count."""
    told = hostile(tmp_path)
    client = await spawn()
    await client.initialize(tmp_path)
    for name, (language, text) in DOCUMENTS.items():
        uri = client.open((tmp_path / name).as_uri(), text, language)
        document = {"textDocument": {"uri": uri}}
        everywhere = {"start": {"line": 0, "character": 0}, "end": {"line": 9, "character": 0}}
        for line in range(text.count("\n") + 1):
            assert (await client.complete(uri, line, 2))["items"] == []
            for kind in ("hover", "signatureHelp", "definition"):
                await client.request(f"textDocument/{kind}", at(uri, line, 1))
        for kind in ("codeLens", "documentSymbol"):
            await client.request(f"textDocument/{kind}", document)
        await client.request("textDocument/inlayHint", {**document, "range": everywhere})
        context = {"diagnostics": []}
        await client.request(
            "textDocument/codeAction", {**document, "range": everywhere, "context": context}
        )
        client.notify("textDocument/didSave", document)
        client.change(uri, 2, text + "\n")
    await client.request("workspace/symbol", {"query": ""})
    specs = (await client.request("carpo/listKernelSpecs", {}))["specs"]
    assert "evil" not in {spec["name"] for spec in specs}
    assert (await client.fail("carpo/startKernel", {"specName": "evil"})).code == 1002
    assert await client.kernels() == {}
    assert len(below(client.process.pid)) == 1
    assert not told.exists()


async def test_files_that_never_end_do_not_hold_the_server_up(spawn: Spawn, tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    for name in ("carpo.toml", ".venv/pyvenv.cfg", "kernel.json"):
        (tmp_path / name).symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pyproject.toml")
    client = await spawn()
    await client.initialize(tmp_path)
    uri = client.open((tmp_path / "a.py").as_uri(), "al")
    assert (await client.complete(uri, 0, 2))["items"] == []
    assert (await client.request("carpo/listKernelSpecs", {}))["specs"]
    endless = str(tmp_path / "kernel.json")
    for method, key in (
        ("carpo/startKernel", "specPath"),
        ("carpo/attachKernel", "connectionFile"),
    ):
        error = await client.fail(method, {key: endless})
        assert (error.code, "no regular file" in error.message) == (1002, True)


async def test_the_file_of_a_project_names_no_program(spawn: Spawn, tmp_path: Path) -> None:
    """A run takes an installed kernel, whatever path the project's settings and headers name."""
    told = hostile(tmp_path)
    for environment in (".venv/pyvenv.cfg", ".pixi/envs/default/conda-meta/history"):
        (tmp_path / environment).unlink()
    (tmp_path / ".pixi/envs/default/conda-meta").rmdir()
    client = await spawn()
    await client.initialize(tmp_path)
    text = DOCUMENTS["a.py"][1].replace("al", "stream stdout here")
    uri = client.open((tmp_path / "a.py").as_uri(), text, "fake")
    await client.request("carpo/selectKernel", {"textDocument": {"uri": uri}, "kernelId": None})
    place = {"textDocument": {"uri": uri}, "position": {"line": 6, "character": 0}}
    execution_id = (await client.request("carpo/execute", place))["executionId"]
    await client.until_done(execution_id)
    assert client.text(execution_id) == "here\n"
    assert [kernel["specName"] for kernel in (await client.kernels()).values()] == ["fake"]
    said = " ".join(client.messages())
    for setting in ("start", "python", "name", "argv", "env"):
        assert f"carpo.toml: kernel.{setting}" in said
    assert not told.exists()
