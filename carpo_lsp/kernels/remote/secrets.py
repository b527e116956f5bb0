"""A server's token or password, from where its user keeps it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final, Literal

import attrs

from carpo_lsp.deadlines import Deadline
from carpo_lsp.errors import ServerFailed
from carpo_lsp.files import read_text

UNLOCK: Final = 60.0
"""Seconds that a person has to unlock the keyring."""


@attrs.frozen(kw_only=True)
class Secret:
    """Where the secret of a server is; the first of these that is given. Nothing here shows it."""

    value: str | None = attrs.field(default=None, repr=False)
    file: str | None = None
    """A file of which it is the first line."""
    env: str | None = None
    """The name of an environment variable."""
    keyring: str | None = None
    """The name of a service in the user's keyring, and of the user there: `service user`."""
    kind: Literal["token", "password"] = "token"

    async def read(self) -> str | None:
        """The secret; None where the server needs none. Raises `ServerFailed`."""
        if self.value:
            return self.value
        if self.file:
            return _first_line(self.file)
        if self.env:
            value = os.environ.get(self.env)
            if not value:
                raise ServerFailed(f"The environment variable {self.env} has no {self.kind}.")
            return value
        return await self._from_keyring(self.keyring) if self.keyring else None

    async def _from_keyring(self, entry: str) -> str:
        """From a process of its own: a keyring may ask its user, for as long as that takes."""
        service, _, user = entry.partition(" ")
        program = (sys.executable, "-m", "keyring", "get", service, user or "carpo-lsp")
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *program, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
        try:
            async with Deadline(UNLOCK):
                out, err = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise ServerFailed(f"The keyring was not unlocked within {UNLOCK:g} s.") from None
        if process.returncode or not out.strip():
            reason = (
                err.decode(errors="replace").strip().splitlines() or ["it has no such entry"]
            )[-1]
            if "No module named keyring" in reason:
                reason = "it needs another package: pip install keyring"
            raise ServerFailed(f"The keyring gives no {self.kind} for {entry!r}: {reason}.")
        return out.decode().rstrip("\n")


def _first_line(name: str) -> str:
    try:
        lines = read_text(Path(name).expanduser()).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ServerFailed(f"The token file {name!r} cannot be read: {reason}.") from None
    if not lines or not lines[0].strip():
        raise ServerFailed(f"The token file {name!r} is empty.")
    return lines[0].strip()
