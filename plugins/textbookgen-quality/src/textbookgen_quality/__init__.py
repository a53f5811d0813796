"""Quality: what a teacher thinks of a sample, what a forest learns from it, and what simple counts can tell."""

from __future__ import annotations

from textbookgen.hookspecs import hookimpl
from textbookgen.stage import Stage
from textbookgen_quality.annotate import Annotate
from textbookgen_quality.forest import Forest
from textbookgen_quality.heuristics import Heuristics
from textbookgen_quality.parses import Parses


@hookimpl
def stages() -> list[type[Stage]]:
    """The annotator and the sieves of this plugin."""
    return [Annotate, Forest, Heuristics, Parses]
