"""Peak throughput and memory of a process's device: checked before the first step, measured after the last."""

from __future__ import annotations

import psutil  # type: ignore[import-untyped,unused-ignore]
import torch

from textbookgen import TrainerError
from textbookgen.training import metrics
from textbookgen_megatron.backend.device import CUDA, data_parallel_size, device
from textbookgen_megatron.backend.optimizer import OptimizerSettings
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.stages.options import MegatronTrainOptions


def peak_flops(options: MegatronTrainOptions, precision: str) -> float | None:
    """Return the peak FLOP/s of this process's device; None if it is not known."""
    if options.peak_tflops is not None:
        return options.peak_tflops * 1e12
    if not CUDA or precision != "bf16":
        return None
    return metrics.gpu_peak_flops(torch.cuda.get_device_name(device()))


def estimate_memory(shape: Shape, options: MegatronTrainOptions, settings: OptimizerSettings, micro_batch_size: int) -> int:
    """Return a lower estimate of the memory a process needs, in bytes.

    Counts weights, float32 gradients, optimizer state, and the activations of one micro-batch: equation 2 of "Reducing
    Activation Recomputation" (arXiv 2205.05198) without attention scores, which are never materialized. That is 34 bytes per
    element of the residual stream and layer in bfloat16, or 2 with activation checkpointing.
    """
    parameters = shape.parameters(padding=True) / options.model_parallel_size
    bf16 = settings.precision == "bf16"
    weight_bytes = 2 if bf16 else 4
    state_bytes = {"adamw": 8, "sgd": 4 if settings.momentum else 0}[settings.optimizer] + (4 if bf16 else 0)
    optimizer_bytes = state_bytes / (data_parallel_size() if settings.distributed_optimizer else 1)
    tokens = micro_batch_size * shape.sequence_length
    layers = shape.layers / options.pipeline_parallel
    per_layer = (2 if options.activation_checkpointing else 34 / options.tensor_parallel) * weight_bytes / 2
    activations = tokens * (shape.hidden * layers * per_layer + 6.0 * shape.padded_vocabulary / options.tensor_parallel)
    return int(parameters * (weight_bytes + 4 + optimizer_bytes) + activations)


def check_memory(shape: Shape, options: MegatronTrainOptions, settings: OptimizerSettings, micro_batch_size: int) -> None:
    """Check that the job fits into the free memory of this process's device.

    Raises:
        TrainerError: It needs more.
    """
    needed = estimate_memory(shape, options, settings, micro_batch_size)
    if CUDA:
        free, where = torch.cuda.mem_get_info(device())[0], torch.cuda.get_device_name(device())
    else:
        local_processes = max(1, options.processes // options.nodes)
        free, where = psutil.virtual_memory().available // local_processes, "this machine, per process,"
    if needed > free:
        raise TrainerError(
            f"a process needs about {needed / 2**30:.1f} GiB of memory, and {where} has {free / 2**30:.1f} GiB free",
            place="gpus",
            hint=f"lower micro_batch_size (now {micro_batch_size}), set activation_checkpointing = true, or shard the model "
            "with tensor_parallel, pipeline_parallel or distributed_optimizer",
        )


def peak_memory_mib() -> float:
    """Return the peak memory of this process in MiB: GPU memory, or without a GPU its resident set size."""
    return round(torch.cuda.max_memory_allocated(device()) / 2**20, 1) if CUDA else metrics.peak_memory_mib()
