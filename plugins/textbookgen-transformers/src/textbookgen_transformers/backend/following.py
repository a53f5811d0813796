"""What is done beside training, step by step: metrics, held-out text, saves, stopping, and an end to what is no number."""

# transformers' callbacks and accelerate carry no types
# mypy: disable-error-code="misc,import-untyped"

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from threading import Event
from typing import Any

import torch
from accelerate import Accelerator
from transformers import TrainerCallback, TrainerControl, TrainerState

from textbookgen.errors import TrainerError
from textbookgen.trainer import Clock, Metrics
from textbookgen_transformers.backend.evaluation import HeldOut
from textbookgen_transformers.backend.learners import FIGURES, Work
from textbookgen_transformers.backend.saves import Saves
from textbookgen_transformers.backend.schedule import rate_of


@dataclass
class Progress:
    """How far a run is: what a save keeps beside what transformers keeps."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float | None = None
    before: float | None = None


class Following(TrainerCallback):
    """Writes a line of metrics for each step, marks saves, and ends the run when it is asked to or has gone wrong."""

    def __init__(
        self,
        work: Work,
        done: Progress,
        saves: Saves,
        stop: Event,
        accelerator: Accelerator,
        examine: Callable[[], HeldOut],
    ) -> None:
        self._work, self.done, self._saves, self._stop = work, done, saves, stop
        self._accelerator, self._examine = accelerator, examine
        self._clock = Clock(done.seconds)
        self._metrics = Metrics(work.job.folder, done.step) if accelerator.is_main_process else None
        self.stopped = False
        self.measured: HeldOut | None = None

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **more: Any) -> TrainerControl:
        """Asks for a save and an end, if any process was told to stop before the last step."""
        wish = torch.tensor(int(self._stop.is_set()), device=self._accelerator.device)
        if int(self._accelerator.reduce(wish, "sum")) and state.global_step < self._work.steps:
            self.stopped = control.should_save = control.should_training_stop = True
        return control

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, float] | None = None, **more: Any
    ) -> None:
        """A line of metrics; the last of transformers' logs, on the whole run, is none of a step."""
        if logs is None or "loss" not in logs:
            return
        step, batch = state.global_step, self._work.options.batch
        shown = self._work.source.tokens((step - 1) * batch, step * batch)
        self._check_sound(step, logs)
        self.done.step, self.done.tokens, self.done.loss = step, self.done.tokens + shown, logs["loss"]
        line = self._line(shown, logs)
        every = self._work.options.validate_every
        if step == self._work.steps or (every is not None and step % every == 0):
            self.measured = self._examine()
            line |= _validation(self.measured)
        if self._metrics is not None:
            self._metrics.add(line)

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """What was saved is whole, once every process has written its part."""
        self.done.seconds = self._clock.seconds
        self._accelerator.wait_for_everyone()
        if self._accelerator.is_main_process:
            self._saves.mark(state.global_step, asdict(self.done))

    @property
    def seconds(self) -> float:
        """Seconds the run has taken, those before a kill included."""
        return self._clock.seconds

    def close(self) -> None:
        """No step follows."""
        if self._metrics is not None:
            self._metrics.close()

    def _line(self, shown: int, logs: dict[str, float]) -> dict[str, Any]:
        return {
            "step": self.done.step,
            "steps": self._work.steps,
            "tokens": self.done.tokens,
            "loss": logs["loss"],
            **{name: logs.get(trl) for trl, name in FIGURES.items()},
            "learning_rate": rate_of(self.done.step, self._work.steps, self._work.options),
            "grad_norm": logs.get("grad_norm"),
            "tokens_per_second": round(self._clock.rate(shown), 1),
            "seconds": round(self._clock.seconds, 3),
        }

    def _check_sound(self, step: int, logs: dict[str, float]) -> None:
        if math.isfinite(logs["loss"]) and math.isfinite(logs.get("grad_norm", 0.0)):
            return
        last = self._saves.last()
        raise TrainerError(
            f"the loss is {logs['loss']} and the gradient's norm {logs.get('grad_norm')} at step {step} of {self._work.steps}",
            place=str(self._work.job.folder),
            hint=f"lower learning_rate or clip; the last good save is {last[0] if last else 'none'}",
        )


def _validation(found: HeldOut) -> dict[str, Any]:
    return {
        "validation_loss": found.loss,
        "validation_bits_per_byte": found.bits_per_byte,
        **{f"validation_{name}": value for name, value in found.each.items()},
    }
