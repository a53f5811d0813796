"""What a process's device does at best, what a model asks of it, and what it holds: figures that are told beside a run."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable
from typing import Any

import torch
from transformers import PreTrainedModel

from textbookgen.training.job import peak_of
from textbookgen_transformers.backend.learners import CUDA
from textbookgen_transformers.training import Training


def peak_flops(options: Training, precision: str) -> float | None:
    """What this process's device does at best in a second; None if nobody said."""
    if options.peak_tflops is not None:
        return options.peak_tflops * 1e12
    return peak_of(torch.cuda.get_device_name()) if CUDA and precision == "bf16" else None


def flops_a_token(model: PreTrainedModel, length: int) -> float:
    """Floating point operations of training on a token: six for each weight that is multiplied, and attention.

    As in the PaLM paper (arXiv 2204.02311, appendix B): 6 N + 12 L H d s, tables that are looked up left out, the head
    counted, also where it is the table of tokens.
    """
    config: Any = model.config
    body = model.base_model
    tables = [model.get_input_embeddings(), getattr(body, "wpe", None)]
    looked_up = {id(table.weight) for table in tables if table is not None}
    matrices = sum(item.numel() for item in body.parameters() if item.dim() > 1 and id(item) not in looked_up)
    multiplied = matrices + config.vocab_size * config.hidden_size
    return float(6 * multiplied + 12 * config.num_hidden_layers * config.hidden_size * length)


def memory(model: torch.nn.Module, optimizer: Any) -> dict[str, int]:
    """Bytes that weights, gradients and the optimizer's own numbers take in this process, before gradients are let go."""
    weights = list(model.parameters())
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
    return {
        "weights": _bytes(weights),
        "gradients": _bytes(item.grad for item in weights if item.grad is not None),
        "optimizer": _bytes(states),
    }


def peak_mib() -> float:
    """The most memory this process has had: of its GPU, or else of the machine."""
    if CUDA:
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(item.nbytes for item in tensors)
