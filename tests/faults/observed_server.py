"""The server as `carpo-lsp` runs it, with one more request: `test/census`, what there is in it."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from carpo_lsp.cli import logs
from carpo_lsp.cli.heap import return_large_blocks
from carpo_lsp.cli.signals import Lifetime
from carpo_lsp.frontend import Frontend
from carpo_lsp.journal.journal import Journal
from carpo_lsp.server import create_server, serve
from carpo_lsp.wire.transport import serve_stdio

ID = re.compile(r"[0-9a-f-]{36}|\d+|\w+://.*")


def census(_: Any) -> dict[str, Any]:
    """Bytes, and how many there are of everything else. Tasks are by name."""
    gc.collect()
    process = psutil.Process()
    tasks = Counter(ID.sub("…", task.get_name()) for task in asyncio.all_tasks())
    return {
        "rss": process.memory_info().rss,
        "objects": len(gc.get_objects()),
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
        "children": len(process.children(recursive=True)),
        "tasks": dict(tasks),
    }


async def main() -> int:
    frontend = Frontend(journal=Journal())
    async with Lifetime(frontend):
        server = create_server(lambda: frontend)
        server.add_request("test/census", census)
        return await serve(server, serve_stdio)
    return 1


if __name__ == "__main__":
    return_large_blocks()
    logs.configure("warning", Path(sys.argv[sys.argv.index("--log-file") + 1]))
    sys.exit(asyncio.run(main()))
