"""A bigram model as a `Network`: the smallest model that can be served; `python bigrams.py TEXT ...` trains and serves one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from textbookgen.training.generation import BatchGenerator
from textbookgen.training.model_server import handle_request, serve
from textbookgen.training.prompt_codec import PromptCodec


class BigramState:
    """The last id of each row, int64 of shape (rows,), which is all that a bigram model needs."""

    def __init__(self, probabilities: npt.NDArray[np.float64], last: npt.NDArray[np.int64]) -> None:
        self._probabilities, self._last = probabilities, last

    def choose(self, uniforms: Sequence[float], temperature: float) -> list[int]:
        rows = self._probabilities[self._last]
        if not uniforms:
            return rows.argmax(-1).tolist()
        cumulative = (rows ** (1 / temperature)).cumsum(-1)
        return [
            int(np.searchsorted(row, uniform * row[-1], side="right"))
            for row, uniform in zip(cumulative, uniforms, strict=True)
        ]

    def step(self, tokens: Sequence[int], keep: Sequence[int]) -> None:
        assert len(tokens) == len(keep) <= len(self._last)
        self._last = np.array(tokens)


class Bigrams:
    """A bigram model of bytes and the end-of-document id 256; `probabilities[a, b]` is that of `b` after `a`."""

    def __init__(self, rows: Sequence[Sequence[int]], context_length: int) -> None:
        self.context_length = context_length
        self.probabilities = np.full((257, 257), 1e-3)
        for row in rows:
            np.add.at(self.probabilities, (row[:-1], row[1:]), 1)
        self.probabilities /= self.probabilities.sum(-1, keepdims=True)

    def prefill(self, prompts: Sequence[list[int]], rows: Sequence[int], max_new_tokens: int) -> BigramState:
        assert all(0 < len(prompt) <= self.context_length - 1 for prompt in prompts)
        return BigramState(self.probabilities, np.array([prompts[row][-1] for row in rows]))

    def logprobs(self, windows: Sequence[tuple[list[int], int]]) -> list[tuple[list[float], bool]]:
        scores = []
        for ids, count in windows:
            before, after = ids[-count - 1 : -1], ids[-count:]
            greedy = self.probabilities[before].argmax(-1) == after
            scores.append((np.log(self.probabilities[before, after]).tolist(), bool(greedy.all())))
        return scores


if __name__ == "__main__":
    network = Bigrams([[256, *text.encode(), 256] for text in sys.argv[1:]], context_length=16)
    codec = PromptCodec.load(Path(), file=None, eod=256)
    serve(lambda: partial(handle_request, BatchGenerator(network, codec)))
