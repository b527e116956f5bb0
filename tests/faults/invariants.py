"""What holds of what a client was told, whatever was killed. Pure functions over notifications."""

from __future__ import annotations

from typing import Any

from lsp_clients import TERMINAL, check_order, whole_text

Notes = list[dict[str, Any]]
"""States and outputs of one execution, as they came."""

Output = dict[str, Any]


def end_of(notes: Notes) -> dict[str, Any] | None:
    """The state that ended an execution, if it was told."""
    return next((note for note in notes if note.get("state") in TERMINAL), None)


def shown(notes: Notes) -> list[Output]:
    """The outputs that a client which follows the notifications shows."""
    outputs: list[tuple[Output, str | None]] = []
    clear_next = False
    for note in notes:
        match note.get("kind"):
            case "clear":
                clear_next = bool(note.get("wait"))
                if not clear_next:
                    outputs.clear()
            case "update":
                new = {key: note["output"][key] for key in ("data", "metadata")}
                outputs = [
                    (output | new if display_id == note["displayId"] else output, display_id)
                    for output, display_id in outputs
                ]
            case "append":
                if clear_next:
                    outputs.clear()
                clear_next = False
                outputs.append((note["output"], note.get("displayId")))
    return joined([output for output, _ in outputs])


def joined(outputs: list[Output]) -> list[Output]:
    """Outputs with adjacent text of a stream in one, read from its file where it is in one."""
    result: list[Output] = []
    for output in outputs:
        if output["output_type"] != "stream":
            result.append(output)
            continue
        text = whole_text(output)
        last = result[-1] if result else {}
        if last.get("name") == output["name"]:
            text = result.pop()["text"] + text
        result.append({"output_type": "stream", "name": output["name"], "text": text})
    return result


def check(notes: Notes, *, ended: bool) -> None:
    """`seq` without a gap, `queued` first, and one end that comes after all outputs."""
    check_order(notes, ended=ended)


def one_begins_the_other(one: list[Output], other: list[Output]) -> bool:
    """Whether two lists of outputs are the same up to where one of them was cut off.

    A display may have been updated in between, and what is cleared is gone: what both are to
    agree on is the text that was printed.
    """
    texts = [
        "".join(output["text"] for output in outputs if output["output_type"] == "stream")
        for outputs in (one, other)
    ]
    return texts[0].startswith(texts[1]) or texts[1].startswith(texts[0])
