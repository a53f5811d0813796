"""Near-duplicates and contamination: what a corpus has twice, and what it has of the benchmarks it is scored by."""

from __future__ import annotations

from textbookgen.hookspecs import hookimpl
from textbookgen.stage import Stage
from textbookgen_minhash.decontaminate import Decontaminate
from textbookgen_minhash.dedup import Dedup
from textbookgen_minhash.novel import Novel
from textbookgen_minhash.passages import Passages
from textbookgen_minhash.sieve import Sieve
from textbookgen_minhash.similar import Similar


@hookimpl
def stages() -> list[type[Stage]]:
    """The sieves of this plugin, and the split of a benchmark."""
    return [Dedup, Novel, Passages, Decontaminate, Sieve, Similar]
