from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import mode, names

from carpo_lsp.kernels.transcript.spool import HEAD, Spool, SpooledText

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool")
    yield spool
    spool.close()


def stream(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def display(**data: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": {"kept": True}}


def pointer_of(output: dict[str, Any]) -> tuple[Path, int]:
    carpo = output["metadata"]["carpo"]
    assert carpo["truncated"] is True
    return Path(carpo["path"]), carpo["bytes"]


def test_what_is_small_stays_as_it_is(spool: Spool, tmp_path: Path) -> None:
    for output in (stream("a" * 10), display(x="a"), {"output_type": "error", "traceback": []}):
        assert spool.shrink(output, 50) is output
    assert not (tmp_path / "spool").exists()


def test_a_big_stream(spool: Spool, tmp_path: Path) -> None:
    text = "é😀\n" * 30_000
    output = spool.shrink(stream(text), 1000)
    path, size = pointer_of(output)
    assert path.read_bytes().decode() == text
    assert size == path.stat().st_size == len(text.encode())
    assert output["text"] == text[:HEAD]
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert path.is_relative_to(tmp_path / "spool")


def test_a_big_display(spool: Spool) -> None:
    big = display(**{"text/plain": "p" * 2 * HEAD, "image/png": "x" * 1000, "a/json": [1.5, {}]})
    output = spool.shrink(big, 1000)
    path, size = pointer_of(output)
    assert json.loads(path.read_text()) == big
    assert size == path.stat().st_size
    assert output["data"] == {"text/plain": "p" * HEAD}
    assert output["metadata"]["kept"] is True
    assert "carpo" not in big["metadata"]
    image = spool.shrink(display(**{"image/png": "x" * 1000}), 999)
    assert image["data"] == {}


def test_a_big_error(spool: Spool) -> None:
    error = {"output_type": "error", "ename": "E", "evalue": "v" * 2 * HEAD}
    error["traceback"] = ["line"] * 1000  # type: ignore[assignment]  # as errors are
    output = spool.shrink(error, 1000)
    path, _ = pointer_of(output)
    assert json.loads(path.read_text()) == error
    assert len(output["evalue"]) == HEAD
    assert len(output["traceback"]) == 100


def test_text_that_grows(spool: Spool) -> None:
    text = SpooledText(spool, "stderr", 10)
    for part in ("12345", "67890"):
        text.append(part)
    assert not text.spilled
    assert text.output() == {"output_type": "stream", "name": "stderr", "text": "1234567890"}
    text.append("\ud800é")
    assert text.spilled
    path, size = pointer_of(text.output())
    assert path.read_text() == "1234567890?é", "complete at any time"
    assert size == path.stat().st_size
    text.append("end")
    text.close()
    assert path.read_text() == "1234567890?éend"
    assert text.output()["text"] == "1234567890\ud800é"
    assert text.size == 15


def test_a_disk_that_takes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    spool = Spool(blocked / "spool")
    output = spool.shrink(stream("x" * 100), 10)
    assert output["metadata"]["carpo"] == {"truncated": True, "path": None, "bytes": 100}
    assert output["text"] == "x" * 100
    output = spool.shrink(display(x="x" * 100), 10)
    assert output["metadata"]["carpo"]["path"] is None
    text = SpooledText(spool, "stdout", 10)
    for _ in range(5):
        text.append("x" * 20)
    assert text.output()["metadata"]["carpo"] == {"truncated": True, "path": None, "bytes": 100}
    text.close()
    spool.close()
    assert len(caplog.records) == 3, "said once for each output"


def test_close_removes_everything(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    first, _ = pointer_of(spool.shrink(stream("x" * 100), 10))
    second, _ = pointer_of(spool.shrink(stream("x" * 100), 10))
    assert first.parent == second.parent
    spool.close()
    spool.close()
    assert names(tmp_path) == []
