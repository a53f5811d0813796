"""R: the share of a document's k-grams that its nearest neighbor also contains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from textbookgen_diversity.sample import Sample


def nearest_overlap(sample: Sample, others: Sample, k: int, documents: int) -> pl.Series:
    """Return the largest R of each document to another one, for the first `documents` documents of each sample.

    R(one, other) is the share of one's different k-grams that the other also contains (TinyStories, arXiv 2305.07759,
    section 4). Documents of fewer than k words are left out. If `others` is `sample`, a document is not compared with itself.

    Returns:
        Float64 values from 0 to 1, in the order of the sample.
    """
    own = _kgram_sets(sample, k, documents)
    theirs = own if others is sample else _kgram_sets(others, k, documents)
    shared = own.join(theirs.rename({"document": "other"}), on="kgram")
    if others is sample:
        shared = shared.filter(pl.col("document") != pl.col("other"))
    best = shared.group_by("document", "other").len("shared").group_by("document").agg(pl.col("shared").max())
    sizes = own.group_by("document").len("size").join(best, on="document", how="left").sort("document")
    return sizes.select(r=(pl.col("shared").fill_null(0) / pl.col("size")).cast(pl.Float64))["r"]


def _kgram_sets(sample: Sample, k: int, documents: int) -> pl.DataFrame:
    hashes, document = sample.ngrams(k)
    rows = pl.DataFrame({"kgram": hashes, "document": document})
    return rows.filter(pl.col("document") < documents).unique(maintain_order=True)
