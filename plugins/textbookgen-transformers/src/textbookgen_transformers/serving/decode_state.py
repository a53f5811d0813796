"""A model of transformers as `BatchGenerator` uses it: prompts are read once, then continued with a key/value cache."""

# transformers' types are partial
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from textbookgen.training.generation import distinct_inputs
from textbookgen.training.sampling import choose_tokens, score_targets


class CachedDecodeState:
    """Rows read so far, left-padded, with the model's cache and the logits of the next token, `[rows, vocabulary]`."""

    def __init__(self, model: PreTrainedModel, prompts: Sequence[list[int]], rows: Sequence[int]) -> None:
        self._model = model
        longest = max(map(len, prompts))
        mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        ids = [[0] * (longest - len(prompt)) + prompt for prompt in prompts]
        self._mask = torch.tensor(mask, device=model.device)
        self._cache: Any = DynamicCache(config=model.config)
        self._logits = self._read(torch.tensor(ids, device=model.device))
        if list(rows) != list(range(len(prompts))):
            self._select(rows)

    @torch.inference_mode()
    def choose(self, uniforms: Sequence[float], temperature: float) -> list[int]:
        """Choose the next token of each row; see `textbookgen.training.sampling.choose_tokens`."""
        return choose_tokens(self._logits, uniforms, temperature)

    @torch.inference_mode()
    def step(self, tokens: Sequence[int], keep: Sequence[int]) -> None:
        """Append a token to each of the rows `keep`, in ascending order; the other rows are removed."""
        if len(keep) < self._mask.size(0):
            self._select(keep)
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
        self._logits = self._read(torch.tensor(tokens, device=self._mask.device)[:, None])

    def _select(self, rows: Sequence[int]) -> None:
        index = torch.tensor(rows, device=self._mask.device)
        self._cache.batch_select_indices(index)
        self._mask, self._logits = self._mask[index], self._logits[index]

    def _read(self, tokens: Tensor) -> Tensor:
        """Read int64 ids `[rows, length]`, and return the logits after the last of them."""
        outputs = self._model(
            input_ids=tokens,
            attention_mask=self._mask,
            position_ids=(self._mask.cumsum(-1) - 1).clamp_min(0)[:, -tokens.size(1) :],
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = outputs.logits[:, -1]
        return logits


class CachedModel:
    """A model that starts decoding from prompts, and scores token ids; on a GPU if there is one."""

    def __init__(self, model: PreTrainedModel) -> None:
        movable: Any = model
        self._model: PreTrainedModel = movable.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    @property
    def context_length(self) -> int:
        """Maximum number of tokens in a row."""
        return int(self._model.config.max_position_embeddings)

    @torch.inference_mode()
    def prefill(self, prompts: Sequence[list[int]], rows: Sequence[int], max_new_tokens: int) -> CachedDecodeState:
        """Read each prompt once, and return the state to continue from; the cache grows as needed."""
        return CachedDecodeState(self._model, prompts, rows)

    @torch.inference_mode()
    def logprobs(self, windows: Sequence[tuple[list[int], int]]) -> list[tuple[list[float], bool]]:
        """Score the last tokens of each row; see `textbookgen.training.generation.Network`."""
        inputs, rows = distinct_inputs(windows)
        longest = max(map(len, inputs))
        tokens = torch.tensor([ids + [0] * (longest - len(ids)) for ids in inputs], device=self._model.device)
        first = min(len(ids) - count - 1 for ids, count in windows)  # logits before it are not needed
        # right padding, which causal attention ignores
        logits = self._model(input_ids=tokens, use_cache=False, logits_to_keep=longest - first).logits
        return [
            score_targets(
                logits[row, len(ids) - count - 1 - first : len(ids) - 1 - first],
                torch.tensor(ids[-count:], device=self._model.device),
            )
            for row, (ids, count) in zip(rows, windows, strict=True)
        ]
