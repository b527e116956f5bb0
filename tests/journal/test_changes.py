"""However changes are written, shortened and read: what is shown is what the record shows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from journals import K, X, append, display, entry, text

from carpo_lsp.journal.changes import Changes
from carpo_lsp.journal.lines import decode, encode, entry_of, line
from carpo_lsp.journal.reading import compacted, outputs_of
from carpo_lsp.kernels.events import OutputChanged
from carpo_lsp.kernels.transcript.spool import Spool
from carpo_lsp.kernels.transcript.transcript import Transcript

if TYPE_CHECKING:
    from carpo_lsp.journal.lines import Line
    from carpo_lsp.kernels.events import Output

DISPLAYS = st.sampled_from(["a", "b", None])
WORDS = st.text(max_size=3)

EVENTS = st.one_of(
    st.builds(
        lambda words, name: append(text(words, name)), WORDS, st.sampled_from(["stdout", "stderr"])
    ),
    st.builds(lambda value, shown_as: append(display(value), shown_as), WORDS, DISPLAYS),
    st.builds(
        lambda value, shown_as: OutputChanged(K, X, "update", display(value), shown_as),
        WORDS,
        DISPLAYS,
    ),
    st.builds(lambda wait: OutputChanged(K, X, "clear", wait=wait), st.booleans()),
)


def shown(events: list[OutputChanged]) -> list[Output]:
    """The outputs by the record, which is what a client gets while the server lives."""
    record = Transcript(Spool()).open(K, X, "")
    for event in events:
        record.apply(event)
    return list(record.outputs)


@given(st.lists(st.tuples(EVENTS, st.sampled_from(["", "write", "shorten", "go on"])), max_size=12))
def test_what_is_read_is_what_was_shown(steps: list[tuple[OutputChanged, str]]) -> None:
    """Events, and what is done with the files after some of them."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "1"]
        files[0].write_bytes(encode(entry("m").begin()))
        waiting = Changes(whole=True)
        for event, then in [*steps, (None, "write")]:
            if event is not None:
                waiting.add(event)
            if then:
                with files[-1].open("ab") as file:
                    file.writelines(encode(told) for told in waiting.lines("m"))
                waiting = Changes()
            if then in ("shorten", "go on"):
                files[-1].write_bytes(compacted(files[-1]))
            if then == "go on":
                files.append(Path(folder) / str(len(files) + 1))
                files[-1].write_bytes(encode(entry("m").begin() | {"again": True}))
        found = outputs_of(files, {"m"}).get("m", [])
    assert found == shown([event for event, _ in steps])


def told(changes: Changes) -> list[Line]:
    return list(changes.lines("m"))


def test_what_is_undone_is_not_written() -> None:
    changes = Changes()
    for number in range(100):
        changes.add(OutputChanged(K, X, "clear", wait=True))
        changes.add(append(display(str(number)), "bar"))
        changes.add(OutputChanged(K, X, "update", display("now"), "bar"))
    assert [each.get("kind") for each in told(changes)] == ["clear", "append"]


def test_text_that_goes_to_a_file_leaves_its_beginning(tmp_path: Path) -> None:
    kept = tmp_path / "all.txt"
    kept.write_text("beginning and end")
    output = text("begin") | {
        "metadata": {"carpo": {"truncated": True, "path": str(kept), "bytes": 9}}
    }
    first, second = Changes(whole=True), Changes()
    first.add(append(text("beginning")))
    second.add(append(text(" and")))
    second.move(output)
    file = tmp_path / "file"
    file.write_bytes(b"".join(map(encode, (*told(first), *told(second)))))
    (found,) = outputs_of([file], {"m"})["m"]
    assert found["metadata"]["carpo"] == {"truncated": True, "path": str(kept), "bytes": 17}
    assert found["text"] == "begin"
    file.write_bytes(compacted(file))
    assert outputs_of([file], {"m"})["m"] == [found]
    kept.unlink()
    (found,) = outputs_of([file], {"m"})["m"]
    assert found["metadata"]["carpo"] == {"truncated": True, "path": None, "bytes": 9}
    assert found["text"].startswith("begin\n…")


@given(st.text(), st.text())
def test_an_entry_is_read_as_it_was_written(code: str, execution_id: str) -> None:
    written = entry("m", code, execution_id=execution_id)
    assert entry_of(decode(encode(written.begin()))) == written


def test_half_a_surrogate_pair_comes_back() -> None:
    assert decode(encode(line("state", "m", state="\ud83d")))["state"] == "\ud83d"
