"""What of ours is not to outlive this process: its kernels and its temporary folders."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import glob
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from carpo_lsp.deadlines import Deadline
from carpo_lsp.kernels import process
from carpo_lsp.kernels.supervision import watchdog

log = logging.getLogger(__name__)

PATIENCE: Final = 2.0
"""Seconds for a watchdog that is no longer needed to leave."""

PACE: Final = 1.0
"""Seconds between starts of watchdogs that take the place of one that ended too early. The first
comes at once."""

GIVEN: Final = ".carpo-kept"
"""What the lock of a temporary folder is called when nobody holds it and all is well."""


class OwnFolder:
    """A temporary folder (mode 0700) of this process, removed by `close`.

    When the process ends without that, a watchdog removes it: its own, or that of the next one
    that starts a kernel. `name` is put in front of the name's random part. Raises `OSError`.
    """

    def __init__(self, name: str = "", parent: Path | None = None) -> None:
        prefix = f"{watchdog.NEW}{os.getpid()}-"
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        self._lock: int | None = None
        try:
            lock = self.path / watchdog.LOCK
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Only now, so that nobody sees it unlocked.
            random = self.path.name.removeprefix(prefix)
            self.path = self.path.rename(self.path.with_name(watchdog.PREFIX + name + random))
        except OSError:
            self.close()
            raise

    def add(self, file: str) -> None:
        """Have a file elsewhere removed with the folder."""
        (self.path / Path(file).name).symlink_to(file)

    @classmethod
    def inherit(cls, path: Path) -> OwnFolder | None:
        """The folder that a process has given away; None when it is gone, or another's by now."""
        folder = cls.__new__(cls)
        folder.path = path
        try:
            folder._lock = os.open(path / GIVEN, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            fcntl.flock(folder._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (path / GIVEN).rename(path / watchdog.LOCK)
        except OSError:
            os.close(folder._lock)
            return None
        return folder

    def give_away(self) -> None:
        """Have the folder outlive this process; no watchdog takes it for abandoned."""
        (self.path / watchdog.LOCK).rename(self.path / GIVEN)
        self._unlock()

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        with contextlib.suppress(OSError):
            watchdog.remove(str(self.path))
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def links_to_connection_files(kernel_id: str | None = None) -> list[Path]:
    """The links in the temporary folders of all processes to the connection file of a kernel, or to
    all. Those folders come and go meanwhile, over which `Path.glob` fails."""
    parent = glob.escape(tempfile.gettempdir())
    name = f"kernel-{'*' if kernel_id is None else glob.escape(kernel_id)}.json"
    return [Path(link) for link in glob.glob(f"{parent}/{watchdog.PREFIX}*/{name}")]


class Guard:
    """Has the kernels of this process killed when it ends without ending them itself.

    The `watchdog` that does it runs for as long as there are kernels; one that is killed meanwhile
    is replaced. They are known by the paths of their connection files. When there is time before
    the first, `prepare` saves it from sharing its start with that of a watchdog.
    """

    def __init__(self) -> None:
        self._kernels: dict[str, bytes] = {}
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._replaced = -PACE
        """When a watchdog was last replaced, on the loop's clock."""
        self._leaving: set[asyncio.Task[None]] = set()

    def prepare(self) -> None:
        """Kernels may come."""
        if self._watchdog is None:
            self._launch()

    async def close(self) -> None:
        """Have a watchdog that has nothing to watch leave. Returns when it is gone."""
        if not self._kernels and self._watchdog is not None:
            self._stop_replacing()
            leaving = asyncio.create_task(_leave(self._watchdog), name="end of the watchdog")
            self._watchdog = None
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        if self._leaving:
            await asyncio.wait(self._leaving)

    def expect(self, connection_file: str) -> None:
        """A kernel is about to be started."""
        self._set(connection_file, watchdog.STARTING)

    def add(self, connection_file: str, pid: int) -> None:
        """A kernel has been started."""
        self._set(connection_file, b"%d" % pid)

    async def remove(self, connection_file: str) -> None:
        """A kernel has ended, or is not to end with this process. Returns when a watchdog that
        has nothing to watch any more is gone."""
        if self._kernels.pop(connection_file, None) is not None:
            self._tell(connection_file, watchdog.GONE)
        await self.close()

    def _set(self, connection_file: str, word: bytes) -> None:
        self._kernels[connection_file] = word
        if self._watchdog is not None and self._watchdog.poll() is None:
            self._tell(connection_file, word)
            return
        # The first kernel, or somebody has just killed the watchdog.
        self._launch()

    def _launch(self) -> None:
        """Start a watchdog, in place of another that has ended if there was one."""
        self._stop_replacing()
        if self._watchdog is not None:
            _close_pipe(self._watchdog)
        self._watchdog = _start()
        for file, known in self._kernels.items():
            self._tell(file, known)
        if self._watchdog is not None:
            replacing = self._replace(self._watchdog)
            self._replacing = asyncio.create_task(replacing, name="end of a watchdog too early")

    def _stop_replacing(self) -> None:
        if self._replacing is not None:
            self._replacing.cancel()
            self._replacing = None

    async def _replace(self, watched: subprocess.Popen[bytes]) -> None:
        """Until there is another, a crash of this process would leave its kernels to themselves."""
        await process.wait_for_exit(watched.pid, watched.poll)
        log.error("The watchdog is gone; starting another")
        clock = asyncio.get_running_loop().time
        if (pause := self._replaced + PACE - clock()) > 0:
            await asyncio.sleep(pause)  # not ever faster, should it crash
        self._replaced = clock()
        self._replacing = None
        self._launch()

    def _tell(self, connection_file: str, word: bytes) -> None:
        if self._watchdog is None:
            return
        assert self._watchdog.stdin is not None
        try:
            # One write that does not block, of less than what a pipe takes at once or not at all.
            os.write(
                self._watchdog.stdin.fileno(), word + b" " + os.fsencode(connection_file) + b"\0"
            )
        except OSError as error:
            log.error("The watchdog could not be told of a kernel: %s", error)


def _start() -> subprocess.Popen[bytes] | None:
    # Isolated, and without site-packages: of these it has no use, and they take time. A session
    # of its own keeps it from what happens to the editor's terminal and process group.
    command = [sys.executable, "-I", "-S", watchdog.__file__, tempfile.gettempdir()]
    try:
        started = subprocess.Popen(  # noqa: S603 - our interpreter and our program
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        log.error("No watchdog; kernels may outlive a crash of this process: %s", error)
        return None
    assert started.stdin is not None
    os.set_blocking(started.stdin.fileno(), False)
    return started


async def _leave(started: subprocess.Popen[bytes]) -> None:
    _close_pipe(started)
    try:
        async with Deadline(PATIENCE):
            await process.wait_for_exit(started.pid, started.poll)
    except TimeoutError:
        log.warning("The watchdog did not leave by itself")
        started.kill()
        started.wait()


def _close_pipe(started: subprocess.Popen[bytes]) -> None:
    assert started.stdin is not None
    started.stdin.close()
