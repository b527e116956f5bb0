"""The layers of docs/architecture.md: a module imports from its own layer and from those below.

Every import counts, wherever it stands: in a function, under `TYPE_CHECKING`, relative.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import carpo_lsp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = "carpo_lsp"

LAYERS = (
    ("appending", "deadlines", "errors", "files", "jsontext", "loading", "protocol", "structure"),
    ("kernels",),
    ("documents",),
    ("journal",),
    ("choice", "features", "frontend", "handle", "notebooks", "workspace"),
    ("present", "server", "service", "wire"),
    ("__main__", "cli"),
)
"""The modules and packages of the top, from the lowest layer to the highest."""

LEVELS = {part: level for level, parts in enumerate(LAYERS) for part in parts}

APART = ({"kernels", "documents"},)
"""Parts that do not know each other, whichever layer is the lower."""

LIBRARIES = {
    "pygls": {"__main__", "server"},
    "lsprotocol": {*LAYERS[4], *LAYERS[5]},
    "jupyter_client": {"kernels"},
    "zmq": {"kernels"},
    "aiohttp": {"kernels"},
}
"""The only parts that use a library."""


def imports(name: str, source: str) -> Iterator[str]:
    """The modules that a module imports; of the top package `ROOT.name` for each name."""
    package = name.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package[: len(package) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            if base == ROOT:
                yield from (f"{ROOT}.{alias.name}" for alias in node.names)
            else:
                yield base


def part_of(module: str) -> str:
    """The top part of a module of ours."""
    return module.removeprefix(f"{ROOT}.").split(".")[0]


def breaches(modules: Mapping[str, str]) -> list[str]:
    """What is wrong with the imports of modules, which are sources by their dotted names."""
    found = []
    for name, source in modules.items():
        part = part_of(name)
        if name == f"{ROOT}.__init__":
            continue  # the front door: it names what is inside
        if part not in LEVELS:
            found.append(f"{name} is in no layer")
            continue
        for target in imports(name, source):
            library, _, _ = target.partition(".")
            other = part_of(target)
            if library in LIBRARIES and part not in LIBRARIES[library]:
                found.append(f"{name} imports {target}")
            elif library != ROOT or target == f"{ROOT}.__version__":
                continue
            elif (
                other not in LEVELS
                or LEVELS[other] > LEVELS[part]
                or any({part, other} == pair for pair in APART)
            ):
                found.append(f"{name} imports {target}")
    return found


def test_the_package_keeps_its_layers() -> None:
    folder = Path(carpo_lsp.__file__).parent
    modules = {
        ".".join(file.relative_to(folder.parent).with_suffix("").parts): file.read_text()
        for file in folder.rglob("*.py")
    }
    assert f"{ROOT}.kernels.state" in modules
    assert breaches(modules) == []
    unused = set(LEVELS) - {part_of(name) for name in modules}
    assert not unused, "layers name modules that do not exist"


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("kernels.new", "import carpo_lsp.frontend"),
        ("kernels.new", "from carpo_lsp.frontend import Frontend"),
        ("kernels.new", "from carpo_lsp import Frontend"),
        ("kernels.new", "from carpo_lsp import frontend"),
        ("kernels.new", "from ..frontend import Frontend"),
        ("kernels.new", "from .. import frontend"),
        ("kernels.new", "def f():\n    from carpo_lsp.workspace.workspace import Workspace"),
        (
            "kernels.new",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import carpo_lsp.server",
        ),
        ("kernels.new", "from carpo_lsp.documents.cells import Cell"),
        ("documents.new", "from carpo_lsp.kernels import state"),
        ("documents.new", "from carpo_lsp import kernels"),
        ("errors", "from carpo_lsp.kernels.events import Event"),
        ("protocol", "import carpo_lsp.documents"),
        ("features.new", "from carpo_lsp.server import create_server"),
        ("features.new", "from pygls.lsp.server import LanguageServer"),
        ("cli.new", "import pygls"),
        ("features.new", "import zmq.asyncio"),
        ("frontend", "def f():\n    import jupyter_client"),
        ("kernels.new", "from lsprotocol import types"),
        ("server", "from carpo_lsp.cli.serve import serve"),
        ("new", ""),
        ("server", "from carpo_lsp.new import thing"),
    ],
)
def test_a_breach_is_found(module: str, source: str) -> None:
    assert len(breaches({f"{ROOT}.{module}": source})) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("kernels.new", "import zmq\nfrom jupyter_client.session import Session"),
        ("kernels.new", "from carpo_lsp import protocol\nfrom carpo_lsp.errors import CarpoError"),
        ("kernels.new", "from .events import Event\nfrom ..errors import CarpoError"),
        ("features.new", "from lsprotocol import types\nfrom carpo_lsp.features import hover"),
        ("server", "from pygls.lsp.server import LanguageServer\nfrom carpo_lsp import frontend"),
        ("server", "from carpo_lsp import __version__"),
        ("kernels.new", "import carpo_lspish.server\nimport zmqish"),
    ],
)
def test_what_is_allowed(module: str, source: str) -> None:
    assert breaches({f"{ROOT}.{module}": source}) == []


def test_a_relative_import_of_a_package_is_from_itself() -> None:
    assert breaches({f"{ROOT}.kernels.__init__": "from . import state"}) == []
    assert breaches({f"{ROOT}.kernels.__init__": "from ..server import x"}) != []
