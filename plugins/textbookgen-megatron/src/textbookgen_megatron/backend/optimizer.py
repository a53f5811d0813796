"""Megatron-core's data parallel wrapper, optimizer and learning-rate schedule, from the settings of a run."""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig, finalize_model_grads
from megatron.core.models.gpt import GPTModel
from megatron.core.optimizer import MegatronOptimizer, OptimizerConfig, get_megatron_optimizer
from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer
from megatron.core.optimizer_param_scheduler import OptimizerParamScheduler
from megatron.core.transformer.module import Float16Module

from textbookgen_megatron.backend.device import data_parallel_size
from textbookgen_megatron.backend.gpt_model import Precision


@dataclass(frozen=True)
class OptimizerSettings:
    """Optimizer, learning-rate schedule, precision and frozen parameters of a run, with all defaults resolved."""

    steps: int
    learning_rate: float
    min_learning_rate: float
    schedule: str
    decay_fraction: float
    warmup_steps: int
    optimizer: str
    momentum: float
    weight_decay: float
    betas: tuple[float, float]
    eps: float
    max_grad_norm: float
    seed: int
    precision: Precision
    distributed_optimizer: bool = False
    overlap: bool = False
    freeze_embeddings: bool = False
    freeze_layers: int = 0


def freeze_parameters(model: GPTModel, settings: OptimizerSettings) -> None:
    """Disable gradients of the embeddings and of the first layers, as the settings ask."""
    frozen: list[torch.nn.Module] = []
    if settings.freeze_embeddings:
        # a tied output layer is the embedding table; the last pipeline stage has its own copy of it
        tables = ("embedding", *(("output_layer",) if model.share_embeddings_and_output_weights else ()))
        frozen += [getattr(model, name) for name in tables if hasattr(model, name)]
    frozen += [layer for layer in model.decoder.layers if layer.layer_number <= settings.freeze_layers]
    for module in frozen:
        module.requires_grad_(False)


def wrap_model(model: GPTModel, settings: OptimizerSettings) -> DistributedDataParallel:
    """Return the model in Megatron-core's DistributedDataParallel, with gradients reduced in float32."""
    config = model.config
    is_data_parallel = data_parallel_size() > 1
    overlaps = settings.overlap and is_data_parallel
    wrapped = DistributedDataParallel(
        config,
        DistributedDataParallelConfig(
            grad_reduce_in_fp32=True,
            overlap_grad_reduce=overlaps,
            overlap_param_gather=overlaps and settings.distributed_optimizer,
            use_distributed_optimizer=settings.distributed_optimizer,
            check_for_nan_in_grad=False,
        ),
        Float16Module(config, model) if settings.precision == "bf16" else model,
    )
    if is_data_parallel:
        wrapped.broadcast_params()
    config.finalize_model_grads_func = finalize_model_grads
    if overlaps:
        config.no_sync_func, config.grad_sync_func = wrapped.no_sync, wrapped.start_grad_sync
        if settings.distributed_optimizer:
            config.param_sync_func = wrapped.start_param_sync
    return wrapped


def make_optimizer(wrapped: DistributedDataParallel, settings: OptimizerSettings) -> MegatronOptimizer:
    """Return Megatron-core's optimizer of a wrapped model, and connect its loss scaling to the model."""
    optimizer = get_megatron_optimizer(
        OptimizerConfig(
            # Megatron-core's adam is AdamW: weight decay is decoupled, and not applied to biases and norms
            optimizer="adam" if settings.optimizer == "adamw" else "sgd",
            sgd_momentum=settings.momentum,
            lr=settings.learning_rate,
            min_lr=settings.min_learning_rate,
            weight_decay=settings.weight_decay,
            adam_beta1=settings.betas[0],
            adam_beta2=settings.betas[1],
            adam_eps=settings.eps,
            clip_grad=settings.max_grad_norm,
            bf16=settings.precision == "bf16",
            params_dtype=torch.bfloat16 if settings.precision == "bf16" else torch.float32,
            use_distributed_optimizer=settings.distributed_optimizer,
            overlap_param_gather=settings.overlap and data_parallel_size() > 1 and settings.distributed_optimizer,
        ),
        [wrapped],
    )
    if settings.optimizer == "sgd":
        for inner in inner_optimizers(optimizer):
            inner.init_state_fn = _init_momentum  # without it, Megatron-core cannot load the saved state of SGD
    wrapped.config.grad_scale_func = optimizer.scale_loss
    return optimizer


def inner_optimizers(optimizer: MegatronOptimizer) -> list[Any]:
    """Return the optimizers inside a ChainedOptimizer, or the optimizer itself."""
    return list(getattr(optimizer, "chained_optimizers", [optimizer]))


def synchronize_parameters(wrapped: DistributedDataParallel) -> None:
    """Gather the parameters that the last step updated elsewhere, if they are gathered only in the next forward pass."""
    if wrapped.ddp_config.overlap_param_gather:
        wrapped.start_param_sync(force_sync=True)


@torch.no_grad()
def main_weights(optimizer: MegatronOptimizer) -> dict[torch.nn.Parameter, torch.Tensor]:
    """Return the float32 weights behind bfloat16 parameters, each whole; all processes must call this.

    The distributed optimizer of a process holds a flat slice of each, so the slices of all data parallel processes are joined.
    """
    whole: dict[torch.nn.Parameter, torch.Tensor] = {}
    for inner in inner_optimizers(optimizer):
        if not isinstance(inner, DistributedOptimizer):
            groups = zip(getattr(inner, "float16_groups", []), getattr(inner, "fp32_from_float16_groups", []), strict=True)
            whole |= {parameter: main for pair in groups for parameter, main in zip(*pair, strict=True)}
            continue
        for buffer in inner.buffers:
            for parameter in buffer.params:
                if parameter.dtype != torch.float32:
                    whole[parameter] = _joined(parameter, inner)
    return whole


def _joined(parameter: torch.nn.Parameter, optimizer: DistributedOptimizer) -> torch.Tensor:
    full = torch.zeros(parameter.numel(), dtype=torch.float32, device=parameter.device)
    if parameter in optimizer.model_param_gbuf_map and (main := getattr(parameter, "main_param", None)) is not None:
        own = optimizer._get_model_param_range_map(parameter)["param"]
        full[own.start : own.end] = main
    dist.all_reduce(full, group=optimizer.data_parallel_group)
    return full.view(parameter.shape)


def _init_momentum(optimizer: torch.optim.Optimizer, config: object = None) -> None:
    """Create the state that torch's SGD creates in its first step."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if group["momentum"] and "momentum_buffer" not in optimizer.state[parameter]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def make_schedule(optimizer: MegatronOptimizer, settings: OptimizerSettings) -> OptimizerParamScheduler:
    """Return the learning-rate schedule: linear warmup from 0, then the decay of the settings."""
    return OptimizerParamScheduler(
        optimizer,
        init_lr=0.0,
        max_lr=settings.learning_rate,
        min_lr=min(settings.min_learning_rate, settings.learning_rate),
        lr_warmup_steps=settings.warmup_steps,
        lr_decay_steps=settings.steps + 1,  # so that the last step still learns: the final rate is often zero
        lr_decay_style="WSD" if settings.schedule == "wsd" else settings.schedule,
        wsd_decay_steps=max(1, round(settings.decay_fraction * settings.steps)),
        lr_wsd_decay_style="linear",
        start_wd=settings.weight_decay,
        end_wd=settings.weight_decay,
        wd_incr_steps=0,
        wd_incr_style="constant",
    )
