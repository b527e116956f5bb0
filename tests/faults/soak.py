"""Random work for as long as one likes: what a server takes for it must not grow."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from cells import ANSWER, CELLS, document, line_of
from home import Home
from lsp_clients import DEADLINE, TERMINAL, ServerError, at
from session import OPTIONS, Witness, is_begun

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cells import Cell

log = logging.getLogger(__name__)

SERVER = [sys.executable, str(Path(__file__).with_name("observed_server.py"))]

LANGUAGES = ("python", "python", "python", "fake", "fake", "fake", "fake", "fake")
"""One kernel each."""

BULKY = 0.01
"""How often a cell is run whose output goes to a file, which stays for as long as the server."""

CAPABILITIES = {
    "workspace": {
        "inlayHint": {"refreshSupport": True},
        "codeLens": {"refreshSupport": True},
    },
    "textDocument": {"inlayHint": {}, "codeLens": {}, "publishDiagnostics": {}},
    "window": {"workDoneProgress": True},
}

REQUESTS = (
    "textDocument/completion",
    "textDocument/hover",
    "textDocument/signatureHelp",
    "textDocument/definition",
)
"""Those about a position."""


class Worker(Witness):
    """A client that keeps nothing of what it is told, and checks it at once."""

    def __init__(self, *pipes: Any) -> None:
        super().__init__(*pipes)
        self.chance = random.Random()  # noqa: S311 - replaced by that of a seed
        self.executions = 0
        self.deaths: dict[str, Any] = {}
        """What it was told last of each kernel that has died."""
        self._numbers: dict[str, int] = {}
        self._ends: dict[str, asyncio.Future[str]] = {}

    def end_of(self, execution_id: str) -> asyncio.Future[str]:
        """The state that is going to end an execution."""
        if execution_id not in self._ends:
            self._ends[execution_id] = asyncio.get_running_loop().create_future()
        return self._ends[execution_id]

    def receive(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self.send({"id": message["id"], "result": None})
        else:
            self.take(message["method"], message.get("params"))

    def take(self, method: str, params: Any) -> None:
        if "seq" in (params or ()):
            self._check(params["executionId"], params)
        if method == "carpo/kernelStatus" and params["status"] == "dead":
            self.deaths[params["kernelId"]] = params
        if method == "carpo/inputRequest" and self.chance.random() < 0.7:
            names = ("kernelId", "executionId")
            answer = {**{name: params[name] for name in names}, "value": ANSWER}
            self.post_only("carpo/stdin", answer)
        elif method == "carpo/inputRequest" or is_begun(method, params):
            self.post_only("carpo/interrupt", {"kernelId": params["kernelId"]})

    def _check(self, execution_id: str, params: dict[str, Any]) -> None:
        assert params["seq"] == self._numbers.get(execution_id, -1) + 1
        self._numbers[execution_id] = params["seq"]
        if params.get("state") in TERMINAL:
            self.executions += 1
            self.end_of(execution_id).set_result(params["state"])


@attrs.define
class Desk:
    """A document and its kernel, in which one thing is done after the other."""

    client: Worker
    home: Home
    name: str
    language: str
    chance: random.Random
    kernel_id: str = ""
    version: int = 1

    @property
    def uri(self) -> str:
        return self.home.uri(self.name)

    async def begin(self) -> None:
        self.open()
        place = {"textDocument": {"uri": self.uri}}
        self.kernel_id = (await self.client.start(**place, timeout=2 * DEADLINE))["kernelId"]

    def open(self) -> None:
        self.version = 1
        self.client.open(self.uri, document(self.language), self.language)

    async def work(self, until: float) -> None:
        """Do something until a time (of `time.monotonic`), and see it through."""
        weights: dict[Callable[[], Awaitable[None]], int] = {
            self.run: 20,
            self.look: 20,
            self.edit: 10,
            self.ask: 5,
            self.reopen: 1,
            self.restart: 1,
        }
        while time.monotonic() < until:
            (action,) = self.chance.choices(list(weights), list(weights.values()))
            await action()

    async def run(self) -> None:
        """Run one or several cells."""
        cells = [self._cell() for _ in range(self.chance.choice((1, 1, 1, 3)))]
        ids = [await self._execute(cell) for cell in cells]
        if self.chance.random() < 0.05:
            await self.client.request("carpo/interrupt", {"kernelId": self.kernel_id})
        for execution_id in ids:
            async with asyncio.timeout(DEADLINE):
                state = await self.client.end_of(execution_id)
            assert state != "died", self.client.deaths.get(self.kernel_id)

    def _cell(self) -> Cell:
        cells = CELLS[self.language]
        usual = [cell for cell in cells if cell.name != "bulk"]
        return self.chance.choice(cells if self.chance.random() < BULKY else usual)

    async def _execute(self, cell: Cell) -> str:
        place = {"line": line_of(self.language, cell), "character": 0}
        answer = await self.client.request(
            "carpo/execute", {"textDocument": {"uri": self.uri}, "position": place}
        )
        return str(answer["executionId"])

    async def look(self) -> None:
        """What editors ask when somebody moves about; some of it is withdrawn."""
        line = self.chance.randrange(document(self.language).count("\n"))
        method = self.chance.choice(REQUESTS)
        answer = self.client.post(method, at(self.uri, line, 0))
        if self.chance.random() < 0.2:
            self.client.cancel_last()
        await asyncio.wait([answer], timeout=DEADLINE)
        assert answer.done()
        error = answer.exception()
        assert error is None or (isinstance(error, ServerError) and error.code == -32800)
        everything = {"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}}
        of_document = {"textDocument": {"uri": self.uri}}
        await self.client.request("textDocument/codeLens", of_document)
        await self.client.request("textDocument/inlayHint", {**of_document, "range": everything})

    async def edit(self) -> None:
        """Type a line behind the last one, and take it away again."""
        self.version += 2
        text = document(self.language)
        self.client.change(self.uri, self.version - 1, f"{text}# {self.version}\n")
        self.client.change(self.uri, self.version, text)

    async def ask(self) -> None:
        with_code = {"kernelId": self.kernel_id, "code": "al", "cursorPos": 2}
        await self.client.request("carpo/complete", with_code)
        await self.client.request("carpo/listKernels", {})

    async def reopen(self) -> None:
        """Close the document, and open it again; and another that has no kernel."""
        self.client.notify("textDocument/didClose", {"textDocument": {"uri": self.uri}})
        other = self.client.open(f"{self.uri}.md", "# Title\n```python\n1\n```\n", "markdown")
        self.client.notify("textDocument/didClose", {"textDocument": {"uri": other}})
        self.open()
        select = {"textDocument": {"uri": self.uri}, "kernelId": self.kernel_id}
        await self.client.request("carpo/selectKernel", select)

    async def restart(self) -> None:
        await self.client.request("carpo/restartKernel", {"kernelId": self.kernel_id})


async def census(client: Worker) -> dict[str, Any]:
    """What there is in a server that has nothing to do, once it has come to rest."""
    last: dict[str, Any] = {}
    async with asyncio.timeout(DEADLINE):
        while True:
            found = await client.request("test/census")
            still = ("descriptors", "children", "tasks", "threads")
            if all(found[name] == last.get(name) for name in still):
                return dict(found)
            last = found
            await asyncio.sleep(0.2)  # nothing tells of it


async def play(seconds: float, seed: int, folder: Path, slices: int) -> list[dict[str, Any]]:
    """Work for some seconds with eight kernels; the censuses at the end of each slice of them."""
    home = Home(folder)
    client = await home.server(Worker, SERVER)
    client.chance = random.Random(seed)  # noqa: S311 - to be the same again
    found = []
    try:
        await client.initialize(home.work, options=OPTIONS, capabilities=CAPABILITIES)
        desks = [
            Desk(client, home, f"{number}.{language}", language, random.Random(seed + number))  # noqa: S311 - see above
            for number, language in enumerate(LANGUAGES)
        ]
        await asyncio.gather(*(desk.begin() for desk in desks))
        for number in range(slices):
            end = time.monotonic() + seconds / slices
            await asyncio.gather(*(desk.work(end) for desk in desks))
            found.append({**await census(client), "executions": client.executions})
            log.info("%d of %d: %s", number + 1, slices, found[-1])
        await client.request("shutdown")
        client.notify("exit")
        await client.read_to_the_end(in_order=True)
        assert client.process.returncode == 0
    finally:
        await client.close()
        left = home.processes()
        for process in left:
            process.kill()
    assert left == []
    assert home.left() == []
    assert home.log_problems() == []
    return found
