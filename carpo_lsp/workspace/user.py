"""The user's own settings, for every editor and for the command line: `carpo.toml` in the folder of
the user's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from carpo_lsp.errors import ServerFailed
from carpo_lsp.files import read_text
from carpo_lsp.kernels.remote.address import server_at
from carpo_lsp.kernels.remote.secrets import Secret
from carpo_lsp.workspace import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    layer, _ = read_user()
    if layer is None:
        return []
    found, _ = settings.read(layer)
    return list(servers(found.servers, []))


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
        yield attrs.evolve(
            server,
            name=name,
            secret=secret,
            ca_file=str(Path(each.ca_file).expanduser()) if each.ca_file else None,
            paths=tuple(
                (str(Path(here).expanduser()), there) for here, there in each.paths.items()
            ),
            env=tuple(each.env.items()),
        )
