"""Plain documents as arrays of token ids, from the tokenizer to the token files without a Python object a token."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import polars as pl

from textbookgen.api.tokenizer import RaggedTokenizer, Tokenizer

if TYPE_CHECKING:
    import numpy as np

    Ids = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Stream:
    """Documents one after the other: `tokens`, each document's eod included, and how many tokens and bytes each has."""

    tokens: Ids
    lengths: Ids
    bytes: int

    def __len__(self) -> int:
        return len(self.lengths)


def encoded_stream(texts: pl.Series, tokenizer: Tokenizer) -> Stream:
    """The texts as the tokenizer has them, each ended by its eod."""
    import numpy as np

    ids, lengths = _ragged(texts.to_list(), tokenizer)
    ends = np.cumsum(lengths + 1) - 1
    tokens = np.empty(len(ids) + len(lengths), np.int32)
    inside = np.ones(len(tokens), bool)
    inside[ends] = False
    tokens[inside], tokens[ends] = ids, tokenizer.eod
    return Stream(tokens, lengths + 1, int(texts.str.len_bytes().sum()))


def _ragged(texts: list[str], tokenizer: Tokenizer) -> tuple[Ids, Ids]:
    import numpy as np

    if isinstance(tokenizer, RaggedTokenizer):
        return tokenizer.encode_ragged(texts)
    item = tokenizer.encode_batch(texts)
    lengths = np.fromiter(map(len, item), np.int64, len(item))
    return np.fromiter(chain.from_iterable(item), np.int64, int(lengths.sum())), lengths
