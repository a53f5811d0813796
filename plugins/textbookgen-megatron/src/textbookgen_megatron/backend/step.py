"""One training step on stock Megatron-core: its data parallel wrapper, optimizer, schedule and forward-backward function."""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig, finalize_model_grads
from megatron.core.models.gpt import GPTModel
from megatron.core.optimizer import MegatronOptimizer, OptimizerConfig, get_megatron_optimizer
from megatron.core.optimizer_param_scheduler import OptimizerParamScheduler
from megatron.core.pipeline_parallel import get_forward_backward_func
from megatron.core.transformer.module import Float16Module
from torch import Tensor

from textbookgen_megatron.backend.data import Sample, Source, batch
from textbookgen_megatron.backend.device import CUDA, add_up, data_rank, seed
from textbookgen_megatron.backend.model import Precision


@dataclass(frozen=True)
class Recipe:
    """How weights are learned."""

    steps: int
    batch: int
    micro_batch: int
    learning_rate: float
    final_learning_rate: float
    schedule: str
    warmup_steps: int
    weight_decay: float
    betas: tuple[float, float]
    eps: float
    clip: float
    seed: int
    precision: Precision


@dataclass(frozen=True)
class Told:
    """What a step came to: nats per learned token over the whole batch, and the norm of the gradient before clipping."""

    loss: float
    gradient: float | None
    learning_rate: float

    @property
    def sound(self) -> bool:
        """Whether every figure is finite."""
        return math.isfinite(self.loss) and (self.gradient is None or math.isfinite(self.gradient))


class Learner:
    """A model with its optimizer and schedule, taking steps."""

    def __init__(self, model: GPTModel, recipe: Recipe, sequence_length: int) -> None:
        self.model, self.recipe, self._length = model, recipe, sequence_length
        self._wrapped = _wrap(model, recipe.precision)
        self.optimizer = _optimizer(self._wrapped, recipe)
        self._schedule = _schedule(self.optimizer, recipe)
        self._forward_backward = get_forward_backward_func()

    def skip(self, steps: int) -> None:
        """Sets the schedule to where it was after so many steps."""
        self._schedule.step(increment=steps)

    def step(self, source: Source, done: int) -> Told:
        """Takes the step after `done` steps."""
        recipe = self.recipe
        if self.model.config.hidden_dropout:
            # seeded by step and share alone, so a run that was taken up again drops what it would have dropped
            seed(recipe.seed + 10_007 * (done + 1) + 101 * data_rank()[0])
        self._schedule.step(increment=1)  # before, not after: Megatron's own order takes the first step at rate zero
        self._wrapped.zero_grad_buffer()
        self.optimizer.zero_grad()
        batches = self._micro_batches(source, done)
        told = self._forward_backward(
            forward_step_func=_forward,
            data_iterator=batches,
            model=[self._wrapped],
            num_microbatches=recipe.batch // data_rank()[1] // recipe.micro_batch,
            seq_length=self._length,
            micro_batch_size=recipe.micro_batch,
            forward_only=False,
        )
        _, gradient, _ = self.optimizer.step()
        nats, tokens = add_up([float(sum(each)) for each in zip(*(one["sums"].tolist() for one in told), strict=True)])
        rate = float(self.optimizer.param_groups[0]["lr"])
        return Told(nats / max(tokens, 1.0), None if not recipe.clip else float(gradient), rate)

    def _micro_batches(self, source: Source, done: int) -> Iterator[Sample]:
        """This process's share of the batch, a part at a time."""
        share, shares = data_rank()
        mine = self.recipe.batch // shares
        first = done * self.recipe.batch + share * mine
        for start in range(first, first + mine, self.recipe.micro_batch):
            yield batch([source[number] for number in range(start, start + self.recipe.micro_batch)])


def nats(model: torch.nn.Module, shown: Sample) -> Tensor:
    """Minus the log probability of each label, `[b, s]`."""
    tokens = shown["tokens"]
    positions = torch.arange(tokens.size(1), device=tokens.device).expand_as(tokens)
    return model(tokens, positions, shown.get("attention_mask"), labels=shown["labels"])  # type: ignore[no-any-return]


def _forward(batches: Iterator[Sample], model: torch.nn.Module) -> tuple[Tensor, Any]:
    """Megatron's forward step: the loss of each token, and the function that sums it."""
    shown = next(batches)
    return nats(model, shown), partial(_summed, shown["loss_mask"])


def _summed(mask: Tensor, losses: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Sum and count; Megatron divides the one by the other over all micro-batches and processes."""
    total, count = (losses.float() * mask).sum(), mask.sum()
    return total, count.int(), {"sums": torch.stack([total.detach(), count])}


def _wrap(model: GPTModel, precision: Precision) -> DistributedDataParallel:
    config = model.config
    several = data_rank()[1] > 1
    wrapped = DistributedDataParallel(
        config,
        DistributedDataParallelConfig(
            grad_reduce_in_fp32=True, overlap_grad_reduce=CUDA and several, check_for_nan_in_grad=False
        ),
        Float16Module(config, model) if precision == "bf16" else model,
    )
    if several:
        wrapped.broadcast_params()
    config.finalize_model_grads_func = finalize_model_grads
    if CUDA and several:
        config.no_sync_func, config.grad_sync_func = wrapped.no_sync, wrapped.start_grad_sync
    return wrapped


def _optimizer(wrapped: DistributedDataParallel, recipe: Recipe) -> MegatronOptimizer:
    optimizer = get_megatron_optimizer(
        OptimizerConfig(
            optimizer="adam",  # AdamW: weight decay is decoupled, and leaves biases and norms alone
            lr=recipe.learning_rate,
            min_lr=recipe.final_learning_rate,
            weight_decay=recipe.weight_decay,
            adam_beta1=recipe.betas[0],
            adam_beta2=recipe.betas[1],
            adam_eps=recipe.eps,
            clip_grad=recipe.clip,
            bf16=recipe.precision == "bf16",
            params_dtype=torch.bfloat16 if recipe.precision == "bf16" else torch.float32,
        ),
        [wrapped],
    )
    wrapped.config.grad_scale_func = optimizer.scale_loss
    return optimizer


def _schedule(optimizer: MegatronOptimizer, recipe: Recipe) -> OptimizerParamScheduler:
    return OptimizerParamScheduler(
        optimizer,
        init_lr=0.0,
        max_lr=recipe.learning_rate,
        min_lr=recipe.final_learning_rate,
        lr_warmup_steps=recipe.warmup_steps,
        lr_decay_steps=recipe.steps + 1,  # the last step is not wasted on the final rate, which is often zero
        lr_decay_style=recipe.schedule,
        start_wd=recipe.weight_decay,
        end_wd=recipe.weight_decay,
        wd_incr_steps=0,
        wd_incr_style="constant",
    )
