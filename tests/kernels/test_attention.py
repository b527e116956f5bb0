"""Whose output waits while somebody waits for an answer."""

from __future__ import annotations

from support import Clock

from carpo_lsp.kernels.attention import ALONE, LATELY, LONGEST, Attention


def test_others_wait_for_a_question_to_one() -> None:
    attention = Attention(Clock())
    a, b = attention.beside("a"), attention.beside("b")
    assert not a.waits
    with attention.on("a"):
        assert b.waits
        assert not a.waits, "its answer is to be read"
        with attention.on("b"):
            assert a.waits
        assert not a.waits
    assert not b.waits


def test_a_slow_answer_holds_nobody_up() -> None:
    clock = Clock()
    attention = Attention(clock)
    b = attention.beside("b")
    with attention.on("a"):
        clock.time += 0.9 * LONGEST
        assert b.waits
        clock.time += 0.2 * LONGEST
        assert not b.waits
        with attention.on("a"):
            assert b.waits, "the next question is one of its own"


def test_after_a_question_all_output_is_read_in_steps_for_a_while() -> None:
    clock = Clock()
    attention = Attention(clock)
    a, b = attention.beside("a"), attention.beside("b")
    assert not a.in_steps
    with attention.on("a"):
        pass
    assert a.in_steps
    assert b.in_steps
    clock.time += 1.1 * LATELY
    assert not a.in_steps


def test_where_there_are_no_questions() -> None:
    assert not ALONE.waits
    assert not ALONE.in_steps
