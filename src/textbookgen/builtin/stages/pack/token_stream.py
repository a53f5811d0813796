"""Plain documents as arrays of token ids, without a Python object per token between tokenizer and token files."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from textbookgen.api.tokenizer import RaggedTokenizer, Tokenizer


@dataclass(frozen=True)
class EncodedStream:
    """Concatenated documents.

    Attributes:
        tokens: int32 ids `[tokens]`, with an eod after each document.
        lengths: tokens of each document `[documents]`, eod included.
        bytes: bytes of text.
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.integer[Any]]
    bytes: int

    def __len__(self) -> int:
        return len(self.lengths)


def encode_stream(texts: pl.Series, tokenizer: Tokenizer) -> EncodedStream:
    """Encode texts and end each with the tokenizer's eod."""
    ids, lengths = _encode_ragged(texts.to_list(), tokenizer)
    ends = np.cumsum(lengths + 1) - 1
    tokens = np.empty(len(ids) + len(lengths), np.int32)
    inside = np.ones(len(tokens), bool)
    inside[ends] = False
    tokens[inside], tokens[ends] = ids, tokenizer.eod
    return EncodedStream(tokens, lengths + 1, int(texts.str.len_bytes().sum()))


def _encode_ragged(texts: list[str], tokenizer: Tokenizer) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]:
    """Return the concatenated ids, and the length of each text in ids."""
    if isinstance(tokenizer, RaggedTokenizer):
        return tokenizer.encode_ragged(texts)
    encoded = tokenizer.encode_batch(texts)
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    return np.fromiter(chain.from_iterable(encoded), np.int64, int(lengths.sum())), lengths
