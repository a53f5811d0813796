"""Decontamination: documents that contain benchmark items, and how scores depend on train/test overlap."""

from __future__ import annotations

from textbookgen import Stage, hookimpl
from textbookgen_decontamination.stages.filter import DecontaminationFilter
from textbookgen_decontamination.stages.overlap import TrainTestOverlap


@hookimpl
def stages() -> list[type[Stage]]:
    """Return the decontamination filter and the train/test overlap evaluation."""
    return [DecontaminationFilter, TrainTestOverlap]
