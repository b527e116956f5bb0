"""How a kernel's sockets are read: fast, but never for long at once."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import zmq
from jupyter_client.session import Session
from support import DEADLINE

from carpo_lsp.kernels import channels as channels_module
from carpo_lsp.kernels.channels import AHEAD, BATCH, PAUSE, PAUSES, TURN, Channels
from carpo_lsp.kernels.messages import Request
from carpo_lsp.kernels.sockets import open_socket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from carpo_lsp.kernels.messages import Message

KEY = b"secret"


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    with zmq.Context() as context:
        yield context


class Publisher:
    """The iopub channel of a kernel that is not there otherwise."""

    def __init__(self, context: zmq.Context[Any], folder: Path, **options: int) -> None:
        self.info = {"transport": "ipc", "ip": str(folder / "k"), "key": KEY.decode()}
        for number, channel in enumerate(("shell", "control", "stdin", "iopub")):
            self.info[f"{channel}_port"] = str(number)
        self._socket = context.socket(zmq.XPUB)
        self._socket.linger = 0
        self._socket.set(zmq.XPUB_NODROP, options.get("nodrop", 0))
        self._socket.sndhwm = options.get("sndhwm", 0)
        self._socket.sndtimeo = 500
        self._socket.bind(f"ipc://{self.info['ip']}-3")
        self._session = Session(key=KEY)

    async def peer(self) -> None:
        """Wait for the subscription."""
        async with asyncio.timeout(DEADLINE):
            while not self._socket.poll(0):  # noqa: ASYNC110 - the socket belongs to no loop
                await asyncio.sleep(0.01)
        self._socket.recv()

    def publish(self, size: int) -> None:
        """Send stream text. Raises `zmq.Again` when there is no room for it for a while."""
        message = self._session.msg("stream", {"name": "stdout", "text": "x" * size})
        frames = self._session.serialize(message, ident=b"stream")
        self._socket.send_multipart(frames)

    def close(self) -> None:
        self._socket.close()


class Shell:
    """The shell channel of the same kernel."""

    def __init__(self, context: zmq.Context[Any], publisher: Publisher) -> None:
        self._socket = context.socket(zmq.ROUTER)
        self._socket.linger = self._socket.sndhwm = 0
        self._socket.bind(f"ipc://{publisher.info['ip']}-0")
        self._session = Session(key=KEY)
        self._client = b""

    def meet(self, channels: Channels) -> None:
        """Be asked something, and so learn who is to be answered."""
        channels.send(Request("shell", "kernel_info_request", {}))
        assert self._socket.poll(1000 * DEADLINE)
        self._client = self._socket.recv_multipart()[0]

    def answer(self) -> None:
        message = self._session.msg("reply", {})
        self._socket.send_multipart(self._session.serialize(message, ident=self._client))

    def close(self) -> None:
        self._socket.close()


class Turns:
    """Counts the turns of the loop, for as long as `run` is under way."""

    def __init__(self) -> None:
        self.number = 0

    async def run(self) -> None:
        while True:
            self.number += 1
            await asyncio.sleep(0)


@pytest.mark.parametrize(("size", "count"), [(10, 50 * BATCH), (TURN // 4, 80)])
async def test_a_turn_of_the_loop_reads_a_bounded_amount(
    context: zmq.Context[Any], tmp_path: Path, size: int, count: int
) -> None:
    """So that what else is on the loop, another kernel's answer say, does not wait for a flood."""
    publisher = Publisher(context, tmp_path)
    read: Counter[int] = Counter()
    everything = asyncio.Event()
    turns = Turns()

    def on_message(message: Message) -> None:
        read[turns.number] += 1
        if read.total() == count:
            everything.set()

    channels = Channels(context, publisher.info, on_message)
    turning = asyncio.create_task(turns.run())
    try:
        await publisher.peer()
        for _ in range(count):
            publisher.publish(size)
        async with asyncio.timeout(DEADLINE):
            await everything.wait()
    finally:
        turning.cancel()
        channels.close()
        publisher.close()
    # Two readings may meet in one turn: the one that goes on, and one for news of the socket.
    assert max(read.values()) <= 2 * min(BATCH, TURN // size + 1)
    assert len(read) > 5


async def test_requests_do_not_have_a_flood_read_faster(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    """Each has its channel read, as its answer may be there: once a turn, however many they are."""
    publisher = Publisher(context, tmp_path)
    read: Counter[int] = Counter()
    everything = asyncio.Event()
    turns = Turns()
    count = 50 * BATCH

    def on_message(message: Message) -> None:
        read[turns.number] += 1
        if read.total() == count:
            everything.set()

    shell = Shell(context, publisher)
    channels = Channels(context, publisher.info, on_message)
    turning = asyncio.create_task(turns.run())
    try:
        shell.meet(channels)
        for _ in range(count):
            shell.answer()
        for _ in range(20):
            channels.send(Request("shell", "complete_request", {}))
        async with asyncio.timeout(DEADLINE):
            await everything.wait()
    finally:
        turning.cancel()
        channels.close()
        shell.close()
        publisher.close()
    assert max(read.values()) <= 2 * BATCH


async def test_output_is_held_back_in_the_kernel(context: zmq.Context[Any], tmp_path: Path) -> None:
    """What the kernel can still send while nobody reads is all that waits in this process."""
    room = 8
    publisher = Publisher(context, tmp_path, sndhwm=room, nodrop=1)
    received: list[Message] = []
    channels = Channels(context, publisher.info, received.append)
    try:
        await publisher.peer()
        channels.hold_back()
        sent = 0
        with contextlib.suppress(zmq.Again):
            while sent < 20 * AHEAD:  # without a turn of the loop
                publisher.publish(100_000)
                sent += 1
        assert received == []
        # Beside both queues there is what is on its way through buffers of the system.
        assert AHEAD < sent < 10 * AHEAD
        async with asyncio.timeout(DEADLINE):
            while len(received) < sent:  # noqa: ASYNC110 - they are counted as they come
                await asyncio.sleep(0.01)
    finally:
        channels.close()
        publisher.close()


class Looks(selectors.DefaultSelector):
    """Counts how often the loop asks for news."""

    number = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.number += 1
        return super().select(timeout)


class Manners:
    """How output is to be read."""

    def __init__(self, *, waits: int = 0, in_steps: bool = False) -> None:
        self.looks = 0
        self.looked = asyncio.Event()
        self.in_steps = in_steps
        self._waits = waits

    @property
    def waits(self) -> bool:
        self.looks += 1
        self.looked.set()
        return self.looks <= self._waits


def loops_of(folder: Path, manners: Any, groups: int, each: int) -> int:
    """How often the loop asks for news while groups of messages come and are taken."""

    async def run() -> None:
        arrived = asyncio.Semaphore(0)
        with zmq.Context() as context:
            publisher = Publisher(context, folder)
            channels = Channels(
                context, publisher.info, lambda message: arrived.release(), beside=manners
            )
            await publisher.peer()
            async with asyncio.timeout(DEADLINE):
                for _ in range(groups):
                    for _ in range(each):
                        publisher.publish(1)
                    for _ in range(each):
                        await arrived.acquire()
            channels.close()
            publisher.close()

    looks = Looks()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(looks)) as runner:
        runner.run(run())
    return looks.number


@pytest.mark.parametrize("how", [{"waits": 20}, {"in_steps": True}])
def test_the_loop_rests_while_output_is_left(tmp_path: Path, how: dict[str, Any]) -> None:
    """ZeroMQ's descriptors tell of what is not taken for as long as it is not."""
    assert loops_of(tmp_path, Manners(**how), groups=20, each=5) < 10 * 20


async def test_what_does_not_come_is_not_looked_for_in_steps(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    publisher = Publisher(context, tmp_path)
    manners: Any = Manners(in_steps=True)
    arrived = asyncio.Event()
    channels = Channels(context, publisher.info, lambda message: arrived.set(), beside=manners)
    try:
        await publisher.peer()
        publisher.publish(1)
        async with asyncio.timeout(DEADLINE):
            await arrived.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(50 * PAUSE):
                arrived.clear()
                await arrived.wait()
    finally:
        channels.close()
        publisher.close()
    assert manners.looks < 10


@pytest.mark.parametrize(("waits", "least"), [(3, 4), (10**9, PAUSES)])
async def test_output_waits_for_others_but_not_for_ever(
    context: zmq.Context[Any], tmp_path: Path, waits: int, least: int
) -> None:
    publisher = Publisher(context, tmp_path)
    manners: Any = Manners(waits=waits)
    looks: list[int] = []
    everything = asyncio.Event()

    def on_message(message: Message) -> None:
        looks.append(manners.looks)
        if len(looks) == BATCH:
            everything.set()

    channels = Channels(context, publisher.info, on_message, beside=manners)
    try:
        await publisher.peer()
        for _ in range(BATCH):
            publisher.publish(1)
        async with asyncio.timeout(DEADLINE):
            await everything.wait()
    finally:
        channels.close()
        publisher.close()
    assert min(looks) >= least


async def test_what_waits_comes_before_the_answer(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    publisher = Publisher(context, tmp_path)
    manners: Any = Manners(waits=10**9)
    got: list[str] = []
    answered = asyncio.Event()

    def on_message(message: Message) -> None:
        got.append(message.channel)
        if message.channel == "shell":
            answered.set()

    shell = Shell(context, publisher)
    channels = Channels(context, publisher.info, on_message, beside=manners)
    try:
        await publisher.peer()
        shell.meet(channels)
        publisher.publish(1)
        async with asyncio.timeout(DEADLINE):
            await manners.looked.wait()
            shell.answer()
            await answered.wait()
    finally:
        channels.close()
        shell.close()
        publisher.close()
    assert got == ["iopub", "shell"]


@pytest.mark.parametrize(("output", "answers"), [(1, 1), (20 * BATCH, 1), (20 * BATCH, BATCH)])
async def test_what_has_come_but_is_not_known_of_comes_before_the_answer(
    context: zmq.Context[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: int,
    answers: int,
) -> None:
    """A kernel that has answered before it has shown a thing is one whose output may be late."""
    sockets: dict[str, zmq.Socket[bytes]] = {}

    def opened(context: Any, info: Any, channel: Any, identity: bytes) -> zmq.Socket[bytes]:
        sockets[channel] = open_socket(context, info, channel, identity)
        return sockets[channel]

    monkeypatch.setattr(channels_module, "open_socket", opened)
    publisher = Publisher(context, tmp_path)
    turns = Turns()
    turning = asyncio.create_task(turns.run())
    got: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    channels = Channels(
        context,
        publisher.info,
        lambda message: got.put_nowait((message.channel, turns.number)),
    )
    shell = Shell(context, publisher)
    try:
        await publisher.peer()
        shell.meet(channels)
        for _ in range(output):
            publisher.publish(1)
        for _ in range(answers):
            shell.answer()
        for channel in ("iopub", "shell"):  # after which their descriptors tell nothing
            assert sockets[channel].poll(1000 * DEADLINE)
        channels.send(Request("shell", "kernel_info_request", {}))
        async with asyncio.timeout(DEADLINE):
            order = [(await got.get()) for _ in range(output + answers)]
    finally:
        channels.close()
        turning.cancel()
        shell.close()
        publisher.close()
    assert [channel for channel, _ in order[: min(output, BATCH)]] == ["iopub"] * min(output, BATCH)
    # Beside one reading before an answer there may be one that goes on.
    assert max(Counter(turn for _, turn in order).values()) <= 2 * (BATCH + 1)


async def test_what_a_kernel_has_left_behind_does_not_wait(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    publisher = Publisher(context, tmp_path)
    got: list[Message] = []
    manners: Any = Manners(waits=10**9)
    channels = Channels(context, publisher.info, got.append, beside=manners)
    try:
        await publisher.peer()
        for _ in range(10 * BATCH):
            publisher.publish(1)
        await channels.settle(0.2, DEADLINE)
    finally:
        channels.close()
        publisher.close()
    assert len(got) == 10 * BATCH


async def test_what_comes_fast_is_read_in_steps(
    context: zmq.Context[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that have no end here: what follows is not looked at before there is an answer."""
    monkeypatch.setattr(channels_module, "PAUSE", 3600.0)
    publisher = Publisher(context, tmp_path)
    manners: Any = Manners(in_steps=True)
    got: asyncio.Queue[str] = asyncio.Queue()
    channels = Channels(
        context, publisher.info, lambda message: got.put_nowait(message.channel), beside=manners
    )
    shell = Shell(context, publisher)
    try:
        await publisher.peer()
        shell.meet(channels)
        async with asyncio.timeout(DEADLINE):
            for _ in range(2):
                publisher.publish(1)
            assert [await got.get() for _ in range(2)] == ["iopub"] * 2
            looks = manners.looks
            publisher.publish(1)
            channel = "shell"
            while channel == "shell":  # the output may be longer on its way than an answer
                shell.answer()
                channel = await got.get()
    finally:
        channels.close()
        shell.close()
        publisher.close()
    assert manners.looks == looks
