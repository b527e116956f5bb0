"""The Jupyter servers that a user has named, and those that were given by their URLs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec import structs

from carpo_lsp.errors import ServerFailed
from carpo_lsp.kernels.offers import Offer, Offered, in_time
from carpo_lsp.kernels.remote.address import Server, server_at
from carpo_lsp.kernels.specs import Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from carpo_lsp.kernels.remote.api import Api


LOOK: Final = 4.0
"""Seconds that a server has to tell what there is, for somebody who waits to choose."""


class Servers:
    """Finds servers, and holds the connections to them."""

    def __init__(self) -> None:
        self.by_default: Callable[[], Iterable[Server]] = tuple
        """What the user has named, to be asked when it is needed and nobody has said it."""
        self._by_name: dict[str, Server] | None = None
        self._given: dict[str, Server] = {}
        self._apis: dict[Server, Api] = {}

    def name(self, servers: Iterable[Server]) -> None:
        """Know the servers that the user has named, and no others by name."""
        self._by_name = {server.name: server for server in servers}

    @property
    def _named(self) -> dict[str, Server]:
        if self._by_name is None:
            self.name(self.by_default())
        return self._by_name or {}

    @property
    def named(self) -> tuple[Server, ...]:
        """Those that the user has named."""
        return tuple(self._named.values())

    def find(self, server: str, token: str | None = None) -> Server:
        """The server of a name or URL. A URL of a named server means that one, unless a token comes
        with it. Raises `ServerFailed`."""
        if server in self._named:
            return self._named[server]
        if "://" not in server:
            known = ", ".join(sorted(self._named)) or "none"
            raise ServerFailed(
                f"No Jupyter server is named {server!r} (named: {known}).",
                hint="give its URL, or name it in the setting carpo.servers",
            )
        given = server_at(server, token=token)
        if given.secret.value is None:
            same = (each for each in self.named if each.url == given.url)
            given = next(same, None) or self._given.get(given.url, given)
        return given

    def spec(self, name: str) -> Spec | None:
        """The kernelspec that is called `NAME@SERVER`, of which the rest is not known yet; None for
        a name that has no server in it."""
        spec_name, at, server = name.partition("@")
        if not at or not (server in self._named or "://" in server):
            return None
        spec = Spec(name=spec_name, path="", argv=(), display_name=spec_name, language="")
        return of_server(spec, self.find(server))

    def api(self, server: Server) -> Api:
        """The HTTP side of a server; one for all its kernels."""
        from carpo_lsp.kernels.remote.api import Api  # few need it

        if server not in self._apis:
            self._apis[server] = Api(server)
        return self._apis[server]

    async def find_kernel(
        self, server: Server, *, kernel_id: str | None = None, spec_name: str | None = None
    ) -> Spec:
        """The kernelspec of a server by its name, of a kernel that runs there, or its default.

        Raises `ServerFailed`.
        """
        api = self.api(server)
        if kernel_id is not None:
            spec_name = (await api.kernel(kernel_id)).spec_name
        specs, default = await api.specs()
        if not server.name:
            self._given[server.url] = server  # from now on its URL will do, without the token
        wanted = spec_name or default
        for spec in specs:
            if spec.name == wanted:
                return of_server(spec, server)
        if kernel_id is not None:  # a gateway may have removed it meanwhile
            return of_server(
                Spec(name=wanted, path="", argv=(), display_name=wanted, language=""), server
            )
        raise api.no_spec(wanted, (spec.name for spec in specs))

    async def whole_id(self, server: Server, beginning: str) -> str:
        """The id of a kernel that runs on a server, by that or by its beginning. Raises
        `ServerFailed`."""
        from carpo_lsp.kernels.remote.api import Refused

        try:
            kernels = await self.api(server).kernels()
        except Refused:
            return beginning  # gateways list none unless they are told to
        found = [each.kernel_id for each in kernels if each.kernel_id.startswith(beginning)]
        if not found:
            raise ServerFailed(
                f"No kernel runs on {server.title} whose id begins with {beginning!r}.",
                hint="`carpo-lsp kernels --running` lists them",
            )
        if len(found) > 1 and beginning not in found:
            raise ServerFailed(f"{beginning!r} could be {' or '.join(found)}; give more of it.")
        return beginning if beginning in found else found[0]

    async def offers(self, seconds: float = LOOK) -> list[Offer]:
        """What the named servers have to offer, in the order of the settings."""
        asked = (in_time(each.title, seconds, self.offer(each)) for each in self.named)
        return list(await asyncio.gather(*asked))

    async def offer(self, server: Server) -> Offer:
        """What one server has to offer."""
        from carpo_lsp.kernels.remote.api import Refused

        api, place = self.api(server), f"{server.name} ({server.url})"
        try:
            specs, _ = await api.specs()
            try:
                kernels = await api.kernels()
            except Refused:
                kernels = []  # gateways list none unless they are told to
        except ServerFailed as error:
            return Offer(place=place, error=error.message, hint=error.data.get("hint"))
        return Offer(
            place=place,
            specs=tuple(of_server(spec, server) for spec in specs),
            kernels=tuple(
                Offered(
                    kernel_id=kernel.kernel_id,
                    name=f"{kernel.kernel_id}@{server.title}",
                    spec_name=f"{kernel.spec_name}@{server.title}",
                    state=kernel.state,
                )
                for kernel in kernels
            ),
        )

    async def close(self) -> None:
        apis, self._apis = self._apis, {}
        for api in apis.values():
            await api.close()


def of_server(spec: Spec, server: Server) -> Spec:
    """A kernelspec as it is called here."""
    return structs.replace(
        spec,
        name=f"{spec.name}@{server.title}",
        display_name=f"{spec.display_name} on {server.title}",
        server=server.title,
        origin="server",
    )
