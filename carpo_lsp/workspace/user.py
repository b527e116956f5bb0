"""The user's own settings, for every editor and for the command line: `carpo.toml` in the folder of
the user's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from msgspec import structs

from carpo_lsp.errors import ServerFailed
from carpo_lsp.files import read_text
from carpo_lsp.kernels.elsewhere.known import Host
from carpo_lsp.kernels.remote.address import server_at
from carpo_lsp.kernels.remote.secrets import Secret
from carpo_lsp.workspace import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carpo_lsp.kernels.folders import Pairs
    from carpo_lsp.kernels.remote.address import Server

NAME = "carpo.toml"


def user_file() -> Path:
    """Where it is, be it there or not."""
    from platformdirs import user_config_path

    return user_config_path("carpo-lsp", appauthor=False) / NAME


def read_user() -> tuple[settings.Layer | None, list[str]]:
    """The user's settings, None where there are none, and what is wrong with their file."""
    file = user_file()
    try:
        text = read_text(file)
    except OSError:
        return None, []
    except UnicodeDecodeError:
        return None, [f"{file}: not UTF-8 text; its settings are left out."]
    import tomllib  # few have such a file, and each start would pay for it

    try:
        return settings.Layer(tomllib.loads(text), str(file), is_project=False), []
    except tomllib.TOMLDecodeError as error:
        return None, [f"{file}: {error}; its settings are left out."]


def servers_of_user() -> list[Server]:
    """The Jupyter servers in the user's file; what is wrong with it is left to an editor to say."""
    return list(servers(_settings_of_user().servers, []))


def hosts_of_user() -> list[Host]:
    """The hosts in the user's file."""
    return list(hosts(_settings_of_user().hosts))


def _settings_of_user() -> settings.Settings:
    layer, _ = read_user()
    found, _ = settings.read(*([layer] if layer is not None else []))
    return found


def hosts(given: dict[str, settings.Host]) -> Iterator[Host]:
    """The hosts that are set."""
    for name, each in given.items():
        yield Host(name=name, paths=_pairs(each.paths))


def _pairs(paths: dict[str, str]) -> Pairs:
    return tuple((str(Path(here).expanduser()), there) for here, there in paths.items())


def servers(given: dict[str, settings.Server], problems: list[str]) -> Iterator[Server]:
    """The Jupyter servers that are set, by their names; what is wrong is added to `problems`."""
    for name, each in given.items():
        secret = Secret(
            value=each.token or None,
            file=each.token_file or None,
            env=each.token_env or None,
            keyring=each.keyring or None,
            kind=each.login,
        )
        try:
            server = server_at(each.url)
        except ServerFailed as error:
            problems.append(f"carpo.servers.{name}.url: {error.message}")
            continue
        if secret == Secret(kind=each.login):
            secret = attrs.evolve(server.secret, kind=each.login)
        yield structs.replace(
            server,
            name=name,
            secret=secret,
            ca_file=str(Path(each.ca_file).expanduser()) if each.ca_file else None,
            paths=_pairs(each.paths),
            env=tuple(each.env.items()),
        )
