"""What there is on a host that is reached by ssh: kernelspecs, and kernels that run."""

from __future__ import annotations

import asyncio
import json
import shlex
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp.errors import KernelStartFailed
from carpo_lsp.kernels.elsewhere.addresses import SCHEME, make_spec
from carpo_lsp.kernels.elsewhere.attached import check_fields
from carpo_lsp.kernels.elsewhere.existing import NEWEST, kernel_id_of
from carpo_lsp.kernels.elsewhere.ssh import JUPYTER, run
from carpo_lsp.kernels.offers import Offer, Offered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carpo_lsp.kernels.specs import Spec

# A kernel has its connection file on its command line. Each is printed in a line with its path.
_LIST: Final = """\
d=$(jupyter --runtime-dir) || exit 3
p=$(ps -A -ww -o args=)
ls -t "$d"/{pattern} 2>/dev/null | while IFS= read -r f; do
    case $p in *"$f"*) printf '%s\\t' "$f"; tr -d '\\r\\n' <"$f"; echo;; esac
done
"""

_READ: Final = """\
f={path}
case $f in "~/"*) f=$HOME/${{f#"~/"}};; esac
printf '%s\\t' "$f"; tr -d '\\r\\n' <"$f" || exit 4; echo
"""

_SPECS: Final = "exec jupyter kernelspec list --json\n"


async def find(host: str, name: str | None) -> tuple[str, dict[str, Any]]:
    """Path and content of the connection file of a kernel that runs on a host.

    `name` is a path (`/...` or `~/...`), a kernel's id or the beginning of one, a glob pattern, or,
    with None or `newest`, the kernel that was started last. Raises `KernelStartFailed`.
    """
    if name is not None and (name.startswith("/") or name.startswith("~/")):
        printed = await run(host, _READ.format(path=shlex.quote(name)))
        found = _parse(printed)
        if not found:
            raise KernelStartFailed(f"On {host}, {name!r} is no connection file.")
        return next(iter(found.items()))
    found = await running(host, name)
    if not found:
        which = "" if name in (None, NEWEST) else f" whose id fits {name!r}"
        raise KernelStartFailed(
            f"No kernel runs on {host}{which}.",
            hint=f"start one, as by `ssh {host} jupyter kernel`",
        )
    ids = list(map(kernel_id_of, found))
    if len(found) > 1 and name not in (None, NEWEST, *ids) and not _is_pattern(name):
        raise KernelStartFailed(f"{name!r} could be {' or '.join(ids)}; give more of it.")
    return next(iter(found.items()))


async def running(host: str, name: str | None = None) -> dict[str, dict[str, Any]]:
    """The kernels that run on a host, newest first: paths and contents of their connection files.

    Raises `KernelStartFailed`.
    """
    pattern = "kernel-*.json"
    if name is not None and name != NEWEST:
        given = name.removeprefix("kernel-").removesuffix(".json")
        pattern = f"kernel-{_quoted(given)}{'' if _is_pattern(name) else '*'}.json"
    return _parse(await run(host, JUPYTER + _LIST.format(pattern=pattern)))


async def specs(host: str) -> list[Spec]:
    """The kernelspecs that are installed on a host. Raises `KernelStartFailed`."""
    printed = await run(host, JUPYTER + _SPECS)
    try:
        listed = json.loads(printed)["kernelspecs"]
        return [_spec(host, name, each["spec"]) for name, each in sorted(listed.items())]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KernelStartFailed(f"The kernelspecs of {host} cannot be read: {error}") from error


async def offer(host: str) -> Offer:
    """What a host has to offer."""
    try:
        found, files = await asyncio.gather(specs(host), running(host))
    except KernelStartFailed as error:
        return Offer(place=f"{SCHEME}{host}", error=error.message, hint=error.data.get("hint"))
    return Offer(
        place=f"{SCHEME}{host}",
        specs=tuple(found),
        kernels=tuple(
            Offered(
                kernel_id=kernel_id_of(path),
                name=f"{SCHEME}{host}/{kernel_id_of(path)}",
                spec_name=f"{SCHEME}{host}/{content.get('kernel_name') or ''}",
            )
            for path, content in files.items()
        ),
    )


def _spec(host: str, name: str, content: Mapping[str, Any]) -> Spec:
    return make_spec(
        host,
        name,
        str(content.get("display_name") or ""),
        str(content.get("language") or ""),
        "message" if content.get("interrupt_mode") == "message" else "signal",
    )


def _parse(printed: str) -> dict[str, dict[str, Any]]:
    found = {}
    for line in printed.splitlines():
        path, _, text = line.partition("\t")
        try:
            content = json.loads(text)
        except ValueError:
            continue
        if isinstance(content, dict) and not check_fields(content):
            found[path] = content
    return found


def _is_pattern(name: str | None) -> bool:
    return name is not None and any(each in name for each in "*?[")


def _quoted(name: str) -> str:
    """For a shell, but that it still is a pattern."""
    return "".join(each if each in "*?[]" else shlex.quote(each) for each in name)
