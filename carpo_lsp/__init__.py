"""carpo-lsp: a language server that gives every editor live Jupyter kernels.

Importing the package costs nothing: `Frontend`, the Python API, is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from carpo_lsp.frontend import Frontend

__all__ = ["Frontend", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "Frontend":
        from carpo_lsp.frontend import Frontend

        return Frontend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
