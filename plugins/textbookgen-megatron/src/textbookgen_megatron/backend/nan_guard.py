"""Aborts training when loss, gradients or weights are not finite, and deletes the checkpoint of such weights."""

from __future__ import annotations

from pathlib import Path

import torch

from textbookgen import TrainerError
from textbookgen.training.evaluation import HeldOut
from textbookgen_megatron.backend.checkpoint_store import MegatronCheckpointStore
from textbookgen_megatron.backend.device import any_process
from textbookgen_megatron.backend.train_state import StepResult


class NanGuard:
    """Checks of one run; every process must call each of them, and all processes fail together."""

    def __init__(self, model: torch.nn.Module, steps: int, folder: Path, store: MegatronCheckpointStore) -> None:
        self._model, self._steps, self._folder, self._store = model, steps, folder, store

    def check_step(self, step: int, result: StepResult) -> None:
        """Raise TrainerError if the weights before this step give a loss or gradient that is not finite."""
        if not result.is_finite:
            problem = f"loss {result.loss} and gradient norm {result.grad_norm} at step {step} of {self._steps}"
            raise self._error(problem, step - 1)

    def check_evaluation(self, step: int, result: HeldOut) -> None:
        """Raise TrainerError if the weights after this step, or their metrics on held-out data, are not finite."""
        finite = result.is_finite and all(bool(torch.isfinite(weight).all()) for weight in self._model.parameters())
        if any_process(not finite):
            raise self._error(f"held-out loss {result.loss} after step {step} of {self._steps}", step)

    def _error(self, problem: str, bad_step: int) -> TrainerError:
        """Delete the checkpoint of the bad weights, and return the error that names the newest good one."""
        self._store.drop(bad_step)
        hint = f"lower learning_rate or max_grad_norm; last good checkpoint: {self._store.newest() or 'none'}"
        return TrainerError(f"training diverged: {problem}", place=str(self._folder), hint=hint)
