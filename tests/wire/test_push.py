"""When notifications are sent, in what pieces, and how they are numbered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs
from support import DEADLINE

from carpo_lsp.frontend import Frontend
from carpo_lsp.journal.journal import Journal
from carpo_lsp.kernels.events import OutputChanged, StateChanged
from carpo_lsp.wire.push import LARGE, Pusher
from carpo_lsp.workspace.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from carpo_lsp.kernels.events import Event


class Client:
    """What a client has been sent, and whether it is slow."""

    def __init__(self, frontend: Frontend) -> None:
        self.workspace = Workspace(frontend)
        self.workspace.client.wants_notifications = True
        self.congested = False
        self.sent: list[tuple[str, Any]] = []
        self._arrived = asyncio.Event()
        self.pusher = Pusher(self.workspace, self._notify, lambda: self.congested)

    def _notify(self, method: str, params: Any) -> None:
        self.sent.append((method, params))
        self._arrived.set()

    def tell(self, *events: Event) -> None:
        for event in events:
            self.pusher.on_event(event)

    async def until(self, wanted: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not wanted():
                self._arrived.clear()
                await self._arrived.wait()

    @property
    def texts(self) -> list[str]:
        return [params.output["text"] for method, params in self.sent if method == "carpo/output"]

    @property
    def numbers(self) -> list[int]:
        return [params.seq for _, params in self.sent]


@pytest.fixture
def client(frontend: Frontend) -> Client:
    return Client(frontend)


def text(text: str, name: str = "stdout", execution_id: str = "e") -> OutputChanged:
    output = {"output_type": "stream", "name": name, "text": text}
    return OutputChanged("k", execution_id, "append", output)


def display(text: str, execution_id: str = "e") -> OutputChanged:
    output = {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}}
    return OutputChanged("k", execution_id, "append", output)


def whole(path: str) -> str:
    return Path(path).read_text()


def state(state: Any, execution_id: str = "e") -> StateChanged:
    return StateChanged("k", execution_id, state)


async def test_nothing_for_a_client_that_did_not_ask(client: Client) -> None:
    client.workspace.client.wants_notifications = False
    client.tell(state("queued"), text("a"))
    client.pusher.flush()
    assert client.sent == []


async def test_sent_in_the_next_turn_and_not_in_this(client: Client) -> None:
    """The answer to the request that caused it goes first."""
    client.tell(state("queued"))
    assert client.sent == []
    await client.until(lambda: client.sent)


async def test_adjacent_text_is_joined_and_all_is_numbered(client: Client) -> None:
    client.tell(state("queued"), state("running"), text("a"), text("b"), text("!", "stderr"))
    client.tell(text("c"), text("d"), state("ok"))
    await client.until(lambda: len(client.sent) == 6)
    assert client.texts == ["ab", "!", "cd"]
    assert client.numbers == [0, 1, 2, 3, 4, 5]


async def test_text_of_executions_side_by_side_is_joined_each(client: Client) -> None:
    client.tell(state("queued", "0"), state("queued", "1"))
    client.tell(*[text(str(n), execution_id=str(n % 2)) for n in range(10)])
    await client.until(lambda: len(client.sent) == 4)
    assert client.texts == ["02468", "13579"]
    assert client.numbers == [0, 0, 1, 1]


async def test_a_client_that_opts_in_late_is_told_that_code_was_queued(client: Client) -> None:
    client.workspace.client.wants_notifications = False
    client.tell(state("queued"), state("running"), text("before"))
    client.workspace.client.wants_notifications = True
    client.tell(text("after"), state("ok"))
    await client.until(lambda: len(client.sent) == 3)
    assert [params.state for method, params in client.sent if method != "carpo/output"] == [
        "queued",
        "ok",
    ]
    assert client.texts == ["after"]
    assert client.numbers == [0, 1, 2]


async def test_numbers_are_never_given_again(
    frontend: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carpo_lsp.wire.push.NUMBERED", 2)
    client = Client(frontend)

    def updated(execution_id: str) -> OutputChanged:
        return structs.replace(display("y", execution_id), kind="update", display_id="d")

    for name in ("runs", "first", "second", "third"):
        client.tell(state("queued", name), state("running", name), display("x", name))
        if name != "runs":
            client.tell(state("ok", name))
    for name in ("runs", "first", "second", "third", "never told of"):
        client.tell(updated(name))
    client.tell(state("ok", "runs"))
    client.pusher.flush()
    numbers: dict[str, list[int]] = {}
    for _, params in client.sent:
        numbers.setdefault(params.execution_id, []).append(params.seq)
    assert numbers == {
        "runs": [0, 1, 2, 3, 4],
        "first": [0, 1, 2, 3],  # it is forgotten
        "second": [0, 1, 2, 3, 4],
        "third": [0, 1, 2, 3, 4],
    }


async def test_text_is_not_joined_across_a_display(client: Client) -> None:
    client.tell(state("queued"), text("a"), display("b"), text("c"))
    await client.until(lambda: len(client.sent) == 4)
    outputs = [params.output for _, params in client.sent[1:]]
    assert [output.get("text") for output in outputs] == ["a", None, "c"]


async def test_text_waits_for_a_slow_client_and_the_rest_does_not(client: Client) -> None:
    client.congested = True
    client.tell(*[text("x") for _ in range(1000)])
    client.tell(state("queued", "other"))
    await client.until(lambda: client.sent)
    assert client.texts == ["x" * 1000]
    client.tell(text("y"))
    client.congested = False
    client.pusher.flush()
    assert client.texts[-1] == "y"


async def test_the_first_text_waits_for_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time counts from other text, not from the state before it."""
    monkeypatch.setattr("carpo_lsp.wire.push.INTERVAL", 1000.0)
    client.tell(state("queued"), state("running"))
    await client.until(lambda: len(client.sent) == 2)
    client.tell(text("first"))
    await client.until(lambda: client.texts)


async def test_much_text_does_not_wait_for_its_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In that it would become a file, which is slower for both sides."""
    monkeypatch.setattr("carpo_lsp.wire.push.INTERVAL", 1000.0)
    client.tell(text("first"))
    await client.until(lambda: client.texts)
    client.tell(text("a"), text("b" * LARGE))
    await client.until(lambda: len(client.texts) == 2)
    client.congested = True
    client.tell(text("c" * LARGE))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert client.texts == ["first", "a" + "b" * LARGE]


async def test_text_beyond_the_limit_waits_in_a_file(client: Client) -> None:
    client.congested = True
    limit = client.workspace.settings.output.max_push_bytes
    client.tell(*[text("é" * 1000) for _ in range(limit // 1000 + 1)])
    client.pusher.flush()
    _, params = client.sent[-1]
    pointer = params.output["metadata"]["carpo"]
    assert pointer["truncated"] is True
    assert whole(pointer["path"]) == "é" * 1000 * (limit // 1000 + 1)
    assert params.output["text"].strip("é") == ""


async def test_streams_that_alternate_do_not_pile_up(client: Client) -> None:
    """They cannot be joined, so a slow client's go to the outbox, which has a file for them."""
    client.congested = True
    for number in range(5000):
        client.tell(text(f"{number}\n", ("stdout", "stderr")[number % 2]))
        if number % 100 == 0:
            await asyncio.sleep(0)
    await client.until(lambda: len(client.sent) > 3000)
    client.pusher.flush()
    assert client.texts == [f"{number}\n" for number in range(5000)]


async def test_what_comes_meanwhile_puts_nothing_off(client: Client) -> None:
    """Sources that have something urgent in every turn of the loop, as flooding kernels do."""
    loop = asyncio.get_running_loop()
    told = 0

    def flood() -> None:
        nonlocal told
        client.tell(display("x"))
        told += 1
        if told < 10_000:
            loop.call_soon(flood)

    for _ in range(3):
        loop.call_soon(flood)
    await client.until(lambda: client.sent)
    assert told < 100
    await client.until(lambda: len(client.sent) >= 10_000)


async def test_nothing_is_sent_after_the_end(client: Client) -> None:
    client.tell(state("queued"), text("a"))
    client.pusher.close()
    await asyncio.sleep(0)
    assert client.sent == []


class SlowJournal(Journal):
    """A journal whose disk takes what it is told when the test says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.disk: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def unwritten(self) -> asyncio.Future[None] | None:
        return None if self.disk.done() else self.disk


async def test_a_state_is_told_when_the_journal_has_it(tmp_path: Path) -> None:
    journal = SlowJournal(tmp_path)
    async with Frontend(journal=journal) as frontend:
        client = Client(frontend)
        sent_before: list[int] = []

        def take() -> None:
            sent_before.append(len(client.sent))
            journal.disk.set_result(None)

        client.tell(state("queued"), state("running"), text("first\n"))
        asyncio.get_running_loop().call_later(0.05, take)
        await client.until(lambda: client.sent)
        assert sent_before == [0]
        client.tell(text("second\n"), state("ok"))
        await client.until(lambda: getattr(client.sent[-1][1], "state", None) == "ok")
        assert client.numbers == list(range(len(client.sent)))
        assert "".join(client.texts) == "first\nsecond\n"


async def test_a_disk_that_hangs_holds_nothing_up_for_long(tmp_path: Path) -> None:
    async with Frontend(journal=SlowJournal(tmp_path)) as frontend:
        client = Client(frontend)
        for number, each in enumerate(("queued", "running", "ok"), 1):
            client.tell(state(each))
            await client.until(lambda number=number: len(client.sent) == number)
        assert client.numbers == [0, 1, 2]
