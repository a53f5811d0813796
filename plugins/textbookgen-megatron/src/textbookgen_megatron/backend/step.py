"""One training step on stock Megatron-core: its data parallel wrapper, optimizer, schedule and forward-backward function."""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig, finalize_model_grads
from megatron.core.models.gpt import GPTModel
from megatron.core.optimizer import MegatronOptimizer, OptimizerConfig, get_megatron_optimizer
from megatron.core.optimizer_param_scheduler import OptimizerParamScheduler
from megatron.core.pipeline_parallel import get_forward_backward_func
from megatron.core.transformer.module import Float16Module

from textbookgen import TrainerError
from textbookgen_megatron.backend.data import Sample, Source, batch
from textbookgen_megatron.backend.device import CUDA, add_up, data_rank, from_last_stage, is_last_stage, seed
from textbookgen_megatron.backend.model import Precision
from textbookgen_megatron.backend.objective import NextToken, Objective


@dataclass(frozen=True)
class Recipe:
    """How weights are learned."""

    steps: int
    learning_rate: float
    final_learning_rate: float
    schedule: str
    decay_share: float
    warmup_steps: int
    optimizer: str
    momentum: float
    weight_decay: float
    betas: tuple[float, float]
    eps: float
    clip: float
    seed: int
    precision: Precision
    distributed_optimizer: bool = False
    freeze_embeddings: bool = False
    freeze_layers: int = 0


@dataclass(frozen=True)
class Segment:
    """A stretch of steps with the same samples, windows and rotation; its samples are numbered from 0."""

    first: int
    steps: int
    source: Source
    batch: int
    micro_batch: int
    length: int
    rotary_base: float
    factor: float = 1.0

    def tokens(self, done: int) -> int:
        """How many tokens the step after `done` steps shows."""
        start = (done - self.first) * self.batch
        return self.source.tokens(start, start + self.batch)


@dataclass(frozen=True)
class Told:
    """What a step came to: the mean loss over the whole batch, and the norm of the gradient before clipping."""

    loss: float
    gradient: float | None
    learning_rate: float
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether every figure is finite."""
        return math.isfinite(self.loss) and (self.gradient is None or math.isfinite(self.gradient))


class Learner:
    """A model with its optimizer and schedule, taking steps."""

    def __init__(self, model: GPTModel, recipe: Recipe, objective: Objective | None = None) -> None:
        self.model, self.recipe, self.objective = model, recipe, objective or NextToken()
        _freeze(model, recipe)
        self.wrapped = _wrap(model, recipe)
        self.optimizer = _optimizer(self.wrapped, recipe)
        self._schedule = _schedule(self.optimizer, recipe)
        self._forward_backward = get_forward_backward_func()

    def skip(self, steps: int) -> None:
        """Sets the schedule to where it was after so many steps."""
        self._schedule.step(increment=steps)

    def step(self, segment: Segment, done: int) -> Told:
        """Takes the step after `done` steps."""
        if self.model.config.hidden_dropout:
            # seeded by step and share alone, so a run that was taken up again drops what it would have dropped
            seed(self.recipe.seed + 10_007 * (done + 1) + 101 * data_rank()[0])
        self._schedule.step(increment=1)  # before, not after: Megatron's own order takes the first step at rate zero
        rate = self._rate(segment.factor)
        self.wrapped.zero_grad_buffer()
        self.optimizer.zero_grad()
        sums = self._run(segment, _share_of_batch(segment, done, self.model.vocab_size), forward_only=False)
        _, gradient, _ = self.optimizer.step()
        loss, figures = self._means(sums)
        return Told(loss, None if not self.recipe.clip else float(gradient), rate, figures)

    def measure(self, batches: Iterator[Sample], count: int, rows: int, length: int) -> list[float]:
        """The objective's sums over so many batches, without learning; of data parallel processes, added up."""
        self.model.eval()
        segment = Segment(0, 1, _Nothing(), 0, rows, length, 0.0)
        with torch.no_grad():
            sums = self._run(segment, batches, forward_only=True, count=count)
        self.model.train()
        return sums

    def _run(self, segment: Segment, batches: Iterator[Sample], *, forward_only: bool, count: int | None = None) -> list[float]:
        """Megatron's schedule over the micro-batches; the sums that the last stage reports, over all processes."""
        if count is None:
            count = segment.batch // data_rank()[1] // segment.micro_batch
        told = []
        if count:
            told = self._forward_backward(
                forward_step_func=self.objective.forward,
                data_iterator=batches,
                model=[self.wrapped],
                num_microbatches=count,
                seq_length=segment.length,
                micro_batch_size=segment.micro_batch * self.objective.rows,
                forward_only=forward_only,
            )
        width = 2 + len(self.objective.figures)
        sums = None
        if is_last_stage():
            rows = [one["sums"].tolist() for one in told] or [[0.0] * width]
            sums = add_up([float(sum(column)) for column in zip(*rows, strict=True)])
        return from_last_stage(sums, width)

    def _means(self, sums: list[float]) -> tuple[float, dict[str, float]]:
        units = max(sums[1], 1.0)
        figures = {name: total / units for name, total in zip(self.objective.figures, sums[2:], strict=True)}
        return sums[0] / units, figures

    def _rate(self, factor: float) -> float:
        """The learning rate of this step, set in the optimizer; `factor` is the segment's."""
        for group in self.optimizer.param_groups:
            group["lr"] *= factor
        return float(self.optimizer.param_groups[0]["lr"])

    def memory(self) -> dict[str, int]:
        """Bytes that weights, gradients and the optimizer's own numbers take in this process, after a step."""
        parameters = list(self.model.parameters())
        buffers = [*self.wrapped.buffers, *self.wrapped.expert_parallel_buffers]
        states = [
            value
            for inner in inner_optimizers(self.optimizer)
            for state in inner.optimizer.state.values()
            for value in state.values()
        ]
        own = {id(parameter) for parameter in parameters}
        masters = [
            parameter
            for inner in inner_optimizers(self.optimizer)
            for group in inner.optimizer.param_groups
            for parameter in group["params"]
            if id(parameter) not in own
        ]
        return {
            "weights": _bytes(parameters),
            "gradients": _bytes([buffer.grad_data for buffer in buffers]),
            "optimizer": _bytes([item for item in (*states, *masters) if isinstance(item, torch.Tensor)]),
        }


class _Nothing:
    """A source of no samples, for measurements that bring their own."""

    def __getitem__(self, number: int) -> Sample:
        raise IndexError(number)

    def tokens(self, start: int, stop: int) -> int:
        """None."""
        return 0


def _bytes(tensors: list[Any]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def inner_optimizers(optimizer: MegatronOptimizer) -> list[Any]:
    """Megatron-core's optimizers inside a chained one; or the one itself."""
    return list(getattr(optimizer, "chained_optimizers", [optimizer]))


def _share_of_batch(segment: Segment, done: int, vocabulary: int) -> Iterator[Sample]:
    """This process's share of the batch, a part at a time."""
    share, shares = data_rank()
    mine = segment.batch // shares
    first = (done - segment.first) * segment.batch + share * mine
    for start in range(first, first + mine, segment.micro_batch):
        samples = [segment.source[number] for number in range(start, start + segment.micro_batch)]
        for sample in samples:
            check_ids(sample, vocabulary)
        yield batch(samples)


def check_ids(sample: Sample, vocabulary: int) -> None:
    """Raises TrainerError if a token is none of the model's; tensor parallel processes would quietly read zeros for it."""
    highest = max(int(sample["tokens"].max()), int(sample["labels"].max()))
    if highest >= vocabulary or int(sample["tokens"].min()) < 0:
        raise TrainerError(
            f"the data has a token {highest}, and the model only {vocabulary}",
            place="shards",
            hint="the token files are damaged or of another vocabulary: pack them again",
        )


def _freeze(model: GPTModel, recipe: Recipe) -> None:
    frozen: list[torch.nn.Module] = []
    if recipe.freeze_embeddings:
        # a tied head is the same table; the last stage of a pipeline has a copy of its own
        tables = ("embedding", *(("output_layer",) if model.share_embeddings_and_output_weights else ()))
        frozen += [getattr(model, name) for name in tables if hasattr(model, name)]
    frozen += [layer for layer in model.decoder.layers if layer.layer_number <= recipe.freeze_layers]
    for module in frozen:
        module.requires_grad_(False)


def _wrap(model: GPTModel, recipe: Recipe) -> DistributedDataParallel:
    config = model.config
    several = data_rank()[1] > 1
    wrapped = DistributedDataParallel(
        config,
        DistributedDataParallelConfig(
            grad_reduce_in_fp32=True,
            overlap_grad_reduce=CUDA and several,
            overlap_param_gather=CUDA and several and recipe.distributed_optimizer,
            use_distributed_optimizer=recipe.distributed_optimizer,
            check_for_nan_in_grad=False,
        ),
        Float16Module(config, model) if recipe.precision == "bf16" else model,
    )
    if several:
        wrapped.broadcast_params()
    config.finalize_model_grads_func = finalize_model_grads
    if CUDA and several:
        config.no_sync_func, config.grad_sync_func = wrapped.no_sync, wrapped.start_grad_sync
        if recipe.distributed_optimizer:
            config.param_sync_func = wrapped.start_param_sync
    return wrapped


def _optimizer(wrapped: DistributedDataParallel, recipe: Recipe) -> MegatronOptimizer:
    optimizer = get_megatron_optimizer(
        OptimizerConfig(
            # Megatron's adam is AdamW: weight decay is decoupled, and leaves biases and norms alone
            optimizer="adam" if recipe.optimizer == "adamw" else "sgd",
            sgd_momentum=recipe.momentum,
            lr=recipe.learning_rate,
            min_lr=recipe.final_learning_rate,
            weight_decay=recipe.weight_decay,
            adam_beta1=recipe.betas[0],
            adam_beta2=recipe.betas[1],
            adam_eps=recipe.eps,
            clip_grad=recipe.clip,
            bf16=recipe.precision == "bf16",
            params_dtype=torch.bfloat16 if recipe.precision == "bf16" else torch.float32,
            use_distributed_optimizer=recipe.distributed_optimizer,
            overlap_param_gather=CUDA and data_rank()[1] > 1 and recipe.distributed_optimizer,
        ),
        [wrapped],
    )
    if recipe.optimizer == "sgd":
        for item in inner_optimizers(optimizer):
            item.init_state_fn = _fresh_momentum  # without one, Megatron-core cannot load what SGD saved
    wrapped.config.grad_scale_func = optimizer.scale_loss
    return optimizer


def _fresh_momentum(optimizer: torch.optim.Optimizer, config: object = None) -> None:
    """The state that torch's SGD makes at its first step."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if group["momentum"] and "momentum_buffer" not in optimizer.state[parameter]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def _schedule(optimizer: MegatronOptimizer, recipe: Recipe) -> OptimizerParamScheduler:
    return OptimizerParamScheduler(
        optimizer,
        init_lr=0.0,
        max_lr=recipe.learning_rate,
        min_lr=min(recipe.final_learning_rate, recipe.learning_rate),
        lr_warmup_steps=recipe.warmup_steps,
        lr_decay_steps=recipe.steps + 1,  # the last step is not wasted on the final rate, which is often zero
        lr_decay_style="WSD" if recipe.schedule == "wsd" else recipe.schedule,
        wsd_decay_steps=max(1, round(recipe.decay_share * recipe.steps)),
        lr_wsd_decay_style="linear",
        start_wd=recipe.weight_decay,
        end_wd=recipe.weight_decay,
        wd_incr_steps=0,
        wd_incr_style="constant",
    )
