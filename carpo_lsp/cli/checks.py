"""What can be wrong with Jupyter's folders, Pythons and kernels, and the commands that mend it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shlex
import shutil
import stat
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from carpo_lsp.choice import Wish, choose, environments_near
from carpo_lsp.errors import CarpoError, KernelNotFound, KernelStartFailed
from carpo_lsp.kernels.manager import StartOptions
from carpo_lsp.kernels.specs import PYTHON_NAMES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from carpo_lsp.frontend import Frontend
    from carpo_lsp.kernels.offers import Offer
    from carpo_lsp.kernels.specs import Spec, SpecFinder

SOCKET_PATH: Final = 100
"""Bytes that the path of a socket may have: systems allow 104 or 108 with the zero at its end."""

SOCKET_NAME: Final = len("/carpo-12345678/kernel-5")


class Finding(Struct, frozen=True, kw_only=True):
    """Something that was looked at. `fix` is the command that mends what is not ok."""

    check: Literal["folder", "python", "environment", "kernelspec", "server", "host", "start"]
    subject: str
    state: Literal["ok", "warning", "broken"] = "ok"
    message: str
    fix: str | None = None


def check_folders() -> Iterator[Finding]:
    """Where connection files, sockets and the choices of users are written."""
    from jupyter_core.paths import jupyter_runtime_dir
    from platformdirs import user_state_path

    yield _writable(Path(jupyter_runtime_dir()), "Jupyter's runtime folder", private=True)
    yield _writable(user_state_path("carpo-lsp", appauthor=False), "the state folder")
    sockets = Path(tempfile.gettempdir())
    length = len(os.fsencode(sockets)) + SOCKET_NAME
    if length > SOCKET_PATH:
        yield Finding(
            check="folder",
            subject=str(sockets),
            state="broken",
            message=f"The sockets of kernels would have paths of {length} bytes, too long for them",
            fix="export TMPDIR=/tmp",
        )
    else:
        yield _writable(sockets, "the folder for sockets")


def _writable(folder: Path, what: str, *, private: bool = False) -> Finding:
    """Whether files can be written into a folder, or it can be made."""
    path = shlex.quote(str(folder))
    existing = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    problem = fix = ""
    if not existing.is_dir():
        problem = f"{str(existing)!r} is in the way of {what}: it is no folder"
        fix = f"mv {shlex.quote(str(existing))} {shlex.quote(f'{existing}.old')}"
    elif not os.access(existing, os.W_OK | os.X_OK):
        problem = f"{what} cannot be written"
        mine = existing.stat().st_uid == os.getuid()
        quoted = shlex.quote(str(existing))
        fix = f"chmod u+rwx {quoted}" if mine else f"sudo chown $(id -u) {quoted}"
    if problem:
        return Finding(
            check="folder", subject=str(folder), state="broken", message=problem, fix=fix
        )
    if private and existing == folder and folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return Finding(
            check="folder",
            subject=str(folder),
            state="warning",
            message=f"others can write into {what}",
            fix=f"chmod 700 {path}",
        )
    missing = "" if existing == folder else "; it will be made"
    return Finding(check="folder", subject=str(folder), message=f"{what}{missing}")


def check_pythons(specs: SpecFinder, folder: Path) -> Iterator[Finding]:
    """The Python that runs this, and the one that runs the files of a folder."""
    version = ".".join(map(str, sys.version_info[:3]))
    if importlib.util.find_spec("ipykernel") is None:
        yield Finding(
            check="python",
            subject=sys.executable,
            state="warning",
            message=f"Python {version}, which runs carpo-lsp, has no ipykernel",
            fix=f"{shlex.quote(sys.executable)} -m pip install ipykernel",
        )
    else:
        message = f"Python {version} runs carpo-lsp, with ipykernel {metadata.version('ipykernel')}"
        yield Finding(check="python", subject=sys.executable, message=message)
    try:
        choice = choose(specs, Wish(language="python", folder=folder))
    except CarpoError as error:
        yield Finding(
            check="python",
            subject=str(folder),
            state="broken",
            message=f"Python cannot run here: {error.message.partition(';')[0]}",
            fix=error.data.get("hint"),
        )
    else:
        message = f"Python runs here in {choice.spec.display_name}: {choice.reason}"
        yield Finding(check="python", subject=str(folder), message=message)


def check_environments(folder: Path) -> Iterator[tuple[Finding, Spec | None]]:
    """The Python environments near a folder; what starts the kernel where there is one."""
    for environment in environments_near([folder]):
        subject = str(environment.folder)
        try:
            environment.require_kernel()
        except CarpoError as error:
            finding = Finding(
                check="environment",
                subject=subject,
                state="warning",
                message=error.message.partition(";")[0],
                fix=error.data.get("hint"),
            )
            yield finding, None
        else:
            message = f"{environment.display_name}, kept with {environment.tool}"
            finding = Finding(check="environment", subject=subject, message=message)
            yield finding, environment.spec()


def check_kernelspecs(specs: SpecFinder) -> Iterator[tuple[Finding, Spec | None]]:
    """What each installed kernelspec would run; the kernelspec where there is a point in trying."""
    for name, folder in sorted(specs.manager.find_kernel_specs().items()):
        remove = f"jupyter kernelspec remove {name}"
        try:
            spec = specs.by_name(name)
        except KernelStartFailed as error:
            yield _kernelspec(name, "broken", error.message, remove), None
            continue
        program = spec.argv[0]
        found = sys.executable if program in PYTHON_NAMES else shutil.which(program)
        if found is None and os.path.exists(program):
            fix = f"chmod +x {shlex.quote(program)}"
            yield _kernelspec(name, "broken", f"{program!r} is not executable", fix), None
        elif found is None:
            message = f"its program {program!r} does not exist; install the kernel again, or remove"
            yield _kernelspec(name, "broken", f"{message} it", remove), None
        elif not any("{connection_file}" in argument for argument in spec.argv):
            message = "its argv has no {connection_file}, so nobody can reach the kernel"
            yield _kernelspec(name, "broken", message, remove), None
        else:
            file = os.path.join(folder, "kernel.json")
            message = f"{spec.display_name}, {spec.language}: {found}"
            if os.stat(file).st_mode & stat.S_IWOTH:
                fix = f"chmod o-w {shlex.quote(file)}"
                yield _kernelspec(name, "warning", "everybody can change what it runs", fix), spec
            else:
                yield _kernelspec(name, "ok", message, None), spec


def _kernelspec(
    name: str, state: Literal["ok", "warning", "broken"], message: str, fix: str | None
) -> Finding:
    return Finding(check="kernelspec", subject=name, state=state, message=message, fix=fix)


async def check_elsewhere(frontend: Frontend) -> AsyncIterator[Finding]:
    """Whether the named Jupyter servers and hosts let the user in, and what they have."""
    for offer in await frontend.manager.servers.offers():
        yield _offer("server", offer)
    for offer in await frontend.manager.hosts.offers():
        yield _offer("host", offer)


def _offer(check: Literal["server", "host"], offer: Offer) -> Finding:
    if offer.error is not None:
        return Finding(
            check=check, subject=offer.place, state="broken", message=offer.error, fix=offer.hint
        )
    names = ", ".join(spec.name for spec in offer.specs) or "no kernelspec"
    return Finding(
        check=check, subject=offer.place, message=f"{names}; {len(offer.kernels)} running"
    )


async def check_starts(
    frontend: Frontend, specs: list[Spec], seconds: float
) -> AsyncIterator[Finding]:
    """Starts each kernel once and ends it again."""
    for spec in specs:
        began = time.monotonic()
        kernel_id = frontend.begin_kernel(spec, StartOptions(timeout=seconds))
        try:
            kernel = await frontend.get_kernel_info(kernel_id)
            took = time.monotonic() - began
            message = f"ready after {took:.1f} s, over {_transport(kernel.connection_file)}"
            yield Finding(check="start", subject=spec.name, message=message)
        except CarpoError as error:
            yield Finding(
                check="start",
                subject=spec.name,
                state="broken",
                message=error.message,
                fix=error.data.get("hint"),
            )
        with contextlib.suppress(KernelNotFound):  # one that was never ready is gone already
            await frontend.shutdown_kernel(kernel_id)


def _transport(connection_file: str | None) -> str:
    """How a kernel is reached, and whether what goes there and back is encrypted."""
    if connection_file is None:
        return "an unknown connection"
    info = json.loads(Path(connection_file).read_text(encoding="utf-8"))
    encrypted = bool(info.get("curve_publickey"))
    if info.get("transport") == "ipc":
        return "sockets of this machine" + (", encrypted" if encrypted else "")
    return "TCP, encrypted" if encrypted else "TCP, unencrypted: the kernel offers nothing else"
