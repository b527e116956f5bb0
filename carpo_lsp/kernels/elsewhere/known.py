"""The hosts that a user has named, which are reached by ssh."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from carpo_lsp.kernels import folders
from carpo_lsp.kernels.elsewhere.addresses import SCHEME
from carpo_lsp.kernels.offers import in_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from carpo_lsp.kernels.offers import Offer

LOOK: Final = 10.0
"""Seconds that a host has to be reached and to tell what there is, for somebody who waits to
choose: ssh takes its time, and `jupyter` there a start of Python."""


class Host(Struct, frozen=True, kw_only=True):
    """A host that is reached by ssh."""

    name: str
    """What ssh calls it."""
    paths: folders.Pairs = ()

    def there(self, path: str) -> str:
        """What a path of this machine is called there; itself where nothing else is set."""
        return folders.there(path, self.paths) or path

    def here(self, path: str) -> str:
        """What a path there is called here; itself where nothing else is set."""
        return folders.here(path, self.paths) or path


class Hosts:
    """Knows what the user has set for hosts. Others are as good, but nobody is asked for them."""

    def __init__(self) -> None:
        self.by_default: Callable[[], Iterable[Host]] = tuple
        """What the user has named, to be asked when it is needed and nobody has said it."""
        self._by_name: dict[str, Host] | None = None

    def name(self, hosts: Iterable[Host]) -> None:
        """Know the hosts that the user has named, and no others."""
        self._by_name = {host.name: host for host in hosts}

    @property
    def named(self) -> tuple[Host, ...]:
        """Those that the user has named."""
        if self._by_name is None:
            self.name(self.by_default())
        return tuple((self._by_name or {}).values())

    def find(self, name: str) -> Host:
        """The host that ssh calls so."""
        return next((host for host in self.named if host.name == name), Host(name=name))

    async def offers(self, seconds: float = LOOK) -> list[Offer]:
        """What the named hosts have to offer, in the order of the settings."""
        if not self.named:
            return []
        from carpo_lsp.kernels.elsewhere.hosts import offer  # few need it

        names = [host.name for host in self.named]
        asked = (in_time(f"{SCHEME}{name}", seconds, offer(name)) for name in names)
        return list(await asyncio.gather(*asked))
