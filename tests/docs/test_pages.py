"""The documentation says what is so: links, names, examples and what is written by scripts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from carpo_lsp import protocol
from carpo_lsp.features.action_kinds import KINDS
from carpo_lsp.features.commands import COMMANDS
from carpo_lsp.workspace import settings

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PAGES = [
    page
    for pattern in ("*.md", "docs/**/*.md", "editors/**/*.md")
    for page in sorted(ROOT.glob(pattern))
    if not {"node_modules", "dist"} & set(page.parts)
]
SECONDS = 120
"""A run of an example that takes longer hangs."""


def code_blocks(page: Path) -> list[tuple[str, str]]:
    """Language and content of the fenced blocks of a page."""
    return re.findall(r"^```(\S*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def run(*command: str | Path) -> str:
    finished = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def anchors(page: Path) -> set[str]:
    """The anchors that headings of a page get."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


def test_the_readme_leads_to_every_page() -> None:
    listed = (ROOT / "README.md").read_text().partition("## Read on")[2]
    pages = {f"docs/{page.name}" for page in ROOT.glob("docs/*.md")}
    assert pages <= set(re.findall(r"\]\((docs/[^)]+)\)", listed))


def test_the_first_command_of_the_readme_prints_what_the_readme_shows() -> None:
    (_, command), (_, shown), *_ = code_blocks(ROOT / "README.md")
    script = command.split()[-1]
    assert run(ROOT / script) == shown


def test_the_second_command_of_the_readme_is_there() -> None:
    command = code_blocks(ROOT / "README.md")[2][1].strip()
    script = ROOT / command
    assert command == "./tests/run"
    assert script.stat().st_mode & 0o111


def test_the_example_of_the_python_api_prints_what_the_page_shows() -> None:
    (_, code), (_, shown) = code_blocks(ROOT / "docs" / "python-api.md")
    assert run("-c", code) == shown


def test_the_protocol_page_names_every_message() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text()
    methods = {
        value
        for value in vars(protocol).values()
        if isinstance(value, str) and re.fullmatch(r"carpo/\w+", value)
    }
    assert methods >= set(protocol.PARAMS)
    assert set(re.findall(r"`(carpo/\w+)`", text)) == methods


def test_the_protocol_page_names_every_error() -> None:
    from carpo_lsp import errors

    text = (ROOT / "docs" / "protocol.md").read_text()
    for kind in errors.CarpoError.__subclasses__():
        if kind is not errors.InvalidParams:
            assert f"| {kind.code} | `{kind.__name__}` |" in text


def test_the_settings_page_names_every_setting() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    pending = [("carpo", settings.Settings)]
    while pending:
        path, section = pending.pop()
        for field in settings.fields_of(section):
            assert f"{path}.{field.wire}" in text
            if attrs.has(field.hint):
                pending.append((f"{path}.{field.wire}", field.hint))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_only_commands_that_exist(page: Path) -> None:
    """As in `carpo.runCell`. Settings, files and keys have a dot in their names as well."""
    sections = {section.wire for section in settings.fields_of(settings.Settings)}
    named = set(re.findall(r"\bcarpo\.([a-z]\w*)(?!\w*\.\w)", page.read_text()))
    other = {"config", "languages", "log", "notifications", "token", "toml", "version"} | sections
    assert named - other <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_only_code_actions_that_exist(page: Path) -> None:
    """As in `carpo.run.cell`."""
    named = set(re.findall(r"\bcarpo\.(?:run|input)\.\w+", page.read_text()))
    assert named <= set(KINDS)


def test_vscode_offers_every_command() -> None:
    manifest = json.loads((ROOT / "editors" / "vscode" / "package.json").read_text())
    offered = {each["command"] for each in manifest["contributes"]["commands"]}
    assert {f"carpo.{name}" for name in COMMANDS} <= offered
    bound = {key["command"] for key in manifest["contributes"]["keybindings"]}
    assert bound - offered == {"notebook.cell.execute"}


def test_written_pages_are_fresh() -> None:
    """If not: python docs/write_reference.py"""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import write_reference
    finally:
        sys.path.pop(0)
    for path, page in write_reference.PAGES.items():
        assert path.read_text() == page(), f"{path.name} is stale: run docs/write_reference.py"


def test_the_recorded_session_has_the_shape_of_a_real_one() -> None:
    """If not: python docs/examples/record_transcript.py docs/protocol.md"""
    sys.path.insert(0, str(EXAMPLES))
    try:
        import record_transcript
    finally:
        sys.path.pop(0)
    blocks = dict(code_blocks(ROOT / "docs" / "protocol.md"))
    shown = record_transcript.parse(blocks["carpo-transcript"])
    real = record_transcript.parse(run(EXAMPLES / "record_transcript.py"))
    assert not shape(shown) - shape(real), "the page shows what is no longer sent"
    assert not shape(real) - shape(shown), "the page does not show what is sent"


def shape(transcript: list[tuple[str, dict[str, Any]]]) -> set[tuple[str, str, str]]:
    """Which keys there are: direction, method or the method answered, and path of the key."""
    methods = {
        message["id"]: message["method"]
        for _, message in transcript
        if "id" in message and "method" in message
    }
    return {
        (direction, message.get("method") or methods[message["id"]], key)
        for direction, message in transcript
        for key in keys(message)
    }


def keys(value: Any, path: str = "") -> set[str]:
    """Paths of all keys in a message, less the kernel's own metadata."""
    if isinstance(value, list):
        return {key for item in value for key in keys(item, path)}
    if not isinstance(value, dict) or path.endswith("/metadata"):
        return {path}
    return {key for name, item in value.items() for key in keys(item, f"{path}/{name}")} | {path}
