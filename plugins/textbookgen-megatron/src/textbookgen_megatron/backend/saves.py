"""Where a run can be taken up again: model and optimizer by Megatron's distributed checkpoints, loadable at any layout.

A save counts once its marker was renamed into place, and only while every file has the size and digest that the marker
tells; what a killed process left without one is cleared away.
"""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import hashlib
import json
import queue
import shutil
import sys
from pathlib import Path
from typing import Any

import torch.distributed as dist
from megatron.core import dist_checkpointing, parallel_state
from megatron.core.dist_checkpointing.strategies import filesystem_async

from textbookgen import TrainerError
from textbookgen_megatron.backend import sharded_adam
from textbookgen_megatron.backend.device import CUDA, is_rank_zero
from textbookgen_megatron.backend.train_state import TrainState

MARKER = "whole.json"
_METADATA: dict[str, Any] = {
    "distrib_optim_sharding_type": "fully_reshardable",
    "distrib_optim_fully_reshardable_mem_efficient": False,
    "singleton_local_shards": False,
    "chained_optim_avoid_prefix": True,
    "non_homogeneous_layers": True,  # each layer by its own name, so that frozen ones may have no optimizer
}


class CheckpointStore:
    """The saves of one run, newest first to be used; only the two newest are kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def last(self) -> Path | None:
        """The newest whole save; those that were marked whole and are not any more are told of and passed over."""
        for folder in reversed(self._marked()):
            if problem := damage(folder):
                if is_rank_zero():
                    print(f"{folder} is passed over: {problem}", file=sys.stderr)
                continue
            return folder
        return None

    def save(self, train_state: TrainState, facts: dict[str, Any]) -> Path:
        """Saves after a step; every process must call this. `facts` holds `step` and comes back from `load`."""
        folder = self._folder / f"step-{facts['step']:09d}"
        if is_rank_zero():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        if not CUDA and filesystem_async._results_queue is None:
            # writers are forked, so a plain queue does; Megatron would start a process just to hold one: 6 s
            filesystem_async._results_queue = queue.Queue()
        dist.barrier()
        dist_checkpointing.save(_state(train_state, loading=False), str(folder), content_metadata=_METADATA)
        if is_rank_zero():
            kind = {"optimizer": train_state.settings.optimizer, "distributed": train_state.settings.distributed_optimizer}
            told = {"facts": facts, "kind": kind, "files": _files(folder)}
            (folder / "marker.tmp").write_text(json.dumps(told), encoding="utf-8")
            (folder / "marker.tmp").replace(folder / MARKER)
            self._clear(keep=2)
        dist.barrier()
        return folder

    def load(self, train_state: TrainState) -> dict[str, Any]:
        """Loads the newest whole save, if there is one, and gives its facts.

        Raises:
            TrainerError: it is of another optimizer.
        """
        chosen = [str(self.last() or "") if is_rank_zero() else ""]
        dist.broadcast_object_list(chosen, 0)
        if not chosen[0]:
            return {}
        folder = Path(chosen[0])
        told: dict[str, Any] = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        _check_kind(told["kind"], train_state, folder)
        sharded_adam.before_load(train_state)
        state = dist_checkpointing.load(_state(train_state, loading=True), str(folder))
        train_state.model.load_state_dict(state["model"])
        train_state.optimizer.load_state_dict(state["optimizer"])
        sharded_adam.after_load(train_state)
        facts: dict[str, Any] = told["facts"]
        train_state.skip(facts["step"])
        return facts

    def drop(self, step: int) -> None:
        """Removes the save of this step, if there is one: its weights turned out to be no good."""
        if is_rank_zero():
            folder = self._folder / f"step-{step:09d}"
            (folder / MARKER).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)

    def remove(self) -> None:
        """Removes every save, once the run is done."""
        if is_rank_zero():
            shutil.rmtree(self._folder, ignore_errors=True)

    def _marked(self) -> list[Path]:
        return sorted(marker.parent for marker in self._folder.glob(f"step-*/{MARKER}"))

    def _clear(self, keep: int) -> None:
        kept = self._marked()[-keep:]
        for folder in self._folder.glob("step-*"):
            if folder not in kept:
                (folder / MARKER).unlink(missing_ok=True)  # first, so that no torn save ever counts
                shutil.rmtree(folder)


def damage(folder: Path) -> str:
    """What is wrong with a save that was marked whole, or nothing."""
    try:
        expected = json.loads((folder / MARKER).read_text(encoding="utf-8"))["files"]
    except (ValueError, KeyError, TypeError):
        return "its marker cannot be read"
    result = _files(folder)
    odd = sorted(name for name in expected.keys() | result.keys() if expected.get(name) != result.get(name))
    return f"{', '.join(odd[:3])} changed since" if odd else ""


def _files(folder: Path) -> dict[str, list[Any]]:
    """Size and digest of each file but the marker."""
    return {
        path.relative_to(folder).as_posix(): [path.stat().st_size, _digest(path)]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (MARKER, "marker.tmp")
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


def _check_kind(kind: dict[str, Any], train_state: TrainState, folder: Path) -> None:
    recipe = train_state.settings
    if kind["distributed"] != recipe.distributed_optimizer:
        before = "with" if kind["distributed"] else "without"
        raise TrainerError(
            f"the run was begun {before} the distributed optimizer, which keeps its numbers in another form",
            place=str(folder),
            hint=f"set distributed_optimizer = {str(kind['distributed']).lower()} to go on, or remove the folder to begin anew",
        )


def _state(train_state: TrainState, *, loading: bool) -> dict[str, Any]:
    metadata = {**_METADATA, "dp_cp_group": parallel_state.get_data_parallel_group(with_context_parallel=True)}
    model = train_state.model.sharded_state_dict(metadata=metadata)
    return {"model": model, "optimizer": train_state.optimizer.sharded_state_dict(model, is_loading=loading, metadata=metadata)}
