"""The URLs of servers, and what folders are called here and there."""

from __future__ import annotations

import pytest

from carpo_lsp.errors import ServerFailed
from carpo_lsp.kernels.remote.address import Server, server_at


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h:8888", "http://h:8888/"),
        ("http://h:8888/lab?token=x", "http://h:8888/"),
        ("http://h/tree/folder/a.ipynb", "http://h/"),
        ("https://h/user/zoe/lab/tree/a.ipynb", "https://h/user/zoe/"),
        ("https://h/user/zoe/lab/workspaces/auto-1/tree/a#b", "https://h/user/zoe/"),
        ("https://h/jupyter/notebooks/a.ipynb", "https://h/jupyter/"),
        ("http://[::1]:8888/", "http://[::1]:8888/"),
    ],
)
def test_the_url_of_a_page(url: str, base: str) -> None:
    server = server_at(url)
    assert server.url == base
    assert server.secret.value == ("x" if "token=x" in url else None)


@pytest.mark.parametrize("url", ["http://me:pw@h/", "http://me@h/"])
def test_a_url_with_a_user(url: str) -> None:
    with pytest.raises(ServerFailed, match="no user and password") as caught:
        server_at(url)
    assert "pw" not in caught.value.message.replace("password", "")


def test_the_longest_folder_counts() -> None:
    paths = (("/p", "/srv/p"), ("/p/data", "/mnt/data"))
    server = Server(url="http://h/", paths=paths)
    assert server.there("/p/data/x") == "/mnt/data/x"
    assert server.there("/p/datax") == "/srv/p/datax"
    assert server.here("/mnt/data/x") == "/p/data/x"
    assert server.here("/elsewhere") is None
