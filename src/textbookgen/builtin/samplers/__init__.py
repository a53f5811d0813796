"""Built-in samplers: grids, weights, words, taxonomies, lines, products, passages, and steering by coverage."""

from __future__ import annotations

from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.sampler import Sampler


@hookimpl
def samplers() -> list[type[Sampler]]:
    """The built-in samplers."""
    from textbookgen.builtin.samplers.basic import BUILT_IN

    return list(BUILT_IN)
