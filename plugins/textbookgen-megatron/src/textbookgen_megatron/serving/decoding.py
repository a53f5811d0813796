"""A TorchModel as `BatchGenerator` uses it: prompts are read once, then decoded with a key/value cache."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from textbookgen.training.generation import distinct_inputs
from textbookgen.training.sampling import choose_tokens, score_targets
from textbookgen_megatron.torch_model import KVCache, TorchModel


class CachedDecodeState:
    """Rows that are being decoded: their cache, and the logits of the next token, float32 `[rows, vocabulary]`."""

    def __init__(self, model: TorchModel, cache: KVCache, logits: Tensor) -> None:
        self._model, self._cache, self._logits = model, cache, logits

    @torch.inference_mode()
    def choose(self, uniforms: Sequence[float], temperature: float) -> list[int]:
        """Sample the next token of each row by inverse transform sampling.

        Args:
            uniforms: A random number in [0, 1) for each row; empty for greedy decoding.
            temperature: Sampling temperature; unused for greedy decoding.
        """
        return choose_tokens(self._logits, uniforms, temperature)

    @torch.inference_mode()
    def step(self, tokens: Sequence[int], keep: Sequence[int]) -> None:
        """Append a token to each row that is kept; drop the other rows.

        Args:
            tokens: One token per kept row.
            keep: Indices of the kept rows, in increasing order.
        """
        if len(keep) < self._logits.size(0):
            self._cache = self._cache.rows(torch.tensor(keep, device=self._model.device))
        newest = torch.tensor(tokens, device=self._model.device)[:, None]
        hidden, self._cache = self._model.hidden(newest, self._cache)
        self._logits = self._model.logits(hidden[:, -1])


class CachedModel:
    """A model that starts decoding from prompts, and scores token ids."""

    def __init__(self, model: TorchModel) -> None:
        self._model = model

    @property
    def context_length(self) -> int:
        """Maximum number of tokens in a row."""
        return self._model.shape.sequence_length

    @torch.inference_mode()
    def prefill(self, prompts: Sequence[list[int]], rows: Sequence[int], max_new_tokens: int) -> CachedDecodeState:
        """Read each prompt once, and start decoding rows from them.

        Args:
            prompts: The prefixes as token ids, none empty.
            rows: For each row the index of its prefix; several rows may share one.
            max_new_tokens: Maximum number of tokens to decode.
        """
        hidden, cache = self._model.hidden(self._pad(prompts))
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=self._model.device)
        logits = self._model.logits(hidden[torch.arange(len(prompts), device=self._model.device), lengths - 1])
        index = torch.tensor(rows, device=self._model.device)
        cache = KVCache(cache.keys, cache.values, lengths).rows(index).extended(max_new_tokens)
        return CachedDecodeState(self._model, cache, logits[index])

    @torch.inference_mode()
    def logprobs(self, windows: Sequence[tuple[list[int], int]]) -> list[tuple[list[float], bool]]:
        """Score the last tokens of rows.

        Args:
            windows: Token ids, of which the last is not read, and how many of the last to score.

        Returns:
            For each row the natural-log probabilities of these tokens, computed in float64, and whether greedy decoding
            would have chosen each of them.
        """
        inputs, rows = distinct_inputs(windows)
        hidden, _ = self._model.hidden(self._pad(inputs))
        scored = []
        for row, (ids, count) in zip(rows, windows, strict=True):
            logits = self._model.logits(hidden[row, len(ids) - count - 1 : len(ids) - 1])
            scored.append(score_targets(logits, torch.tensor(ids[-count:], device=self._model.device)))
        return scored

    def _pad(self, rows: Sequence[list[int]]) -> Tensor:
        """Return rows as int64 `[rows, longest]`, padded on the right, which causal attention ignores."""
        longest = max(map(len, rows))
        return torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=self._model.device)
