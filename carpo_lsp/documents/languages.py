"""Languages by name: what an editor or a fence calls them, what a kernel calls them, comments."""

from __future__ import annotations

import posixpath

# Editors' language ids and fence words, where the kernel's name for the language is another.
_KERNEL_NAMES = {
    "c++": ("cpp", "cxx", "cc", "cling"),
    "c#": ("csharp", "cs"),
    "f#": ("fsharp", "fs"),
    "q#": ("qsharp",),
    "bash": ("sh", "shell", "shellscript", "shell-script", "zsh"),
    "clojure": ("clj",),
    "common-lisp": ("commonlisp", "lisp"),
    "fortran": ("fortran-modern", "fortran_fixed-form", "f90", "f95"),
    "haskell": ("hs",),
    "javascript": ("js", "node", "javascriptreact", "jsx"),
    "julia": ("jl",),
    "kotlin": ("kt",),
    "matlab": ("m",),
    "perl": ("pl",),
    "powershell": ("pwsh", "ps1"),
    "python": ("py", "python3", "ipython", "ipython3"),
    "ruby": ("rb",),
    "rust": ("rs",),
    "typescript": ("ts", "typescriptreact", "tsx"),
    "vim": ("viml", "vimscript"),
}
_ALIASES = {alias: name for name, aliases in _KERNEL_NAMES.items() for alias in aliases}

_SUFFIXES = {
    ".py": "python",
    ".r": "r",
    ".jl": "julia",
    ".js": "javascript",
    ".mjs": "javascript",
    ".ts": "typescript",
    ".sh": "bash",
    ".bash": "bash",
    ".rb": "ruby",
    ".rs": "rust",
    ".go": "go",
    ".lua": "lua",
    ".hs": "haskell",
    ".cpp": "c++",
    ".c": "c",
    ".java": "java",
    ".kt": "kotlin",
    ".scala": "scala",
    ".sql": "sql",
    ".m": "matlab",
    ".md": "markdown",
    ".markdown": "markdown",
    ".qmd": "quarto",
    ".rmd": "rmarkdown",
    ".rmarkdown": "rmarkdown",
}

_COMMENTS: dict[tuple[str, ...], str] = {
    ("#",): (
        "awk bash coffeescript crystal elixir fish gnuplot julia make nim perl powershell python r "
        "raku ruby sage tcl toml yaml"
    ),
    ("//",): (
        "c c# c++ d dart f# go groovy java javascript kotlin q# rust scala stata swift typescript "
        "zig"
    ),
    ("//", "#"): "php",
    ("--",): "ada elm haskell idris lean lua purescript sql",
    ("%",): "erlang latex matlab prolog tex",
    ("%", "#"): "octave",
    (";;;", ";;", ";"): "clojure common-lisp emacs-lisp hy racket scheme",
    ("!",): "fortran",
    ('"',): "vim",
    ("'",): "vb",
    ("NB.",): "j",
}
_MARKERS = {name: markers for markers, names in _COMMENTS.items() for name in names.split()}
# A language nobody told us about: what most languages use.
_COMMON_MARKERS = ("#", "//", "--", ";;", ";")


def kernel_language(name: str) -> str:
    """The lower-case name kernels use for what an editor or a fence calls `name`."""
    name = name.strip().lower()
    return _ALIASES.get(name, name)


def suffix_of(uri: str) -> str:
    """The lower-case file suffix of a URI or path, with its dot; "" if there is none."""
    return posixpath.splitext(uri.partition("#")[0].partition("?")[0])[1].lower()


def document_language(language_id: str, uri: str) -> str:
    """The kernel language of a document: of its language id, else of its suffix."""
    if language_id.lower() in ("", "plaintext", "text"):
        return _SUFFIXES.get(suffix_of(uri), "plaintext")
    # Vim joins file types with dots: "python.django".
    return kernel_language(language_id.partition(".")[0])


def is_known(language: str) -> bool:
    """Whether this is the kernel language of something that runs, as far as we know."""
    return language in _MARKERS


def comment_markers(language: str) -> tuple[str, ...]:
    """What starts a line comment in `language` (a kernel language), the longest marker first."""
    return _MARKERS.get(language, _COMMON_MARKERS)
