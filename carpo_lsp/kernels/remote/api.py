"""What a Jupyter server is asked over HTTP: its kernelspecs, its kernels, and their channels."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from msgspec import Struct

from carpo_lsp.deadlines import Deadline
from carpo_lsp.errors import ServerFailed
from carpo_lsp.kernels.specs import Spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import aiohttp

    from carpo_lsp.kernels.remote.address import Server

V1: Final = "v1.kernel.websocket.jupyter.org"
"""The subprotocol of the first form of messages, see `frames.py`; without one it is the other."""

ANSWER: Final = 20.0
"""Seconds that a server has for an answer."""

START: Final = 300.0
"""Seconds that it has to start a kernel; a cluster may have to find a machine for it."""

CONNECT: Final = 10.0
"""Seconds within which it is reached."""

BEAT: Final = 20.0
"""Seconds between pings over a websocket. One without an answer for half of that is cut."""

AGAIN: Final = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds before each further attempt to end a kernel that a server fails to end."""

TOLD: Final = 300
"""Characters of what a server says that are passed on."""

MISSING: Final = "Kernels of Jupyter servers need another package: pip install 'carpo-lsp[remote]'"


class NoSuchKernel(ServerFailed):
    """A server does not have the kernel that it is asked about."""


class Faulted(ServerFailed):
    """A server fails at what it is asked, by a fault of its own."""


class Refused(ServerFailed):
    """A server lets nobody in with these credentials."""


class RemoteKernel(Struct, frozen=True, kw_only=True):
    """A kernel that runs on a server."""

    kernel_id: str
    """Its id there."""
    spec_name: str
    state: str
    """`idle`, `busy` or `starting`, as its server knows it."""
    connections: int
    """How many clients have a websocket to it."""


class Api:
    """The HTTP side of one server. Methods raise `ServerFailed`, `Refused` for want of rights."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._session: aiohttp.ClientSession | None = None
        self._secret: str | None = None
        self._entering = asyncio.Lock()
        self._entered = False
        self._welcome = False
        """Whether the server has ever done what it was asked."""

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def specs(self) -> tuple[list[Spec], str]:
        """The kernelspecs, in the order of their names, and the name of the default one."""
        answer = await self._ask("GET", "api/kernelspecs")
        found = answer.get("kernelspecs") if isinstance(answer, dict) else None
        if not isinstance(found, dict):
            raise self._no_server()
        return [_spec(name, found[name]) for name in sorted(found)], str(answer.get("default"))

    async def kernels(self) -> list[RemoteKernel]:
        """The kernels that run. A gateway may keep them to itself, which is `Refused`."""
        answer = await self._ask("GET", "api/kernels")
        if not isinstance(answer, list):
            raise self._no_server()
        return [self._kernel(each) for each in answer]

    async def kernel(self, kernel_id: str) -> RemoteKernel:
        """Raises `NoSuchKernel`, also when it has died."""
        return self._kernel(await self._ask("GET", _path(kernel_id)))

    async def start(self, spec_name: str, env: Mapping[str, str]) -> RemoteKernel:
        """Start a kernel. Of `env` gateways take what begins with `KERNEL_`, servers nothing."""
        env = {"KERNEL_USERNAME": getpass.getuser(), **dict(self.server.env), **env}
        body = {"name": spec_name, "env": env}
        try:
            return self._kernel(await self._ask("POST", "api/kernels", body, seconds=START))
        except Refused:
            raise
        except ServerFailed as error:  # which may say nothing at all of the name
            names = [spec.name for spec in (await self.specs())[0]]
            raise error if spec_name in names else self.no_spec(spec_name, names) from error

    def no_spec(self, name: str, known: Iterable[str]) -> ServerFailed:
        """The error for a kernelspec that the server does not have."""
        there = ", ".join(known) or "none"
        return ServerFailed(
            f"{self.server.title} has no kernelspec {name!r} (there are: {there}).",
            hint="`carpo-lsp kernels` lists those of named servers",
        )

    async def interrupt(self, kernel_id: str) -> None:
        await self._ask("POST", f"{_path(kernel_id)}/interrupt")

    async def restart(self, kernel_id: str) -> None:
        await self._ask("POST", f"{_path(kernel_id)}/restart", seconds=START)

    async def delete(self, kernel_id: str) -> None:
        """End a kernel; one that is not there is fine.

        Servers fail at this while they start the kernel anew, as they do when it has died.
        """
        with contextlib.suppress(NoSuchKernel):
            for wait in AGAIN:
                try:
                    await self._ask("DELETE", _path(kernel_id))
                except Faulted:
                    await asyncio.sleep(wait)
                else:
                    return
            await self._ask("DELETE", _path(kernel_id))

    async def open_channels(
        self, kernel_id: str, session: str, *, starts: bool = False
    ) -> aiohttp.ClientWebSocketResponse:
        """The websocket of a kernel's channels. For one that `starts` a server holds back its
        answer until the kernel has given one."""
        import aiohttp

        seconds = START if starts else ANSWER
        url = f"{self.server.url}{_path(kernel_id)}/channels?session_id={session}"
        http = await self._enter()
        try:
            async with Deadline(seconds):
                return await http.ws_connect(
                    url,
                    protocols=(V1,),
                    heartbeat=BEAT,
                    max_msg_size=0,
                    compress=0,
                    headers=self._credentials(),
                )
        except TimeoutError as error:
            raise self._late(seconds) from error
        except aiohttp.WSServerHandshakeError as error:
            raise self._explain(error.status, b"", None) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from error

    async def _ask(
        self, method: str, path: str, body: Any = None, *, seconds: float = ANSWER
    ) -> Any:
        """The JSON of an answer."""
        known = self._entered
        session = await self._enter()
        try:
            return await self._ask_once(session, method, path, body, seconds)
        except Refused:
            if not known:
                raise
            self._entered = False  # a login lasts only so long, and tokens are changed
            session = await self._enter()
            return await self._ask_once(session, method, path, body, seconds)

    async def _ask_once(
        self, session: aiohttp.ClientSession, method: str, path: str, body: Any, seconds: float
    ) -> Any:
        headers = self._credentials()
        text = None if body is None else json.dumps(body)
        status, answer, location = await self._fetch(
            session, method, self.server.url + path, seconds, data=text, headers=headers
        )
        if not 200 <= status < 300:
            raise self._explain(status, answer, location)
        self._welcome = True
        if not answer:
            return None
        try:
            return json.loads(answer)
        except ValueError:
            raise self._no_server() from None

    async def _fetch(
        self, session: aiohttp.ClientSession, method: str, url: str, seconds: float, **more: Any
    ) -> tuple[int, bytes, str | None]:
        """Status, body and the address of a redirection, which is not followed: a token goes
        nowhere but where it belongs."""
        import aiohttp

        try:
            async with (
                Deadline(seconds),
                session.request(method, url, allow_redirects=False, **more) as answer,
            ):
                return answer.status, await answer.read(), answer.headers.get("Location")
        except TimeoutError as error:
            raise self._late(seconds) from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from error

    async def _enter(self) -> aiohttp.ClientSession:
        """The session, with what the server wants to see."""
        async with self._entering:
            session = self._open()
            if not self._entered:
                self._secret = await self.server.secret.read()
                if self._secret is not None and self.server.secret.kind == "password":
                    await self._log_in(session, self._secret)
                self._entered = True
            return session

    async def _log_in(self, session: aiohttp.ClientSession, password: str) -> None:
        """Get the server's cookie for a password."""
        session.cookie_jar.clear()
        url = f"{self.server.url}login"
        await self._fetch(session, "GET", url, ANSWER)  # for the cookie _xsrf
        form = {"password": password, "_xsrf": self._xsrf(session)}
        status, _, _ = await self._fetch(session, "POST", url, ANSWER, data=form)
        if status != 302:
            raise Refused(
                f"{self.server.title} does not take the password.",
                hint="look at the server's entry in the setting carpo.servers",
            )

    def _credentials(self) -> dict[str, str]:
        if self._secret is not None and self.server.secret.kind == "token":
            return {"Authorization": f"token {self._secret}"}
        xsrf = self._xsrf(self._session) if self._session is not None else ""
        return {"X-XSRFToken": xsrf} if xsrf else {}

    def _xsrf(self, session: aiohttp.ClientSession) -> str:
        """What a request that changes something has to say besides its cookie."""
        return next((each.value for each in session.cookie_jar if each.key == "_xsrf"), "")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            try:
                import aiohttp
            except ImportError:
                raise ServerFailed(MISSING, hint="pip install 'carpo-lsp[remote]'") from None
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls()),
                # A server may well be at a number.
                cookie_jar=aiohttp.CookieJar(unsafe=True),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
                trust_env=not self.server.is_local,
            )
        return self._session

    def _tls(self) -> ssl.SSLContext | bool:
        if self.server.ca_file is None:
            return True
        try:
            return ssl.create_default_context(cafile=self.server.ca_file)
        except OSError as error:
            raise ServerFailed(
                f"The certificates in {self.server.ca_file!r} cannot be read: {error}.",
                hint="caFile is to be a file of certificates in PEM format",
            ) from error

    def _kernel(self, model: Any) -> RemoteKernel:
        if not isinstance(model, dict) or not isinstance(model.get("id"), str):
            raise self._no_server()
        connections = model.get("connections")
        return RemoteKernel(
            kernel_id=model["id"],
            spec_name=str(model.get("name") or ""),
            state=str(model.get("execution_state") or "unknown"),
            connections=connections if isinstance(connections, int) else 0,
        )

    # What went wrong. Nothing of it holds a token: URLs of requests have none.

    def _explain(self, status: int, answer: bytes, location: str | None) -> ServerFailed:
        title, said = self.server.title, self._said(answer)
        at_login = location is not None and "login" in location
        if status in (401, 403) or at_login:
            if self._welcome:
                return Refused(f"{title} refuses this ({status}{said}).")
            if self._secret is not None:
                kind = self.server.secret.kind
                hint = f"is its {kind} right? `jupyter server list` shows those of this machine"
            else:
                hint = "give its token"
            return Refused(f"{title} refuses access ({status}{said}): {hint}.", hint=hint)
        if location is not None:
            host = urlsplit(location).netloc or "another page"
            return ServerFailed(
                f"{title} sends on to {host}: that is not the URL of a Jupyter server.",
                hint="for a JupyterHub it is https://HOST/user/NAME/, once that server runs",
            )
        if status == 404 and not said:
            return self._no_server()
        if status == 404:
            return NoSuchKernel(f"{title} has no such kernel ({status}{said}).")
        if status in (424, 502, 503, 504):
            return ServerFailed(f"{title} does not run at the moment ({status}{said}).")
        text = f"{title} answers with an error ({status}{said})."
        return Faulted(text) if status >= 500 else ServerFailed(text)

    def _said(self, answer: bytes) -> str:
        """What a server gives as its reason."""
        try:
            content = json.loads(answer)
        except ValueError:
            return ""
        given = content if isinstance(content, dict) else {}
        texts = [given.get("message"), given.get("reason")]
        text = next((text for text in texts if isinstance(text, str) and text), "")
        if self._secret:
            text = text.replace(self._secret, "…")
        return f": {text[:TOLD]}" if text else ""

    def _unreachable(self, error: Exception) -> ServerFailed:
        import aiohttp

        title = self.server.title
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            hint = "name the file of its authority as caFile in the setting carpo.servers"
            reason = error.certificate_error
            return ServerFailed(
                f"The certificate of {title} is not trusted: {reason}; {hint}.", hint=hint
            )
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return ServerFailed(f"{title} closed the connection.")
        reason = getattr(error, "os_error", error)
        text = getattr(reason, "strerror", None) or reason or type(error).__name__
        return ServerFailed(
            f"No Jupyter server can be reached at {self.server.url}: {text}.",
            hint="is it running, and is the URL right?",
        )

    def _late(self, seconds: float) -> ServerFailed:
        return ServerFailed(f"{self.server.title} did not answer within {seconds:g} s.")

    def _no_server(self) -> ServerFailed:
        return ServerFailed(
            f"What answers at {self.server.url} is no Jupyter server.",
            hint="the URL is what `jupyter server list` prints, without the page",
        )


def _path(kernel_id: str) -> str:
    return f"api/kernels/{quote(kernel_id, safe='')}"


def _spec(name: str, model: Any) -> Spec:
    content = model.get("spec") if isinstance(model, dict) else None
    given = content if isinstance(content, dict) else {}
    return Spec(
        name=name,
        path="",
        argv=(),
        display_name=str(given.get("display_name") or name),
        language=str(given.get("language") or ""),
        interrupt_mode="message" if given.get("interrupt_mode") == "message" else "signal",
        metadata=given["metadata"] if isinstance(given.get("metadata"), dict) else {},
    )
