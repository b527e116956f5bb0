"""Mutated sessions: whatever a client sends, each request is answered once and the server lives.

`--fuzz-rounds` says how many rounds there are, `--fuzz-seed` which.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import json
import random
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from editor_clients import PROFILES, Editor, objections
from fuzz import PLANTED, Fuzzer, expected
from lsp_clients import DEADLINE, NOTIFICATIONS, all_gone, below, frame
from support import fake_spec

from carpo_lsp.wire.transport import FrameError, FrameParser

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 2
"""How many rounds there are unless `--fuzz-rounds` says otherwise."""

PIECES = 200
"""What is sent in one round, in messages or broken parts of some."""

MEMORY = 100 * 2**20
"""Bytes by which a server may grow in a round."""

PACE = 50
"""So many pieces are sent before the server must have kept up."""


class Broken(Editor):
    """A client that sends anything, counts the answers, and answers as it likes."""

    chance: random.Random

    def prepare(self, chance: random.Random) -> None:
        self.chance = chance
        self.owed: collections.Counter[str] = collections.Counter()
        """How many answers there must be with each id, as JSON."""
        self.given: collections.Counter[str] = collections.Counter()
        self.internal: list[Any] = []
        """Answers that tell of a mistake of the server's own."""
        self._parser = FrameParser()
        self._answered = asyncio.Event()

    def send_piece(self, data: bytes) -> list[str | None]:
        """Send bytes; returns the ids of the answers that they will bring."""
        owed = [
            "null" if isinstance(found, FrameError) else expected(found)
            for found in self._parser.feed(data)
        ]
        self.owed.update(each for each in owed if each is not None)
        self.send_bytes(data)
        return owed

    def withdraw_everything(self) -> None:
        for msg_id in self.owed - self.given:
            params = {"id": json.loads(msg_id)}
            self.send_piece(
                frame({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": params})
            )

    def take_answer(self, message: dict[str, Any]) -> None:
        if message["id"] in self._waiting:
            super().take_answer(message)
            return
        self.given[json.dumps(message["id"])] += 1
        if message.get("error", {}).get("code") == -32603:
            self.internal.append(message)
        self._answered.set()

    async def until_answered(self) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                while self.owed - self.given:
                    self._answered.clear()
                    await self._answered.wait()
        except TimeoutError:
            missing = dict((self.owed - self.given).most_common(10))
            raise AssertionError(f"never answered: {missing}") from None

    async def probe(self, number: int) -> None:
        """See that a harmless request is answered; a broken frame may have swallowed the first."""
        for attempt in itertools.count():
            msg_id = f"probe-{number}-{attempt}"
            request = {"jsonrpc": "2.0", "id": msg_id, "method": "carpo/listKernels"}
            if json.dumps(msg_id) in self.send_piece(frame(request)):
                break
        await self.until_answered()

    def receive(self, message: dict[str, Any]) -> None:
        method, params = message["method"], message.get("params")
        if method not in NOTIFICATIONS:
            self.undeclared += objections(self.profile, self.tokens(), method, params)
        if "id" in message:
            self._respond(message["id"])
        self.take(method, params)

    def _respond(self, number: object) -> None:
        """Right or wrong, twice or never."""
        for _ in range(self.chance.choice((0, 1, 1, 2))):
            key = self.chance.choice(("result", "error"))
            answer = {"jsonrpc": "2.0", "id": number, key: self.chance.choice(PLANTED)}
            self.send_piece(frame(answer))


@pytest.fixture
def fake_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_spec(tmp_path / "jupyter" / "kernels" / "fake", display_name="fake", language="fake")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        # The options are there when the tests of this folder are asked for.
        first = metafunc.config.getoption("--fuzz-seed", None) or 0
        rounds = metafunc.config.getoption("--fuzz-rounds", None) or ROUNDS
        metafunc.parametrize("seed", range(first, first + rounds))


@pytest.mark.usefixtures("fake_kernel")
async def test_mutated_sessions(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - to be the same again
    log = tmp_path / "log"
    folder = tmp_path / "work"
    folder.mkdir()
    client = await Broken.spawn("--log-file", str(log))
    assert isinstance(client, Broken)
    client.prepare(chance)
    try:
        await client.begin(chance.choice(PROFILES), folder)
        kernel = await client.start(specName="fake")
        server = psutil.Process(client.process.pid)
        before = server.memory_info().rss
        fuzzer = Fuzzer(chance, (folder / "x.py").as_uri(), kernel["kernelId"])
        for number, data in enumerate(fuzzer.session(PIECES)):
            client.send_piece(data)
            if number % PACE == 0:
                await client.probe(number)
        client.withdraw_everything()
        await client.probe(PIECES)
        assert server.memory_info().rss - before < MEMORY
        processes = below(server.pid)
        await client.request("shutdown")
        client.notify("exit")
        assert await client.process.wait() == 0
        await all_gone(processes, DEADLINE)
    finally:
        await client.close()
    assert client.given == client.owed
    assert client.internal == []
    assert client.undeclared == []
    assert "ERROR" not in log.read_text()
