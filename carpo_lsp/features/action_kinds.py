"""The kinds of our code actions, which clients filter them by and bind keys to."""

from __future__ import annotations

from typing import Final

ANSWER: Final = "carpo.input.answer"
RUN_CELL: Final = "carpo.run.cell"
# Not below `carpo.run.cell`: a key bound to that kind is to find one action.
RUN_AND_ADVANCE: Final = "carpo.run.cellAndAdvance"
RUN_STATEMENT: Final = "carpo.run.statement"
RUN_SELECTION: Final = "carpo.run.selection"
RUN_ABOVE: Final = "carpo.run.above"
RUN_BELOW: Final = "carpo.run.below"
RUN_ALL: Final = "carpo.run.all"
INTERRUPT: Final = "carpo.kernel.interrupt"
RESTART: Final = "carpo.kernel.restart"
SELECT: Final = "carpo.kernel.select"
SHOW: Final = "carpo.output.show"
CLEAR: Final = "carpo.output.clear"

KINDS: Final = (
    RUN_CELL,
    RUN_AND_ADVANCE,
    RUN_STATEMENT,
    RUN_SELECTION,
    RUN_ABOVE,
    RUN_BELOW,
    RUN_ALL,
    INTERRUPT,
    RESTART,
    SELECT,
    ANSWER,
    SHOW,
    CLEAR,
)
