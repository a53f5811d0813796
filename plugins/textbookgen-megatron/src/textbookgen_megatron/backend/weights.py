"""Full weights, independent of the parallel layout: gathered from ranks, split across them, stored as safetensors.

Names are Megatron-core's; tensors have the layout of a single process without tensor parallelism.
"""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.models.gpt import GPTModel
from megatron.core.transformer.transformer_layer import get_transformer_layer_offset
from safetensors.torch import load_file, save_file
from torch import Tensor

from textbookgen import TrainerError
from textbookgen.api.files import atomic_path
from textbookgen_megatron.backend.device import device, is_rank_zero, pipeline_rank, pipeline_size
from textbookgen_megatron.shape import Shape

FILE = "model.safetensors"

_SPLIT_BY_ROWS = (
    "word_embeddings.weight",
    "output_layer.weight",
    "output_layer.bias",
    "linear_qkv.weight",
    "linear_qkv.bias",
    "linear_fc1.weight",
    "linear_fc1.bias",
)
_SPLIT_BY_COLUMNS = ("linear_proj.weight", "linear_fc2.weight")


def _split_axis(name: str) -> int | None:
    """Return the axis that tensor parallelism splits a tensor along; None if every rank has all of it."""
    if name.endswith(_SPLIT_BY_ROWS):
        return 0
    return 1 if name.endswith(_SPLIT_BY_COLUMNS) else None


def _stacked_matrices(name: str, shape: Shape) -> int:
    """Return how many matrices a tensor stacks: a gated MLP has gate above up in one, each split separately."""
    return 2 if shape.gated and "linear_fc1" in name else 1


def _split(full: Tensor, name: str, shape: Shape, rank: int, ranks: int) -> Tensor:
    """Return the part of a full tensor that a tensor parallel rank holds."""
    axis = _split_axis(name)
    if axis is None or ranks == 1:
        return full
    return torch.cat([matrix.chunk(ranks, axis)[rank] for matrix in full.chunk(_stacked_matrices(name, shape), axis)], axis)


def _join(parts: list[Tensor], name: str, shape: Shape) -> Tensor:
    """Return the full tensor from the parts of all tensor parallel ranks, in rank order."""
    axis = _split_axis(name)
    if axis is None or len(parts) == 1:
        return parts[0]
    matrices = [part.chunk(_stacked_matrices(name, shape), axis) for part in parts]
    return torch.cat([part for matrix in zip(*matrices, strict=True) for part in matrix], axis)


def full_names(model: GPTModel, shape: Shape) -> dict[str, torch.nn.Parameter]:
    """Return this process's parameters under their names in the full model, without the copy of a tied output layer."""
    first_layer = get_transformer_layer_offset(model.config, None, pipeline_rank())
    parameters = {}
    for name, parameter in model.named_parameters():
        if shape.tied and name == "output_layer.weight":
            continue
        head, layers, rest = name.partition("decoder.layers.")
        if layers:
            number, _, inner = rest.partition(".")
            name = f"{head}{layers}{first_layer + int(number)}.{inner}"
        parameters[name] = parameter
    return parameters


@torch.no_grad()
def gather(model: GPTModel, shape: Shape, main: Mapping[torch.nn.Parameter, Tensor] | None = None) -> dict[str, Tensor]:
    """Return the full weights of a model by name, float32 on the CPU; all tensor and pipeline parallel ranks must call this.

    Args:
        model: The model.
        shape: Its shape.
        main: Weights to return instead of parameters that are rounded copies of them.
    """
    ranks = parallel_state.get_tensor_model_parallel_world_size()
    stage_weights = {}
    for name, parameter in full_names(model, shape).items():
        local = (main or {}).get(parameter, parameter).detach().float().contiguous()
        parts = [local]
        if ranks > 1:
            parts = [torch.empty_like(local) for _ in range(ranks)]
            dist.all_gather(parts, local, group=parallel_state.get_tensor_model_parallel_group())
        stage_weights[name] = _join(parts, name, shape).cpu().clone()
    return stage_weights if pipeline_size() == 1 else _gather_stages(stage_weights)


def _gather_stages(stage_weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of all pipeline stages, broadcast one tensor at a time."""
    group, full = parallel_state.get_pipeline_model_parallel_group(), {}
    for stage, rank in enumerate(dist.get_process_group_ranks(group)):
        sizes = [{name: tuple(weight.shape) for name, weight in stage_weights.items()}]
        dist.broadcast_object_list(sizes, rank, group=group)
        for name, size in sizes[0].items():
            is_source = stage == pipeline_rank()
            buffer = stage_weights[name].to(device()) if is_source else torch.empty(size, device=device())
            dist.broadcast(buffer, rank, group=group)
            full[name] = buffer.cpu()
    return full


@torch.no_grad()
def load(model: GPTModel, full: dict[str, Tensor], shape: Shape) -> None:
    """Copy full weights into a model, each rank its part; call this before the optimizer is created.

    Raises:
        TrainerError: Names or shapes of the weights are not those of the model.
    """
    rank, ranks = parallel_state.get_tensor_model_parallel_rank(), parallel_state.get_tensor_model_parallel_world_size()
    parameters = full_names(model, shape)
    mismatched = sorted(parameters.keys() - full.keys() if pipeline_size() > 1 else parameters.keys() ^ full.keys())
    if mismatched:
        raise TrainerError(f"the weights do not match the model: {', '.join(mismatched[:4])}", place=FILE)
    for name, parameter in parameters.items():
        part = _split(full[name], name, shape, rank, ranks)
        if part.shape != parameter.shape:
            problem = f"the shape of {name} is {tuple(part.shape)}, expected {tuple(parameter.shape)}"
            raise TrainerError(f"the weights do not match the model: {problem}", place=FILE)
        parameter.copy_(part)
    if shape.tied and pipeline_rank() > 0 and model.post_process:
        name = "embedding.word_embeddings.weight"
        model.output_layer.weight.copy_(_split(full[name], name, shape, rank, ranks))


def write(full: dict[str, Tensor], folder: Path, name: str = FILE) -> None:
    """Write full weights to a safetensors file, atomically, in the process of rank 0; all processes must call this."""
    if is_rank_zero():
        with atomic_path(folder / name) as path:
            save_file(full, path)
    dist.barrier()


def read(folder: Path, name: str = FILE) -> dict[str, Tensor]:
    """Return the full weights in a checkpoint folder by name, on the CPU."""
    return dict(load_file(folder / name))
