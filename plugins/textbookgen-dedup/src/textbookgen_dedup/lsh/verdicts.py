"""Verdicts from duplicates."""

from __future__ import annotations

import polars as pl

from textbookgen_dedup.lsh.verification import NONE, Duplicates


def duplicate_verdicts(ids: pl.Series, duplicates: Duplicates, indexed_ids: pl.Series | None = None) -> pl.DataFrame:
    """Return one verdict per document, in the order of the corpus.

    Args:
        ids: (n,) ids of the documents.
        duplicates: (n,) their originals.
        indexed_ids: (m,) ids of documents in an index. If given, originals below m are documents of the index, and the
            documents of the corpus are numbered from m.

    Returns:
        `id`, `keep`, `reason`, `score` (the Jaccard index with the original), `detail`, and `dedup.cluster`: the id of the
        kept document, for it and all its copies.
    """
    import numpy as np

    pool = ids if indexed_ids is None else pl.concat([indexed_ids, ids])
    own = np.arange(len(pool) - len(ids), len(pool))
    dropped = duplicates.original != NONE
    has_copies = np.zeros(len(pool), np.bool_)
    has_copies[duplicates.original[dropped]] = True
    columns = {
        "id": ids,
        "dropped": dropped,
        "exact": duplicates.exact,
        "original": pool.gather(np.where(dropped, duplicates.original, own).astype(np.uint32)),
        "in_cluster": dropped | has_copies[own],
        "jaccard": duplicates.jaccard,
    }
    return pl.DataFrame(columns).select(
        "id",
        keep=~pl.col("dropped"),
        reason=pl.when("exact").then(pl.lit("exact copy")).when("dropped").then(pl.lit("near copy")),
        score=pl.when("dropped").then("jaccard"),
        detail=pl.when("dropped").then(pl.format("Jaccard {} with {}", pl.col("jaccard").round(4), "original")),
        **{"dedup.cluster": pl.when("in_cluster").then("original")},
    )
