"""Quality: what a teacher thinks of a sample, what a forest learns from it, and what simple counts can tell."""

from __future__ import annotations

from textbookgen import Stage, hookimpl
from textbookgen_quality.annotate import Annotate
from textbookgen_quality.compression import Compression
from textbookgen_quality.forest import Forest
from textbookgen_quality.heuristics import Heuristics
from textbookgen_quality.language import Language
from textbookgen_quality.parses import Parses
from textbookgen_quality.redact import Redact
from textbookgen_quality.secrets import Secrets


@hookimpl
def stages() -> list[type[Stage]]:
    """The annotator, the sieves, and what makes personal data unreadable."""
    return [Annotate, Forest, Heuristics, Compression, Language, Parses, Secrets, Redact]
