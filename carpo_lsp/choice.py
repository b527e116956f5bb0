"""Which kernelspec code runs in, when nobody has said so for this run.

The first of these that there is: the user's setting, what the document's header names, what was
chosen for the project before, for Python the nearest environment, a kernelspec for the language.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from carpo_lsp.errors import CarpoError, KernelStartFailed
from carpo_lsp.kernels import environments
from carpo_lsp.kernels.specs import Spec
from carpo_lsp.workspace.settings import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from carpo_lsp.kernels.specs import SpecFinder

log = logging.getLogger(__name__)

NATIVE: Final = frozenset({"python", "python3"})
"""Names that ipykernel has in every environment. A header with one of them asks for the Python at
hand, as Jupyter would take it where the document was written, and not for a certain one."""


class Choice(Struct, frozen=True):
    spec: Spec
    reason: str
    """Why it was chosen, in a few words."""
    notes: tuple[str, ...] = ()
    """What was asked for and could not be had, a sentence each."""


class Wish(Struct, frozen=True, kw_only=True):
    """What is to be run, and all that is known of where."""

    language: str
    folder: Path
    """Where environments are looked for, from here upward."""
    roots: tuple[Path, ...] = ()
    """Folders that the user has opened."""
    header: str | None = None
    """The kernelspec that the document names."""
    setting: Kernel = field(default_factory=Kernel)
    chosen: Spec | None = None
    """What was chosen for the project before."""


def choose(specs: SpecFinder, wish: Wish) -> Choice:
    """The kernelspec for a wish.

    Raises `NoKernelForLanguage`, also for an environment without ipykernel: no other Python is
    taken in its place. Raises `KernelStartFailed` for a setting that names no Python.
    """
    python = wish.language == "python"
    notes: list[str] = []
    if python and wish.setting.python:
        spec = environments.spec_at(Path(wish.setting.python).expanduser().absolute())
        if spec is None:
            raise KernelStartFailed(
                f"carpo.kernel.python: {wish.setting.python!r} is no Python that can be run.",
                hint="give the path of an interpreter, or of the folder of an environment",
            )
        return Choice(spec, "by the setting carpo.kernel.python")
    header = None if wish.header in NATIVE else wish.header
    named = (
        (wish.setting.name, "by the setting carpo.kernel.name"),
        (header, "by the document's header"),
    )
    for name, reason in named:
        if not name:
            continue
        try:
            spec = specs.by_name(name)
        except KernelStartFailed:
            notes.append(f"The kernel {name!r}, asked for {reason}, is not installed.")
            continue
        if spec.serves(wish.language):
            return Choice(spec, reason, tuple(notes))
    if wish.chosen is not None:
        return Choice(wish.chosen, "chosen before", tuple(notes))
    nearest = next(environments.near(wish.folder, wish.roots), None) if python else None
    if nearest is not None:
        nearest.require_kernel()
        return Choice(nearest.spec(), f"found at {nearest.folder}", tuple(notes))
    return Choice(specs.by_language(wish.language), "installed", tuple(notes))


def environments_near(
    folders: Iterable[Path], roots: tuple[Path, ...] = ()
) -> Iterator[environments.Environment]:
    """The environments near some folders, nearest first; of those with one name only the first,
    so that each can be asked for by name."""
    names: set[str] = set()
    for folder in folders:
        for environment in environments.near(folder, roots):
            if environment.name not in names:
                names.add(environment.name)
                yield environment


def find_named(
    specs: SpecFinder, name: str, folders: Iterable[Path], roots: tuple[Path, ...] = ()
) -> Spec:
    """The installed kernelspec of a name, else the environment of that name near some folders.

    Raises `KernelStartFailed`, and `NoKernelForLanguage` for an environment without ipykernel.
    """
    try:
        return specs.by_name(name)
    except KernelStartFailed:
        for environment in environments_near(folders, roots):
            if environment.name == name:
                environment.require_kernel()
                return environment.spec()
        raise


OF_SERVER: Final = ("server", "display", "language")
"""What is kept of the choice of a Jupyter server's kernelspec besides its name."""


class Choices:
    """The kernels that users have chosen for their projects, kept in a file between sessions."""

    def __init__(self, file: Path | None = None) -> None:
        """`file` is made when something is chosen; by default it is in the user's state folder."""
        self._file = file

    def get(self, specs: SpecFinder, project: Path, language: str) -> Spec | None:
        """What was chosen for a language in a project; None if nothing, or if it is gone."""
        projects = self._read().get(str(project))
        entry = projects.get(language) if isinstance(projects, dict) else None
        if not isinstance(entry, dict):
            return None
        name, path = entry.get("name"), entry.get("environment")
        if all(isinstance(entry.get(key), str) for key in ("name", *OF_SERVER)):
            display, server = entry["display"], entry["server"]
            return Spec(
                str(name), "", (), display, entry["language"], server=server, origin="server"
            )
        try:
            if isinstance(path, str):
                return environments.spec_at(Path(path))
            return specs.by_name(name) if isinstance(name, str) else None
        except CarpoError as error:
            log.info("The kernel chosen for %s cannot be had: %s", project, error.message)
            return None

    def nearest(self, specs: SpecFinder, folder: Path, language: str) -> Spec | None:
        """What was chosen for the nearest project that a folder is in, or is."""
        found = (self.get(specs, project, language) for project in (folder, *folder.parents))
        return next((spec for spec in found if spec is not None), None)

    def remember(self, project: Path, language: str, spec: Spec) -> None:
        """Choose a kernelspec for a language in a project. Failures to write are only logged."""
        entry = {"name": spec.name}
        if spec.origin == "environment":
            entry = {"environment": spec.path}
        elif spec.server:  # known without asking the server
            entry |= {
                "server": spec.server,
                "display": spec.display_name,
                "language": spec.language,
            }
        content = self._read()
        languages = content.get(str(project))
        content[str(project)] = {**(languages if isinstance(languages, dict) else {})}
        content[str(project)][language] = entry
        try:
            write_whole(self.file, json.dumps(content, indent=1))
        except OSError as error:
            log.warning("The choice of a kernel could not be kept: %s", error)

    @property
    def file(self) -> Path:
        if self._file is None:
            from platformdirs import user_state_path

            self._file = user_state_path("carpo-lsp", appauthor=False) / "choices.json"
        return self._file

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def write_whole(file: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, and never a part."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(name, file)
    except OSError:
        os.unlink(name)
        raise
