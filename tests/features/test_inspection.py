"""From the data of inspect replies to what is shown of them."""

from __future__ import annotations

from carpo_lsp.features.inspection import (
    docstring_of,
    sections,
    signature_of,
    to_markdown,
    to_plain,
)

RED, END = "\x1b[31m", "\x1b[39m"

FUNCTION = {
    "text/plain": (
        f"{RED}Signature:{END}\nfoo(\n    a,\n    b={RED}2{END},\n    **kw,\n) -> str\n"
        f"{RED}Docstring:{END}\nDo **foo**.\n\nType: not a heading\n"
        f"{RED}File:{END}      ~/foo.py\n{RED}Type:{END}      function"
    )
}

VALUE = {
    "text/plain": (
        f"{RED}Type:{END}        dict\n{RED}String form:{END} {{'a': 1}}\n"
        f"{RED}Length:{END}      1\n{RED}Docstring:{END}  dict() -> new empty dictionary"
    )
}

R_VALUE = {
    "text/plain": (
        '# Class attribute:\n[1] "numeric"\n\n# Printed form:\n[1] 41\n\n'
        "# Help document:\nNo documentation for \u2018x\u2019 in specified packages and "
        "libraries:\nyou could try \u2018??x\u2019\n\n"
    )
}

R_UNKNOWN = {"text/plain": R_VALUE["text/plain"].partition("# Help document:\n")[2]}


def test_a_function() -> None:
    parts = sections(FUNCTION)
    assert signature_of(parts) == "foo(a, b=2, **kw) -> str"
    assert docstring_of(parts) == "Do **foo**.\n\nType: not a heading"
    assert to_markdown(FUNCTION, "python") == (
        "```python\nfoo(a, b=2, **kw) -> str\n```\n\n"
        "```text\nDo **foo**.\n\nType: not a heading\n```\n\n"
        "Defined in ~/foo.py"
    )
    assert to_plain(FUNCTION) == (
        "foo(a, b=2, **kw) -> str\n\nDo **foo**.\n\nType: not a heading\n\nDefined in ~/foo.py"
    )


def test_a_value_without_the_docstring_of_its_type() -> None:
    assert to_markdown(VALUE, "python") == "**dict**, length 1\n\n```python\n{'a': 1}\n```"
    assert to_plain(VALUE) == "dict, length 1\n\n{'a': 1}"


def test_headings_without_colours() -> None:
    plain = {"text/plain": "Signature: f(x)\nDocstring: Does.\nType: function"}
    assert to_markdown(plain, "python") == "```python\nf(x)\n```\n\n```text\nDoes.\n```"


def test_r() -> None:
    assert to_markdown(R_VALUE, "r") == "**numeric**\n\n```r\n[1] 41\n```"
    assert to_markdown(R_UNKNOWN, "r") is None
    overstruck = "".join(f"_\x08{letter}" for letter in "Usage")
    page = {"text/plain": f"mean      R Documentation\n\n{overstruck}:\n\n     mean(x)"}
    assert to_plain(page) == "mean      R Documentation\n\nUsage:\n\n     mean(x)"


def test_markdown_is_preferred_and_made_harmless() -> None:
    data = {"text/markdown": "*hi* <script>", "text/plain": "hi"}
    assert to_markdown(data, "julia") == "*hi* &lt;script>"
    assert to_plain(data) == "hi"


def test_html_alone_is_read_as_text() -> None:
    assert to_plain({"text/html": "<b>bold</b> &amp; more"}) == "bold  & more"


def test_nothing() -> None:
    assert to_markdown({}, "python") is None
    assert to_plain({"text/plain": " \n"}) is None
    assert to_plain({"text/plain": ["a", "b"]}) == "ab"


def test_a_fence_holds_what_looks_like_one() -> None:
    shown = to_markdown({"text/plain": "```\ncode\n```"}, "python")
    assert shown is not None
    assert shown.startswith("````text\n")


def test_long_help_is_cut() -> None:
    shown = to_plain({"text/plain": "word " * 100_000})
    assert shown is not None
    assert len(shown) < 50_000
