from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import files_up_to, names

from carpo_lsp.kernels.transcript import chunk_files
from carpo_lsp.kernels.transcript import shelf as module
from carpo_lsp.kernels.transcript.shelf import Outputs, Shelf
from carpo_lsp.kernels.transcript.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BIG = module.CHUNK + 1
"""Characters of an output that fills a chunk."""


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path)
    yield spool
    spool.close()


@pytest.fixture
def a_file_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chunk is in a file of its own."""
    monkeypatch.setattr(chunk_files, "FILE", 0)


def paths(folder: Path) -> list[Path]:
    return [*folder.glob("*/*.outputs")]


def text(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def image(mark: str, size: int = BIG) -> dict[str, Any]:
    data = {"image/png": mark * size}
    return {"output_type": "display_data", "data": data, "metadata": {"mark": mark}}


def marks(outputs: Outputs) -> str:
    return "".join(output["metadata"]["mark"] for output in outputs)


def test_what_fits_stays_in_memory(spool: Spool, tmp_path: Path) -> None:
    shelf = Shelf(spool, budget=4 * BIG)
    outputs = Outputs(shelf)
    for mark in "abc":
        outputs.append(image(mark))
    assert names(tmp_path) == []
    assert 3 * BIG < shelf.held < 4 * BIG


@pytest.mark.usefixtures("a_file_each")
def test_the_oldest_are_moved_to_disk_and_read_when_asked_for(spool: Spool, tmp_path: Path) -> None:
    shelf = Shelf(spool, budget=3 * BIG)
    first, second = Outputs(shelf), Outputs(shelf)
    first.append(image("a"))
    for mark in "bcdef":
        second.append(image(mark))
        assert shelf.held <= 3 * BIG
    assert len(paths(tmp_path)) == 4
    assert (len(first), len(second), bool(first)) == (1, 5, True)
    assert (marks(first), marks(second)) == ("a", "bcdef")
    assert second[0] == image("b")
    assert "".join(output["metadata"]["mark"] for output in reversed(second)) == "fedcb"
    assert shelf.held <= 3 * BIG, "reading moves nothing back"


def test_the_last_outputs_are_had_without_reading_the_others(spool: Spool, tmp_path: Path) -> None:
    outputs = Outputs(Shelf(spool, budget=3 * BIG))
    for mark in "abcd":
        outputs.append(image(mark))
    for path in paths(tmp_path):
        path.unlink()
    assert outputs[-2:] == (image("c"), image("d"))
    assert next(reversed(outputs)) == image("d")


def test_many_small_outputs_take_few_files(spool: Spool, tmp_path: Path) -> None:
    shelf = Shelf(spool, budget=BIG)
    outputs = Outputs(shelf)
    for number in range(60_000):
        outputs.append(text(f"{number}\n", ("stdout", "stderr")[number % 2]))
    assert shelf.held <= BIG
    assert len(paths(tmp_path)) == 1
    assert len(outputs) == 60_000
    assert [int(output["text"]) for output in outputs] == list(range(60_000))


def test_text_that_grows_is_joined_whatever_happens_around_it(spool: Spool) -> None:
    shelf = Shelf(spool, budget=0)
    growing, other = Outputs(shelf), Outputs(shelf)
    growing.append(text("a"))
    other.append(image("x"))
    growing.append(text("b"))
    assert shelf.held == 0
    assert tuple(growing) == tuple(reversed(growing)) == (text("ab"),)
    growing.end_text()
    growing.append(text("c"))
    assert tuple(growing) == (text("ab"), text("c"))


@pytest.mark.usefixtures("a_file_each")
def test_a_display_on_disk_is_updated(spool: Spool, tmp_path: Path) -> None:
    outputs = Outputs(Shelf(spool, budget=2 * BIG))
    for mark in "abc":
        outputs.append(image(mark), display_id=mark)
    assert len(paths(tmp_path)) == 2
    outputs.update(image("A"), "a")
    outputs.update(image("Z"), "z")
    assert tuple(outputs) == (image("A"), image("b"), image("c"))
    assert len(paths(tmp_path)) == 2, "it takes the memory of another, and leaves no file"


@pytest.mark.usefixtures("a_file_each")
def test_files_go_with_what_is_cleared_and_with_the_last_who_holds_it(
    spool: Spool, tmp_path: Path
) -> None:
    shelf = Shelf(spool, budget=2 * BIG)
    one, other = Outputs(shelf), Outputs(shelf)
    for mark in "abc":
        one.append(image(mark))
        other.append(image(mark))
    assert len(paths(tmp_path)) == 5
    one.clear()
    assert (len(one), tuple(one), bool(one)) == (0, (), False)
    assert len(paths(tmp_path)) == 2
    del other
    assert paths(tmp_path) == []
    assert shelf.held == 0


def test_the_chunks_of_an_execution_share_files(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk_files, "FILE", 3 * BIG)
    shelf = Shelf(spool, budget=0)
    one, other = Outputs(shelf), Outputs(shelf)
    for mark in "abcdefg":
        one.append(image(mark), display_id=mark)
        other.append(image(mark))
    assert len(paths(tmp_path)) == 2 * 3
    assert marks(one) == marks(other) == "abcdefg"
    del other
    assert len(paths(tmp_path)) == 3
    for mark in "abc":
        one.update(image(mark.upper()), mark)
    assert len(paths(tmp_path)) == 3, "the first has gone, and there is another at the end"
    assert marks(one) == "ABCdefg"
    one.clear()
    assert paths(tmp_path) == []


def test_there_is_another_file_for_one_that_somebody_has_removed(
    spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outputs = Outputs(Shelf(spool, budget=0))
    outputs.append(image("a"))
    (path,) = paths(tmp_path)
    path.unlink()
    outputs.append(image("b"))
    outputs.append(image("c"))
    assert len(paths(tmp_path)) == 1
    assert "has gone" in caplog.text
    assert outputs[0]["text"] == module.LOST
    assert outputs[1:] == (image("b"), image("c"))
    outputs.clear()
    assert paths(tmp_path) == []


def test_a_file_that_somebody_has_shortened(
    spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outputs = Outputs(Shelf(spool, budget=0))
    outputs.append(image("a"))
    outputs.append(image("b"))
    (path,) = paths(tmp_path)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert outputs[0] == image("a")
    assert outputs[1]["text"] == module.LOST
    outputs.append(image("c"))
    assert outputs[2] == image("c")


def test_a_disk_that_takes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    outputs = Outputs(Shelf(Spool(tmp_path / "file" / "spool"), budget=BIG))
    for mark in "abc":
        outputs.append(image(mark))
    assert marks(outputs) == "abc"
    assert "stay in memory" in caplog.text


def test_a_disk_that_is_full(
    spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outputs = Outputs(Shelf(spool, budget=0))
    with files_up_to(3 * BIG // 2):
        outputs.append(image("a", 2 * BIG))
        assert paths(tmp_path) == []
        for mark in "bc":
            outputs.append(image(mark))
    assert "stay in memory" in caplog.text
    (path,) = paths(tmp_path)
    size = path.stat().st_size
    assert BIG < size < 3 * BIG // 2, "one picture, and nothing of the next"
    outputs.append(image("d"))
    assert paths(tmp_path) == [path]
    assert path.stat().st_size == 2 * size
    assert marks(outputs) == "abcd"


def test_a_file_that_somebody_has_removed(
    spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outputs = Outputs(Shelf(spool, budget=BIG))
    outputs.append(image("a"))
    paths(tmp_path)[0].unlink()
    assert [output["text"] for output in outputs] == [module.LOST]
    assert "cannot be read back" in caplog.text
    outputs.clear()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("text"), st.sampled_from(["stdout", "stderr"]), st.text(max_size=3)),
        st.tuples(st.just("display"), st.sampled_from("xyz"), st.text(max_size=3)),
        st.tuples(st.just("update"), st.sampled_from("xyz"), st.text(max_size=3)),
        st.tuples(st.just("clear"), st.just(""), st.just("")),
    ),
    max_size=30,
)


@given(steps=STEPS, budget=st.sampled_from([0, 700, 10**6]), file=st.sampled_from([0, 2000, 10**6]))
def test_where_outputs_are_makes_no_difference(
    steps: list[tuple[str, str, str]],
    budget: int,
    file: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """They are what a plain list would be, however little memory there is."""
    spool = Spool(tmp_path_factory.mktemp("spool"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", 500)
        patch.setattr(chunk_files, "FILE", file)
        outputs = Outputs(Shelf(spool, budget))
        expected: list[dict[str, Any]] = []
        for kind, name, value in steps:
            if kind == "text":
                outputs.append(text(value, name))
                if expected and expected[-1].get("name") == name:
                    expected[-1]["text"] += value
                else:
                    expected.append(text(value, name))
            elif kind == "clear":
                outputs.clear()
                expected.clear()
            else:
                shown = {"output_type": "display_data", "data": {"v": value}, "metadata": {}}
                if kind == "display":
                    outputs.append(shown, name)
                    expected.append({**shown, "id": name})
                else:
                    outputs.update(shown, name)
                    for each in expected:
                        if each.get("id") == name:
                            each["data"] = {"v": value}
    plain = [{key: each[key] for key in each if key != "id"} for each in expected]
    assert list(outputs) == plain
    assert [outputs[index] for index in range(len(outputs))] == plain
    for part in (slice(1, 3), slice(-2, None), slice(None, None, -1), slice(0, -1, 2)):
        assert list(outputs[part]) == plain[part]
    assert json.dumps(list(reversed(outputs))) == json.dumps(plain[::-1])
    spool.close()
