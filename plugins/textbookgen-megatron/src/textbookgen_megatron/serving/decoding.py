"""A network's forward pass as a `Writer` asks it: heads read once, padded behind, and rows that go on with their cache."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from textbookgen_megatron.torch_model import Cache, Network


class CachedDecodeState:
    """Rows read so far, with the cache; `logits` is what comes next in each, `[rows, vocabulary]`."""

    def __init__(self, network: Network, cache: Cache, logits: Tensor) -> None:
        self._network, self._cache, self._logits = network, cache, logits

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
        if len(keep) < self._logits.size(0):
            self._cache = self._cache.rows(torch.tensor(keep, device=self._network.device))
        newest = torch.tensor(tokens, device=self._network.device)[:, None]
        hidden, self._cache = self._network.hidden(newest, self._cache)
        self._logits = self._network.logits(hidden[:, -1])


class CachedNetwork:
    """A network that reads heads and goes on from them, and scores."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @property
    def window(self) -> int:
        """Tokens that a row has at most."""
        return self._network.shape.sequence_length

    @torch.inference_mode()
    def read(self, heads: Sequence[list[int]], rows: Sequence[int], room: int) -> CachedDecodeState:
        """Reads each head once; rows of it have caches of their own, with `room` places behind."""
        hidden, cache = self._network.hidden(self._padded(heads))
        lengths = torch.tensor([len(head) for head in heads], device=self._network.device)
        logits = self._network.logits(hidden[torch.arange(len(heads), device=self._network.device), lengths - 1])
        which = torch.tensor(rows, device=self._network.device)
        cache = Cache(cache.keys, cache.values, lengths).rows(which).roomier(room)
        return CachedDecodeState(self._network, cache, logits[which])

    @torch.inference_mode()
    def logprobs(self, pieces: Sequence[tuple[list[int], int]]) -> list[tuple[list[float], bool]]:
        """Of each row the log probabilities of its last ids, in float64, and whether each is the likeliest."""
        tokens = self._padded([ids for ids, _ in pieces])
        hidden, _ = self._network.hidden(tokens)
        scored = []
        for row, (ids, count) in enumerate(pieces):
            logprobs = self._network.logits(hidden[row, len(ids) - count - 1 : len(ids) - 1]).double().log_softmax(-1)
            wanted = tokens[row, len(ids) - count : len(ids), None]
            mine = logprobs.gather(-1, wanted)[:, 0].tolist()
            scored.append((mine, bool((logprobs.argmax(-1, keepdim=True) == wanted).all())))
        return scored

    def _padded(self, rows: Sequence[list[int]]) -> Tensor:
        """Rows as one tensor, filled behind, where nothing looks."""
        longest = max(map(len, rows))
        return torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=self._network.device)
