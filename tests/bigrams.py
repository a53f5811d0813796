"""A network of a few lines that predicts each id from the one before; `python bigrams.py TEXT ...` serves it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from textbookgen.training.generation import BatchGenerator
from textbookgen.training.model_server import handle_request, serve
from textbookgen.training.prompt_codec import PromptCodec


class BigramState:
    """Rows of which only the newest id matters."""

    def __init__(self, table: np.ndarray, newest: np.ndarray) -> None:
        self._table, self._newest = table, newest

    def choose(self, uniforms: Sequence[float], temperature: float) -> list[int]:
        rows = self._table[self._newest]
        if not uniforms:
            return rows.argmax(-1).tolist()
        sums = (rows ** (1 / temperature)).cumsum(-1)
        pairs = zip(sums, uniforms, strict=True)
        return [int(np.searchsorted(row, uniform * row[-1], side="right")) for row, uniform in pairs]

    def step(self, tokens: Sequence[int], keep: Sequence[int]) -> None:
        assert len(tokens) == len(keep) <= len(self._newest)
        self._newest = np.array(tokens)


class Bigrams:
    """`table` has the probability of each id after each other id."""

    def __init__(self, rows: Sequence[Sequence[int]], context_length: int) -> None:
        self.context_length = context_length
        self.table = np.full((257, 257), 1e-3)
        for row in rows:
            np.add.at(self.table, (row[:-1], row[1:]), 1)
        self.table /= self.table.sum(-1, keepdims=True)

    def prefill(self, prompts: Sequence[list[int]], rows: Sequence[int], max_new_tokens: int) -> BigramState:
        assert all(0 < len(prompt) <= self.context_length - 1 for prompt in prompts)
        return BigramState(self.table, np.array([prompts[row][-1] for row in rows]))

    def logprobs(self, windows: Sequence[tuple[list[int], int]]) -> list[tuple[list[float], bool]]:
        scores = []
        for ids, count in windows:
            before, after = ids[-count - 1 : -1], ids[-count:]
            greedy = self.table[before].argmax(-1) == after
            scores.append((np.log(self.table[before, after]).tolist(), bool(greedy.all())))
        return scores


if __name__ == "__main__":
    network = Bigrams([[256, *text.encode(), 256] for text in sys.argv[1:]], context_length=16)
    serve(lambda: partial(handle_request, BatchGenerator(network, PromptCodec.load(Path(), None, 256))))
