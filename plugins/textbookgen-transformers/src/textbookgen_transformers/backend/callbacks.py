"""The callback of a training run: metrics, evaluation, checkpoints and stopping."""

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

from textbookgen.training.checkpoint_store import CheckpointStore
from textbookgen.training.evaluation import HeldOut
from textbookgen.training.metrics import MetricsWriter, RunClock
from textbookgen_transformers.backend.hardware import memory
from textbookgen_transformers.backend.nan_guard import NanGuard
from textbookgen_transformers.backend.schedule import learning_rate
from textbookgen_transformers.backend.setup import TrainPlan
from textbookgen_transformers.backend.trainers import METRIC_NAMES


@dataclass
class Progress:
    """Progress of a run, which its checkpoints record beside what transformers saves.

    Attributes:
        step: steps taken.
        tokens: tokens seen.
        seconds: seconds of training.
        loss: loss of the last step.
        bits_per_byte_before: bits per byte on held-out data before the first step, if the model was trained before.
        memory: bytes of weights, gradients and optimizer state.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float | None = None
    bits_per_byte_before: float | None = None
    memory: dict[str, int] | None = None


class RunCallback(TrainerCallback):
    """Writes a line of metrics for each step, marks checkpoints complete, and stops the run when asked to.

    Args:
        plan: the plan of the job.
        progress: progress of the run so far.
        store: the checkpoints of the run.
        stop: asks the run to save and stop.
        accelerator: the processes of the run.
        evaluate: evaluates on held-out data.
        guard: aborts diverged runs.
        utilization: from tokens per second to the share of the devices' peak, if that is known.
    """

    def __init__(
        self,
        plan: TrainPlan,
        progress: Progress,
        store: CheckpointStore,
        stop: Event,
        accelerator: Accelerator,
        evaluate: Callable[[], HeldOut],
        guard: NanGuard,
        utilization: Callable[[float], float] | None,
    ) -> None:
        self._plan, self.progress, self._store, self._stop = plan, progress, store, stop
        self._accelerator, self._evaluate, self._guard, self._utilization = accelerator, evaluate, guard, utilization
        self._clock = RunClock(progress.seconds)
        self._metrics = MetricsWriter(plan.job.folder, progress.step) if accelerator.is_main_process else None
        self.stopped = False
        self.held_out: HeldOut | None = None

    def on_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **keywords: Any) -> None:
        """Record the memory that a step takes, once: it is the same at each."""
        if self.progress.memory is None:
            self.progress.memory = memory(keywords["model"], keywords["optimizer"])

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **keywords: Any) -> TrainerControl:
        """Save and stop if any process was asked to stop before the last step."""
        asked = torch.tensor(int(self._stop.is_set()), device=self._accelerator.device)
        if int(self._accelerator.reduce(asked, "sum")) and state.global_step < self._plan.steps:
            self.stopped = control.should_save = control.should_training_stop = True
        return control

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, float] | None = None, **keywords: Any
    ) -> None:
        """Write a line of metrics; the last of transformers' logs is about the whole run and has none."""
        if logs is None or "loss" not in logs:
            return
        progress, step, batch_size = self.progress, state.global_step, self._plan.options.batch_size
        tokens = self._plan.source.tokens((step - 1) * batch_size, step * batch_size)
        self._guard.check_step(step, logs["loss"], logs.get("grad_norm"))
        progress.step, progress.tokens, progress.loss = step, progress.tokens + tokens, logs["loss"]
        line = self._line(tokens, logs)
        every = self._plan.options.validate_every
        if step == self._plan.steps or (every is not None and step % every == 0):
            self.held_out = self.evaluate()
            line |= self.held_out.metrics_line()
        if self._metrics is not None:
            self._metrics.add(line)

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **keywords: Any) -> None:
        """Mark the checkpoint complete, once every process has written its part."""
        self.progress.seconds = self._clock.seconds
        self._accelerator.wait_for_everyone()
        if self._accelerator.is_main_process:
            self._store.mark_complete(state.global_step, asdict(self.progress))

    def evaluate(self) -> HeldOut:
        """Evaluate on held-out data with the current weights.

        Raises:
            TrainerError: the metrics or the weights are not finite.
        """
        result = self._evaluate()
        self._guard.check_evaluation(self.progress.step, result)
        return result

    @property
    def seconds(self) -> float:
        """Seconds of training in all attempts."""
        return self._clock.seconds

    def close(self) -> None:
        """Close metrics.jsonl."""
        if self._metrics is not None:
            self._metrics.close()

    def _line(self, tokens: int, logs: dict[str, float]) -> dict[str, Any]:
        rate, step, steps = self._clock.rate(tokens), self.progress.step, self._plan.steps
        return {
            "step": step,
            "steps": steps,
            "tokens": self.progress.tokens,
            "loss": logs["loss"],
            **{name: logs.get(trl) for trl, name in METRIC_NAMES.items()},
            "learning_rate": learning_rate(step, steps, self._plan.options),
            "grad_norm": logs.get("grad_norm"),
            "tokens_per_second": round(rate, 1),
            "mfu": round(self._utilization(rate), 4) if self._utilization else None,
            "seconds": round(self._clock.seconds, 3),
        }
