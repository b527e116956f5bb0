"""The user's own file of settings, and the Jupyter servers that are named in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carpo_lsp.frontend import Frontend
from carpo_lsp.workspace.settings import Layer, Server, Settings, read
from carpo_lsp.workspace.user import read_user, servers, servers_of_user, user_file

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN = "token-of-nobody"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(text: str) -> None:
    user_file().parent.mkdir(parents=True, exist_ok=True)
    user_file().write_text(text)


def test_no_file() -> None:
    assert read_user() == (None, [])
    assert servers_of_user() == []


def test_servers_are_known_by_their_names(config: Path) -> None:
    write(f"""
        [servers.gpu]
        url = "https://gpu.example/user/ada/lab?token={HIDDEN}"
        caFile = "~/ca.pem"
        paths = {{ "~/project" = "/srv/project" }}
        [servers.hub]
        url = "https://hub.example/user/ada/"
        tokenEnv = "HUB_TOKEN"
        env = {{ KERNEL_USERNAME = "ada" }}
    """)
    gpu, hub = servers_of_user()
    assert (gpu.name, gpu.url) == ("gpu", "https://gpu.example/user/ada/")
    assert gpu.secret.value == HIDDEN
    assert gpu.ca_file == str(config / "ca.pem")
    assert gpu.there(str(config / "project" / "a" / "b.py")) == "/srv/project/a/b.py"
    assert gpu.here("/srv/project/a/b.py") == str(config / "project" / "a" / "b.py")
    assert gpu.there("/srv/projects") is None
    assert (hub.secret.env, hub.env) == ("HUB_TOKEN", (("KERNEL_USERNAME", "ada"),))
    assert HIDDEN not in repr((gpu, hub))


def test_every_frontend_knows_them() -> None:
    write('[servers.gpu]\nurl = "http://localhost:1/"\n')
    spec = Frontend().find_spec(spec_name="python3@gpu")
    assert (spec.server, spec.key) == ("gpu", "python3@gpu")
    assert Frontend().find_spec(spec_path="python3@gpu") == spec


@pytest.mark.parametrize("url", ["", "ftp://h/", "gpu", "http://", "http://[", "http://h:x/"])
def test_a_server_without_a_good_url_is_said(url: str) -> None:
    problems: list[str] = []
    assert list(servers({"gpu": Server(url=url)}, problems)) == []
    (problem,) = problems
    assert problem.startswith("carpo.servers.gpu.url: ")


def test_a_project_names_no_server() -> None:
    settings, problems = read(Layer({"servers": {"gpu": {"url": "http://h/"}}}, "carpo.toml"))
    assert settings == Settings()
    assert problems == ["carpo.toml: servers: a project cannot set this; set it in the editor."]


def test_the_editor_adds_to_what_the_file_says() -> None:
    write(
        '[servers.gpu]\nurl = "http://a/"\nlogin = "password"\n[servers.old]\nurl = "http://o/"\n'
    )
    layer, _ = read_user()
    assert layer is not None
    settings, problems = read(
        layer,
        Layer({"servers": {"gpu": {"url": "http://b/"}, "old": None, "new": {"url": "http://n/"}}}),
    )
    assert problems == []
    assert settings.servers == {
        "gpu": Server(url="http://b/", login="password"),
        "new": Server(url="http://n/"),
    }


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("gpu", "carpo.servers: expected an object"),
        ({"g p": {}}, "carpo.servers.g p: a name has letters"),
        ({"gpu": 1}, "carpo.servers.gpu: expected an object"),
        ({"gpu": {"token": [HIDDEN]}}, "carpo.servers.gpu.token: expected a text."),
        ({"gpu": {"env": {HIDDEN: 1}}}, "carpo.servers.gpu.env: expected an object of texts."),
        ({"gpu": {"login": "card"}}, "carpo.servers.gpu.login: expected one of"),
    ],
)
def test_wrong_values_are_said_without_secrets(given: Any, problem: str) -> None:
    _, problems = read(Layer({"servers": given}))
    assert problems[0].startswith(problem)
    assert HIDDEN not in problems[0]


@pytest.mark.parametrize(
    ("text", "problem"), [("[", "settings are left out"), ("\x80", "settings are left out")]
)
def test_a_broken_file_is_said(text: str, problem: str) -> None:
    write("")
    user_file().write_bytes(text.encode("latin-1"))
    layer, problems = read_user()
    assert layer is None
    assert problem in problems[0]
    assert servers_of_user() == []
