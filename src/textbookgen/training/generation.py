"""Completes and scores texts and token ids with any trained network, many at once.

A text is read as a document from its start, that is after an eod, as in training. Rows of a batch never see each other's
padding, and each draws from random numbers of its own, so a completion does not depend on what else is asked.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from textbookgen.training.prompt_codec import PromptCodec, cut, ends_with

#: Tokens held by one batch, prompts and completions together.
TOKENS_AT_ONCE = 65_536


class DecodeState(Protocol):
    """Rows that a network has read so far, with its cache of them."""

    def choose(self, draws: Sequence[float], temperature: float) -> list[int]:
        """The next token of each row: where its draw (of 0 to 1) falls among the summed probabilities, in float64; with
        temperature 0, when there are no draws, the likeliest."""
        ...

    def go_on(self, tokens: Sequence[int], keep: Sequence[int]) -> None:
        """Reads a further token in each of the rows `keep`, which are named in order; the others are forgotten."""
        ...


class Network(Protocol):
    """A trained network as a `Writer` asks it: token ids alone, as many rows at once as fit. It pads as it likes."""

    @property
    def window(self) -> int:
        """How many tokens a row has at most."""
        ...

    def read(self, heads: Sequence[list[int]], rows: Sequence[int], room: int) -> DecodeState:
        """Reads some beginnings, none of them empty. Row after row goes on from the head whose number `rows` tells, of which
        each may be told several times, by at most `room` tokens."""
        ...

    def logprobs(self, pieces: Sequence[tuple[list[int], int]]) -> list[tuple[list[float], bool]]:
        """Of each row of ids the natural-log probabilities of its last so many, and whether each of these is the likeliest.

        A first id is never among them.
        """
        ...


@dataclass(frozen=True)
class SamplingParams:
    """How to complete."""

    max_tokens: int
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    samples: int = 1
    seed: int = 0

    @classmethod
    def of(cls, asked: dict[str, Any]) -> SamplingParams:
        """The wish in a line that was asked."""
        return cls(**{**asked["wish"], "stop": tuple(asked["wish"]["stop"])})


@dataclass
class Row:
    """One completion being written: its prompt's number, how many tokens it may have, and those it has.

    `end` is the token it ended with, and `ended` whether it did so before it had to.
    """

    prompt: int
    most: int
    draws: random.Random
    ids: list[int] = field(default_factory=list)
    end: int | None = None
    ended: bool = False

    @property
    def whole(self) -> list[int]:
        """Its ids with the one that ended it."""
        return self.ids if self.end is None else [*self.ids, self.end]


class BatchGenerator:
    """A network, and how it is talked to: by texts and by token ids."""

    def __init__(self, network: Network, talk: PromptCodec) -> None:
        self._network, self.talk = network, talk

    def complete(self, prompts: Sequence[str], wish: SamplingParams) -> list[list[str]]:
        """For each prompt its completions, each cut before the first stop text and ended by what ends an answer.

        A prompt that leaves no room in the window loses its beginning, but never more than half the window is given up.
        """
        seeds = [f"{wish.seed}/{number}" for number in range(len(prompts))]
        rows = self._rows(self.talk.encode(prompts), wish, seeds, [wish.max_tokens] * len(prompts))
        return [[self._text(row, wish) for row in item] for item in rows]

    def extend(
        self, prefixes: Sequence[list[int]], wish: SamplingParams, seeds: Sequence[int], rooms: Sequence[int]
    ) -> list[list[tuple[list[int], str, bool]]]:
        """For each row of ids its continuations of at most `rooms` tokens, drawn with a seed of its own.

        Of each its ids with the token that ended it, if one did, its text up to there and before the first stop text, and
        whether it ended before it had to.
        """
        rows = self._rows(prefixes, wish, [str(seed) for seed in seeds], rooms)
        return [[(row.whole, self._text(row, wish), row.ended) for row in item] for item in rows]

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, int, bool]]:
        """For each pair the log probability of the second text after the first, how many tokens that is, and whether greedy
        decoding would have written it. What is longer than the window is scored in pieces that see half a window back."""
        contexts = self.talk.encode([before for before, _ in pairs])
        texts = self.talk.encode([after for _, after in pairs])
        scored = self._scored(list(zip(contexts, texts, strict=True)))
        return [(math.fsum(logprobs), len(logprobs), greedy) for logprobs, greedy in scored]

    def logprobs(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[list[float]]:
        """The log probability of each id of the second row of a pair, after the first and those before it."""
        return [logprobs for logprobs, _ in self._scored(pairs)]

    def _text(self, row: Row, wish: SamplingParams) -> str:
        return cut(self.talk.decode(row.ids), (*wish.stop, *self.talk.stop))

    def _rows(
        self, prefixes: Sequence[list[int]], wish: SamplingParams, seeds: Sequence[str], rooms: Sequence[int]
    ) -> list[list[Row]]:
        """For each row of ids its completions; `seeds` tell their draws apart."""
        window = self._network.window
        heads = [[self.talk.eod, *ids][-(window - min(room, window // 2)) :] for ids, room in zip(prefixes, rooms, strict=True)]
        most = [min(room, window - len(head)) for head, room in zip(heads, rooms, strict=True)]
        rows = [
            [Row(at, most[at], random.Random(f"{seed}/{sample}")) for sample in range(wish.samples)]
            for at, seed in enumerate(seeds)
        ]
        sizes = [len(head) + room if room > 0 else 0 for head, room in zip(heads, most, strict=True)]
        for batch in batches(sizes, TOKENS_AT_ONCE, wish.samples):
            asked = [at for at in batch if most[at] > 0]
            for some in _few_samples(len(asked) * max(sizes[at] for at in batch), wish.samples):
                self._write(heads, asked, [row for at in asked for row in rows[at][some]], wish)
        return rows

    def _write(self, heads: list[list[int]], prompts: list[int], rows: list[Row], wish: SamplingParams) -> None:
        """Writes completions of some prompts in step; rows that are done leave the batch."""
        place_of = {prompt: place for place, prompt in enumerate(prompts)}
        reading = self._network.read(
            [heads[prompt] for prompt in prompts], [place_of[row.prompt] for row in rows], max(row.most for row in rows)
        )
        stop, live = (*wish.stop, *self.talk.stop), rows
        while live:
            draws = [row.draws.random() for row in live] if wish.temperature else []
            chosen = reading.choose(draws, wish.temperature)
            keep = [at for at, (row, token) in enumerate(zip(live, chosen, strict=True)) if self._take(row, token, stop)]
            live = [live[at] for at in keep]
            if live:
                reading.go_on([row.ids[-1] for row in live], keep)

    def _take(self, row: Row, token: int, stop: Sequence[str]) -> bool:
        """Adds a token to a completion; False if that ends it."""
        if token in self.talk.ends:
            row.end, row.ended = token, True
            return False
        row.ids.append(token)
        row.ended = ends_with(row.ids, stop, self.talk.decode)
        return not row.ended and len(row.ids) < row.most

    def _scored(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[tuple[list[float], bool]]:
        """For each pair the log probabilities of the second row's ids, and whether each of them is the likeliest."""
        read = [
            (pair, *piece)
            for pair, (before, after) in enumerate(pairs)
            for piece in pieces([self.talk.eod, *before], after, self._network.window)
        ]
        result: dict[int, tuple[list[float], bool]] = {}
        for batch in batches([len(ids) for _, ids, _ in read], TOKENS_AT_ONCE):
            result.update(zip(batch, self._network.logprobs([read[index][1:] for index in batch]), strict=True))
        logprobs: list[list[float]] = [[] for _ in pairs]
        greedy = [True] * len(pairs)
        for index, (pair, _, _) in enumerate(read):
            logprobs[pair] += result[index][0]
            greedy[pair] &= result[index][1]
        return list(zip(logprobs, greedy, strict=True))


def _few_samples(size: int, samples: int) -> Iterator[slice]:
    """Samples that fit into one batch, of which one takes `size`; where many are wanted, prompts are read again."""
    most = max(1, TOKENS_AT_ONCE // max(size, 1))
    for first in range(0, samples if size else 0, most):
        yield slice(first, first + most)


def batches(sizes: Sequence[int], most: int, samples: int = 1) -> Iterator[list[int]]:
    """Indexes of like size together, as many as a batch of `most` tokens holds if each is padded to the largest."""
    batch: list[int] = []
    for index in sorted(range(len(sizes)), key=lambda index: (sizes[index], index)):
        if batch and (len(batch) + 1) * samples * sizes[index] > most:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def pieces(before: list[int], after: list[int], window: int) -> Iterator[tuple[list[int], int]]:
    """Ids to read at once, and how many of the last are scored, so that all of `after` is; `before` holds one at least.

    What is longer than the window is read in pieces that see half a window back.
    """
    ids, done = before + after, len(before)
    while done < len(ids):
        first = max(0, done - window // 2) if len(ids) > window else 0
        stop = min(len(ids), first + window)
        yield ids[first:stop], stop - done
        done = stop
