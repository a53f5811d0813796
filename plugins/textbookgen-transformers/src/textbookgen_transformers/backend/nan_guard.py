"""Aborts training when loss, gradients or weights are not finite, and deletes the checkpoint of such weights."""

# accelerate carries no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import math
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from textbookgen import TrainerError
from textbookgen.training.checkpoint_store import CheckpointStore
from textbookgen.training.evaluation import HeldOut


class NanGuard:
    """Checks of one run; every process must call each of them, and all processes fail together."""

    def __init__(self, model: nn.Module, steps: int, folder: Path, store: CheckpointStore, accelerator: Accelerator) -> None:
        self._model, self._steps, self._folder = model, steps, folder
        self._store, self._accelerator = store, accelerator

    def check_start(self, result: HeldOut, parent: Path) -> None:
        """Raise TrainerError if the weights to start from, or their metrics on held-out data, are not finite."""
        if not self._is_finite(result):
            raise TrainerError(
                f"the weights to start from are not finite numbers: their held-out loss is {result.loss}",
                place=str(parent),
                hint="train that stage again, with a lower learning_rate",
            )

    def check_step(self, step: int, loss: float, grad_norm: float | None) -> None:
        """Raise TrainerError if the weights before this step give a loss or gradient that is not finite."""
        if not all(map(math.isfinite, (loss, grad_norm or 0.0))):
            raise self._error(f"loss {loss} and gradient norm {grad_norm} at step {step} of {self._steps}", step - 1)

    def check_evaluation(self, step: int, result: HeldOut) -> None:
        """Raise TrainerError if the weights after this step, or their metrics on held-out data, are not finite."""
        if not self._is_finite(result):
            raise self._error(f"held-out loss {result.loss} after step {step} of {self._steps}", step)

    def _is_finite(self, result: HeldOut) -> bool:
        finite = result.is_finite and all(bool(torch.isfinite(weight).all()) for weight in self._model.parameters())
        failures = self._accelerator.reduce(torch.tensor(int(not finite), device=self._accelerator.device), "sum")
        return int(failures) == 0

    def _error(self, problem: str, bad_step: int) -> TrainerError:
        """Delete the checkpoint of the bad weights, and return the error that names the newest good one."""
        newest = None
        if self._accelerator.is_main_process:
            self._store.drop(bad_step)
            newest = self._store.newest()
        self._accelerator.wait_for_everyone()
        hint = f"lower learning_rate or max_grad_norm; last good checkpoint: {newest.folder if newest else 'none'}"
        return TrainerError(f"training diverged: {problem}", place=str(self._folder), hint=hint)
