"""R: how much of a document's k-grams its nearest neighbour has too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from textbookgen_diversity.words import Sample


def nearest(sample: Sample, others: Sample, k: int, most: int) -> pl.Series:
    """For each of the first `most` documents of a sample the largest R to one of the first `most` of `others`, not itself.

    R(one, other) is the share of one's different k-grams that the other has too (TinyStories, arXiv 2305.07759, section 4).
    Documents shorter than k words are left out.
    """
    own = _sets(sample, k, most)
    theirs = own if others is sample else _sets(others, k, most)
    shared = own.join(theirs.rename({"document": "other"}), on="gram")
    if others is sample:
        shared = shared.filter(pl.col("document") != pl.col("other"))
    best = shared.group_by("document", "other").len("shared").group_by("document").agg(pl.col("shared").max())
    counted = own.group_by("document").len("all").join(best, on="document", how="left").sort("document")
    return counted.select(r=(pl.col("shared").fill_null(0) / pl.col("all")).cast(pl.Float64))["r"]


def _sets(sample: Sample, k: int, most: int) -> pl.DataFrame:
    grams, documents = sample.grams(k)
    rows = pl.DataFrame({"gram": grams, "document": documents})
    return rows.filter(pl.col("document") < most).unique(maintain_order=True)
