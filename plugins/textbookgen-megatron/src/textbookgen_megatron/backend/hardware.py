"""What a process's device can hold and do: checked before the first step, and measured after the last."""

from __future__ import annotations

import resource
import sys

import psutil  # type: ignore[import-untyped,unused-ignore]
import torch

from textbookgen import TrainerError
from textbookgen.training.job import peak_of
from textbookgen_megatron.backend.device import CUDA, data_rank, device
from textbookgen_megatron.backend.step import Recipe
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.training import Training


def peak_flops(options: Training, precision: str) -> float | None:
    """What this process's device does at best in a second; None if nobody said."""
    if options.peak_tflops is not None:
        return options.peak_tflops * 1e12
    if not CUDA or precision != "bf16":
        return None
    return peak_of(torch.cuda.get_device_name(device()))


def needed_bytes(shape: Shape, options: Training, recipe: Recipe, at_once: int) -> int:
    """About what a process needs at least: weights, gradients, the optimizer, and the activations of one micro-batch.

    Activations as in arXiv 2205.05198, equation 2, without the attention scores, which are never held: 34 bytes for each
    number of the residual stream in bfloat16, or 2 where layers are worked out again.
    """
    mine = shape.parameters(padding=True) / options.group
    width = 2 if recipe.precision == "bf16" else 4
    states = {"adamw": 8, "sgd": 4 if recipe.momentum else 0}[recipe.optimizer] + (4 if recipe.precision == "bf16" else 0)
    optimizer = states / (data_rank()[1] if recipe.distributed_optimizer else 1)
    tokens = at_once * shape.sequence_length
    layers = shape.layers / options.pipeline_parallel
    per_layer = (2 if options.recompute else 34 / options.tensor_parallel) * width / 2
    activations = tokens * (shape.hidden * layers * per_layer + 6.0 * shape.padded_vocabulary / options.tensor_parallel)
    return int(mine * (width + 4 + optimizer) + activations)


def check_memory(shape: Shape, options: Training, recipe: Recipe, at_once: int) -> None:
    """Raises TrainerError if the job needs more than this process's device has free."""
    needed = needed_bytes(shape, options, recipe, at_once)
    if CUDA:
        free, where = torch.cuda.mem_get_info(device())[0], torch.cuda.get_device_name(device())
    else:
        here = max(1, options.processes // options.nodes)
        free, where = psutil.virtual_memory().available // here, "this machine, for each process"
    if needed > free:
        raise TrainerError(
            f"a process needs about {needed / 2**30:.1f} GiB, and {where} has {free / 2**30:.1f} GiB free",
            place="gpus",
            hint=f"lower micro_batch (now {at_once}), set recompute = true, or split the model: tensor_parallel, "
            "pipeline_parallel, distributed_optimizer",
        )


def peak_mib() -> float:
    """The most memory this process has had: of its GPU, or else of the machine."""
    if CUDA:
        return round(torch.cuda.max_memory_allocated(device()) / 2**20, 1)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)
