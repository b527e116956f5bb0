"""Fixtures with a real ssh server: `ssh_server`, for all tests of a module, and `ssh`, a program
that knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sshd

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def ssh(ssh_server: sshd.Sshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The `ssh` that is found is the one that knows the server, which takes leave of it a moment
    after it has gone."""
    monkeypatch.setenv("PATH", str(ssh_server.bin), prepend=":")
    yield
    ssh_server.wait()
