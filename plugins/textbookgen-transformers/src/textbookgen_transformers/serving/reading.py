"""A model of transformers as a `Writer` asks it: heads read once, padded in front, and rows that go on with their cache."""

# transformers' types are partial
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel


class CachedReading:
    """Rows read so far, with the model's cache; `_logits` is what comes next in each, `[rows, vocabulary]`."""

    def __init__(self, model: PreTrainedModel, heads: Sequence[list[int]], rows: Sequence[int]) -> None:
        self._model = model
        longest = max(map(len, heads))
        filled = [[0] * (longest - len(head)) + [1] * len(head) for head in heads]
        self._seen = torch.tensor(filled, device=model.device)
        self._cache: Any = DynamicCache(config=model.config)
        self._logits = self._read(torch.tensor([[0] * (longest - len(head)) + head for head in heads], device=model.device))
        if list(rows) != list(range(len(heads))):
            self._keep(rows)

    @torch.inference_mode()
    def choose(self, draws: Sequence[float], temperature: float) -> list[int]:
        """The likeliest token of each row; or the one where the row's draw falls among the summed probabilities."""
        if not draws:
            return [int(token) for token in self._logits.argmax(-1).tolist()]
        sums = (self._logits.double() / temperature).softmax(-1).cumsum(-1)
        falls = torch.tensor(draws, dtype=torch.float64, device=sums.device)[:, None] * sums[:, -1:]
        places = torch.searchsorted(sums, falls, right=True).clamp_max(sums.size(-1) - 1)
        return [int(token) for token in places[:, 0].tolist()]

    @torch.inference_mode()
    def go_on(self, tokens: Sequence[int], keep: Sequence[int]) -> None:
        """Reads a further token in each row that is kept."""
        if len(keep) < self._seen.size(0):
            self._keep(keep)
        self._seen = torch.nn.functional.pad(self._seen, (0, 1), value=1)
        self._logits = self._read(torch.tensor(tokens, device=self._seen.device)[:, None])

    def _keep(self, rows: Sequence[int]) -> None:
        which = torch.tensor(rows, device=self._seen.device)
        self._cache.batch_select_indices(which)
        self._seen, self._logits = self._seen[which], self._logits[which]

    def _read(self, tokens: Tensor) -> Tensor:
        """The logits after the newest tokens, `[rows, length]`, all of which are read."""
        told = self._model(
            input_ids=tokens,
            attention_mask=self._seen,
            position_ids=(self._seen.cumsum(-1) - 1).clamp_min(0)[:, -tokens.size(1) :],
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = told.logits[:, -1]
        return logits


class CachedModel:
    """A model that reads heads and goes on from them, and scores; on a GPU if there is one."""

    def __init__(self, model: PreTrainedModel) -> None:
        placed: Any = model
        self._model: PreTrainedModel = placed.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    @property
    def window(self) -> int:
        """Tokens that a row has at most."""
        return int(self._model.config.max_position_embeddings)

    @torch.inference_mode()
    def read(self, heads: Sequence[list[int]], rows: Sequence[int], room: int) -> CachedReading:
        """Reads each head once; the cache grows by itself, whatever `room` there is to be."""
        return CachedReading(self._model, heads, rows)

    @torch.inference_mode()
    def logprobs(self, pieces: Sequence[tuple[list[int], int]]) -> list[tuple[list[float], bool]]:
        """Of each row the log probabilities of its last ids, in float64, and whether each is the likeliest."""
        longest = max(len(ids) for ids, _ in pieces)
        tokens = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in pieces], device=self._model.device)
        logits = self._model(input_ids=tokens, use_cache=False).logits  # padded behind, where nothing looks
        scored = []
        for row, (ids, count) in enumerate(pieces):
            logprobs = logits[row, len(ids) - count - 1 : len(ids) - 1].double().log_softmax(-1)
            wanted = tokens[row, len(ids) - count : len(ids), None]
            mine = logprobs.gather(-1, wanted)[:, 0].tolist()
            scored.append((mine, bool((logprobs.argmax(-1, keepdim=True) == wanted).all())))
        return scored
