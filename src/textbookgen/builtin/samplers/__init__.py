"""Built-in samplers, one module each."""

from __future__ import annotations

from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.sampler import Sampler


@hookimpl
def samplers() -> list[type[Sampler]]:
    """Return the built-in samplers."""
    from textbookgen.builtin.samplers.fresh_openings import FreshOpeningsSampler
    from textbookgen.builtin.samplers.grid import GridSampler
    from textbookgen.builtin.samplers.least_covered import LeastCoveredSampler
    from textbookgen.builtin.samplers.lines import LinesSampler
    from textbookgen.builtin.samplers.passages import PassagesSampler
    from textbookgen.builtin.samplers.product import ProductSampler
    from textbookgen.builtin.samplers.taxonomy import TaxonomySampler
    from textbookgen.builtin.samplers.uncovered import UncoveredSampler
    from textbookgen.builtin.samplers.weighted import WeightedSampler
    from textbookgen.builtin.samplers.words import WordsSampler

    return [
        GridSampler,
        WeightedSampler,
        WordsSampler,
        TaxonomySampler,
        LinesSampler,
        PassagesSampler,
        ProductSampler,
        LeastCoveredSampler,
        UncoveredSampler,
        FreshOpeningsSampler,
    ]
