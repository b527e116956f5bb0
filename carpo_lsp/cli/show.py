"""What a terminal can show of outputs: their text, and files for their images."""

from __future__ import annotations

import base64
import binascii
import json
import re
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from carpo_lsp.cli.screen import Screen
    from carpo_lsp.kernels.events import Output, OutputChanged

STDOUT: Final = 1
STDERR: Final = 2

# The best first: of several forms of one picture only one is saved.
IMAGES: Final = {
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "application/pdf": ".pdf",
}
_TEXTS: Final = ("text/plain", "text/markdown", "text/latex")
# CSI sequences (colours, cursor), OSC sequences (links, titles) and the short ones.
_ANSI: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])"
)
# What IPython gives as the text of something it has in better forms only.
_PLACEHOLDER: Final = re.compile(r"<IPython\.core\.display\.\w+ object>")
ERASE_LINE: Final = "\x1b[2K\r"


def without_ansi(text: str) -> str:
    """`text` without escape sequences."""
    return _ANSI.sub("", text)


def text_of(data: dict[str, Any]) -> str | None:
    """The best text a MIME bundle has; None when it has none."""
    for mime in _TEXTS:
        text = data.get(mime)
        if isinstance(text, str) and not _PLACEHOLDER.fullmatch(text):
            return text
    if isinstance(data.get("text/html"), str):
        return text_of_html(data["text/html"])
    if "application/json" in data:
        return json.dumps(data["application/json"], indent=2, ensure_ascii=False)
    others = data.keys() - set(_TEXTS)
    texts = (data[mime] for mime in sorted(others) if mime.startswith("text/"))
    return next((text for text in texts if isinstance(text, str)), None)


def image_of(data: dict[str, Any]) -> tuple[bytes, str] | None:
    """The content and the file suffix of the best image in a MIME bundle."""
    for mime, suffix in IMAGES.items():
        value = data.get(mime)
        if isinstance(value, str):
            if mime == "image/svg+xml":
                return value.encode(), suffix
            try:
                return base64.b64decode(value), suffix
            except binascii.Error:
                continue
    return None


def text_of_error(error: dict[str, Any]) -> str:
    """The traceback of an error as its kernel has it, else one line that says what it is."""
    parts = (error.get("ename"), error.get("evalue"))
    return "\n".join(error.get("traceback") or ()) or ": ".join(part for part in parts if part)


def text_of_html(html: str) -> str:
    """The words of an HTML text, a line for each block and table row."""
    reader = _HtmlText()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).split("\n"))
    return "\n".join(line for line in lines if line)


class _HtmlText(HTMLParser):
    _HIDDEN = frozenset({"script", "style", "head"})
    _INLINE = frozenset("a abbr b code em i kbd mark q s small span strong sub sup td th u".split())

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in self._HIDDEN
        self._separate(tag)

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in self._HIDDEN
        self._separate(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data.replace("\n", " "))

    def _separate(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.parts.append(" ")
        elif tag not in self._INLINE:
            self.parts.append("\n")


class Display:
    """Shows the outputs of one document on a screen, as they arrive.

    Images go to `folder`, or to a new temporary one that is kept; `stem` is the document's name.
    Without `images` none are saved.
    """

    def __init__(
        self, screen: Screen, folder: Path | None, stem: str, *, images: bool = True
    ) -> None:
        self._screen = screen
        self._folder = folder
        self._images = images
        self._stem = stem
        self._cell = ""
        self._count = 0
        # What each display id shows now: its text, and the file of its image.
        self._texts: dict[str, str] = {}
        self._files: dict[str, Path] = {}

    def begin_cell(self, name: str) -> None:
        """Images are named after this cell from now on."""
        self._cell = name
        self._count = 0

    def show(self, event: OutputChanged) -> None:
        """Queue what `event` shows; an update is shown if it changes the text. Raises `OSError`."""
        if event.kind == "clear":
            # What has been printed stays; a progress bar on one line gets its line back.
            self._screen.erase_line()
        elif event.output is not None:
            self._show(event.output, event.display_id)

    def _show(self, output: Output, display_id: str | None) -> None:
        if output["output_type"] == "stream":
            fd = STDERR if output["name"] == "stderr" else STDOUT
            self._screen.write(fd, output["text"])
        elif output["output_type"] == "error":
            self._screen.write_coloured(STDERR, text_of_error(output) + "\n")
        else:
            self._show_data(output["data"], display_id)

    def _show_data(self, data: dict[str, Any], display_id: str | None) -> None:
        image = image_of(data)
        if image and self._images:
            self._save(*image, display_id)
            return
        if text := text_of(data):
            if display_id is None or self._texts.get(display_id) != text:
                self._screen.write_coloured(STDOUT, text if text.endswith("\n") else text + "\n")
            if display_id is not None:
                self._texts[display_id] = text
        if image:
            self._screen.note(f"an image of {len(image[0])} bytes is not saved; see --images")

    def _save(self, content: bytes, suffix: str, display_id: str | None) -> None:
        path = self._files.get(display_id or "")
        if path is None or path.suffix != suffix:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="carpo-run-")) / f"{self._stem}_files"
            self._folder.mkdir(parents=True, exist_ok=True)
            self._count += 1
            path = self._folder / f"{self._cell}-{self._count}{suffix}"
            self._screen.note(f"image saved: {path}")
            if display_id is not None:
                self._files[display_id] = path
        path.write_bytes(content)
