"""Decontamination: documents that contain benchmark items, and how scores depend on train/test overlap."""

from __future__ import annotations

from textbookgen import Stage, hookimpl
from textbookgen_decontamination.stages.filter import Decontaminate
from textbookgen_decontamination.stages.overlap import Overlap


@hookimpl
def stages() -> list[type[Stage]]:
    """The decontamination filter and the overlap evaluation."""
    return [Decontaminate, Overlap]
