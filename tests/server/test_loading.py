"""What a start loads, and when: an editor waits for it, and later the first cell does."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import psutil

PROGRAM = (sys.executable, "-X", "importtime", "-m", "carpo_lsp")

LATER = {
    "aiohttp",
    "jupyter_client",
    "markdown_it",
    "nbformat",
    "rich",
    "tornado",
    "traitlets",
    "zmq",
}
"""What only kernels, notebooks and commands need. A quarter of a start, at least."""


BEHIND = {
    "carpo_lsp.cli.run",
    "carpo_lsp.documents.store",
    "carpo_lsp.features.hover",
    "carpo_lsp.frontend",
    "carpo_lsp.journal.journal",
    "psutil",
}
"""What is loaded behind the answer to initialize, or by other commands."""

DEADLINE = 60.0


def module(line: str) -> str:
    """The module that a line of `-X importtime` tells of."""
    return line.rpartition("|")[2].strip()


def test_a_start_loads_nothing_that_only_kernels_need() -> None:
    ended = subprocess.run(PROGRAM, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    loaded = {module(line) for line in ended.stderr.splitlines()}
    assert "carpo_lsp.server" in loaded
    assert not LATER & loaded
    assert not BEHIND & loaded


def framed(method: str, params: Any, **more: Any) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


async def test_what_kernels_need_is_loaded_before_one_is_wanted() -> None:
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(*PROGRAM, stdin=pipe, stdout=pipe, stderr=pipe)
    assert server.stdin
    assert server.stderr
    initialize = framed("initialize", {"processId": None, "capabilities": {}}, id=1)
    server.stdin.write(initialize + framed("initialized", {}))
    wanted = {"jupyter_client.session", "carpo_lsp.kernels.local"}
    async with asyncio.timeout(DEADLINE):
        while wanted:
            line = await server.stderr.readline()
            assert line, f"the server has ended without {wanted}"
            wanted.discard(module(line.decode()))
        # So is the watchdog, which would take a processor from the first kernel that starts.
        while not (children := psutil.Process(server.pid).children()):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
        server.stdin.close()
        await server.communicate()
    assert not any(child.is_running() for child in children)
