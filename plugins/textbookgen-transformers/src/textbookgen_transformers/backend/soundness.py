"""Ends a run whose weights came to no finite number, and removes the save of them, so that none such is called good."""

# accelerate carries no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import math
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from textbookgen import TrainerError
from textbookgen_transformers.backend.evaluation import HeldOut
from textbookgen_transformers.backend.saves import CheckpointStore


class Soundness:
    """What is looked at, of one run; every process must call each check, and all of them end alike."""

    def __init__(self, model: nn.Module, steps: int, folder: Path, saves: CheckpointStore, accelerator: Accelerator) -> None:
        self._model, self._steps, self._folder = model, steps, folder
        self._saves, self._accelerator = saves, accelerator

    def check_start(self, result: HeldOut, parent: Path) -> None:
        """Raises TrainerError if the weights that training would start from are no good."""
        if not self._is_sound(result):
            raise TrainerError(
                f"the weights to start from are no good: their loss of held-out text is {result.loss}",
                place=str(parent),
                hint="train the stage above anew, at a lower learning_rate",
            )

    def check_step(self, step: int, loss: float, gradient: float | None) -> None:
        """Raises TrainerError if the weights that this step began with give no finite loss or gradient."""
        if not all(map(math.isfinite, (loss, gradient or 0.0))):
            told = f"the loss is {loss} and the gradient's norm {gradient}"
            raise self._unsound(f"{told} at step {step} of {self._steps}", step - 1)

    def check_measured(self, step: int, result: HeldOut) -> None:
        """Raises TrainerError if held-out text, or the weights, came to no finite number after this step."""
        if not self._is_sound(result):
            raise self._unsound(f"after step {step} of {self._steps} the loss of held-out text is {result.loss}", step)

    def _is_sound(self, result: HeldOut) -> bool:
        finite = all(bool(torch.isfinite(each).all()) for each in self._model.parameters())
        figures = (result.loss, result.bits_per_byte, *result.each.values())
        finite = finite and all(math.isfinite(each) for each in figures if each is not None)
        odd = self._accelerator.reduce(torch.tensor(int(not finite), device=self._accelerator.device), "sum")
        return int(odd) == 0

    def _unsound(self, problem: str, step: int) -> TrainerError:
        """What to say when the weights of so many steps are no good; a save of them is removed."""
        last = None
        if self._accelerator.is_main_process:
            self._saves.drop(step)
            last = self._saves.last()
        self._accelerator.wait_for_everyone()
        hint = f"lower learning_rate or max_grad_norm; the last good save is {last[0] if last else 'none'}"
        return TrainerError(problem, place=str(self._folder), hint=hint)
