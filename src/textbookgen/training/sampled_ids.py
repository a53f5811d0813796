"""Pairs that keep the token ids they were sampled with, so that packing need not tokenize them again.

Re-tokenizing text does not always give the ids a model sampled; preferences about single tokens need the ids themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

#: Columns of Pairs with token ids, and the digest of their tokenizer.
IDS = pl.List(pl.Int32())
PROMPT, CHOSEN, REJECTED = "megatron.prompt_ids", "megatron.chosen_ids", "megatron.rejected_ids"
TOKENIZER = "megatron.tokenizer"
COLUMNS: dict[str, pl.DataType] = {PROMPT: IDS, CHOSEN: IDS, REJECTED: IDS, TOKENIZER: pl.String()}


@dataclass(frozen=True)
class EncodedDocument:
    """A document as token ids.

    Attributes:
        id: id of the document.
        tokens: its ids, eod included.
        loss_mask: 1 for each token that the loss covers, else 0.
        bytes: bytes of its text.
        loss_bytes: bytes of the text that the loss covers.
    """

    id: str
    tokens: list[int]
    loss_mask: list[int]
    bytes: int
    loss_bytes: int


def group_by_ids(rows: pl.DataFrame, digest: str) -> Iterator[tuple[bool, pl.DataFrame]]:
    """Yield the rows in order, in runs: whether the run has ids of the tokenizer with this digest, and its rows."""
    if not COLUMNS.keys() <= set(rows.columns):
        yield False, rows
        return
    complete = pl.all_horizontal(pl.col(PROMPT, CHOSEN, REJECTED).is_not_null())
    usable = rows.select(complete & (pl.col(TOKENIZER) == digest).fill_null(False)).to_series()
    for run in rows.with_columns(usable=usable, run=usable.rle_id()).partition_by("run", maintain_order=True):
        yield bool(run["usable"][0]), run.drop("usable", "run")


def encoded_pairs(rows: pl.DataFrame) -> Iterator[EncodedDocument]:
    """Yield the chosen and the rejected reply of each pair by their ids; no eod is added, since replies may be unfinished."""
    for row in rows.iter_rows(named=True):
        prompt_bytes = sum(len((turn["content"] or "").encode()) for turn in row["prompt"] or [])
        for column, reply in ((CHOSEN, row["chosen"]), (REJECTED, row["rejected"])):
            reply_bytes = sum(len((turn["content"] or "").encode()) for turn in reply or [])
            loss_mask = [0] * len(row[PROMPT]) + [1] * len(row[column])
            yield EncodedDocument(row["id"], [*row[PROMPT], *row[column]], loss_mask, prompt_bytes + reply_bytes, reply_bytes)
