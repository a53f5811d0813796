"""The checkpoints that an interrupted run resumes from: model and optimizer in Megatron-core's distributed format.

They can be loaded in any parallel layout. `textbookgen.training.checkpoint_store` says which of them are complete.
"""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import torch.distributed as dist
from megatron.core import dist_checkpointing, parallel_state
from megatron.core.dist_checkpointing.strategies import filesystem_async

from textbookgen import TrainerError
from textbookgen.training.checkpoint_store import CheckpointStore
from textbookgen_megatron.backend import sharded_adam
from textbookgen_megatron.backend.device import CUDA, is_rank_zero
from textbookgen_megatron.backend.train_state import TrainState

#: How many checkpoints are kept.
KEEP = 2
_METADATA: dict[str, Any] = {
    "distrib_optim_sharding_type": "fully_reshardable",
    "distrib_optim_fully_reshardable_mem_efficient": False,
    "singleton_local_shards": False,
    "chained_optim_avoid_prefix": True,
    "non_homogeneous_layers": True,  # each layer under its own name, so that frozen ones may have no optimizer state
}


class MegatronCheckpointStore:
    """The checkpoints of one run, of which the newest two are kept; every process has one."""

    def __init__(self, folder: Path) -> None:
        self._store = CheckpointStore(folder, "step-", digits=9)

    def newest(self) -> Path | None:
        """Return the newest complete checkpoint; always None in processes other than that of rank 0."""
        saved = self._store.newest() if is_rank_zero() else None
        return saved.folder if saved else None

    def save(self, train_state: TrainState, step: int, progress: dict[str, Any]) -> None:
        """Save after a step; every process must call this. `progress` (JSON) comes back from `load`."""
        folder = self._store.path(step)
        train_state.synchronize()
        if is_rank_zero():
            self._store.drop(step)
            folder.mkdir(parents=True)
        if not CUDA and filesystem_async._results_queue is None:
            # writers are forked, so a plain queue suffices; Megatron-core would spend 6 s on a process to hold one
            filesystem_async._results_queue = queue.Queue()
        dist.barrier()
        dist_checkpointing.save(_state_dict(train_state, loading=False), str(folder), content_metadata=_METADATA)
        if is_rank_zero():
            distributed = train_state.settings.distributed_optimizer
            self._store.mark_complete(step, {"run": progress, "distributed_optimizer": distributed})
            self._store.prune(KEEP)
        dist.barrier()

    def load(self, train_state: TrainState) -> dict[str, Any] | None:
        """Load the newest complete checkpoint and return its progress; None if there is none.

        Raises:
            TrainerError: it was saved with another kind of optimizer.
        """
        saved = [self._store.newest() if is_rank_zero() else None]
        dist.broadcast_object_list(saved, 0)
        if saved[0] is None:
            return None
        _check_optimizer(bool(saved[0].progress["distributed_optimizer"]), train_state, saved[0].folder)
        sharded_adam.before_load(train_state)
        state = dist_checkpointing.load(_state_dict(train_state, loading=True), str(saved[0].folder))
        train_state.model.load_state_dict(state["model"])
        train_state.optimizer.load_state_dict(state["optimizer"])
        sharded_adam.after_load(train_state)
        train_state.skip(saved[0].step)
        progress: dict[str, Any] = saved[0].progress["run"]
        return progress

    def drop(self, step: int) -> None:
        """Remove the checkpoint of this step, if there is one."""
        if is_rank_zero():
            self._store.drop(step)

    def remove_all(self) -> None:
        """Remove every checkpoint, once the run is complete."""
        if is_rank_zero():
            self._store.remove_all()


def _check_optimizer(distributed: bool, train_state: TrainState, folder: Path) -> None:
    """Raise TrainerError if a checkpoint has the state of the other kind of optimizer."""
    if distributed != train_state.settings.distributed_optimizer:
        kind = "with" if distributed else "without"
        option = f"distributed_optimizer = {str(distributed).lower()}"
        raise TrainerError(
            f"the run began {kind} the distributed optimizer, whose state has another format",
            place=str(folder),
            hint=f"set {option} to resume, or remove the folder to start again",
        )


def _state_dict(train_state: TrainState, *, loading: bool) -> dict[str, Any]:
    metadata = {**_METADATA, "dp_cp_group": parallel_state.get_data_parallel_group(with_context_parallel=True)}
    model = train_state.model.sharded_state_dict(metadata=metadata)
    return {"model": model, "optimizer": train_state.optimizer.sharded_state_dict(model, is_loading=loading, metadata=metadata)}
