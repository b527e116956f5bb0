"""What ipykernel has to be told so that no output is lost and none comes in too big a piece."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from carpo_lsp.errors import KernelTimeout

if TYPE_CHECKING:
    from carpo_lsp.kernels.evaluation import Evaluations

log = logging.getLogger(__name__)

PIECE: Final = 256 * 1024
"""Characters of stream text in one message."""

PREPARE: Final = f"""\
import sys

def in_pieces(stream):
    def send_all_but_the_last(message):
        content = message["content"]
        text = content["text"]
        if len(text) <= {PIECE}:  # as nearly all; it is done for each print
            return message
        last = (len(text) - 1) // {PIECE} * {PIECE}

        def send():
            for start in range(0, last, {PIECE}):
                piece = dict(content, text=text[start : start + {PIECE}])
                parent = message["parent_header"]
                part = stream.session.msg("stream", piece, parent=parent)
                stream.session.send(thread.socket, part, ident=stream.topic)

        # In the order of all that is sent, as one event: of these only so many can wait.
        thread.schedule(send)
        return dict(message, content=dict(content, text=text[last:]))

    return send_all_but_the_last

def prepare():
    thread.socket.sndhwm = 0
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "register_hook"):
            stream.register_hook(in_pieces(stream))

thread.schedule(prepare)
"""
"""Python code. Sockets and hooks belong to the thread that sends, so that thread does it."""

EXPRESSION: Final = f"exec({PREPARE!r}, {{'thread': get_ipython().kernel.iopub_thread}})"

DEADLINE: Final = 5.0
"""Seconds for it. A kernel that has just answered is at rest."""


async def prepare_output(evaluations: Evaluations, info: dict[str, Any]) -> bool:
    """Have ipykernel queue all the output that its peers have yet to take; whether it does.

    ZeroMQ's default is 1,000 messages, and an iopub socket drops the others without a word: that
    many come together while this process is stopped, or starved on a busy machine, for a moment.
    As the queue is the kernel's, this process need not take more than it can work on. Long text
    is sent in pieces: a message of a gigabyte would have to be held as a whole, several times.

    `info` is the content of the kernel_info_reply; other kernels are left as they are.
    """
    if info.get("implementation") != "ipython":
        return False
    try:
        answer = await evaluations.ask("", {"prepared": EXPRESSION}, DEADLINE)
    except KernelTimeout as error:
        log.warning("Output of the kernel may get lost: %s", error.message)
        return False
    prepared = answer.user_expressions.get("prepared", {})
    if prepared.get("status") != "ok":
        log.warning("Output of the kernel may get lost: %s", prepared.get("evalue"))
        return False
    return True
