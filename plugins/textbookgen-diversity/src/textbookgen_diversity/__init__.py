"""Diversity of a corpus, measured: repeated words, openings and documents, and coverage of the grid it was drawn from."""

from __future__ import annotations

from textbookgen import Stage, hookimpl
from textbookgen_diversity.measure import DiversityEvaluator


@hookimpl
def stages() -> list[type[Stage]]:
    """Return the diversity evaluation."""
    return [DiversityEvaluator]
