"""The projects in which users have run code, kept in a file between sessions.

A kernel that starts in a folder counts as code of the folder that runs: environments belong to
projects, and languages look in the folder for modules and profiles. So nothing but a run starts a
kernel in a project until the user has run something there.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from carpo_lsp.choice import write_whole

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


class Trust:
    """The folders of projects in which code has been run."""

    def __init__(self, file: Path | None = None) -> None:
        """`file` is made with the first run; by default it is in the user's state folder."""
        self._file = file
        self._projects: set[str] | None = None

    def __contains__(self, project: Path) -> bool:
        if self._projects is None:
            self._projects = self._read()
        return str(project) in self._projects

    def add(self, project: Path) -> None:
        """The user has asked for a run in a project. Failures to write are only logged."""
        if project in self:
            return
        # Another server may have added to the file since it was read.
        self._projects = {*self._read(), *(self._projects or ()), str(project)}
        try:
            write_whole(self.file, json.dumps(sorted(self._projects), indent=1))
        except OSError as error:
            log.warning("It could not be kept that code was run in %s: %s", project, error)

    @property
    def file(self) -> Path:
        if self._file is None:
            from platformdirs import user_state_path

            self._file = user_state_path("carpo-lsp", appauthor=False) / "projects.json"
        return self._file

    def _read(self) -> set[str]:
        try:
            content = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return set()
        return (
            {each for each in content if isinstance(each, str)} if type(content) is list else set()
        )
