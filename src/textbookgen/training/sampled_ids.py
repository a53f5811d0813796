"""Pairs that kept the token ids they were sampled with: packed as they are, and never tokenised again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

#: Columns of Pairs with token ids, and the digest of the tokenizer they belong to.
IDS = pl.List(pl.Int32())
PROMPT, CHOSEN, REJECTED = "megatron.prompt_ids", "megatron.chosen_ids", "megatron.rejected_ids"
TOKENIZER = "megatron.tokenizer"
COLUMNS: dict[str, pl.DataType] = {PROMPT: IDS, CHOSEN: IDS, REJECTED: IDS, TOKENIZER: pl.String()}


@dataclass(frozen=True)
class Encoded:
    """A document as token ids, eod included; `learned` has 1 for each that is learned, else 0."""

    id: str
    tokens: list[int]
    learned: list[int]
    bytes: int
    learned_bytes: int


def by_ids(rows: pl.DataFrame, digest: str) -> Iterator[tuple[bool, pl.DataFrame]]:
    """The rows in order, in stretches: those with ids of this tokenizer, and the others."""
    if not COLUMNS.keys() <= set(rows.columns):
        yield False, rows
        return
    whole = pl.all_horizontal(pl.col(PROMPT, CHOSEN, REJECTED).is_not_null())
    ours = rows.select(whole & (pl.col(TOKENIZER) == digest).fill_null(False)).to_series()
    for stretch in rows.with_columns(ours=ours, run=ours.rle_id()).partition_by("run", maintain_order=True):
        yield bool(stretch["ours"][0]), stretch.drop("ours", "run")


def sampled_pairs(rows: pl.DataFrame) -> Iterator[Encoded]:
    """Chosen and rejected of each pair by their ids; nothing is put behind them, for they may go on."""
    for row in rows.iter_rows(named=True):
        before = sum(len((turn["content"] or "").encode()) for turn in row["prompt"] or [])
        for which, reply in ((CHOSEN, row["chosen"]), (REJECTED, row["rejected"])):
            said = sum(len((turn["content"] or "").encode()) for turn in reply or [])
            tokens, learned = [*row[PROMPT], *row[which]], [0] * len(row[PROMPT]) + [1] * len(row[which])
            yield Encoded(row["id"], tokens, learned, before + said, said)
