"""Peak throughput of a process's device, FLOPs of a model, and memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from transformers import PreTrainedModel

from textbookgen.training.metrics import gpu_peak_flops, peak_memory_mib
from textbookgen_transformers.backend.setup import CUDA
from textbookgen_transformers.stages.options import TransformersTrainOptions


def peak_flops(options: TransformersTrainOptions, precision: str) -> float | None:
    """Return the peak FLOP/s of this process's device; None if it is not known."""
    if options.peak_tflops is not None:
        return options.peak_tflops * 1e12
    return gpu_peak_flops(torch.cuda.get_device_name()) if CUDA and precision == "bf16" else None


def flops_per_token(model: PreTrainedModel, length: int) -> float:
    """Return the FLOPs of training on one token.

    6 N + 12 L H d s, as in the PaLM paper (arXiv 2204.02311, appendix B): N are the parameters of matrix multiplications, that
    is without embeddings but with the output layer, even if it is tied to the embeddings.

    Args:
        model: the model.
        length: tokens in a sequence.
    """
    config: Any = model.config
    body = model.base_model
    tables = [model.get_input_embeddings(), getattr(body, "wpe", None)]
    embeddings = {id(table.weight) for table in tables if table is not None}
    matrices = sum(weight.numel() for weight in body.parameters() if weight.dim() > 1 and id(weight) not in embeddings)
    multiplied = matrices + config.vocab_size * config.hidden_size
    return float(6 * multiplied + 12 * config.num_hidden_layers * config.hidden_size * length)


def memory(model: torch.nn.Module, optimizer: Any) -> dict[str, int]:
    """Return the bytes of weights, gradients and optimizer state in this process; call it before gradients are freed."""
    weights = list(model.parameters())
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
    return {
        "weights": _bytes(weights),
        "gradients": _bytes(weight.grad for weight in weights if weight.grad is not None),
        "optimizer": _bytes(states),
    }


def device_peak_memory_mib() -> float:
    """Return the peak memory of this process in MiB: of its GPU if there is one."""
    return round(torch.cuda.max_memory_allocated() / 2**20, 1) if CUDA else peak_memory_mib()


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
