"""What is done beside training, step by step: metrics, held-out text, saves and stopping."""

# transformers' callbacks and accelerate carry no types
# mypy: disable-error-code="misc,import-untyped"

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from threading import Event
from typing import Any

import torch
from accelerate import Accelerator
from transformers import TrainerCallback, TrainerControl, TrainerState

from textbookgen.training.job import Clock, Metrics
from textbookgen_transformers.backend.evaluation import HeldOut
from textbookgen_transformers.backend.hardware import memory
from textbookgen_transformers.backend.learners import FIGURES, Work
from textbookgen_transformers.backend.saves import CheckpointStore
from textbookgen_transformers.backend.schedule import rate_of
from textbookgen_transformers.backend.soundness import Soundness


@dataclass
class Progress:
    """How far a run is: what a save keeps beside what transformers keeps."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float | None = None
    before: float | None = None
    memory: dict[str, int] | None = None


class Following(TrainerCallback):
    """Writes a line of metrics for each step, marks saves, and ends the run when it is asked to or has gone wrong."""

    def __init__(
        self,
        work: Work,
        done: Progress,
        saves: CheckpointStore,
        stop: Event,
        accelerator: Accelerator,
        examine: Callable[[], HeldOut],
        sound: Soundness,
        share_of_peak: Callable[[float], float] | None,
    ) -> None:
        self._work, self.done, self._saves, self._stop = work, done, saves, stop
        self._accelerator, self._examine, self._sound, self._share_of_peak = accelerator, examine, sound, share_of_peak
        self._clock = Clock(done.seconds)
        self._metrics = Metrics(work.job.folder, done.step) if accelerator.is_main_process else None
        self.stopped = False
        self.measured: HeldOut | None = None

    def on_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Remembers what memory a step takes, once: it is the same at each."""
        if self.done.memory is None:
            self.done.memory = memory(more["model"], more["optimizer"])

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
        step, batch = state.global_step, self._work.options.batch_size
        shown = self._work.source.tokens((step - 1) * batch, step * batch)
        self._sound.check_step(step, logs["loss"], logs.get("grad_norm"))
        self.done.step, self.done.tokens, self.done.loss = step, self.done.tokens + shown, logs["loss"]
        line = self._line(shown, logs)
        every = self._work.options.validate_every
        if step == self._work.steps or (every is not None and step % every == 0):
            self.measured = self.measure()
            line |= _validation(self.measured)
        if self._metrics is not None:
            self._metrics.add(line)

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """What was saved is whole, once every process has written its part."""
        self.done.seconds = self._clock.seconds
        self._accelerator.wait_for_everyone()
        if self._accelerator.is_main_process:
            self._saves.mark(state.global_step, asdict(self.done))

    def measure(self) -> HeldOut:
        """Reads held-out data with the weights as they are.

        Raises:
            TrainerError: that, or the weights, came to no finite number.
        """
        result = self._examine()
        self._sound.check_measured(self.done.step, result)
        return result

    @property
    def seconds(self) -> float:
        """Seconds the run has taken, those before a kill included."""
        return self._clock.seconds

    def close(self) -> None:
        """No step follows."""
        if self._metrics is not None:
            self._metrics.close()

    def _line(self, shown: int, logs: dict[str, float]) -> dict[str, Any]:
        rate = self._clock.rate(shown)
        return {
            "step": self.done.step,
            "steps": self._work.steps,
            "tokens": self.done.tokens,
            "loss": logs["loss"],
            **{name: logs.get(trl) for trl, name in FIGURES.items()},
            "learning_rate": rate_of(self.done.step, self._work.steps, self._work.options),
            "grad_norm": logs.get("grad_norm"),
            "tokens_per_second": round(rate, 1),
            "mfu": round(self._share_of_peak(rate), 4) if self._share_of_peak else None,
            "seconds": round(self._clock.seconds, 3),
        }


def _validation(result: HeldOut) -> dict[str, Any]:
    return {
        "validation_loss": result.loss,
        "validation_bits_per_byte": result.bits_per_byte,
        **{f"validation_{name}": value for name, value in result.each.items()},
    }
