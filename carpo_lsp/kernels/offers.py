"""What is to be had elsewhere: on the Jupyter servers and the hosts that a user has named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from carpo_lsp.deadlines import Deadline

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from carpo_lsp.kernels.specs import Spec


class Offered(Struct, frozen=True, kw_only=True):
    """A kernel that runs elsewhere."""

    kernel_id: str
    """What it is called there."""
    name: str
    """What it is called here: `ID@SERVER` or `ssh:HOST/ID`."""
    spec_name: str
    """Its kernelspec, as that is called here; of no kernelspec where it is not known there."""
    state: str = "running"
    """In words of a Jupyter server; `running` where nobody tells."""


class Offer(Struct, frozen=True, kw_only=True):
    """What a place has to offer, or why it has nothing."""

    place: str
    """As messages call it."""
    specs: tuple[Spec, ...] = ()
    """As those of this machine, and named `NAME@SERVER` or `ssh:HOST/NAME`."""
    kernels: tuple[Offered, ...] = ()
    """Those that run, as far as the place tells."""
    error: str | None = None
    hint: str | None = None
    """What to do about an error, where that is known."""


async def in_time(place: str, seconds: float, offer: Coroutine[Any, Any, Offer]) -> Offer:
    """What a place has to offer; when it takes more than some seconds only that."""
    try:
        async with Deadline(seconds):
            return await offer
    except TimeoutError:
        return Offer(place=place, error=f"{place} did not answer within {seconds:g} s.")
