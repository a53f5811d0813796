"""Deduplication: near copies by verified MinHash, over a corpus, while generating, or against an index."""

from __future__ import annotations

from textbookgen import Stage, hookimpl
from textbookgen_dedup.stages.filter_and_dedup import FilterAndDedup
from textbookgen_dedup.stages.minhash import MinHashDedup
from textbookgen_dedup.stages.online import OnlineDedup
from textbookgen_dedup.stages.passages import PassageDedup


@hookimpl
def stages() -> list[type[Stage]]:
    """Return the deduplication stages."""
    return [MinHashDedup, OnlineDedup, PassageDedup, FilterAndDedup]
