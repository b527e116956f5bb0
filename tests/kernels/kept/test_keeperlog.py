"""The log of a keeper and its records: whole, in order, and bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import mode

from carpo_lsp.kernels.kept.keeperlog import Log
from carpo_lsp.kernels.kept.records import Kind, Reader, pack

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = st.lists(
    st.tuples(
        st.sampled_from(Kind), st.lists(st.binary(max_size=50), max_size=4), st.integers(0, 9)
    )
)


@given(records=RECORDS, size=st.integers(1, 100))
def test_records_come_out_as_they_went_in_however_they_are_cut(
    records: list[tuple[Kind, list[bytes], int]], size: int
) -> None:
    data = b"".join(pack(*record) for record in records)
    reader = Reader()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    found = [record for piece in pieces for record in reader.feed(piece)]
    assert [(each.kind, each.frames, each.client) for each in found] == records
    assert sum(each.size for each in found) == len(data)


def record(number: int) -> bytes:
    return pack(Kind.IOPUB, [b"%04d" % number])


SIZE = len(record(0))


def numbers(log: Log, position: int = 0) -> list[int]:
    data = b""
    while part := log.read(max(position, log.start) + len(data), 7):
        data += part
    return [int(each.frames[0]) for each in Reader().feed(data)]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(str(tmp_path), limit=4 * SIZE)


def test_what_is_needed_stays(log: Log) -> None:
    for number in range(4):
        log.append(record(number))
        log.forget(0, log.end)
    assert numbers(log) == [0, 1, 2, 3]
    assert numbers(log, 2 * SIZE) == [2, 3]
    log.forget(log.end, log.end)
    assert (log.start, numbers(log)) == (log.end, [])
    log.append(record(4))
    assert numbers(log) == [4]


def test_it_stays_below_twice_the_limit_and_keeps_the_newest(log: Log, tmp_path: Path) -> None:
    for number in range(100):
        log.append(record(number))
        log.forget(0, log.end)
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 10 * SIZE
    assert numbers(log) == list(range(log.start // SIZE, 100))
    assert 4 <= len(numbers(log)) <= 10


def test_what_somebody_is_still_to_read_is_not_dropped(log: Log) -> None:
    for number in range(30):
        log.append(record(number))
        log.forget(0, 2 * SIZE)
    assert numbers(log)[-29:] == list(range(1, 30))


def test_a_log_that_was_left_is_read_on_without_what_was_cut_off(log: Log, tmp_path: Path) -> None:
    for number in range(7):
        log.append(record(number))
        log.forget(0, log.end)
    with (tmp_path / "log").open("ab") as file:
        file.write(record(7)[:-1])
    again = Log(str(tmp_path), limit=4 * SIZE)
    assert numbers(again) == list(range(7))
    again.append(record(8))
    assert numbers(again) == [*range(7), 8]


def test_it_is_for_its_user_alone(log: Log, tmp_path: Path) -> None:
    assert {mode(file) for file in tmp_path.iterdir()} == {0o600}
