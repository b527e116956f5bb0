"""Where a Jupyter server is, and what it wants to see before it lets somebody in."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit, urlunsplit

from msgspec import Struct, field

from carpo_lsp.errors import ServerFailed
from carpo_lsp.kernels import folders
from carpo_lsp.kernels.remote.secrets import Secret

PAGES: Final = re.compile(r"/(lab|tree|lab/(tree|workspaces)/.*|(tree|notebooks|doc)/.*)/?$")
"""The end of what a browser shows as the address of a server's pages."""


class Server(Struct, frozen=True, kw_only=True):
    """A Jupyter Server, a user's server of a JupyterHub, or a gateway."""

    url: str
    """Without a query, with a slash at its end."""
    name: str = ""
    """What the user calls it; empty where only the URL is known."""
    secret: Secret = field(default_factory=Secret)
    ca_file: str | None = None
    """Certificates of the authorities that may vouch for it; None for those of the system."""
    paths: folders.Pairs = ()
    env: tuple[tuple[str, str], ...] = ()
    """What a gateway is to have in the environment of kernels that it starts."""

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.name or self.url

    @property
    def is_local(self) -> bool:
        return urlsplit(self.url).hostname in ("localhost", "127.0.0.1", "::1")

    def there(self, path: str) -> str | None:
        """What a path of this machine is called where the kernels run; None where it is not."""
        return folders.there(path, self.paths)

    def here(self, path: str) -> str | None:
        """What a path of the kernels' machine is called here; None where it is not."""
        return folders.here(path, self.paths)


def server_at(url: str, *, token: str | None = None) -> Server:
    """The server of a URL as a browser or `jupyter server` shows it, with the token that may be in
    it unless another is given. Raises `ServerFailed`."""
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise ServerFailed(
            "The URL of a Jupyter server begins with http:// or https:// and a host."
        )
    if parts.username is not None or parts.password is not None:
        raise ServerFailed(
            "The URL of a Jupyter server must hold no user and password.",
            hint="give its token, or name it in the setting carpo.servers",
        )
    given = parse_qs(parts.query).get("token", [])
    path = PAGES.sub("/", parts.path).rstrip("/") + "/"
    base = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
    return Server(url=base, secret=Secret(value=token or next(iter(given), None)))
