"""Whole weights, whatever the layout: gathered, split, and kept as safetensors.

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
from megatron.core.transformer.transformer_layer import get_transformer_layer_offset
from safetensors.torch import load_file, save_file
from torch import Tensor

from textbookgen import TrainerError
from textbookgen_megatron.backend.device import device, is_first, pipeline_rank
from textbookgen_megatron.shape import Shape

FILE = "model.safetensors"

_BY_ROWS = (
    "word_embeddings.weight",
    "output_layer.weight",
    "output_layer.bias",
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


def names(model: GPTModel, shape: Shape) -> dict[str, torch.nn.Parameter]:
    """This process's parameters by the names they have in a whole model; a tied head is the embedding table's copy."""
    first = get_transformer_layer_offset(model.config, None, pipeline_rank()[0])
    named = {}
    for name, parameter in model.named_parameters():
        if shape.tied and name == "output_layer.weight":
            continue
        head, layers, rest = name.partition("decoder.layers.")
        if layers:
            number, _, inner = rest.partition(".")
            name = f"{head}{layers}{first + int(number)}.{inner}"
        named[name] = parameter
    return named


@torch.no_grad()
def gather(model: GPTModel, shape: Shape) -> dict[str, Tensor]:
    """The whole weights of a model, in float32 on the CPU; every tensor and pipeline parallel rank must call this.

    Where training is in bfloat16, these are the optimizer's float32 weights, not their rounded copies.
    """
    ranks = parallel_state.get_tensor_model_parallel_world_size()
    mine = {}
    for name, parameter in names(model, shape).items():
        main = getattr(parameter, "main_param", None)
        here = (parameter if main is None or main.shape != parameter.shape else main).detach().float().contiguous()
        shares = [here]
        if ranks > 1:
            shares = [torch.empty_like(here) for _ in range(ranks)]
            dist.all_gather(shares, here, group=parallel_state.get_tensor_model_parallel_group())
        mine[name] = _joined(shares, name, shape).cpu().clone()
    return mine if pipeline_rank()[1] == 1 else _from_every_stage(mine)


def _from_every_stage(mine: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of all stages of a pipeline, a tensor at a time."""
    group, whole = parallel_state.get_pipeline_model_parallel_group(), {}
    for stage, rank in enumerate(dist.get_process_group_ranks(group)):
        sizes = [{name: tuple(weight.shape) for name, weight in mine.items()}]
        dist.broadcast_object_list(sizes, rank, group=group)
        for name, size in sizes[0].items():
            sent = mine[name].to(device()) if stage == pipeline_rank()[0] else torch.empty(size, device=device())
            dist.broadcast(sent, rank, group=group)
            whole[name] = sent.cpu()
    return whole


@torch.no_grad()
def load(model: GPTModel, whole: dict[str, Tensor], shape: Shape) -> None:
    """Puts whole weights into a model, each rank its share. Call it before the optimizer is made."""
    rank, ranks = parallel_state.get_tensor_model_parallel_rank(), parallel_state.get_tensor_model_parallel_world_size()
    parameters = names(model, shape)
    odd = sorted(parameters.keys() - whole.keys() if pipeline_rank()[1] > 1 else parameters.keys() ^ whole.keys())
    if odd:
        raise TrainerError(f"the weights do not fit the model: {', '.join(odd[:4])}", place=FILE)
    for name, parameter in parameters.items():
        share = _share(whole[name], name, shape, rank, ranks)
        if share.shape != parameter.shape:
            sizes = f"{tuple(share.shape)} instead of {tuple(parameter.shape)}"
            raise TrainerError(f"the weights do not fit the model: {name} is {sizes}", place=FILE)
        parameter.copy_(share)
    if shape.tied and pipeline_rank()[0] > 0 and model.post_process:
        name = "embedding.word_embeddings.weight"
        model.output_layer.weight.copy_(_share(whole[name], name, shape, rank, ranks))


def write(whole: dict[str, Tensor], folder: Path, name: str = FILE) -> None:
    """Writes whole weights beside and renames them into place; only the first process does."""
    if is_first():
        save_file(whole, folder / f"{name}.tmp")
        (folder / f"{name}.tmp").replace(folder / name)
    dist.barrier()


def read(folder: Path, name: str = FILE) -> dict[str, Tensor]:
    """The whole weights of a checkpoint."""
    return dict(load_file(folder / name))
