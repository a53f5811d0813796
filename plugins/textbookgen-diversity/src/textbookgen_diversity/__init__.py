"""Diversity, measured: what a corpus says twice, how it begins, and what of the grid it was drawn from it covers."""

from __future__ import annotations

from textbookgen import hookimpl
from textbookgen.api.stage import Stage
from textbookgen_diversity.measure import Measure


@hookimpl
def stages() -> list[type[Stage]]:
    """The measurement."""
    return [Measure]
