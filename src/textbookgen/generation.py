"""Completes and scores texts with a trained model, many at once.

A text is read as a document from its start, that is after an eod, as in training. Rows of a batch never see each other's
padding, and each draws from random numbers of its own, so a completion does not depend on what else is asked.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from textbookgen.serving import Wish, batches, cut, ends_with, pieces
from textbookgen_megatron.serving.forward import Cache, Network

#: Tokens held by one batch, prompts and completions together.
TOKENS_AT_ONCE = 65_536


@dataclass
class Row:
    """One completion being written; `end` is the token it ended with, and `ended` whether it did so before it had to."""

    prompt: int
    sample: int
    draws: random.Random
    most: int
    ids: list[int] = field(default_factory=list)
    end: int | None = None
    ended: bool = False

    @property
    def whole(self) -> list[int]:
        """Its ids with the one that ended it."""
        return self.ids if self.end is None else [*self.ids, self.end]


class Writer:
    """A network with the tokenizer's two functions and its eod, and what else ends a completion (the end of an answer)."""

    def __init__(
        self,
        network: Network,
        encode: Callable[[list[str]], list[list[int]]],
        decode: Callable[[list[int]], str],
        eod: int,
        ends: Collection[int] = (),
        stop: tuple[str, ...] = (),
    ) -> None:
        self._network, self._encode, self._decode, self._eod = network, encode, decode, eod
        self._window = network.shape.sequence_length
        self._ends, self._stop = {eod, *ends}, stop

    @torch.inference_mode()
    def complete(self, prompts: Sequence[str], wish: Wish) -> list[list[str]]:
        """For each prompt its completions, each cut before the first stop text and ended by an eod.

        A prompt that leaves no room in the window loses its beginning, but never more than half the window is given up.
        """
        seeds = [f"{wish.seed}/{n}" for n in range(len(prompts))]
        rows = self._rows(self._encode(list(prompts)), wish, seeds, [wish.max_tokens] * len(prompts))
        return [[cut(self._decode(row.ids), (*wish.stop, *self._stop)) for row in each] for each in rows]

    @torch.inference_mode()
    def extend(
        self, prefixes: Sequence[list[int]], wish: Wish, seeds: Sequence[int], rooms: Sequence[int]
    ) -> list[list[tuple[list[int], str, bool]]]:
        """For each row of ids its continuations of at most `rooms` tokens, drawn with a seed of its own.

        Of each its ids with the token that ended it, if one did, its text up to there and before the first stop text, and
        whether it ended before it had to.
        """
        rows = self._rows(prefixes, wish, [str(seed) for seed in seeds], rooms)
        stop = (*wish.stop, *self._stop)
        return [[(row.whole, cut(self._decode(row.ids), stop), row.ended) for row in each] for each in rows]

    def _rows(self, prefixes: Sequence[list[int]], wish: Wish, seeds: Sequence[str], rooms: Sequence[int]) -> list[list[Row]]:
        """For each row of ids its completions; `seeds` tell their draws apart."""
        heads = [
            [self._eod, *ids][-(self._window - min(room, self._window // 2)) :]
            for ids, room in zip(prefixes, rooms, strict=True)
        ]
        rows = [
            [Row(at, sample, random.Random(f"{seed}/{sample}"), room) for sample in range(wish.samples)]
            for at, (seed, room) in enumerate(zip(seeds, rooms, strict=True))
        ]
        sizes = [len(head) + room if room else 0 for head, room in zip(heads, rooms, strict=True)]
        for batch in batches(sizes, TOKENS_AT_ONCE, wish.samples):
            asked = [at for at in batch if rooms[at]]
            for some in self._few_samples(len(asked) * max(sizes[at] for at in batch), wish.samples):
                self._write(heads, asked, [row for at in asked for row in rows[at][some]], wish)
        return rows

    def _few_samples(self, size: int, samples: int) -> Iterator[slice]:
        """Samples that fit into one batch, of which one takes `size`; where many are wanted, prompts are read again."""
        most = max(1, TOKENS_AT_ONCE // max(size, 1))
        for first in range(0, samples if size else 0, most):
            yield slice(first, first + most)

    def _write(self, heads: list[list[int]], prompts: list[int], rows: list[Row], wish: Wish) -> None:
        """Writes completions of some prompts in step; rows that are done leave the batch."""
        logits, cache = self._read([heads[i] for i in prompts])
        place_of = {prompt: place for place, prompt in enumerate(prompts)}
        which = torch.tensor([place_of[row.prompt] for row in rows], device=self._network.device)
        most = max(min(row.most, self._window - len(heads[row.prompt])) for row in rows)
        logits, cache = logits[which], cache.rows(which).roomier(most)
        live = list(rows)
        for place in range(most):
            chosen = _chosen(logits, [row.draws.random() for row in live] if wish.temperature else None, wish.temperature)
            goes_on = [
                index
                for index, (row, token) in enumerate(zip(live, chosen, strict=True))
                if self._take(row, token, heads, wish)
            ]
            if not goes_on or place + 1 == most:
                break
            if len(goes_on) < len(live):
                cache = cache.rows(torch.tensor(goes_on, device=self._network.device))
                live = [live[index] for index in goes_on]
            newest = torch.tensor([[row.ids[-1]] for row in live], device=self._network.device)
            hidden, cache = self._network.hidden(newest, cache)
            logits = self._network.logits(hidden[:, -1])

    def _read(self, heads: list[list[int]]) -> tuple[Tensor, Cache]:
        """The logits after each prompt, and the cache; prompts are padded behind, where nothing looks."""
        lengths = torch.tensor([len(head) for head in heads], device=self._network.device)
        longest = int(lengths.max())
        tokens = torch.tensor([head + [self._eod] * (longest - len(head)) for head in heads], device=self._network.device)
        hidden, cache = self._network.hidden(tokens)
        last = hidden[torch.arange(len(heads), device=self._network.device), lengths - 1]
        return self._network.logits(last), Cache(cache.keys, cache.values, lengths)

    def _take(self, row: Row, token: int, heads: list[list[int]], wish: Wish) -> bool:
        """Adds a token to a completion; False if that ends it."""
        if token in self._ends:
            row.end, row.ended = token, True
            return False
        row.ids.append(token)
        row.ended = ends_with(row.ids, (*wish.stop, *self._stop), self._decode)
        full = len(row.ids) >= row.most or len(heads[row.prompt]) + len(row.ids) >= self._window
        return not (row.ended or full)

    @torch.inference_mode()
    def logprobs(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[list[float]]:
        """The log probability of each id of the second row of a pair, after the first and those before it."""
        read = [
            (pair, *piece)
            for pair, (before, after) in enumerate(pairs)
            for piece in pieces([self._eod, *before], after, self._window)
        ]
        found: list[list[float]] = [[] for _ in pairs]
        each = dict(self._all_scored([piece[1:] for piece in read]))
        for index, (pair, _, _) in enumerate(read):
            found[pair] += each[index][0]
        return found

    @torch.inference_mode()
    def score(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, int, bool]]:
        """For each pair the log probability of the second text after the first, how many tokens that is, and whether greedy
        decoding would have written it. What is longer than the window is scored in pieces that see half a window back."""
        contexts = self._encode([before for before, _ in pairs])
        texts = self._encode([after for _, after in pairs])
        read = [
            (pair, *piece)
            for pair, (before, after) in enumerate(zip(contexts, texts, strict=True))
            for piece in pieces([self._eod, *before], after, self._window)
        ]
        sums = [0.0] * len(pairs)
        greedy = [True] * len(pairs)
        for index, (logprobs, likeliest) in self._all_scored([piece[1:] for piece in read]):
            sums[read[index][0]] += math.fsum(logprobs)
            greedy[read[index][0]] &= likeliest
        return [(total, len(text), each) for total, text, each in zip(sums, texts, greedy, strict=True)]

    def _all_scored(self, read: list[tuple[list[int], int]]) -> Iterator[tuple[int, tuple[list[float], bool]]]:
        """Each piece by its index, in batches of like size."""
        for batch in batches([len(ids) for ids, _ in read], TOKENS_AT_ONCE):
            yield from zip(batch, self._scored([read[index] for index in batch]), strict=True)

    def _scored(self, read: list[tuple[list[int], int]]) -> list[tuple[list[float], bool]]:
        longest = max(len(ids) for ids, _ in read)
        tokens = torch.tensor([ids + [self._eod] * (longest - len(ids)) for ids, _ in read], device=self._network.device)
        hidden, _ = self._network.hidden(tokens)
        scored = []
        for row, (ids, count) in enumerate(read):
            logprobs = self._network.logits(hidden[row, len(ids) - count - 1 : len(ids) - 1]).double().log_softmax(-1)
            wanted = tokens[row, len(ids) - count : len(ids), None]
            mine = logprobs.gather(-1, wanted)[:, 0].tolist()
            scored.append((mine, bool((logprobs.argmax(-1, keepdim=True) == wanted).all())))
        return scored


def _chosen(logits: Tensor, draws: list[float] | None, temperature: float) -> list[int]:
    """The likeliest token of each row; or the one where the row's draw falls among the summed probabilities."""
    if draws is None:
        return [int(token) for token in logits.argmax(-1).tolist()]
    sums = (logits.double() / temperature).softmax(-1).cumsum(-1)
    falls = torch.tensor(draws, dtype=torch.float64, device=logits.device)[:, None] * sums[:, -1:]
    places = torch.searchsorted(sums, falls, right=True).clamp_max(logits.size(-1) - 1)
    return [int(token) for token in places[:, 0].tolist()]
