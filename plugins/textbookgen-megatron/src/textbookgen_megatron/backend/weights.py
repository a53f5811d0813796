"""Whole weights, whatever the tensor parallel layout: gathered, split, and kept as safetensors.

Names are Megatron-core's; tensors are in the order that one process without tensor parallelism has them.
"""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.models.gpt import GPTModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from textbookgen.errors import TrainerError
from textbookgen_megatron.backend.device import is_first
from textbookgen_megatron.shape import Shape

FILE = "model.safetensors"

_BY_ROWS = (
    "word_embeddings.weight",
    "output_layer.weight",
    "linear_qkv.weight",
    "linear_qkv.bias",
    "linear_fc1.weight",
    "linear_fc1.bias",
)
_BY_COLUMNS = ("linear_proj.weight", "linear_fc2.weight")


def _axis(name: str) -> int | None:
    """The axis a tensor is split along; None if every rank has all of it."""
    if name.endswith(_BY_ROWS):
        return 0
    return 1 if name.endswith(_BY_COLUMNS) else None


def _halves(name: str, shape: Shape) -> int:
    """A gated MLP has two matrices in one, gate above up, each split for itself."""
    return 2 if shape.gated and "linear_fc1" in name else 1


def _share(whole: Tensor, name: str, shape: Shape, rank: int, ranks: int) -> Tensor:
    axis = _axis(name)
    if axis is None or ranks == 1:
        return whole
    return torch.cat([half.chunk(ranks, axis)[rank] for half in whole.chunk(_halves(name, shape), axis)], axis)


def _joined(shares: list[Tensor], name: str, shape: Shape) -> Tensor:
    axis = _axis(name)
    if axis is None or len(shares) == 1:
        return shares[0]
    halves = [share.chunk(_halves(name, shape), axis) for share in shares]
    return torch.cat([part for half in zip(*halves, strict=True) for part in half], axis)


@torch.no_grad()
def gather(model: GPTModel, shape: Shape) -> dict[str, Tensor]:
    """The whole weights of a model, in float32 on the CPU; every tensor parallel rank must call this.

    Where training is in bfloat16, these are the optimizer's float32 weights, not their rounded copies.
    """
    ranks = parallel_state.get_tensor_model_parallel_world_size()
    whole = {}
    for name, parameter in model.named_parameters():
        mine = getattr(parameter, "main_param", parameter).detach().float().contiguous()
        shares = [mine]
        if ranks > 1:
            shares = [torch.empty_like(mine) for _ in range(ranks)]
            dist.all_gather(shares, mine, group=parallel_state.get_tensor_model_parallel_group())
        whole[name] = _joined(shares, name, shape).cpu().clone()
    return whole


@torch.no_grad()
def load(model: GPTModel, whole: dict[str, Tensor], shape: Shape) -> None:
    """Puts whole weights into a model, each rank its share. Call it before the optimizer is made."""
    rank, ranks = parallel_state.get_tensor_model_parallel_rank(), parallel_state.get_tensor_model_parallel_world_size()
    parameters = dict(model.named_parameters())
    if parameters.keys() != whole.keys():
        odd = sorted(parameters.keys() ^ whole.keys())
        raise TrainerError(f"the weights do not fit the model: {', '.join(odd[:4])}", place=FILE)
    for name, parameter in parameters.items():
        parameter.copy_(_share(whole[name], name, shape, rank, ranks))


def write(whole: dict[str, Tensor], folder: Path) -> None:
    """Writes whole weights beside and renames them into place; only the first process does."""
    if is_first():
        save_file(whole, folder / f"{FILE}.tmp")
        (folder / f"{FILE}.tmp").replace(folder / FILE)
    dist.barrier()


def read(folder: Path) -> dict[str, Tensor]:
    """The whole weights of a checkpoint."""
    return dict(load_file(folder / FILE))
