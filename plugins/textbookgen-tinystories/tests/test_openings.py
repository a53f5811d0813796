"""Openings: of stories that begin alike, only a share is kept."""

from __future__ import annotations

import polars as pl
from textbookgen_tinystories.openings import Openings


def test_the_first_stories_of_each_opening_are_kept_up_to_its_share():
    texts = [f"Once upon a time there was cat {n}." for n in range(60)] + [f"Cat number {n} was happy." for n in range(40)]
    docs = pl.DataFrame({"id": [str(n) for n in range(100)], "text": texts})
    filter = Openings(inputs="stories", max_share=0.07)
    verdicts = filter.decide(filter.sketch(docs).lazy(), docs.lazy())
    assert verdicts.height == 100
    assert verdicts.filter("keep")["id"].to_list() == [str(n) for n in (*range(7), *range(60, 100))]
    assert set(verdicts.filter(~pl.col("keep"))["reason"]) == {"frequent opening"}
    assert "once upon a time" in verdicts.filter(~pl.col("keep"))["detail"][0]
    assert filter.model_copy(update={"max_share": 0.001}).decide(filter.sketch(docs).lazy(), docs.lazy())["keep"].sum() == 41
