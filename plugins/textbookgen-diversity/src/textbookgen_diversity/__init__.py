"""Diversity, measured: what a corpus says twice, how it begins, and what of the grid it was drawn from it covers."""

from __future__ import annotations

from textbookgen import Stage, hookimpl
from textbookgen_diversity.measure import Measure


@hookimpl
def stages() -> list[type[Stage]]:
    """The measurement."""
    return [Measure]
