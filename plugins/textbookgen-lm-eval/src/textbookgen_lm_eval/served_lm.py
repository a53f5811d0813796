"""A checkpoint of any trainer as a model of lm-evaluation-harness."""

# lm-eval has no types
# mypy: disable-error-code="misc,import-untyped,import-not-found,no-untyped-call,unused-ignore"

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from lm_eval.api.model import LM
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from textbookgen import Model
from textbookgen.api.model import TokenModel


class ServedLM(LM):
    """An `LM` over a `Model`, which is served by a process of its trainer.

    Figures are those of the harness's own `--model hf` on the same weights, unless `document_start` is set.

    Args:
        model: the model.
        context_length: maximum number of tokens that the model reads, for texts that are longer; None if unknown.
        document_start: whether each prompt follows the end-of-document token, as in training.
        batch: requests that are sent together.
        seed: seed of sampled completions.
    """

    def __init__(self, model: Model, context_length: int | None, document_start: bool, batch: int, seed: int) -> None:
        super().__init__()
        self._model, self._context, self._start = model, context_length, document_start
        self._batch, self._seed = batch, seed

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Return the log probability of each continuation, and whether greedy decoding would give it."""
        pairs = [(str(context), str(continuation)) for context, continuation in (request.args for request in requests)]
        return [
            (score.logprob, score.greedy)
            for batch in _batches(pairs, self._batch)
            for score in self._model.score(batch, document_start=self._start)
        ]

    def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
        """Return the log probability of each text, in the harness's windows where the model takes token ids."""
        texts = [str(request.args[0]) for request in requests]
        model = self._model
        if self._context is None or not isinstance(model, TokenModel):
            return [score.logprob for batch in _batches(texts, self._batch) for score in model.score([("", t) for t in batch])]
        return [
            math.fsum(value for values in self._window_logprobs(model, ids) for value in values) for ids in model.encode(texts)
        ]

    def _window_logprobs(self, model: TokenModel, ids: list[int]) -> list[list[float]]:
        """Return the log probabilities of a text's ids, window by window; the first follows the end-of-document token."""
        assert self._context is not None
        start = -1  # a mark for what precedes the text, which the model adds
        windows = map(make_disjoint_window, get_rolling_token_windows(ids, start, self._context, 1))
        pairs = [([token for token in before if token != start], after) for before, after in windows]
        return [row for batch in _batches(pairs, self._batch) for row in model.logprobs(batch, document_start=False)]

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Return the completion of each prompt, cut before the first stop text."""
        texts = [""] * len(requests)
        by_options: dict[tuple[int, float, tuple[str, ...]], list[int]] = {}
        for index, request in enumerate(requests):
            options = normalize_gen_kwargs(request.args[1])
            key = (int(options["max_gen_toks"]), float(options["temperature"]), tuple(filter(None, options["until"])))
            by_options.setdefault(key, []).append(index)
        for (max_tokens, temperature, stop), indexes in by_options.items():
            for batch in _batches(indexes, self._batch):
                completions = self._model.complete(
                    [str(requests[index].args[0]) for index in batch],
                    max_tokens=max_tokens,
                    temperature=temperature,
                    stop=stop,
                    seed=self._seed + batch[0],
                    document_start=self._start,
                )
                for index, (text,) in zip(batch, completions, strict=True):
                    texts[index] = text
        return texts


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
