"""Decontamination: documents that contain benchmark items, and how scores depend on train/test overlap."""

from __future__ import annotations

from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.stage import Stage
from textbookgen_decontamination.stages.filter import Decontaminate
from textbookgen_decontamination.stages.overlap import Overlap


@hookimpl
def stages() -> list[type[Stage]]:
    """The decontamination filter and the overlap evaluation."""
    return [Decontaminate, Overlap]
