"""A network of a few lines: how often one id follows another; `python bigrams.py TEXT ...` serves it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from textbookgen.training.generation import BatchGenerator
from textbookgen.training.model_server import answer, serve
from textbookgen.training.prompt_codec import PromptCodec


class Rows:
    """Rows of which only the newest id matters."""

    def __init__(self, table: np.ndarray, newest: np.ndarray) -> None:
        self._table, self._newest = table, newest

    def choose(self, draws: Sequence[float], temperature: float) -> list[int]:
        rows = self._table[self._newest]
        if not draws:
            return rows.argmax(-1).tolist()
        sums = (rows ** (1 / temperature)).cumsum(-1)
        return [int(np.searchsorted(each, draw * each[-1], side="right")) for each, draw in zip(sums, draws, strict=True)]

    def go_on(self, tokens: Sequence[int], keep: Sequence[int]) -> None:
        assert len(tokens) == len(keep) <= len(self._newest)
        self._newest = np.array(tokens)


class Bigrams:
    """`table` has the probability of each id after each."""

    def __init__(self, rows: Sequence[Sequence[int]], window: int) -> None:
        self.window = window
        self.table = np.full((257, 257), 1e-3)
        for row in rows:
            np.add.at(self.table, (row[:-1], row[1:]), 1)
        self.table /= self.table.sum(-1, keepdims=True)

    def read(self, heads: Sequence[list[int]], rows: Sequence[int], room: int) -> Rows:
        assert all(0 < len(head) <= self.window - 1 for head in heads)
        return Rows(self.table, np.array([heads[row][-1] for row in rows]))

    def logprobs(self, pieces: Sequence[tuple[list[int], int]]) -> list[tuple[list[float], bool]]:
        found = []
        for ids, count in pieces:
            before, after = ids[-count - 1 : -1], ids[-count:]
            likeliest = self.table[before].argmax(-1) == after
            found.append((np.log(self.table[before, after]).tolist(), bool(likeliest.all())))
        return found


if __name__ == "__main__":
    network = Bigrams([[256, *text.encode(), 256] for text in sys.argv[1:]], window=16)
    talk = PromptCodec.at(Path(), {"tokenizer": {"file": None}, "eod": 256})
    serve(lambda: partial(answer, BatchGenerator(network, talk)))
