"""`carpo-lsp history`: what has been run, from the journal."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from carpo_lsp.cli.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from carpo_lsp.journal.lines import Entry
    from carpo_lsp.kernels.events import Output

STATES: Final = ("queued", "running", "waitingInput", "ok", "error", "aborted", "died")

LAST: Final = 20
"""Executions that are printed when nobody says how many."""

_AGO: Final = re.compile(r"(\d+)\s*([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class _Time(click.ParamType[datetime]):
    """A date, a date and time, or how long ago."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        if match := _AGO.fullmatch(value.strip()):
            return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is neither a time such as 2026-01-31T09:45 nor 90m, 2h, 3d or 1w")


@click.command("history", short_help="Show what has been run.")
@click.argument("document", metavar="[PATH|URI]", required=False)
@click.option(
    "-k",
    "--kernel",
    metavar="NAME",
    help="Only what ran in this kernel: the beginning of its id, the name of its kernelspec, or "
    "a language.",
)
@click.option(
    "-n",
    "--last",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Only the last N executions; {LAST} where this is not given, but all with --json and "
    "--notebook.",
)
@click.option(
    "--state",
    type=click.Choice(STATES),
    multiple=True,
    help="Only executions in this state; may be given more than once.",
)
@click.option(
    "--since",
    type=_Time(),
    metavar="TIME",
    help="Only what was run since then: 2026-01-31, 2026-01-31T09:45, or 90m, 2h, 3d, 1w ago.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, with all outputs.")
@click.option(
    "--notebook",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.ipynb",
    help="Write a notebook with a cell for each execution, in order, instead of printing.",
)
@click.option("--overwrite", is_flag=True, help="Write the notebook over one that is there.")
def history(
    document: str | None,
    kernel: str | None,
    last: int | None,
    state: tuple[str, ...],
    since: datetime | None,
    as_json: bool,
    notebook: Path | None,
    overwrite: bool,
) -> int:
    """Show what the language server has run, and what came of it, the oldest first.

    It is read from the journal, which the server writes unless `carpo.journal.enabled` is false.
    A PATH is that of a document, or of a folder for all documents in it and below; without one,
    all that was run is shown. Lines of code begin with "> ".

    \b
    Examples:
      carpo-lsp history analysis.py
      carpo-lsp history --last 1
      carpo-lsp history --state error --since 1d
      carpo-lsp history analysis.py --notebook analysis.ipynb

    \b
    Exit codes:
      0  something was shown or written
      1  nothing of the kind was run
      2  a wrong option, or a FILE that cannot be written
    """
    from carpo_lsp.journal import reading
    from carpo_lsp.journal.sessions import journal_folder

    if as_json and notebook is not None:
        raise UserError("--json and --notebook exclude each other.")
    if notebook is not None:
        _check_target(notebook, overwrite)
    try:
        found = reading.executions(journal_folder(), problem=_complain)
        entries = [reading.ended(entry) for entry in found.entries.values()]
        chosen = [
            entry
            for entry in entries
            if _is_in(entry, document)
            and _is_of(entry, kernel)
            and (not state or entry.state in state)
            and (since is None or datetime.fromisoformat(entry.time) >= since)
        ]
        most = last or (len(chosen) if as_json or notebook is not None else LAST)
        shown = reading.with_outputs(found, chosen[-most:], problem=_complain)
    except OSError as error:
        raise UserError(f"the journal cannot be read: {error}") from error
    if notebook is not None and shown:
        _write(notebook, shown)
    elif as_json:
        click.echo(json.dumps([_wire(*each) for each in shown], indent=2))
    elif shown:
        _print(shown)
    if not shown:
        what = "Nothing like that was run" if entries else "Nothing was run"
        click.echo(f"{what}; the journal is in {journal_folder()}", err=True)
    return 0 if shown else 1


def _complain(problem: str) -> None:
    click.echo(f"carpo-lsp: {problem}", err=True)


# Choosing


def _is_in(entry: Entry, document: str | None) -> bool:
    """Whether the code stood in a document, or in one in a folder."""
    from carpo_lsp.documents.uris import path_of

    if document is None:
        return True
    if entry.place is None:
        return False
    if document in (entry.place.uri, entry.place.owner):
        return True
    wanted, path = path_of(document) or Path(document), path_of(entry.place.owner)
    if path is None:
        return False
    wanted = wanted.expanduser().absolute()
    spellings = {path, path.resolve()}
    return any(each.is_relative_to(one) for each in spellings for one in (wanted, wanted.resolve()))


def _is_of(entry: Entry, kernel: str | None) -> bool:
    from carpo_lsp.kernels.specs import canonical

    if kernel is None:
        return True
    named = kernel in (entry.kernel.spec_name, entry.kernel.display_name)
    language = canonical(entry.kernel.language) == canonical(kernel)
    return named or language or entry.kernel.kernel_id.startswith(kernel)


# Showing


def _print(shown: Sequence[tuple[Entry, Sequence[Output]]]) -> None:
    for number, (entry, outputs) in enumerate(shown):
        if number:
            click.echo()
        click.secho(_head(entry), bold=True)
        for line in entry.code.splitlines():
            click.echo(f"> {_plain(line)}")
        for text in _texts(entry, outputs):
            click.echo(_plain(text), nl=not text.endswith("\n"))


def _head(entry: Entry) -> str:
    """When, how it went, how long it took, and where."""
    from carpo_lsp.features.hints import duration

    when = datetime.fromisoformat(entry.time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    parts = [when, entry.state]
    if entry.execution_count is not None:
        parts.append(f"In[{entry.execution_count}]")
    if entry.duration_ms is not None:
        parts.append(duration(entry.duration_ms / 1000))
    parts += [entry.kernel.spec_name or entry.kernel.display_name, _where(entry)]
    return _plain("  ".join(part for part in parts if part))


def _where(entry: Entry) -> str:
    from carpo_lsp.documents.uris import path_of

    place = entry.place
    if place is None:
        return ""
    name = str(path_of(place.owner) or place.owner)
    if place.notebook is not None or place.range is None:
        return name
    return f"{name}:{place.range.start.line + 1}"


def _texts(entry: Entry, outputs: Iterable[Output]) -> Iterator[str]:
    """The outputs as text; of what is not text, what it is."""
    from carpo_lsp.cli.show import image_of, text_of, text_of_error

    told = False
    for output in outputs:
        if output["output_type"] == "stream":
            yield output["text"]
        elif output["output_type"] == "error":
            told = True
            yield text_of_error(output)
        elif image := image_of(output["data"]):
            yield f"[{image[1].removeprefix('.')} image, {len(image[0])} bytes]"
        elif text := text_of(output["data"]):
            yield text
        pointer = (output.get("metadata") or {}).get("carpo")
        if isinstance(pointer, dict) and pointer.get("path"):
            yield f"[all {pointer.get('bytes')} bytes are in {pointer['path']}]"
    if entry.error is not None and not told:
        yield text_of_error(entry.error)


def _plain(text: str) -> str:
    """Text that does nothing to a terminal but to be shown by it."""
    from carpo_lsp.cli.show import without_ansi

    kept = without_ansi(text).replace("\r\n", "\n")
    kept = re.sub(r"[^\n]*\r(?!\n)", "", kept)  # a line that was printed over, as by a bar
    kept = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", kept)
    return kept.encode("utf-8", "replace").decode()


def _wire(entry: Entry, outputs: Sequence[Output]) -> dict[str, Any]:
    from carpo_lsp.protocol import to_wire

    place = entry.place
    return {
        "executionId": entry.execution_id,
        "time": entry.time,
        "state": entry.state,
        "executionCount": entry.execution_count,
        "durationMs": entry.duration_ms,
        "error": entry.error,
        "textDocument": {"uri": place.uri} if place is not None else None,
        "notebook": place.notebook if place is not None else None,
        "range": to_wire(place.range) if place is not None else None,
        "cell": place.cell if place is not None else None,
        "kernel": to_wire(entry.kernel),
        "code": entry.code,
        "outputs": list(outputs),
    }


# Writing a notebook


def _check_target(path: Path, overwrite: bool) -> None:
    if path.suffix.lower() != ".ipynb":
        raise UserError(f"--notebook: {str(path)!r} is not a .ipynb file.")
    if path.exists() and not overwrite:
        raise UserError(f"--notebook: {str(path)!r} is there already; see --overwrite.")


def _write(path: Path, shown: Sequence[tuple[Entry, Sequence[Output]]]) -> None:
    from carpo_lsp.documents.languages import kernel_language
    from carpo_lsp.notebooks import Executed, SourceCell, notebook_text, write_whole

    cells, records = [], {}
    for index, (entry, outputs) in enumerate(shown):
        told = {"time": entry.time, "state": entry.state, "executionId": entry.execution_id}
        if entry.place is not None:
            told["uri"] = entry.place.uri
        language = kernel_language(entry.kernel.language)
        own = {"metadata": {"carpo": told}}
        cells.append(SourceCell("code", language, entry.code, notebook=own))
        records[index] = Executed(entry.execution_count, outputs)
    kernel = shown[-1][0].kernel
    named = {
        "name": kernel.spec_name or kernel.language,
        "display_name": kernel.display_name,
        "language": kernel.language,
    }
    metadata = {"kernelspec": named, "language_info": {"name": kernel.language}}
    try:
        write_whole(path, notebook_text(cells, records, (), metadata))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    click.echo(f"Wrote {len(cells)} cells to {path}", err=True)
