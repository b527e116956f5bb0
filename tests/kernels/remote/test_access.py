"""Who gets in: tokens from where they are kept, passwords, certificates of a private authority."""

from __future__ import annotations

import hashlib
import ssl
import sys
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import trustme
from jupyter_servers import JUPYTER, TOKEN, serving
from msgspec import structs

from carpo_lsp.errors import ServerFailed
from carpo_lsp.frontend import Frontend
from carpo_lsp.kernels.remote.address import Server
from carpo_lsp.kernels.remote.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jupyter_servers import Running

pytestmark = [pytest.mark.needs_jupyter_server, pytest.mark.asyncio(loop_scope="module")]

PASSWORD = "Zoë's pass word"  # noqa: S105 - of a test


async def runs(server: Server) -> None:
    """The server lets us start a kernel and use it."""
    async with Frontend() as frontend:
        frontend.manager.servers.name([structs.replace(server, name="it")])
        kernel_id = await frontend.attach_server("it", spec_name="fake")
        result = await frontend.execute_code(kernel_id, "result 2")
        assert [output["data"] for output in result.outputs] == [{"text/plain": "2"}]
        await frontend.interrupt(kernel_id)


async def refusal(server: Server) -> str:
    with pytest.raises(ServerFailed) as caught:
        await runs(server)
    return caught.value.message


async def test_a_token_from_a_file(jupyter: Running, tmp_path: Path) -> None:
    file = tmp_path / "token"
    server = Server(url=jupyter.url, secret=Secret(file=str(file)))
    assert "cannot be read: No such file" in await refusal(server)
    file.write_text("\n")
    assert "is empty" in await refusal(server)
    file.write_text(f"{TOKEN}\n# that of gpu\n")
    await runs(server)


async def test_a_token_from_the_environment(
    jupyter: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(url=jupyter.url, secret=Secret(env="TOKEN_OF_A_TEST"))
    assert "The environment variable TOKEN_OF_A_TEST has no token" in await refusal(server)
    monkeypatch.setenv("TOKEN_OF_A_TEST", TOKEN)
    await runs(server)


async def test_a_token_from_the_keyring(
    jupyter: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend of the test's own takes the place of the system's keyring."""
    backend = "import keyring.backend\nclass Keyring(keyring.backend.KeyringBackend):\n"
    backend += "    priority = 1\n"
    backend += "    def get_password(self, service, user):\n"
    backend += f"        return {TOKEN!r} if (service, user) == ('carpo-lsp', 'gpu') else None\n"
    backend += "    def set_password(self, service, user, password): ...\n"
    (tmp_path / "keyring_of_a_test.py").write_text(backend)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring_of_a_test.Keyring")
    await runs(Server(url=jupyter.url, secret=Secret(keyring="carpo-lsp gpu")))
    message = await refusal(Server(url=jupyter.url, secret=Secret(keyring="carpo-lsp cpu")))
    assert "The keyring gives no token for 'carpo-lsp cpu'" in message


async def test_a_token_that_is_changed(jupyter: Running, tmp_path: Path) -> None:
    """It is read anew when the server does not take it any more."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    async with Frontend() as frontend:
        server = Server(url=jupyter.url, name="it", secret=Secret(file=str(file)))
        frontend.manager.servers.name([server])
        assert (await frontend.list_remote())[0].error is None
        file.write_text("old")
        assert (await frontend.list_remote())[0].error is None, "the one that is known"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with a password and a certificate of an authority of its own."""
    folder = tmp_path_factory.mktemp("guarded")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    hashed = hashlib.sha256(f"{PASSWORD}salt".encode()).hexdigest()
    options = (
        f"--ServerApp.certfile={folder / 'cert.pem'}",
        f"--ServerApp.keyfile={folder / 'key.pem'}",
        f"--PasswordIdentityProvider.hashed_password=sha256:salt:{hashed}",
        "--ServerApp.base_url=/user/zoe/",
    )
    tls = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    async with serving(JUPYTER, folder, *options, scheme="https", tls=tls) as running:
        secret = Secret(value=PASSWORD, kind="password")
        yield Server(url=f"{running.url}user/zoe/", secret=secret, ca_file=str(folder / "ca.pem"))


async def test_a_password_and_a_private_authority(guarded: Server) -> None:
    await runs(guarded)


async def test_a_wrong_password(guarded: Server) -> None:
    wrong = structs.replace(guarded, secret=Secret(value="wrong", kind="password"))
    assert "it does not take the password" in await refusal(wrong)


async def test_a_password_that_is_not_given(guarded: Server) -> None:
    assert "give its token" in await refusal(structs.replace(guarded, secret=Secret()))


async def test_a_certificate_of_nobody_known(guarded: Server, tmp_path: Path) -> None:
    message = await refusal(structs.replace(guarded, ca_file=None))
    assert "The certificate of it is not trusted" in message
    assert "caFile" in message
    none = structs.replace(guarded, ca_file=str(tmp_path / "none.pem"))
    assert "cannot be read: [Errno 2] No such file" in await refusal(none)


async def test_a_url_above_the_base_url(guarded: Server) -> None:
    """As that of a hub, which is not the URL of a user's server."""
    above = structs.replace(guarded, url=guarded.url.removesuffix("user/zoe/"), secret=Secret())
    assert "is no Jupyter server" in await refusal(above)


async def test_without_aiohttp(jupyter: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    message = await refusal(jupyter.named)
    assert message.endswith("pip install 'carpo-lsp[remote]'")
