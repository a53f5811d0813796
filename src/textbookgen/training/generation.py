"""Batched completion and scoring of texts and token ids with any causal language model.

A text is read as a document from its start, after an end-of-document token, as in training, unless a caller asks for the
reading of other tools. Rows of a batch never see each other's padding and each has its own random numbers, so a completion
does not depend on what else is in the batch.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from textbookgen.training.prompt_codec import PromptCodec, cut, ends_with
from textbookgen.training.sampling import SamplingParams

#: Tokens in one batch, prompts and completions together.
MAX_BATCH_TOKENS = 65_536


class DecodeState(Protocol):
    """Rows that a network has read so far, with their key/value cache."""

    def choose(self, uniforms: Sequence[float], temperature: float) -> list[int]:
        """Choose the next token of each row, as `textbookgen.training.sampling.choose_tokens` does.

        Args:
            uniforms: a random number in [0, 1) for each row; empty for greedy decoding.
            temperature: what logits are divided by.
        """
        ...

    def step(self, tokens: Sequence[int], keep: Sequence[int]) -> None:
        """Append a token to each of the rows `keep`, in ascending order; the other rows are removed."""
        ...


class Network(Protocol):
    """A causal language model on batches of token ids; how it pads them is up to the implementation."""

    @property
    def context_length(self) -> int:
        """Maximum number of tokens in a row."""
        ...

    def prefill(self, prompts: Sequence[list[int]], rows: Sequence[int], max_new_tokens: int) -> DecodeState:
        """Read prompts and return the state to continue from.

        Args:
            prompts: ids, none of them empty.
            rows: for each row of the state, the index of its prompt; an index may occur several times.
            max_new_tokens: at most this many tokens are appended to a row.
        """
        ...

    def logprobs(self, windows: Sequence[tuple[list[int], int]]) -> list[tuple[list[float], bool]]:
        """Score the last tokens of each row, given those before.

        Args:
            windows: at most `context_length` + 1 ids, of which the last is scored but not read, and how many of the last ones
                are scored; the first id never is. `distinct_inputs` says which windows read the same ids.

        Returns:
            For each row the natural-log probabilities, and whether greedy decoding would have chosen all of these tokens.
        """
        ...


@dataclass
class Completion:
    """A completion in progress.

    Attributes:
        prompt: index of its prompt.
        max_tokens: maximum number of tokens.
        random: its random numbers.
        ids: the tokens so far, without the one that ended it.
        end_id: the token that ended it, if one did.
        ended: whether it ended by itself or at a stop text, rather than at the maximum.
    """

    prompt: int
    max_tokens: int
    random: random.Random
    ids: list[int] = field(default_factory=list)
    end_id: int | None = None
    ended: bool = False

    @property
    def all_ids(self) -> list[int]:
        """The tokens, including the one that ended it."""
        return self.ids if self.end_id is None else [*self.ids, self.end_id]


class BatchGenerator:
    """Completes and scores texts and token ids with a network and the codec of its checkpoint."""

    def __init__(self, network: Network, codec: PromptCodec) -> None:
        self._network, self.codec = network, codec

    def complete(self, prompts: Sequence[str], params: SamplingParams) -> list[list[str]]:
        """Return the completions of each prompt, cut before the first stop text.

        A prompt that leaves too little of the context loses its beginning, but at most half of the context is freed.
        """
        seeds = [f"{params.seed}/{number}" for number in range(len(prompts))]
        prefixes = [self._start(ids, params.document_start) for ids in self.codec.encode(prompts)]
        rows = self._complete(prefixes, params, seeds, [params.max_tokens] * len(prompts))
        return [[self._text(row, params) for row in samples] for samples in rows]

    def extend(
        self, prefixes: Sequence[list[int]], params: SamplingParams, seeds: Sequence[int], max_tokens: Sequence[int]
    ) -> list[list[tuple[list[int], str, bool]]]:
        """Continue rows of ids.

        Args:
            prefixes: ids.
            params: sampling parameters; their `max_tokens` and `seed` are not used.
            seeds: a seed for each row.
            max_tokens: the maximum number of new tokens of each row.

        Returns:
            For each row its continuations: ids including the token that ended it, the text up to there and before the first
            stop text, and whether it ended before the maximum.
        """
        prefixes = [self._start(ids, params.document_start) for ids in prefixes]
        rows = self._complete(prefixes, params, [str(seed) for seed in seeds], max_tokens)
        return [[(row.all_ids, self._text(row, params), row.ended) for row in samples] for samples in rows]

    def score(self, pairs: Sequence[tuple[str, str]], *, document_start: bool = True) -> list[tuple[float, int, bool]]:
        """Score the second text of each pair, given the first.

        Ids are those of lm-evaluation-harness: both texts are encoded together, the ids beyond the number of the first text's
        are scored, and spaces at the end of the first text belong to the second.

        A first text that is too long for the context loses its beginning. A second text that is longer than the context is
        scored in windows that overlap by half.

        Args:
            pairs: texts.
            document_start: see `textbookgen.api.model.Model.score`.

        Returns:
            For each pair the log probability, the number of tokens, and whether greedy decoding would give the second text.
        """
        moved = [_move_spaces(before, after) for before, after in pairs]
        contexts = self.codec.encode([before for before, _ in moved])
        wholes = self.codec.encode([before + after for before, after in moved])
        rows = [
            (self._start(context, document_start), whole[len(context) :] or self.codec.encode([after])[0])
            for context, whole, (_, after) in zip(contexts, wholes, moved, strict=True)
        ]  # the second text is encoded alone where one token covers the end of the first and all of the second
        return [(math.fsum(logprobs), len(logprobs), greedy) for logprobs, greedy in self._score(rows)]

    def logprobs(self, pairs: Sequence[tuple[list[int], list[int]]], *, document_start: bool = True) -> list[list[float]]:
        """Return the log probability of each id of a pair's second row, given the first row and the ids before.

        Unless the first row begins a document, it is read as it is; if it is empty, something has to precede the second one.
        """
        rows = [
            (self._start(before, document_start) if document_start or not before else before, after) for before, after in pairs
        ]
        return [logprobs for logprobs, _ in self._score(rows)]

    def _start(self, ids: Sequence[int], document_start: bool) -> list[int]:
        """Return ids after what the model reads before them: at least one id in all."""
        if document_start:
            return [self.codec.eod, *ids]
        return [*self.codec.start_ids, *ids] or [self.codec.eod]

    def _text(self, row: Completion, params: SamplingParams) -> str:
        return cut(self.codec.decode(row.ids), (*params.stop, *self.codec.stop))

    def _complete(
        self, prefixes: Sequence[list[int]], params: SamplingParams, seeds: Sequence[str], max_tokens: Sequence[int]
    ) -> list[list[Completion]]:
        """Return the completions of each row of at least one id, in batches of similar length."""
        context = self._network.context_length
        prompts = [ids[-(context - min(limit, context // 2)) :] for ids, limit in zip(prefixes, max_tokens, strict=True)]
        limits = [min(limit, context - len(prompt)) for prompt, limit in zip(prompts, max_tokens, strict=True)]
        rows = [
            [Completion(index, limits[index], random.Random(f"{seed}/{sample}")) for sample in range(params.samples)]
            for index, seed in enumerate(seeds)
        ]
        sizes = [len(prompt) + limit if limit > 0 else 0 for prompt, limit in zip(prompts, limits, strict=True)]
        for batch in batch_by_size(sizes, MAX_BATCH_TOKENS, params.samples):
            nonempty = [index for index in batch if limits[index] > 0]
            for samples in _sample_slices(len(nonempty) * max(sizes[index] for index in batch), params.samples):
                self._generate(prompts, nonempty, [row for index in nonempty for row in rows[index][samples]], params)
        return rows

    def _generate(self, prompts: list[list[int]], indexes: list[int], rows: list[Completion], params: SamplingParams) -> None:
        """Generate the completions of some prompts together; rows leave the batch when they end."""
        place_of = {prompt: place for place, prompt in enumerate(indexes)}
        state = self._network.prefill(
            [prompts[index] for index in indexes],
            [place_of[row.prompt] for row in rows],
            max(row.max_tokens for row in rows),
        )
        stop, active = (*params.stop, *self.codec.stop), rows
        while active:
            uniforms = [row.random.random() for row in active] if params.temperature else []
            tokens = state.choose(uniforms, params.temperature)
            keep = [place for place, row in enumerate(active) if self._append(row, tokens[place], stop)]
            active = [active[place] for place in keep]
            if active:
                state.step([row.ids[-1] for row in active], keep)

    def _append(self, row: Completion, token: int, stop: Sequence[str]) -> bool:
        """Append a token to a completion, and return whether it continues."""
        if token in self.codec.end_ids:
            row.end_id, row.ended = token, True
            return False
        row.ids.append(token)
        row.ended = ends_with(row.ids, stop, self.codec.decode)
        return not row.ended and len(row.ids) < row.max_tokens

    def _score(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[tuple[list[float], bool]]:
        """Return the log probabilities of each pair's second row, and whether greedy decoding would give it.

        The first row of a pair has at least one id.
        """
        windows = [
            (pair, *window)
            for pair, (before, after) in enumerate(pairs)
            for window in scoring_windows(before, after, self._network.context_length)
        ]
        scores: dict[int, tuple[list[float], bool]] = {}
        for batch in batch_by_size([len(ids) for _, ids, _ in windows], MAX_BATCH_TOKENS):
            scores.update(zip(batch, self._network.logprobs([windows[index][1:] for index in batch]), strict=True))
        logprobs: list[list[float]] = [[] for _ in pairs]
        greedy = [True] * len(pairs)
        for index, (pair, _, _) in enumerate(windows):
            logprobs[pair] += scores[index][0]
            greedy[pair] &= scores[index][1]
        return list(zip(logprobs, greedy, strict=True))


def _sample_slices(tokens: int, samples: int) -> Iterator[slice]:
    """Yield slices of the samples that fit into one batch, in which one sample of all prompts takes `tokens`."""
    per_batch = max(1, MAX_BATCH_TOKENS // max(tokens, 1))
    for first in range(0, samples if tokens else 0, per_batch):
        yield slice(first, first + per_batch)


def batch_by_size(sizes: Sequence[int], max_tokens: int, samples: int = 1) -> Iterator[list[int]]:
    """Yield batches of indexes of similar size.

    Args:
        sizes: tokens of each item.
        max_tokens: tokens that a batch holds if each item is padded to the largest; a larger item is a batch by itself.
        samples: rows per item.
    """
    batch: list[int] = []
    for index in sorted(range(len(sizes)), key=lambda index: (sizes[index], index)):
        if batch and (len(batch) + 1) * samples * sizes[index] > max_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def scoring_windows(before: list[int], after: list[int], context_length: int) -> Iterator[tuple[list[int], int]]:
    """Yield windows that together score all of `after`: ids, and how many of the last ones are scored.

    Args:
        before: at least one id; what does not fit is cut off at its beginning.
        after: the ids to score.
        context_length: maximum number of ids that are read; the last id of a window is not. If `after` is longer, there are
            several windows, and each but the first reads half of the context before what it scores.
    """
    ids, done = before + after, len(before)
    stop = len(ids) if len(after) <= context_length else max(done + context_length // 2, context_length + 1)
    while done < len(ids):
        yield ids[max(0, stop - context_length - 1) : stop], stop - done
        done, stop = stop, min(len(ids), stop + context_length - context_length // 2)


def distinct_inputs(windows: Sequence[tuple[list[int], int]]) -> tuple[list[list[int]], list[int]]:
    """Return the different rows of ids that windows read, and for each window the index of its row.

    Windows that differ only in their last id, such as the letters of a multiple-choice question, read the same.
    """
    index: dict[tuple[int, ...], int] = {}
    rows = [index.setdefault(tuple(ids[:-1]), len(index)) for ids, _ in windows]
    return [list(ids) for ids in index], rows


def _move_spaces(before: str, after: str) -> tuple[str, str]:
    """Return two texts with the white space between them at the beginning of the second."""
    kept = before.rstrip()
    return kept, before[len(kept) :] + after
