"""docs/editors.md: every cell has a test, which exists, or a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from editor_clients import PROFILES

PAGE = Path(__file__).parents[2] / "docs" / "editors.md"
TEXT = PAGE.read_text()
PARAMETRIZED = Path(__file__).with_name("test_editors.py")

REFERENCES = {
    name: ((PAGE.parent / path).resolve(), test)
    for name, path, test in re.findall(r'^\[([\w-]+)\]: (\S+) "(\w+)"$', TEXT, re.MULTILINE)
}
NOTES = set(re.findall(r"^\[\^([\w-]+)\]: \S", TEXT, re.MULTILINE))
CELLS = [
    (row.split("|")[1].strip(), cell.strip())
    for row in re.findall(r"^\|.*\|$", TEXT, re.MULTILINE)
    if not row.startswith(("| |", "|---"))
    for cell in row.strip("|").split("|")[1:]
]
SHOWN = re.compile(
    r"\[✓(?: (?P<profile>\w+))?\]\[(?P<reference>[\w-]+)\](?: \[\^(?P<note>[\w-]+)\])?"
)
NOT_SHOWN = re.compile(r"no \[\^(?P<note>[\w-]+)\]")


def test_there_are_cells() -> None:
    assert len(CELLS) % 12 == 0
    assert len(CELLS) >= 12 * 20


@pytest.mark.parametrize(("row", "cell"), dict.fromkeys(CELLS))
def test_a_cell_has_a_test_or_a_reason(row: str, cell: str) -> None:
    match = SHOWN.fullmatch(cell) or NOT_SHOWN.fullmatch(cell)
    assert match is not None
    found = match.groupdict()
    assert found["note"] in {None, *NOTES}
    if "reference" in found:
        path, _ = REFERENCES[found["reference"]]
        if path == PARAMETRIZED:
            assert found["profile"] in {profile.name for profile in PROFILES}
        else:
            assert found["profile"] is None


@pytest.mark.parametrize("name", REFERENCES)
def test_a_test_exists(name: str) -> None:
    path, test = REFERENCES[name]
    assert re.search(rf"^(async )?def {test}\(", path.read_text(), re.MULTILINE)


def test_nothing_is_left_over() -> None:
    used = [SHOWN.fullmatch(cell) or NOT_SHOWN.fullmatch(cell) for _, cell in CELLS]
    groups = [match.groupdict() for match in used if match]
    assert NOTES == {group["note"] for group in groups} - {None}
    assert set(REFERENCES) == {group.get("reference") for group in groups} - {None}
