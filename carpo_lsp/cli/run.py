"""`carpo-lsp run`: runs the code cells of documents, as a notebook would."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from carpo_lsp.cli.errors import UserError, describe
from carpo_lsp.errors import CarpoError, KernelStartFailed, NoKernelForLanguage
from carpo_lsp.kernels.elsewhere.addresses import SCHEME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carpo_lsp.cli.sources import Source
    from carpo_lsp.frontend import Frontend
    from carpo_lsp.kernels.specs import Spec


@click.command("run", short_help="Run the code cells of documents.")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "-k",
    "--kernel",
    metavar="NAME|PATH|LANGUAGE",
    help="Run all code cells in this kernel: the name of a kernelspec or Python environment, its "
    "path (a kernel.json, an interpreter or a folder), or a language; see `carpo-lsp kernels`.",
)
@click.option(
    "--existing",
    metavar="KERNEL",
    help="Run all code cells in a kernel that runs already, which goes on afterwards; KERNEL is as "
    "for `carpo-lsp execute`.",
)
@click.option(
    "--cwd",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where the kernels run; each document's own folder, if not given.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Interrupt a cell that runs longer than this, and count it as failed.",
)
@click.option("--keep-going", is_flag=True, help="Go on after a cell that failed.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.ipynb|FOLDER",
    help="Write a notebook with the outputs, also of a run that failed. With several FILEs, a "
    "folder that exists.",
)
def run(
    files: tuple[Path, ...],
    kernel: str | None,
    existing: str | None,
    cwd: Path | None,
    timeout: float | None,
    keep_going: bool,
    output: Path | None,
) -> int:
    """Run the code cells of documents, from top to bottom.

    A FILE is a script with `# %%` cells (or none), a Markdown, Quarto, R Markdown or MyST
    document, or a Jupyter notebook. Each FILE gets a fresh kernel for each of its languages: the
    one its header or metadata names, else the one that was chosen for its project in an editor,
    else for Python the nearest environment, else an installed one for the language. Markdown
    cells, and cells whose options say `eval: false` or whose tags have `skip-execution`, are not
    run; those with `error: true` or the tag `raises-exception` may fail.

    What the code prints comes on stdout and stderr as it is printed, results as text on stdout.
    Images are saved into files. Progress and notes are on stderr. When the code asks for input, a
    line of stdin answers it. Ctrl-C interrupts the cell, a second Ctrl-C quits.

    \b
    Examples:
      carpo-lsp run analysis.py
      carpo-lsp run report.qmd --output report.ipynb
      carpo-lsp run --keep-going --timeout 60 docs/*.md
      echo Ada | carpo-lsp run --kernel ir greeting.R

    \b
    Exit codes:
      0      all cells ran without an error
      1      a cell failed or took too long, or a kernel did not start or died
      2      a wrong option, a FILE that cannot be read, or a kernel that is not installed
      128+N  ended by signal N: 130 by Ctrl-C
    """
    import asyncio

    from carpo_lsp.cli.runner import Job, run_jobs
    from carpo_lsp.cli.sources import read_source
    from carpo_lsp.frontend import Frontend

    sources = [read_source(path) for path in files]
    outputs = _output_paths(files, output)
    # Only for its kernelspecs; all is known to be there before anything runs.
    frontend = Frontend()
    if existing is not None and (kernel is not None or cwd is not None):
        raise UserError("--existing: the kernel runs already, so no --kernel and no --cwd.")
    chosen = None if kernel is None else _find_kernel(frontend, kernel)
    jobs = [
        Job(
            source,
            _choose(frontend, source, chosen) if existing is None else {},
            str(cwd or path.absolute().parent),
            target,
            existing,
        )
        for source, path, target in zip(sources, files, outputs, strict=True)
    ]
    return asyncio.run(run_jobs(jobs, keep_going=keep_going, cell_seconds=timeout))


def _output_paths(files: Sequence[Path], output: Path | None) -> list[Path | None]:
    """The notebook to write for each file, if any. Raises `UserError`."""
    if output is None:
        return [None] * len(files)
    if output.is_dir():
        paths = [output / f"{path.stem}.ipynb" for path in files]
        for i, path in enumerate(paths):
            if path in paths[:i]:
                raise UserError(f"--output: two FILEs would become {str(path)!r}.")
        return [*paths]
    if len(files) > 1:
        raise UserError("--output: with several FILEs this must be a folder that exists.")
    if output.suffix.lower() != ".ipynb":
        raise UserError(f"--output: {str(output)!r} is neither a .ipynb file nor a folder.")
    if not output.absolute().parent.is_dir():
        raise UserError(f"--output: the folder {str(output.parent)!r} does not exist.")
    return [output]


def _find_kernel(frontend: Frontend, kernel: str) -> Spec:
    """What --kernel names. Raises `UserError` or another `CarpoError`."""
    if not kernel.startswith(SCHEME) and ("/" in kernel or kernel.endswith(".json")):
        # Symbolic links stay: the Python of an environment is one.
        return frontend.find_spec(spec_path=os.path.abspath(os.path.expanduser(kernel)))
    try:
        return frontend.find_spec(spec_name=kernel)
    except KernelStartFailed as unknown_name:
        try:
            return frontend.find_spec(language=kernel)
        except NoKernelForLanguage as unknown_language:
            raise UserError(
                f"--kernel: {unknown_name.message} {unknown_language.message}"
            ) from unknown_language


def _choose(frontend: Frontend, source: Source, kernel: Spec | None) -> dict[str, Spec]:
    """The kernelspec for each language of a document. Raises `UserError`."""
    if kernel is not None:
        return dict.fromkeys(source.languages, kernel)
    if "plaintext" in source.languages:
        raise UserError(f"{source.path}: the name does not tell its language; give --kernel.")
    from carpo_lsp.choice import Choices, Wish, choose

    folder = source.path.absolute().parent
    finder = frontend.manager.specs
    specs = {}
    for language in source.languages:
        chosen = Choices().nearest(finder, folder, language)
        wish = Wish(language=language, folder=folder, header=source.kernel_name, chosen=chosen)
        try:
            choice = choose(finder, wish)
        except CarpoError as error:
            raise UserError(f"{source.path}: {describe(error)}") from error
        specs[language] = choice.spec
        for note in choice.notes:
            click.echo(f"carpo-lsp: {source.path}: {note}", err=True)
    return specs
