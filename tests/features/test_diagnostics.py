from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lsprotocol import types
from recorder import Recorder

from carpo_lsp.features.diagnostics import Diagnostics, diagnostics_of

if TYPE_CHECKING:
    from scripted import Scripted

    from carpo_lsp.documents.document import Document

TEXT = "# %% One\na\n\n# %% Two\nb\n  c\n"
HINTS: dict[str, Any] = {"workspace": {"inlayHint": {"refreshSupport": True}}}
RELATED = {"publishDiagnostics": {"relatedInformation": True}}


def failure(*traceback: str, ename: str = "E", evalue: str = "v") -> dict[str, Any]:
    return {"status": "error", "ename": ename, "evalue": evalue, "traceback": list(traceback)}


async def fail(bench: Scripted, document: Document, line: int, **error: Any) -> None:
    """Run the cell at a line, which ends with an error."""
    bench.run = lambda code: None
    for kernel in bench.kernels:
        kernel.run = bench.run
    await bench.call("runCell", {"uri": document.uri, "line": line})
    kernel_id = bench.workspace.bound_kernel(document, document.language)
    next(kernel for kernel in bench.kernels if kernel.kernel_id == kernel_id).finish(**error)
    await bench.settle()


def found(bench: Scripted, document: Document) -> list[tuple[int, int, int, str]]:
    """Line, start, end and message of each diagnostic."""
    return [
        (
            each.range.start.line,
            each.range.start.character,
            each.range.end.character,
            each.message,
        )
        for each in diagnostics_of(bench.workspace, document)
    ]


async def test_an_error_is_at_the_failing_line(bench: Scripted) -> None:
    bench.declare(**HINTS)
    document = bench.open(TEXT)
    await fail(bench, document, 3, **failure("Cell In[1], line 2\n"))
    assert found(bench, document) == [(5, 2, 3, "E: v")]
    [error] = diagnostics_of(bench.workspace, document)
    assert (error.severity, error.source) == (types.DiagnosticSeverity.Error, "carpo")


async def test_it_moves_with_its_cell(bench: Scripted) -> None:
    bench.declare(**HINTS)
    document = bench.open(TEXT)
    await fail(bench, document, 3, **failure("Cell In[1], line 2\n"))
    document.apply([(None, "\n\n" + TEXT)], 2)
    assert found(bench, document) == [(7, 2, 3, "E: v")]


async def test_it_goes_when_its_cell_is_edited_or_run_again(bench: Scripted) -> None:
    bench.declare(**HINTS)
    document = bench.open(TEXT)
    await fail(bench, document, 3, **failure("Cell In[1], line 2\n"))
    document.apply([(None, TEXT.replace("c", "d"))], 2)
    assert found(bench, document) == []
    document.apply([(None, TEXT)], 3)
    assert found(bench, document) == [(5, 2, 3, "E: v")]
    await bench.call("runCell", {"uri": document.uri, "line": 4})
    assert found(bench, document) == []


async def test_without_a_traceback_it_is_at_the_first_line_of_code(bench: Scripted) -> None:
    bench.declare(**HINTS)
    document = bench.open("# %%\n\n  false\ntrue\n", "file:///w/a.sh", "shellscript")
    await fail(bench, document, 0, **failure(ename="", evalue="1"))
    assert found(bench, document) == [(2, 2, 7, "The code failed with status 1.")]


async def test_an_error_without_words_has_those_on_stderr(bench: Scripted) -> None:
    from carpo_lsp.kernels.events import OutputChanged

    document = bench.open("boom()\n")
    await fail(bench, document, 0, **failure(ename="", evalue=""))
    [record] = bench.workspace.frontend.transcript.records()
    output = {"output_type": "stream", "name": "stderr", "text": "\x1b[31mError: boom\n"}
    event = OutputChanged(record.kernel_id, record.execution_id, "append", output)
    bench.workspace.frontend.transcript.apply(event)
    assert found(bench, document) == [(0, 0, 6, "The code failed.\nError: boom")]


async def test_a_syntax_error_is_at_its_column_in_the_clients_encoding(bench: Scripted) -> None:
    bench.declare(**HINTS)
    document = bench.open("# %%\nx = '😀' +\n")
    caret = "  Cell In[1], line 1\n    x = '😀' +\n             ^\nSyntaxError: invalid syntax\n"
    error = failure(caret, ename="SyntaxError", evalue="invalid syntax (1.py, line 1)")
    await fail(bench, document, 0, **error)
    assert found(bench, document) == [(1, 9, 10, "SyntaxError: invalid syntax")]


async def test_a_fence_in_a_quote(bench: Scripted) -> None:
    bench.declare(**HINTS)
    text = "> ```{python}\n> a\n>   (b\n> ```\n"
    document = bench.open(text, "file:///w/a.qmd", "quarto")
    bench.run = lambda code: None
    await bench.call("runCell", {"uri": document.uri, "line": 1})
    caret = "  Cell In[1], line 2\n    (b\n    ^\nSyntaxError: '(' was never closed\n"
    bench.kernels[0].finish(**failure(caret, ename="SyntaxError", evalue="'(' was never closed"))
    await bench.settle()
    assert found(bench, document) == [(2, 4, 5, "SyntaxError: '(' was never closed")]


@pytest.mark.parametrize("takes_related", [True, False])
async def test_frames_in_other_cells_and_open_files(bench: Scripted, takes_related: bool) -> None:
    bench.declare(**HINTS, **({"textDocument": RELATED} if takes_related else {}))
    document = bench.open(TEXT)
    bench.open("one\ntwo\n", "file:///w/lib.py")
    bench.run = lambda code: ""
    await bench.call("runCell", {"uri": document.uri, "line": 0})
    frames = [
        "Cell In[2], line 1\n",
        "Cell In[1], line 1, in f(x)\n",
        "File /w/lib.py:2, in g()\n",
        "File /w/closed.py:2, in h()\n",
    ]
    await fail(bench, document, 3, **failure(*frames))
    [error] = diagnostics_of(bench.workspace, document)
    texts = ["in f, cell 1 (One) of a.py, line 2", "in g, lib.py, line 2"]
    assert error.message == "\n".join(["E: v", *texts])
    if takes_related:
        related = error.related_information or []
        places = [(at.location.uri, at.location.range.start.line, at.message) for at in related]
        assert places == [(document.uri, 1, texts[0]), ("file:///w/lib.py", 1, texts[1])]
    else:
        assert error.related_information is None


async def test_frames_in_cells_that_were_edited_are_left_out(bench: Scripted) -> None:
    bench.declare(**HINTS)
    document = bench.open(TEXT)
    bench.run = lambda code: ""
    await bench.call("runCell", {"uri": document.uri, "line": 0})
    await fail(bench, document, 3, **failure("Cell In[2], line 1\n", "Cell In[1], line 1\n"))
    document.apply([(None, TEXT.replace("\na\n", "\nnew\n"))], 2)
    assert found(bench, document) == [(4, 0, 1, "E: v")]


async def test_short_results_where_hints_are_not_refreshed(bench: Scripted) -> None:
    bench.run = lambda code: "42"
    document = bench.open(TEXT)
    await bench.call("runCell", {"uri": document.uri, "line": 0})
    [result] = diagnostics_of(bench.workspace, document)
    assert result.message == "→ 42"
    assert result.severity == types.DiagnosticSeverity.Information
    assert result.range.start.line == 1


async def test_octaves_errors_are_errors(bench: Scripted) -> None:
    from carpo_lsp.features.diagnostics import error_of
    from carpo_lsp.kernels.events import OutputChanged, StateChanged

    transcript = bench.workspace.frontend.transcript
    record = transcript.open("k", "e", "foo")
    output = {"output_type": "stream", "name": "stderr", "text": "error: 'foo' undefined\n"}
    transcript.apply(OutputChanged("k", "e", "append", output))
    transcript.apply(StateChanged("k", "e", "ok"))
    error = error_of(record, "octave")
    assert error is not None
    assert error["evalue"] == "error: 'foo' undefined"
    assert error_of(record, "python") is None


async def test_what_is_published_has_the_version_of_now(bench: Scripted) -> None:
    bench.declare(**HINTS)
    document = bench.open(TEXT)
    await fail(bench, document, 0, **failure())
    client = Recorder(bench)
    diagnostics = Diagnostics(bench.workspace)

    def published() -> list[tuple[int | None, int]]:
        sent = client.of(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        return [(params.version, len(params.diagnostics)) for params in sent]

    diagnostics.refresh(document.uri)
    diagnostics.refresh(document.uri)
    assert published() == [(1, 1)]
    document.apply([(None, TEXT + "\n")], 2)
    diagnostics.refresh(document.uri)
    assert published() == [(1, 1), (2, 1)]
    assert diagnostics.has(document.uri)
    document.apply([(None, TEXT.replace("a\n", "z\n"))], 3)
    diagnostics.refresh(document.uri)
    diagnostics.refresh(document.uri)
    assert published() == [(1, 1), (2, 1), (3, 0)]
    assert not diagnostics.has(document.uri)


async def test_a_closed_documents_diagnostics_are_taken_back(bench: Scripted) -> None:
    bench.declare(**HINTS)
    document = bench.open(TEXT)
    await fail(bench, document, 0, **failure())
    client = Recorder(bench)
    diagnostics = Diagnostics(bench.workspace)
    diagnostics.refresh(document.uri)
    bench.workspace.documents.close(document.uri)
    diagnostics.refresh(document.uri)
    assert client.diagnostics() == []
