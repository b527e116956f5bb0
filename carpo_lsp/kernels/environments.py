"""Python environments: found from files alone, nothing is run, and started without a kernelspec."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct

from carpo_lsp.errors import KernelStartFailed, NoKernelForLanguage
from carpo_lsp.files import read_text
from carpo_lsp.kernels.specs import Spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOLDERS: Final = (".venv", "venv", "env", ".env")
"""Names that people give to the environment in a project's folder."""

CONDA_FOLDERS: Final = (
    "~/.conda",
    "~/miniconda3",
    "~/anaconda3",
    "~/miniforge3",
    "~/mambaforge",
    "~/micromamba",
    "/opt/conda",
)
"""Where conda is installed when no variable tells; its environments are in `envs`."""

KERNEL_MODULES: Final = ("ipykernel", "ipykernel_launcher.py")

_LIBRARY: Final = re.compile(r"(?:python|pypy)(\d+)\.(\d+)t?")
_CONDA_NAME: Final = re.compile(r"^name:\s*['\"]?([\w.+-]+)", re.MULTILINE)
# A key of pyvenv.cfg: uv writes one with its own name.
_MADE_BY_UV: Final = re.compile(r"^uv\s*=", re.MULTILINE)
_SEES_SYSTEM: Final = re.compile(r"^include-system-site-packages\s*=\s*true", re.MULTILINE | re.I)
_POETRY: Final = re.compile(r"^\[tool\.poetry", re.MULTILINE)
_UV: Final = re.compile(r"^\[tool\.uv\b", re.MULTILINE)


class Environment(Struct, frozen=True):
    """A Python environment: a folder with a pyvenv.cfg, or with conda's conda-meta."""

    folder: Path
    tool: Literal["venv", "uv", "poetry", "pixi", "conda"]
    """What it is kept with, and so what installs into it."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def version(self) -> str:
        """Its Python's version as "3.12"; empty if there is no telling."""
        found = [_LIBRARY.fullmatch(path.name) for path in self._libraries()]
        versions = [(int(match[1]), int(match[2])) for match in found if match]
        return "{}.{}".format(*max(versions)) if versions else ""

    @property
    def display_name(self) -> str:
        return f"Python {self.version} ({self.name})".replace("  ", " ")

    @property
    def has_kernel(self) -> bool:
        """Whether ipykernel is installed in it, or may be in the Python below that it sees."""
        return bool(_SEES_SYSTEM.search(_read(self.folder / "pyvenv.cfg"))) or any(
            os.path.exists(library / "site-packages" / module)
            for library in self._libraries()
            for module in KERNEL_MODULES
        )

    @property
    def install_command(self) -> str:
        """What installs ipykernel into it."""
        python = shlex.quote(str(self.python))
        match self.tool:
            case "uv":
                return "uv add --dev ipykernel"
            case "poetry":
                return "poetry add --group dev ipykernel"
            case "pixi":
                return "pixi add ipykernel"
            case "conda" if self.folder.parent.name == "envs":
                return f"conda install -n {shlex.quote(self.name)} ipykernel"
            case "conda":
                return f"conda install -p {shlex.quote(str(self.folder))} ipykernel"
        if _MADE_BY_UV.search(_read(self.folder / "pyvenv.cfg")):
            return f"uv pip install --python {python} ipykernel"  # there is no pip in it
        return f"{python} -m pip install ipykernel"

    def require_kernel(self) -> None:
        """Raises `KernelStartFailed` or `NoKernelForLanguage` when no kernel can start in it."""
        if not os.access(self.python, os.X_OK):
            raise KernelStartFailed(
                f"The environment {str(self.folder)!r} has no Python that can be run.",
                hint="make the environment anew",
                argv=[str(self.python)],
                exitCode=None,
                stderrTail="",
            )
        if not self.has_kernel:
            hint = self.install_command
            raise NoKernelForLanguage(
                f"{self.display_name} has no ipykernel; install it: {hint}",
                language="python",
                environment=str(self.folder),
                hint=hint,
            )

    def spec(self) -> Spec:
        """What starts its ipykernel. Whether it has one is for `require_kernel` to say."""
        conda = os.path.isdir(self.folder / "conda-meta")
        folder = str(self.folder).replace("$", "$$")
        return Spec(
            name=self.name,
            path=str(self.folder),
            argv=_argv(self.python),
            display_name=self.display_name,
            language="python",
            # As if it had been activated: code that runs `python` or `pip` means this one.
            env={
                "CONDA_PREFIX" if conda else "VIRTUAL_ENV": folder,
                "PATH": f"{folder}/bin:${{PATH}}",
            },
            metadata=self._kernel_metadata(),
            origin="environment",
        )

    def _libraries(self) -> Iterator[Path]:
        return self.folder.glob("lib/*py*/")

    def _kernel_metadata(self) -> dict[str, Any]:
        """What its ipykernel says of itself, such as whether it takes encrypted connections."""
        file = self.folder / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"
        try:
            metadata = json.loads(_read(file) or "{}").get("metadata")
        except (ValueError, AttributeError):
            return {}
        return metadata if isinstance(metadata, dict) else {}


def environment_at(path: Path, project: Path | None = None) -> Environment | None:
    """The environment in a folder, or the one that a Python interpreter belongs to.

    `project` is the folder of the project it is for, if that is not the folder it is in.
    """
    folder = path if os.path.isdir(path) else path.parent.parent
    # `os.path` takes what may not be looked at for absent; `Path.is_dir` would raise.
    if os.path.isdir(folder / "conda-meta"):
        return Environment(folder, "pixi" if ".pixi" in folder.parts else "conda")
    if not os.path.isfile(folder / "pyvenv.cfg"):
        return None
    project = project or folder.parent
    manifest = _read(project / "pyproject.toml")
    if os.path.exists(project / "poetry.lock") or _POETRY.search(manifest):
        return Environment(folder, "poetry")
    by_uv = _MADE_BY_UV.search(_read(folder / "pyvenv.cfg"))
    if os.path.exists(project / "uv.lock") or _UV.search(manifest) or (by_uv and manifest):
        return Environment(folder, "uv")
    return Environment(folder, "venv")


def spec_at(path: Path) -> Spec | None:
    """What starts the ipykernel of an environment (its folder or its Python), or of any other
    Python interpreter; None for what is none of these.

    Raises `KernelStartFailed` or `NoKernelForLanguage`.
    """
    is_folder = os.path.isdir(path)
    if is_folder or _is_python(path):
        if (environment := environment_at(path)) is not None:
            environment.require_kernel()
            return environment.spec()
        if not is_folder:
            return Spec(
                name=path.name,
                path=str(path),
                argv=_argv(path),
                display_name=f"Python ({path})",
                language="python",
                origin="environment",
            )
    return None


def jupyter_name(name: str, path: str | None) -> str:
    """The name that a kernel has for Jupyter, for a notebook that others open: in an environment,
    of which `path` is the folder, that is ipykernel's own."""
    return "python3" if path and environment_at(Path(path)) is not None else name


def near(folder: Path, roots: Iterable[Path] = ()) -> Iterator[Environment]:
    """The environments that code in a folder may mean, the likeliest first.

    Those of the folder and the ones above it, up to the outermost of `roots` and the user's home
    that holds the folder; then the active ones. Outside both, only what the user owns counts:
    anybody can put an environment into /tmp.
    """
    home = Path.home()
    holding = [root for root in (home, *roots) if folder.is_relative_to(root)]
    last = min(holding, key=lambda root: len(root.parts), default=None)
    seen: set[Path] = set()
    for above in (folder, *folder.parents):
        for environment in _of_project(above):
            trusted = last is not None or environment.folder.stat().st_uid == os.getuid()
            if trusted and environment.folder not in seen:
                seen.add(environment.folder)
                yield environment
        if above == last:
            break
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        active = os.environ.get(variable)
        found = environment_at(Path(active)) if active and os.path.isdir(active) else None
        if found is not None and found.folder not in seen:
            seen.add(found.folder)
            yield found


def _of_project(folder: Path) -> Iterator[Environment]:
    """The environments that belong to the project in a folder."""
    candidates = [folder / name for name in FOLDERS]
    manifest = folder / "pyproject.toml"
    if os.path.isfile(manifest):
        if chosen := os.environ.get("UV_PROJECT_ENVIRONMENT"):
            candidates.insert(0, folder / chosen)
        candidates += _of_poetry(manifest)
    candidates.append(folder / ".pixi" / "envs" / "default")
    candidates.append(folder / ".conda")
    for name in ("environment.yml", "environment.yaml"):
        if match := _CONDA_NAME.search(_read(folder / name)):
            candidates += _named_by_conda(match[1])
    candidates.append(folder)
    for candidate in candidates:
        if os.path.isdir(candidate) and (environment := environment_at(candidate, folder)):
            yield environment


def _of_poetry(manifest: Path) -> list[Path]:
    """Where Poetry keeps the environments of a project that are not in its folder: the one chosen
    with `poetry env use` first, then the newest Pythons."""
    text = _read(manifest)
    if not (_POETRY.search(text) or os.path.exists(manifest.parent / "poetry.lock")):
        return []
    content = _toml(text)
    name = _entry(content, "project", "name") or _entry(content, "tool", "poetry", "name")
    name = re.sub(r"[-_.]+", "-", str(name or "non-package-mode")).lower()
    path = os.path.realpath(manifest.parent)
    digest = base64.urlsafe_b64encode(hashlib.sha256(os.fsencode(path)).digest()).decode()[:8]
    base = f"{re.sub(r'[^a-z0-9-]', '_', name)[:42]}-{digest}"
    store = _poetry_store()
    chosen = _entry(_toml(_read(store / "envs.toml")), base, "minor")
    found = sorted(store.glob(f"{base}-py*"), key=_minor_version, reverse=True)
    return sorted(found, key=lambda folder: folder.name != f"{base}-py{chosen}")


def _poetry_store() -> Path:
    if path := os.environ.get("POETRY_VIRTUALENVS_PATH"):
        return Path(path).expanduser()
    if path := os.environ.get("POETRY_CACHE_DIR"):
        return Path(path).expanduser() / "virtualenvs"
    from platformdirs import user_cache_path

    return user_cache_path("pypoetry", appauthor=False) / "virtualenvs"


def _minor_version(folder: Path) -> int:
    """12 for a folder that ends in "-py3.12"."""
    digits = folder.name.rpartition(".")[2]
    return int(digits) if digits.isdigit() else 0


def _named_by_conda(name: str) -> list[Path]:
    """Where the conda environment of a name may be."""
    folders = [
        Path(folder).expanduser()
        for folder in os.environ.get("CONDA_ENVS_PATH", "").split(os.pathsep)
        if folder
    ]
    if program := os.environ.get("CONDA_EXE"):
        folders.append(Path(program).parent.parent / "envs")
    if root := os.environ.get("MAMBA_ROOT_PREFIX"):
        folders.append(Path(root) / "envs")
    folders += [Path(folder).expanduser() / "envs" for folder in CONDA_FOLDERS]
    known = _read(Path("~/.conda/environments.txt").expanduser()).splitlines()
    return [folder / name for folder in folders] + [
        Path(line) for line in known if line.rstrip("/").endswith(f"/envs/{name}")
    ]


def _is_python(path: Path) -> bool:
    return path.name.startswith(("python", "pypy")) and os.access(path, os.X_OK)


def _argv(python: Path) -> tuple[str, ...]:
    return (str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}")


def _toml(text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def _entry(value: Any, *keys: str) -> Any:
    """What stands under nested keys, None where nothing does."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _read(file: Path) -> str:
    """The text of a small file; empty when it cannot be read, for then it tells nothing."""
    try:
        return read_text(file, errors="replace")
    except OSError:
        return ""
