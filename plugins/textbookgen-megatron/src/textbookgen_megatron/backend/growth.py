"""Enlarges the weights of a model: deeper by a layer map, wider by tiling or by reusing the small matrices.

The layer map and the names WR (weight reuse) and tile are those of the phi-2 talk (M. Javaheripi, NeurIPS 2023). Dividing
weights by the number of copies of their input, which preserves the function if the width grows by an integer factor, and noise
that sums to zero over these copies, which breaks their symmetry without changing the function, follow Net2Net
(arXiv 1511.05641) and HyperCloning (arXiv 2409.12903).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from textbookgen import TrainerError
from textbookgen_megatron.shape import Shape

Rounding = Literal["even", "down"]

#: What the rows and columns of each tensor index; None for vocabulary ids and positions, whose number does not grow.
_AXES: dict[str, tuple[str | None, ...]] = {
    "word_embeddings.weight": (None, "hidden"),
    "position_embeddings.weight": (None, "hidden"),
    "output_layer.weight": (None, "hidden"),
    "output_layer.bias": (None,),
    "linear_qkv.weight": ("qkv", "hidden"),
    "linear_qkv.bias": ("qkv",),
    "linear_proj.weight": ("hidden", "heads"),
    "linear_proj.bias": ("hidden",),
    "linear_fc1.weight": ("fc1", "hidden"),
    "linear_fc1.bias": ("fc1",),
    "linear_fc2.weight": ("hidden", "ffn"),
    "linear_fc2.bias": ("hidden",),
    "layernorm.weight": ("hidden",),
    "layernorm.bias": ("hidden",),
}


def layer_map(new: int, old: int, rounding: Rounding = "even") -> list[int]:
    """Return, for each layer of the larger model, the layer of the smaller model that it copies.

    That is `round(i * old / new)`, but at most the last layer: otherwise 2 layers enlarged to 8 would name a third one.

    Args:
        new: Number of layers of the larger model.
        old: Number of layers of the smaller model.
        rounding: `even` rounds halves to the even number, as Python and numpy do; `down` truncates, which spreads copies
            evenly when the depth doubles.

    Raises:
        TrainerError: The depth would shrink.
    """
    if new < old:
        raise TrainerError(f"a model of {old} layers cannot be reduced to {new}", place="layers", hint=f"use {old} or more")
    nearest = round if rounding == "even" else math.floor
    return [min(old - 1, nearest(i * old / new)) for i in range(new)]


def check_width(old: Shape, hidden: int) -> None:
    """Check that the new hidden size is a multiple of the smaller model's heads, in groups that share keys and values.

    Raises:
        TrainerError: It is not.
    """
    heads_per_group = old.heads // old.kv_heads
    group = old.head_dim * heads_per_group
    if hidden % group:
        nearest = -(-max(hidden, old.hidden) // group) * group
        groups = f" in groups of {heads_per_group}" if heads_per_group > 1 else ""
        raise TrainerError(
            f"hidden = {hidden} is not a multiple of {group} (the smaller model has heads of {old.head_dim}{groups})",
            place="hidden",
            hint=f"heads keep their size when a model is enlarged: use {nearest}",
        )


def check_growth(old: Shape, new: Shape) -> None:
    """Check that one shape is an enlargement of another.

    Raises:
        TrainerError: A size shrinks, or the heads change.
    """
    for name in ("layers", "hidden", "ffn", "heads"):
        if getattr(new, name) < getattr(old, name):
            raise TrainerError(
                f"{name} would shrink from {getattr(old, name)} to {getattr(new, name)}",
                place=name,
                hint="growing can only enlarge a model",
            )
    if new.head_dim != old.head_dim:
        raise TrainerError(
            f"hidden = {new.hidden} is not a multiple of the head size {old.head_dim}",
            place="hidden",
            hint="heads keep their size, which rotary embeddings depend on",
        )
    if new.heads * old.kv_heads != old.heads * new.kv_heads:
        raise TrainerError(
            f"{new.heads} heads cannot share keys and values in the same groups as the smaller model's {old.heads}",
            place="hidden",
        )


def tile(
    weights: dict[str, Tensor], old: Shape, new: Shape, *, noise: float, seed: int, rounding: Rounding = "even"
) -> dict[str, Tensor]:
    """Fill each larger matrix with copies of the small one, divided by the number of copies of each input.

    If the width grows by an integer factor and no layers are added, the logits do not change.

    Args:
        weights: Full weights of the smaller model by Megatron-core's names, float32.
        old: Shape of the smaller model.
        new: Shape of the larger model.
        noise: Standard deviation of the noise added to the copies, relative to that of the weights; it sums to zero over
            the copies of each input.
        seed: Seed of the noise.
        rounding: Rounding of the layer map.

    Returns:
        The full weights of the larger model, float32.
    """
    sources = _source_indices(old, new)
    generator = torch.Generator().manual_seed(seed)
    grown = {}
    for name, source in _source_names(weights, new, layer_map(new.layers, old.layers, rounding)):
        axes = _AXES[next(ending for ending in _AXES if name.endswith(ending))]
        tiled = weights[source]
        for axis, kind in enumerate(axes):
            if kind:
                tiled = tiled.index_select(axis, sources[kind])
        inputs = axes[1] if len(axes) == 2 else None
        if inputs and not name.startswith("embedding."):  # the input of embeddings is a token id, of which there are no copies
            tiled = _divide_by_copies(tiled, sources[inputs], noise, generator)
        elif new.tied and name.startswith("decoder.final_layernorm."):  # a tied output layer cannot be divided, its input can
            tiled = tiled * (old.hidden / new.hidden)
        grown[name] = tiled.contiguous()
    return grown


def reuse(
    weights: dict[str, Tensor], fresh: dict[str, Tensor], old: Shape, new: Shape, *, rounding: Rounding = "even"
) -> dict[str, Tensor]:
    """Copy each small matrix into a corner of the larger one (WR).

    Args:
        weights: Full weights of the smaller model by Megatron-core's names, float32.
        fresh: Freshly initialized full weights of the larger model, which fill the rest.
        old: Shape of the smaller model.
        new: Shape of the larger model.
        rounding: Rounding of the layer map.

    Returns:
        The full weights of the larger model, float32.
    """
    grown = {}
    for name, source in _source_names(weights, new, layer_map(new.layers, old.layers, rounding)):
        grown[name] = fresh[name].clone()
        matrices = 2 if new.gated and "linear_fc1" in name else 1
        for large, small in zip(grown[name].chunk(matrices), weights[source].chunk(matrices), strict=True):
            large[tuple(slice(size) for size in small.shape)] = small
    return grown


def _source_names(weights: dict[str, Tensor], new: Shape, layers: list[int]) -> list[tuple[str, str]]:
    """Return each tensor name of the larger model with the name of the tensor it is made from."""
    pairs = [(name, name) for name in weights if ".layers." not in name]
    for layer in range(new.layers):
        target, source = f"decoder.layers.{layer}.", f"decoder.layers.{layers[layer]}."
        pairs += [(target + name.removeprefix(source), name) for name in weights if name.startswith(source)]
    return pairs


def _source_indices(old: Shape, new: Shape) -> dict[str, Tensor]:
    """Return, for each kind of axis, an int64 vector with the old index that each new index copies.

    Heads are copied whole, in groups that share keys and values.
    """
    per_group = old.heads // old.kv_heads
    groups = torch.arange(new.kv_heads) % old.kv_heads
    ffn = torch.arange(new.ffn) % old.ffn
    return {
        "hidden": torch.arange(new.hidden) % old.hidden,
        "qkv": _expand_blocks(groups, (per_group + 2) * old.head_dim),
        "heads": _expand_blocks(groups, per_group * old.head_dim),
        "ffn": ffn,
        "fc1": torch.cat([ffn, ffn + old.ffn]) if old.gated else ffn,
    }


def _expand_blocks(blocks: Tensor, size: int) -> Tensor:
    """Return the indices of all elements of blocks: `[blocks]` to `[blocks * size]`."""
    return (blocks[:, None] * size + torch.arange(size)).flatten()


def _divide_by_copies(tiled: Tensor, sources: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Divide each column by the number of copies of its input, and add noise that sums to zero over these copies.

    Args:
        tiled: The matrix, `[rows, columns]`.
        sources: The old input that each column copies, int64 `[columns]`.
        noise: Standard deviation of the noise relative to that of the result.
        generator: Source of the noise.
    """
    counts = torch.bincount(sources).to(tiled.dtype)
    divided = tiled / counts[sources]
    if not noise:
        return divided
    added = torch.randn(divided.shape, generator=generator) * (noise * divided.std())
    means = torch.zeros(divided.size(0), counts.numel()).index_add_(1, sources, added) / counts
    return divided + added - means[:, sources]
