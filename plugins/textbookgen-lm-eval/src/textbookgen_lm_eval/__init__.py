"""Tasks of lm-evaluation-harness on checkpoints of any trainer."""

from __future__ import annotations

from textbookgen import Stage, hookimpl
from textbookgen_lm_eval.tasks import Tasks


@hookimpl
def stages() -> list[type[Stage]]:
    """Return the stage `lm-eval/tasks`."""
    return [Tasks]
