"""Completes and scores texts with a model of transformers, many at once.

A text is read as a document from its start, that is after an eod, as in training. Each completion draws from random numbers
of its own, so it does not depend on what else is asked.
"""

# transformers' types are partial
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from textbookgen.serving import Wish, batches, cut, ends_with, pieces
from textbookgen.tokenizer import Tokenizer

#: Tokens held by one batch, prompts and completions together.
TOKENS_AT_ONCE = 65_536


@dataclass
class Row:
    """One completion being written: its prompt's number, how many tokens it may have, and those it has."""

    prompt: int
    sample: int
    room: int
    draws: random.Random
    ids: list[int] = field(default_factory=list)


class Writer:
    """A model with its tokenizer and the id that ends a document, and what else ends a completion: an answer's end.

    That is an id of `ends`, or where the tokenizer has no single one, a text of `stop`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Tokenizer,
        eod: int,
        ends: Collection[int] = (),
        stop: tuple[str, ...] = (),
    ) -> None:
        self._model, self._tokenizer, self._eod = model.eval(), tokenizer, eod
        self._ends, self._stop = {eod, *ends}, stop
        self._window: int = model.config.max_position_embeddings
        self._device = model.device

    @torch.inference_mode()
    def complete(self, prompts: Sequence[str], wish: Wish) -> list[list[str]]:
        """For each prompt its completions, each cut before the first stop text and ended by an eod.

        A prompt that leaves no room in the window loses its beginning, but never more than half the window is given up.
        """
        wish = replace(wish, stop=(*wish.stop, *self._stop))
        room = min(wish.max_tokens, self._window // 2)
        heads = [[self._eod, *ids][-(self._window - room) :] for ids in self._tokenizer.encode_batch(list(prompts))]
        written: list[list[str]] = [[""] * wish.samples for _ in prompts]
        if wish.max_tokens:
            for batch in batches([len(head) + wish.max_tokens for head in heads], TOKENS_AT_ONCE, wish.samples):
                for row in self._written(heads, batch, wish):
                    written[row.prompt][row.sample] = cut(self._tokenizer.decode(row.ids), wish.stop)
        return written

    def _written(self, heads: list[list[int]], prompts: list[int], wish: Wish) -> list[Row]:
        """Completions of some prompts, written in step."""
        rows = [
            Row(index, sample, self._room(heads[index], wish), random.Random(f"{wish.seed}/{index}/{sample}"))
            for index in prompts
            for sample in range(wish.samples)
        ]
        reading = _Reading(self._model, self._eod, [heads[index] for index in prompts], wish.samples)
        live = rows
        while live:
            draws = [row.draws.random() for row in live] if wish.temperature else None
            chosen = _chosen(reading.logits, draws, wish.temperature)
            goes_on = [self._take(row, token, wish) for row, token in zip(live, chosen, strict=True)]
            live = [row for row, on in zip(live, goes_on, strict=True) if on]
            if live:
                reading.go_on([token for token, on in zip(chosen, goes_on, strict=True) if on], goes_on)
        return rows

    def _room(self, head: list[int], wish: Wish) -> int:
        return min(wish.max_tokens, self._window - len(head))

    def _take(self, row: Row, token: int, wish: Wish) -> bool:
        """Adds a token to a completion; False if that ends it."""
        if token in self._ends:
            return False
        row.ids.append(token)
        return len(row.ids) < row.room and not ends_with(row.ids, wish.stop, self._tokenizer.decode)

    @torch.inference_mode()
    def score(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, int, bool]]:
        """For each pair the log probability of the second text after the first, how many tokens that is, and whether greedy
        decoding would have written it. What is longer than the window is scored in pieces that see half a window back."""
        contexts = self._tokenizer.encode_batch([before for before, _ in pairs])
        texts = self._tokenizer.encode_batch([after for _, after in pairs])
        read = [
            (pair, *piece)
            for pair, (before, after) in enumerate(zip(contexts, texts, strict=True))
            for piece in pieces([self._eod, *before], after, self._window)
        ]
        sums, greedy = [0.0] * len(pairs), [True] * len(pairs)
        for batch in batches([len(ids) for _, ids, _ in read], TOKENS_AT_ONCE):
            for index, (logprob, likeliest) in zip(batch, self._scored([read[i][1:] for i in batch]), strict=True):
                sums[read[index][0]] += logprob
                greedy[read[index][0]] &= likeliest
        return [(total, len(text), each) for total, text, each in zip(sums, texts, greedy, strict=True)]

    def _scored(self, read: list[tuple[list[int], int]]) -> list[tuple[float, bool]]:
        longest = max(len(ids) for ids, _ in read)
        tokens = torch.tensor([ids + [self._eod] * (longest - len(ids)) for ids, _ in read], device=self._device)
        logits = self._model(input_ids=tokens, use_cache=False).logits  # padded behind, where nothing looks
        scored = []
        for row, (ids, count) in enumerate(read):
            logprobs = logits[row, len(ids) - count - 1 : len(ids) - 1].double().log_softmax(-1)
            wanted = tokens[row, len(ids) - count : len(ids), None]
            mine = logprobs.gather(-1, wanted)
            scored.append((float(mine.sum()), bool((logprobs.argmax(-1, keepdim=True) == wanted).all())))
        return scored


class _Reading:
    """Rows read so far, padded on the left, with the model's cache; `logits` is what comes next in each, `[rows, ids]`."""

    def __init__(self, model: PreTrainedModel, eod: int, heads: list[list[int]], samples: int) -> None:
        self._model = model
        longest = max(map(len, heads))
        filled = [[0] * (longest - len(head)) + [1] * len(head) for head in heads]
        self._seen = torch.tensor(filled, device=model.device)
        self._cache: Any = DynamicCache(config=model.config)
        self.logits = torch.empty(0)
        self._read(torch.tensor([[eod] * (longest - len(head)) + head for head in heads], device=model.device))
        if samples > 1:
            self._keep(torch.arange(len(heads), device=model.device).repeat_interleave(samples))

    def go_on(self, tokens: list[int], rows: list[bool]) -> None:
        """Reads a further token in each of the rows that go on; the others are forgotten."""
        if not all(rows):
            self._keep(torch.tensor(rows, device=self._seen.device).nonzero()[:, 0])
        self._seen = torch.nn.functional.pad(self._seen, (0, 1), value=1)
        self._read(torch.tensor(tokens, device=self._seen.device)[:, None])

    def _keep(self, rows: Tensor) -> None:
        self._cache.batch_select_indices(rows)
        self._seen, self.logits = self._seen[rows], self.logits[rows]

    def _read(self, tokens: Tensor) -> None:
        places = (self._seen.cumsum(-1) - 1).clamp_min(0)[:, -tokens.size(1) :]
        told = self._model(
            input_ids=tokens,
            attention_mask=self._seen,
            position_ids=places,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.logits = told.logits[:, -1]


def _chosen(logits: Tensor, draws: list[float] | None, temperature: float) -> list[int]:
    """The likeliest token of each row; or the one where the row's draw falls among the summed probabilities."""
    if draws is None:
        return [int(token) for token in logits.argmax(-1).tolist()]
    sums = (logits.double() / temperature).softmax(-1).cumsum(-1)
    falls = torch.tensor(draws, dtype=torch.float64, device=logits.device)[:, None] * sums[:, -1:]
    places = torch.searchsorted(sums, falls, right=True).clamp_max(logits.size(-1) - 1)
    return [int(token) for token in places[:, 0].tolist()]
