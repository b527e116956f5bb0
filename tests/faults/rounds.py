"""One round: a session, a fault at a random moment, and what the next server makes of it."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import invariants
import psutil
from cells import CELLS
from home import GONE, Home, kill, until
from lsp_clients import DEADLINE, TERMINAL, below
from session import OPTIONS, Document, Session, Witness, attend

if TYPE_CHECKING:
    from collections.abc import Callable

    from invariants import Output
    from session import Job

log = logging.getLogger(__name__)

FAULTS = {
    "server": 3,
    "group": 1,
    "machine": 1,
    "kernel": 3,
    "watchdog": 1,
    "keeper": 1,
}
"""What is killed, and how often. A group is the server's process group; a machine takes all with
it, also what would have cleaned up. After the others the session goes on, and then it ends."""

FATAL = ("server", "group", "machine")
"""Those that end the server."""

ENDS = {"server": 3, "exit": 1}
"""How a session ends whose server has survived the fault."""

LATEST = 150
"""The fault comes at most so many notifications after the beginning."""

MISSED = 0.05
"""Seconds by which the fault is late at most, so that it is not always behind a notification."""


@attrs.frozen
class Plan:
    """What is to happen in a round, which its seed decides."""

    fault: str
    after: int
    delay: float
    end: str
    then_after: int
    documents: tuple[Document, ...]

    @classmethod
    def of(cls, seed: int) -> Plan:
        chance = random.Random(seed)  # noqa: S311 - to be the same again
        keeps = chance.choice(("python", "fake"))
        return cls(
            fault=chance.choices(list(FAULTS), list(FAULTS.values()))[0],
            after=chance.randrange(LATEST),
            delay=chance.choice((0.0, chance.uniform(0, MISSED))),
            end=chance.choices(list(ENDS), list(ENDS.values()))[0],
            then_after=chance.randrange(LATEST // 2),
            documents=(
                Document("a.py", "python"),
                Document("b.fake", "fake"),
                Document(f"kept.{keeps}", keeps, keep=True),
            ),
        )


async def play(seed: int, folder: Path) -> None:
    """Play the round of a seed in an empty folder with a short path."""
    plan = Plan.of(seed)
    log.info("round %d: %s", seed, plan)
    home = Home(folder)
    client = await home.server(Witness)
    try:
        await client.initialize(home.work, options=OPTIONS)
        session = Session(home, client, seed, plan.documents)
        session.begin()
        try:
            await client.until_noted(plan.after)
            await asyncio.sleep(plan.delay)
            await _strike(plan.fault, home, client, random.Random(seed))  # noqa: S311 - see above
            if plan.fault not in FATAL:
                await client.until_noted(len(client.notes) + plan.then_after)
                if plan.end == "server":
                    client.process.kill()
        finally:
            await session.end()
        in_order = plan.fault not in FATAL and plan.end == "exit"
        if in_order:
            await client.request("shutdown")
            client.notify("exit")
        await client.read_to_the_end(in_order=in_order)
        _check_notes(client)
        await home.until_only_kept_run()
        assert plan.fault == "machine" or home.left(swept=False) == []
        kept = {entry.kernel_id for entry in home.kept() if entry.alive}
        # One that is being restarted has been told to end.
        begun = ("starting", "restarting")
        living = {each for each in session.kept if client.status(each) not in begun}
        assert plan.fault in ("machine", "kernel") or living <= kept
        assert plan.fault == "keeper" or not session.not_kept
        assert home.journal_problems() == []
        await _look_again(plan, home, session, kept)
        assert home.log_problems() == []
    finally:
        if client.process.returncode is None:
            client.process.kill()
        await client.close()
        for process in home.processes():
            process.kill()
    log.info("round %d: %d told, %d ended", seed, len(client.told), len(client.ended))


async def _strike(fault: str, home: Home, client: Witness, chance: random.Random) -> None:
    server = psutil.Process(client.process.pid)
    match fault:
        case "server":
            server.kill()
        case "group":
            os.killpg(os.getpgid(server.pid), signal.SIGKILL)
        case "machine":
            server.suspend()
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for process in (*below(server.pid), *home.processes()):
                    kill(process, number)
        case "kernel":
            kill(chance.choice(await _first(home.kernels)), signal.SIGKILL)
        case "keeper":
            kill(chance.choice(await _first(home.keepers)), signal.SIGKILL)
        case "watchdog":
            old = await _first(home.watchdogs)
            for process in old:
                kill(process, signal.SIGKILL)
            # They may take a moment to go.
            await until(lambda: set(home.watchdogs()) - set(old), GONE, lambda: "no other watchdog")


async def _first(find: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    """The processes there are, once there is one: nothing tells of it."""
    found: list[psutil.Process] = []
    await until(lambda: found.extend(find()) or found, DEADLINE, lambda: f"none of {find.__name__}")
    return found


def _check_notes(client: Witness) -> None:
    for execution_id in client.told:
        invariants.check(client.of(execution_id), ended=execution_id in client.ended)


async def _look_again(plan: Plan, home: Home, before: Session, kept: set[str]) -> None:
    """What another server, with the same folders, tells of the session."""
    client = await home.server(Witness)
    attending = asyncio.create_task(attend(client, random.Random(0)))  # noqa: S311 - any order
    try:
        await client.initialize(home.work, options=OPTIONS)
        before.open_documents(client)
        for kernel_id in kept:
            await _until_settled(client, kernel_id)
        for execution_id in sorted(before.client.told):
            await _compare(plan, client, before, execution_id)
        for document in plan.documents:
            await _check_document(home, client, before, document)
        attending.cancel()
        # What has been left because all was killed goes when the next kernel starts.
        await client.start(specName="fake")
        for kernel_id in await client.kernels():
            await client.request("carpo/shutdownKernel", {"kernelId": kernel_id})
        await client.request("shutdown")
        client.notify("exit")
        await client.read_to_the_end(in_order=True)
        _check_notes(client)
        assert client.process.returncode == 0
    finally:
        attending.cancel()
        await client.close()
    await home.until_only_kept_run()
    assert home.processes() == []
    assert home.left() == []


async def _until_settled(client: Witness, kernel_id: str) -> None:
    """Wait until all has ended that a kernel had to do when its last server ended."""
    document = (await client.kernels())[kernel_id]["documents"]
    language = "python" if any(uri.endswith(".python") for uri in document) else "fake"
    code = {"python": "1", "fake": "result 1"}[language]
    while True:  # what waits is dropped when something else is interrupted
        probe = await client.run(kernel_id, code, storeHistory=False)
        if client.states(probe)[-1] == "ok":
            return


async def _shown(client: Witness, **params: Any) -> list[dict[str, Any]]:
    return list((await client.request("carpo/outputs", params))["executions"])


async def _compare(plan: Plan, client: Witness, before: Session, execution_id: str) -> None:
    """An execution is as the client of the first server has seen it."""
    notes = before.client.of(execution_id)
    end = invariants.end_of(notes)
    seen = invariants.shown(notes)
    (found,) = await _shown(client, executionId=execution_id)
    if found["state"] not in TERMINAL:  # its kernel, a kept one, is just found to be gone
        await client.until_done(execution_id)
        (found,) = await _shown(client, executionId=execution_id)
    outputs = invariants.joined(found["outputs"])
    assert found["state"] in TERMINAL, execution_id
    if end is not None:
        assert found["state"] == end["state"], execution_id
        assert found["executionCount"] == end.get("executionCount"), execution_id
        assert found.get("error") == end.get("error"), execution_id
        assert outputs == seen, execution_id
    else:
        assert invariants.one_begins_the_other(outputs, seen), execution_id
    _check_text(plan, before.jobs[execution_id], found["state"], outputs)


def _check_text(plan: Plan, job: Job, state: str, outputs: list[Output]) -> None:
    """What ran to its end has shown all that it had to say."""
    text = "".join(output.get("text", "") for output in outputs if output.get("name") == "stdout")
    if plan.fault == "keeper" and job.document.keep:
        return  # what the kernel has sent in between is lost, which is said
    if state == job.cell.state == "ok":
        assert text == job.cell.text, job
    else:
        texts = (job.cell.text, job.cell.cleared)
        assert any(each.startswith(text) for each in texts), (job, text)


async def _check_document(home: Home, client: Witness, before: Session, document: Document) -> None:
    """The document shows the last run of each of its cells, and the results file their text."""
    uri = home.uri(document.name)
    shown = {each["executionId"]: each for each in await _shown(client, textDocument={"uri": uri})}
    for cell in CELLS[document.language]:
        runs = [
            each
            for each, job in before.jobs.items()
            if (job.document, job.cell) == (document, cell)
        ]
        unknown = [each for each in runs if each not in before.client.told]
        known = [each for each in runs if each in before.client.told]
        if known:
            assert {known[-1], *unknown} & set(shown), (known, unknown)
    # What was running when the server was killed may be a later run of a cell that had shown more.
    last = {
        before.jobs[each].cell: execution
        for each, execution in shown.items()
        if each in before.jobs
    }
    texts = [
        output["text"]
        for each in last.values()
        for output in invariants.joined(each["outputs"])
        if output["output_type"] == "stream"
    ]
    if any(each["outputs"] for each in shown.values()):
        await client.command("showOutput", {"uri": uri})
        message = await client.until_message(f"/{document.name}-")
        results = _read(message["message"].removeprefix("The results are in "))
        for text in texts:
            assert text[:200].strip() in results, text[:200]


def _read(path: str) -> str:
    return Path(path).read_text()
