"""A model with its optimizer and schedule, and the training step, on Megatron-core's forward-backward function."""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from megatron.core.models.gpt import GPTModel
from megatron.core.pipeline_parallel import get_forward_backward_func

from textbookgen import TrainerError
from textbookgen_megatron.backend import weights
from textbookgen_megatron.backend.data import Sample, Source, collate
from textbookgen_megatron.backend.device import (
    broadcast_from_last_stage,
    data_parallel_rank,
    data_parallel_size,
    is_last_stage,
    set_seed,
    sum_over_data_parallel,
)
from textbookgen_megatron.backend.objective import NextTokenObjective, Objective
from textbookgen_megatron.backend.optimizer import (
    OptimizerSettings,
    freeze_parameters,
    inner_optimizers,
    main_weights,
    make_optimizer,
    make_schedule,
    synchronize_parameters,
    wrap_model,
)
from textbookgen_megatron.shape import Shape


@dataclass(frozen=True)
class Segment:
    """Consecutive steps with the same data source, sequence length and rotary base; its samples are numbered from 0.

    `batch_size` counts sequences over all processes, `micro_batch_size` those of one forward pass of one process.
    """

    first_step: int
    steps: int
    source: Source
    batch_size: int
    micro_batch_size: int
    sequence_length: int
    rotary_base: float
    learning_rate_factor: float = 1.0

    def tokens(self, done: int) -> int:
        """Return the number of tokens in the batch of the step that follows `done` steps."""
        start = (done - self.first_step) * self.batch_size
        return self.source.tokens(start, start + self.batch_size)


@dataclass(frozen=True)
class StepResult:
    """Result of a step: mean loss over the global batch, gradient norm before clipping, learning rate, other metrics."""

    loss: float
    grad_norm: float | None
    learning_rate: float
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def is_finite(self) -> bool:
        """Whether loss and gradient norm are finite."""
        return math.isfinite(self.loss) and (self.grad_norm is None or math.isfinite(self.grad_norm))


class TrainState:
    """A model with its optimizer and learning-rate schedule."""

    def __init__(self, model: GPTModel, settings: OptimizerSettings, objective: Objective | None = None) -> None:
        self.model, self.settings, self.objective = model, settings, objective or NextTokenObjective()
        freeze_parameters(model, settings)
        self.wrapped = wrap_model(model, settings)
        self.optimizer = make_optimizer(self.wrapped, settings)
        self._schedule = make_schedule(self.optimizer, settings)
        self._forward_backward = get_forward_backward_func()

    def skip(self, steps: int) -> None:
        """Advance the schedule by a number of steps that an earlier process took."""
        self._schedule.step(increment=steps)

    def step(self, segment: Segment, done: int) -> StepResult:
        """Take the step that follows `done` steps."""
        if self.model.config.hidden_dropout:
            # the seed depends on step and rank alone, so a resumed run draws the dropout masks it would have drawn
            set_seed(self.settings.seed + 10_007 * (done + 1) + 101 * data_parallel_rank())
        self._schedule.step(increment=1)  # before the update: in Megatron's own order the first step has learning rate 0
        learning_rate = self._scale_learning_rate(segment.learning_rate_factor)
        self.wrapped.zero_grad_buffer()
        self.optimizer.zero_grad()
        micro_batches = segment.batch_size // data_parallel_size() // segment.micro_batch_size
        batches = _local_batches(segment, done, self.model.vocab_size)
        sums = self._run(batches, micro_batches, segment.micro_batch_size, segment.sequence_length, forward_only=False)
        _, grad_norm, _ = self.optimizer.step()
        units = max(sums[1], 1.0)
        metrics = {name: total / units for name, total in zip(self.objective.metrics, sums[2:], strict=True)}
        return StepResult(sums[0] / units, float(grad_norm) if self.settings.max_grad_norm else None, learning_rate, metrics)

    def evaluate(self, batches: Iterator[Sample], count: int, micro_batch_size: int, sequence_length: int) -> list[float]:
        """Return the sums of the objective over some batches, without learning, over all data parallel processes.

        Args:
            batches: Batches of this process.
            count: Number of batches of this process; processes may have different numbers of them.
            micro_batch_size: Samples in a batch.
            sequence_length: Tokens in a sequence.

        Returns:
            Sum of the loss, number of units (tokens or pairs), then the sums of `objective.metrics`.
        """
        self.synchronize()
        self.model.eval()
        with torch.no_grad():
            sums = self._run(batches, count, micro_batch_size, sequence_length, forward_only=True)
        self.model.train()
        return sums

    def _run(
        self, batches: Iterator[Sample], count: int, micro_batch_size: int, sequence_length: int, *, forward_only: bool
    ) -> list[float]:
        """Run Megatron-core's schedule over the micro-batches; return the sums of the last stage over all processes."""
        reports = []
        if count:
            reports = self._forward_backward(
                forward_step_func=self.objective.forward,
                data_iterator=batches,
                model=[self.wrapped],
                num_microbatches=count,
                seq_length=sequence_length,
                micro_batch_size=micro_batch_size * self.objective.rows,
                forward_only=forward_only,
            )
        sums = [0.0] * (2 + len(self.objective.metrics))
        if is_last_stage():
            rows = [report["sums"].tolist() for report in reports] or [sums]
            sums = sum_over_data_parallel([float(sum(column)) for column in zip(*rows, strict=True)])
        return broadcast_from_last_stage(sums)

    def _scale_learning_rate(self, factor: float) -> float:
        """Multiply the scheduled learning rate in the optimizer by the factor of the segment, and return it."""
        for group in self.optimizer.param_groups:
            group["lr"] *= factor
        return float(self.optimizer.param_groups[0]["lr"])

    def synchronize(self) -> None:
        """Complete the parameters of this process after a step: before they are saved, measured or gathered."""
        synchronize_parameters(self.wrapped)

    def full_weights(self, shape: Shape) -> dict[str, torch.Tensor]:
        """Return the full weights by name, float32 on the CPU; all processes must call this.

        With bfloat16 training, these are the optimizer's float32 weights, not the rounded copies in the model.
        """
        self.synchronize()
        return weights.gather(self.model, shape, main_weights(self.optimizer))

    def memory(self) -> dict[str, int]:
        """Return the bytes that weights, gradients and optimizer state take in this process; call it after a step."""
        parameters = list(self.model.parameters())
        buffers = [*self.wrapped.buffers, *self.wrapped.expert_parallel_buffers]
        optimizers = [inner.optimizer for inner in inner_optimizers(self.optimizer)]
        states = [value for inner in optimizers for state in inner.state.values() for value in state.values()]
        model_ids = {id(parameter) for parameter in parameters}
        # with bfloat16, the optimizer has a float32 copy of each parameter
        copies = [
            parameter
            for inner in optimizers
            for group in inner.param_groups
            for parameter in group["params"]
            if id(parameter) not in model_ids
        ]
        return {
            "weights": _bytes(parameters),
            "gradients": _bytes(buffer.grad_data for buffer in buffers),
            "optimizer": _bytes(value for value in (*states, *copies) if isinstance(value, torch.Tensor)),
        }


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _local_batches(segment: Segment, done: int, vocabulary: int) -> Iterator[Sample]:
    """Yield the micro-batches of this process for the step that follows `done` steps."""
    per_process = segment.batch_size // data_parallel_size()
    first = (done - segment.first_step) * segment.batch_size + data_parallel_rank() * per_process
    for start in range(first, first + per_process, segment.micro_batch_size):
        samples = [segment.source[number] for number in range(start, start + segment.micro_batch_size)]
        for sample in samples:
            check_token_ids(sample, vocabulary)
        yield collate(samples)


def check_token_ids(sample: Sample, vocabulary: int) -> None:
    """Check that all token ids are below the vocabulary size.

    Without this check, tensor parallel embeddings silently return zeros for an unknown id.

    Raises:
        TrainerError: An id is negative or too large.
    """
    highest = max(int(sample["tokens"].max()), int(sample["labels"].max()))
    if highest >= vocabulary or int(sample["tokens"].min()) < 0:
        raise TrainerError(
            f"token id {highest} in the data, but the vocabulary of the model has {vocabulary} ids",
            place="shards",
            hint="the token files are damaged or were packed with another tokenizer: pack them again",
        )
