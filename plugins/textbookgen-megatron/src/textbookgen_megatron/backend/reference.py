"""What the model that preference training starts from says of each reply: computed once, and kept in the step's folder."""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.pipeline_parallel import get_forward_backward_func

from textbookgen_megatron.backend.data import ReplyPairs, Sample, batch
from textbookgen_megatron.backend.device import data_parallel_rank, data_parallel_size, device, is_last_stage, is_rank_zero
from textbookgen_megatron.backend.objective import token_nll
from textbookgen_megatron.backend.train_state import TrainState
from textbookgen_megatron.job import TrainingJob

FILE = "reference.npz"


def log_probabilities(
    train_state: TrainState, sources: list[ReplyPairs | None], job: TrainingJob, at_once: int
) -> list[np.ndarray[Any, Any]]:
    """For each source the summed log probabilities of its replies, `[pairs, 2]`; read from the folder if they are there.

    Every process must call this, before the first step: the model is still the reference then.
    """
    key, path = _key(job), job.folder / FILE
    result = _read(path, key)
    if result is None:
        result = [_computed(train_state, source, job.shards.sequence_length, at_once) for source in sources]
        if is_rank_zero():
            _write(path, key, result)
    dist.barrier()
    return result


def _key(job: TrainingJob) -> str:
    """Tells one reference, and one set of pairs, from another."""
    assert job.parent is not None
    manifest = (job.shards.folder / "manifest.json").read_bytes()
    return f"{job.parent.card['weights_digest']}/{hashlib.sha256(manifest).hexdigest()}"


def _read(path: Path, key: str) -> list[np.ndarray[Any, Any]] | None:
    if not path.is_file():
        return None
    with np.load(path) as file:
        if json.loads(str(file["key"])) != key:
            return None
        return [file["train"], file["valid"]]


def _write(path: Path, key: str, known: list[np.ndarray[Any, Any]]) -> None:
    beside = path.with_name("reference.tmp.npz")
    np.savez(beside, key=json.dumps(key), train=known[0], valid=known[1])
    beside.replace(path)


def _computed(train_state: TrainState, source: ReplyPairs | None, length: int, at_once: int) -> np.ndarray[Any, Any]:
    """Each process reads its share; the sum over processes puts the shares together."""
    pairs = 0 if source is None else len(source)
    known = torch.zeros(pairs, 2, dtype=torch.float32, device=device())
    if source is None or not pairs:
        return known.numpy()
    rank, ranks = data_parallel_rank(), data_parallel_size()
    rounds = -(-pairs // (ranks * at_once))  # as many in each process; what is beyond the end is read and not kept
    groups = [[(number * ranks + rank) * at_once + place for place in range(at_once)] for number in range(rounds)]
    read = _forward(train_state, source, [[min(index, pairs - 1) for index in group] for group in groups], length, at_once)
    if is_last_stage():
        for group, logps in zip(groups, read, strict=True):
            for index, both in zip(group, logps, strict=True):
                if index < pairs:
                    known[index] = both
        dist.all_reduce(known, group=parallel_state.get_data_parallel_group())
    if parallel_state.get_pipeline_model_parallel_world_size() > 1:
        last = parallel_state.get_pipeline_model_parallel_last_rank()
        dist.broadcast(known, last, group=parallel_state.get_pipeline_model_parallel_group())
    return known.cpu().numpy()


def _forward(
    train_state: TrainState, source: ReplyPairs, groups: list[list[int]], length: int, at_once: int
) -> list[torch.Tensor]:
    """The log probabilities of each group, `[pairs, 2]`; on the last stage of a pipeline."""

    def forward(batches: Any, model: torch.nn.Module) -> tuple[torch.Tensor, Any]:
        shown: Sample = next(batches)
        flat = {name: value.flatten(0, 1) for name, value in shown.items() if name != "reference"}

        def told(losses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
            logps = -(losses.float() * flat["loss_mask"]).sum(-1).view(-1, 2)
            return logps.sum(), torch.tensor(1, device=logps.device), {"logps": logps.clone()}

        return token_nll(model, flat), told

    train_state.model.eval()
    with torch.no_grad():
        read = get_forward_backward_func()(
            forward_step_func=forward,
            data_iterator=(batch([source.pair(index) for index in group]) for group in groups),
            model=[train_state.wrapped],
            num_microbatches=len(groups),
            seq_length=length,
            micro_batch_size=2 * at_once,
            forward_only=True,
        )
    train_state.model.train()
    return [item["logps"] for item in read]
