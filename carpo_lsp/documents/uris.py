"""URIs of documents and the paths of files they name."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes


def path_of(uri: str) -> Path | None:
    """The file a URI names; None where it names none on this machine (`untitled:`, notebook cells).

    A bare absolute path is taken for what it is.
    """
    if uri.startswith("/"):
        return Path(uri)
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() != "file":
        return None
    if rest.startswith("//"):
        host, slash, rest = rest[2:].partition("/")
        rest = slash + rest
        if host.lower() not in ("", "localhost"):
            return None
    # "#" and "?" are part of the path: clients that mean something else by them send no file URI.
    return Path(os.fsdecode(unquote_to_bytes(rest))) if rest.startswith("/") else None


def uri_of(path: str | os.PathLike[str]) -> str:
    """The `file:` URI of a path, which is made absolute."""
    return Path(path).absolute().as_uri()
