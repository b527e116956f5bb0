"""A look at code before the cursor, which `|` marks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carpo_lsp.features.scan import Call, call_at, expression_before, name_at, scan


def split(code: str) -> tuple[str, int]:
    cursor = code.index("|")
    return code[:cursor] + code[cursor + 1 :], cursor


@pytest.mark.parametrize(
    ("code", "name", "argument", "keyword"),
    [
        ("foo(|", "foo", 0, None),
        ("foo (1, |", "foo", 1, None),
        ("a.b.foo(x, y, |)", "a.b.foo", 2, None),
        ("foo(bar(1, 2), |", "foo", 1, None),
        ("foo(bar(1, |", "bar", 1, None),
        ("foo([1, 2, |", "foo", 0, None),
        ("foo({'a': (1, |", "foo", 0, None),
        ("foo('a, b(', |", "foo", 1, None),
        ("foo(  # one, two(\n 1, |", "foo", 1, None),
        ('foo("""\n(, """, |', "foo", 1, None),
        ("foo(1, key=|", "foo", 1, "key"),
        ("foo(1, key = bar, |", "foo", 2, None),
        ("foo(a == |", "foo", 0, None),
        ("print(f'{x}', |", "print", 1, None),
        ("x = 'never closed\nfoo(|", "foo", 0, None),
    ],
)
def test_python_calls(code: str, name: str, argument: int, keyword: str | None) -> None:
    assert call_at(*split(code), "python") == Call(name, argument, keyword)


@pytest.mark.parametrize(
    "code",
    ["foo|", "foo(1)|", "(1, |", "def foo(|", "class Foo(|", "if (|", "x[0](|", "a().b(|", ""],
)
def test_no_call(code: str) -> None:
    assert call_at(*split(code or "|"), "python") is None


@pytest.mark.parametrize(
    ("code", "name", "argument", "keyword"),
    [
        ("stats::lm(y ~ x, data = |", "stats::lm", 1, "data"),
        ("x$f(1, |", "x$f", 1, None),
        ("read.csv('a\n(', na.strings=|", "read.csv", 1, "na.strings"),
        ("f(`a(b`, |", "f", 1, None),
    ],
)
def test_r_calls(code: str, name: str, argument: int, keyword: str | None) -> None:
    assert call_at(*split(code), "r") == Call(name, argument, keyword)


@pytest.mark.parametrize(
    ("code", "language", "name"),
    [
        ("os.pa|th.join", "python", "os.path"),
        ("os.path.jo|in", "python", "os.path.join"),
        ("|os.path", "python", "os"),
        ("x = y|", "python", "y"),
        ("été|", "python", "été"),
        ("df$co|l", "r", "df$col"),
        ("stats::l|m", "r", "stats::lm"),
        ("read.c|sv(", "r", "read.csv"),
    ],
)
def test_names(code: str, language: str, name: str) -> None:
    found = name_at(*split(code), language)
    assert found is not None
    assert found[0] == name


@pytest.mark.parametrize(
    "code",
    ["'in a st|ring'", "# in a com|ment", "x[0].att|r", "f().att|r", "1 + | 2", "4|2", "a\n|"],
)
def test_no_name(code: str) -> None:
    assert name_at(*split(code), "python") is None


@given(st.text("ab.,()[]{}'\"#\n\\ =", max_size=60), st.integers(0, 60))
def test_any_text_can_be_scanned(code: str, cursor: int) -> None:
    cursor = min(cursor, len(code))
    for language in ("python", "r", "javascript"):
        found = scan(code, cursor, language)
        assert all(code[bracket.start] in "([{" for bracket in found.brackets)
        call_at(code, cursor, language)
        name_at(code, cursor, language)


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        ("os.pa|th", "os.pa"),
        ("x\n  %time|it", "%time"),
        ("a %b|", "b"),
        ("f().x|", ""),
        ("f(val|", "val"),
    ],
)
def test_what_a_kernel_is_asked(code: str, asked: str) -> None:
    text, cursor = split(code)
    assert expression_before(text, cursor, "python") == asked
    assert expression_before(text, cursor, "julia") == text[:cursor]
