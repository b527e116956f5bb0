"""Kernelspecs: which kernels are installed, and which one serves a language."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct, field

from carpo_lsp import protocol
from carpo_lsp.errors import KernelStartFailed, NoKernelForLanguage
from carpo_lsp.files import read_text

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpecManager

log = logging.getLogger(__name__)

ALIASES: Final = {
    "cpp": "c++",
    "js": "javascript",
    "jl": "julia",
    "py": "python",
    "sh": "bash",
    "shell": "bash",
    "shellscript": "bash",
    "ts": "typescript",
    "zsh": "bash",
}
"""Names that editors and documents give to languages, and the names that kernels give to them."""

HINTS: Final = {
    "python": "pip install ipykernel",
    "r": "install the R package IRkernel and run IRkernel::installspec()",
    "julia": "install the Julia package IJulia",
    "bash": "pip install bash_kernel && python -m bash_kernel.install --sys-prefix",
    "octave": "pip install octave_kernel",
    "javascript": "install Deno and run: deno jupyter --install",
    "typescript": "install Deno and run: deno jupyter --install",
    "lua": "pip install ilua",
}
"""What to install for a language that no kernelspec serves."""

NO_COMMAND: Final = 'a kernel.json needs "argv", a list of strings with "{connection_file}"'


PYTHON_NAMES: Final = frozenset({"python", "python3"})


class Spec(Struct, frozen=True):
    """A kernelspec: the content of a kernel.json and where it was found."""

    name: str
    path: str
    """Folder of the kernel.json."""
    argv: tuple[str, ...]
    display_name: str
    language: str
    interrupt_mode: str = "signal"
    env: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    origin: Literal["jupyter", "environment", "server"] = "jupyter"
    server: str = ""
    """Name or URL of the Jupyter server it is installed on; empty for this machine."""
    host: str = ""
    """The host it is installed on, which is reached by ssh; empty for this machine."""

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return self.path or self.name

    def serves(self, language: str) -> bool:
        return canonical(self.language) == canonical(language)

    def to_wire(self) -> protocol.KernelSpec:
        return protocol.KernelSpec(
            name=self.name,
            spec_path=self.key,
            display_name=self.display_name,
            language=self.language,
            interrupt_mode=self.interrupt_mode,
            origin=self.origin,
        )


def canonical(language: str) -> str:
    """The name by which a language is compared."""
    language = language.strip().lower()
    return ALIASES.get(language, language)


class SpecFinder:
    """Finds kernelspecs where Jupyter looks for them. Every call reads the folders anew, so that
    a kernel installed meanwhile is seen."""

    def __init__(self) -> None:
        self._manager: KernelSpecManager | None = None

    @property
    def manager(self) -> KernelSpecManager:
        if self._manager is None:
            from jupyter_client.kernelspec import KernelSpecManager

            self._manager = KernelSpecManager()
        return self._manager

    def all(self) -> list[Spec]:
        """The installed kernelspecs in the order of their names; unreadable ones are left out."""
        found = []
        for name in sorted(self.manager.find_kernel_specs()):
            try:
                found.append(self.by_name(name))
            except KernelStartFailed as error:
                log.warning("%s", error.message)
        return found

    def by_name(self, name: str) -> Spec:
        """The kernelspec of a name. Raises `KernelStartFailed` when there is none."""
        from jupyter_client.kernelspec import NoSuchKernel

        try:
            spec = self.manager.get_kernel_spec(name)
        except NoSuchKernel:
            known = ", ".join(sorted(self.manager.find_kernel_specs())) or "none"
            raise KernelStartFailed(
                f"No kernelspec is named {name!r} (installed: {known}).",
                hint="`carpo-lsp kernels` lists the installed kernelspecs.",
            ) from None
        except Exception as error:  # whatever a broken kernel.json makes of the library
            raise KernelStartFailed(f"The kernelspec {name!r} cannot be read: {error}") from error
        if not spec.argv:
            raise KernelStartFailed(f"The kernelspec {name!r} has no command.", hint=NO_COMMAND)
        return Spec(
            name=name,
            path=str(spec.resource_dir),
            argv=_command(spec.argv, name, str(spec.resource_dir)),
            display_name=spec.display_name or name,
            language=spec.language,
            interrupt_mode=spec.interrupt_mode,
            env=dict(spec.env),
            metadata=dict(spec.metadata),
        )

    def by_path(self, path: str) -> Spec:
        """The kernelspec in a kernel.json, or in a folder that has one."""
        return read_spec(Path(path).expanduser())

    def by_language(self, language: str) -> Spec:
        """The kernelspec for a language: Jupyter's native one, else the first by name.

        Raises `NoKernelForLanguage`, with a hint what to install.
        """
        matching = [spec for spec in self.all() if spec.serves(language)]
        if not matching:
            name = canonical(language)
            hint = HINTS.get(name, f"install a Jupyter kernel for {language}")
            raise NoKernelForLanguage(
                f"No installed kernel runs {language or 'documents without a language'}: {hint}.",
                language=language,
                hint=hint,
            )
        return next((spec for spec in matching if spec.name == "python3"), matching[0])


def read_spec(path: Path) -> Spec:
    """Read a kernel.json (or the one in a folder). Raises `KernelStartFailed`."""
    file = path / "kernel.json" if path.is_dir() else path
    try:
        content = json.loads(read_text(file))
    except OSError as error:
        raise KernelStartFailed(
            f"The kernelspec {str(file)!r} cannot be read: {error.strerror}.",
            hint="give the path of a kernel.json or of its folder",
        ) from error
    except ValueError as error:
        raise KernelStartFailed(
            f"The kernelspec {str(file)!r} is not valid JSON: {error}."
        ) from error
    if not isinstance(content, dict):
        content = {}
    env, metadata = content.get("env"), content.get("metadata")
    folder = str(file.parent.resolve())
    return Spec(
        name=file.parent.name,
        path=folder,
        argv=_command(content.get("argv"), str(file), folder),
        display_name=str(content.get("display_name") or file.parent.name),
        language=str(content.get("language") or ""),
        interrupt_mode="message" if content.get("interrupt_mode") == "message" else "signal",
        env={key: str(value) for key, value in env.items()} if isinstance(env, dict) else {},
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _command(argv: object, spec: str, folder: str) -> tuple[str, ...]:
    """The command of a kernelspec. Raises `KernelStartFailed` when it is none."""
    if not isinstance(argv, list) or not argv or not all(isinstance(arg, str) for arg in argv):
        raise KernelStartFailed(
            f"The kernelspec {spec!r} has no command.",
            hint=NO_COMMAND,
        )
    return _own_program(tuple(argv), folder)


def _own_program(argv: tuple[str, ...], folder: str) -> tuple[str, ...]:
    """A bare name in the kernelspec of an environment means that environment's program.

    The environment need not be on the path. For `python` and the like jupyter_client takes its
    own interpreter instead, which is another one whenever this program is installed apart.
    """
    path = Path(folder)
    is_bare = Path(argv[0]).name == argv[0]
    if is_bare and path.parts[-4:-1] == ("share", "jupyter", "kernels"):
        program = path.parents[3] / "bin" / argv[0]
        if os.access(program, os.X_OK):
            return (str(program), *argv[1:])
    return argv
