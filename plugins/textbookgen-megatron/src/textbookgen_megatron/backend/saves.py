"""Where a run can be taken up again: model and optimizer by Megatron's distributed checkpoints, loadable at any layout.

A save counts once its marker was renamed into place; what a killed process left without one is cleared away.
"""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import json
import queue
import shutil
from pathlib import Path
from typing import Any

import torch.distributed as dist
from megatron.core import dist_checkpointing, parallel_state
from megatron.core.dist_checkpointing.strategies import filesystem_async

from textbookgen_megatron.backend.device import CUDA, is_first
from textbookgen_megatron.backend.step import Learner

MARKER = "whole.json"
_METADATA: dict[str, Any] = {
    "distrib_optim_sharding_type": "fully_reshardable",
    "singleton_local_shards": False,
    "chained_optim_avoid_prefix": True,
}


class Saves:
    """The saves of one run, newest first to be used; only the two newest are kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def last(self) -> Path | None:
        """The newest whole save."""
        whole = sorted(marker.parent for marker in self._folder.glob(f"step-*/{MARKER}"))
        return whole[-1] if whole else None

    def save(self, learner: Learner, facts: dict[str, Any]) -> Path:
        """Saves after a step; every process must call this. `facts` holds `step` and comes back from `load`."""
        folder = self._folder / f"step-{facts['step']:09d}"
        if is_first():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        if not CUDA and filesystem_async._results_queue is None:
            # writers are forked, so a plain queue does; Megatron would start a process just to hold one: 6 s
            filesystem_async._results_queue = queue.Queue()
        dist.barrier()
        dist_checkpointing.save(_state(learner, loading=False), str(folder), content_metadata=_METADATA)
        if is_first():
            (folder / "marker.tmp").write_text(json.dumps(facts), encoding="utf-8")
            (folder / "marker.tmp").replace(folder / MARKER)
            self._clear(keep=2)
        dist.barrier()
        return folder

    def load(self, learner: Learner) -> dict[str, Any]:
        """Loads the newest whole save, if there is one, and gives its facts."""
        folder = self.last()
        if folder is None:
            return {}
        state = dist_checkpointing.load(_state(learner, loading=True), str(folder))
        learner.model.load_state_dict(state["model"])
        learner.optimizer.load_state_dict(state["optimizer"])
        facts: dict[str, Any] = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        learner.skip(facts["step"])
        return facts

    def remove(self) -> None:
        """Removes every save, once the run is done."""
        if is_first():
            shutil.rmtree(self._folder, ignore_errors=True)

    def _clear(self, keep: int) -> None:
        whole = sorted(marker.parent for marker in self._folder.glob(f"step-*/{MARKER}"))
        for folder in self._folder.glob("step-*"):
            if folder not in whole[-keep:]:
                (folder / MARKER).unlink(missing_ok=True)  # first, so that no torn save ever counts
                shutil.rmtree(folder)


def _state(learner: Learner, *, loading: bool) -> dict[str, Any]:
    metadata = {**_METADATA, "dp_cp_group": parallel_state.get_data_parallel_group(with_context_parallel=True)}
    model = learner.model.sharded_state_dict(metadata=metadata)
    return {"model": model, "optimizer": learner.optimizer.sharded_state_dict(model, is_loading=loading, metadata=metadata)}
