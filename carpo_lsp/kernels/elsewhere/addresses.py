"""Names of kernels and kernelspecs on hosts that are reached by ssh: `ssh:host/name`."""

from __future__ import annotations

import re
from typing import Final

from carpo_lsp.errors import KernelStartFailed
from carpo_lsp.kernels.specs import Spec

SCHEME: Final = "ssh:"

HOST: Final = re.compile(r"[^\s\-/][^\s/]*")
"""What ssh takes for a host: not what it would take for an option."""


def parse(name: str) -> tuple[str, str | None] | None:
    """Host and name of `ssh:host/name` or `ssh:host`; None for another name."""
    if not name.startswith(SCHEME):
        return None
    host, _, rest = name.removeprefix(SCHEME).partition("/")
    return host, rest or None


def check_host(host: str) -> None:
    """Raises `KernelStartFailed` for what is not the name of a host."""
    if not HOST.fullmatch(host):
        raise KernelStartFailed(
            f"{host!r} is not the name of a host.",
            hint="give a host of ~/.ssh/config, or user@host",
        )


def spec_of(name: str) -> Spec | None:
    """The kernelspec that is called `ssh:host/name`, of which the rest is not known yet; None for
    another name. Raises `KernelStartFailed`."""
    parsed = parse(name)
    if parsed is None:
        return None
    host, spec = parsed
    check_host(host)
    if spec is None:
        raise KernelStartFailed(
            f"{name!r} names no kernelspec.",
            hint=f"`ssh {host} jupyter kernelspec list` lists them",
        )
    return make_spec(host, spec)


def make_spec(
    host: str, name: str, display_name: str = "", language: str = "", interrupt_mode: str = "signal"
) -> Spec:
    """A kernelspec of a host."""
    return Spec(
        name=f"{SCHEME}{host}/{name}",
        path="",
        argv=(),
        display_name=f"{display_name or name} on {host}",
        language=language,
        interrupt_mode=interrupt_mode,
        host=host,
    )
