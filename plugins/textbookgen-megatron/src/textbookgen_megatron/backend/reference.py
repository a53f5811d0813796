"""The reference model's log probabilities in preference training: the model itself, before its first step."""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.pipeline_parallel import get_forward_backward_func

from textbookgen.training.reference_cache import LogProbabilities, ReferenceCache
from textbookgen_megatron.backend.data import PairSamples, Sample, collate
from textbookgen_megatron.backend.device import data_parallel_rank, data_parallel_size, device, is_last_stage, is_rank_zero
from textbookgen_megatron.backend.objective import token_nll
from textbookgen_megatron.backend.train_state import TrainState
from textbookgen_megatron.job import MegatronJob


def set_reference(train_state: TrainState, splits: dict[str, PairSamples], job: MegatronJob, micro_batch_size: int) -> None:
    """Set the reference log probabilities of each split; they are computed once per job and kept in its folder.

    Every process must call this before the first step, while the model still is the reference.
    """
    parent = job.required_parent
    cache = ReferenceCache(job.folder, parent.card.weights_digest or "", job.shards.folder / job.shards.manifest.file_name)
    logprobs = cache.read()
    if logprobs is None:
        length = job.shards.sequence_length
        logprobs = {split: _compute(train_state, samples, length, micro_batch_size) for split, samples in splits.items()}
        if is_rank_zero():
            cache.write(logprobs)
    dist.barrier()
    for split, samples in splits.items():
        samples.pairs.reference = logprobs[split]


def _compute(train_state: TrainState, source: PairSamples, length: int, micro_batch_size: int) -> LogProbabilities:
    """Return the log probabilities of the replies, `[pairs, 2]`; each process computes its share of the pairs."""
    pairs = len(source)
    logprobs = torch.zeros(pairs, 2, dtype=torch.float32, device=device())
    if not pairs:
        return logprobs.cpu().numpy()
    rank, ranks = data_parallel_rank(), data_parallel_size()
    rounds = -(-pairs // (ranks * micro_batch_size))  # as many in each process; what is beyond the end is not kept
    groups = [
        [(number * ranks + rank) * micro_batch_size + place for place in range(micro_batch_size)] for number in range(rounds)
    ]
    computed = _forward(
        train_state, source, [[min(index, pairs - 1) for index in group] for group in groups], length, micro_batch_size
    )
    if is_last_stage():
        for group, rows in zip(groups, computed, strict=True):
            for index, row in zip(group, rows, strict=True):
                if index < pairs:
                    logprobs[index] = row
        dist.all_reduce(logprobs, group=parallel_state.get_data_parallel_group())
    if parallel_state.get_pipeline_model_parallel_world_size() > 1:
        last = parallel_state.get_pipeline_model_parallel_last_rank()
        dist.broadcast(logprobs, last, group=parallel_state.get_pipeline_model_parallel_group())
    return np.asarray(logprobs.cpu().numpy(), np.float32)


def _forward(
    train_state: TrainState, source: PairSamples, groups: list[list[int]], length: int, micro_batch_size: int
) -> list[torch.Tensor]:
    """Return the log probabilities of each group of pairs, `[pairs, 2]`; on the last pipeline stage."""

    def forward(batches: Any, model: torch.nn.Module) -> tuple[torch.Tensor, Any]:
        sample: Sample = next(batches)
        rows = {name: value.flatten(0, 1) for name, value in sample.items() if name != "reference"}

        def sum_logprobs(losses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
            logprobs = -(losses.float() * rows["loss_mask"]).sum(-1).view(-1, 2)
            return logprobs.sum(), torch.tensor(1, device=logprobs.device), {"logprobs": logprobs.clone()}

        return token_nll(model, rows), sum_logprobs

    train_state.model.eval()
    with torch.no_grad():
        results = get_forward_backward_func()(
            forward_step_func=forward,
            data_iterator=(collate([source.pair(index) for index in group]) for group in groups),
            model=[train_state.wrapped],
            num_microbatches=len(groups),
            seq_length=length,
            micro_batch_size=2 * micro_batch_size,
            forward_only=True,
        )
    train_state.model.train()
    return [result["logprobs"] for result in results]
