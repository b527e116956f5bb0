"""URIs of documents and the paths of files they name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

_UNSHOWABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def path_of(uri: str) -> Path | None:
    """The file a URI names; None where it names none on this machine (`untitled:`, notebook cells).

    A bare absolute path is taken for what it is.
    """
    if uri.startswith("/"):
        return Path(uri) if "\0" not in uri else None
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() != "file":
        return None
    if rest.startswith("//"):
        host, slash, rest = rest[2:].partition("/")
        rest = slash + rest
        if host.lower() not in ("", "localhost"):
            return None
    # "#" and "?" are part of the path: clients that mean something else by them send no file URI.
    path = os.fsdecode(unquote_to_bytes(rest))
    # No system has a path with a null character; whoever looked at it would get a ValueError.
    return Path(path) if path.startswith("/") and "\0" not in path else None


def uri_of(path: str | os.PathLike[str]) -> str:
    """The `file:` URI of a path, which is made absolute."""
    return Path(path).absolute().as_uri()


def file_name(uri: str) -> str:
    """What people call a document: the name of its file, of a notebook's cell that of the notebook.

    It is one line, and can be sent: what cannot be shown is U+FFFD.
    """
    path = path_of(uri)
    name = path.name if path is not None else unquote(uri.partition("#")[0].rpartition("/")[2])
    return _UNSHOWABLE.sub("\ufffd", name)
