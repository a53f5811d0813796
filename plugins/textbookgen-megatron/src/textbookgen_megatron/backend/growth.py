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
            hint=f"use {nearest}; or set `heads`, and heads are enlarged",
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
    if new.head_dim < old.head_dim:
        raise TrainerError(
            f"heads would shrink from {old.head_dim} to {new.head_dim} dimensions",
            place="heads",
            hint=f"with hidden = {new.hidden}, use at most {new.hidden // old.head_dim} heads",
        )
    if new.head_dim > old.head_dim and old.rotary_dim == old.head_dim:
        raise TrainerError(
            f"heads of {old.head_dim} dimensions cannot be enlarged to {new.head_dim}: all of their dimensions are rotated",
            place="heads",
            hint="remove `heads`: heads then keep their size, and their number grows with `hidden`",
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

    If the width grows by an integer factor and no layers are added, the logits do not change. Larger heads keep their rotated
    dimensions first and repeat the others; queries and keys are scaled so that attention scores stay the same.

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
        if "linear_qkv" in name:
            tiled = tiled * _query_key_scale(old, new).view(-1, *[1] * (tiled.dim() - 1))
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
        if "linear_qkv" in name:
            parts = old.heads // old.kv_heads + 2  # queries, key and value of a group, each in its own head
            large, small = (
                weight.view(-1, parts, shape.head_dim, *weight.shape[1:])
                for weight, shape in ((grown[name], new), (weights[source], old))
            )
            large[tuple(slice(size) for size in small.shape)] = small
            continue
        if name.endswith("linear_proj.weight"):
            large, small = grown[name].view(new.hidden, new.heads, -1), weights[source].view(old.hidden, old.heads, -1)
            large[tuple(slice(size) for size in small.shape)] = small
            continue
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
    inner = _head_sources(old, new)
    ffn = torch.arange(new.ffn) % old.ffn
    return {
        "hidden": torch.arange(new.hidden) % old.hidden,
        "qkv": _expand_groups(groups, per_group + 2, inner, old.head_dim),
        "heads": _expand_groups(groups, per_group, inner, old.head_dim),
        "ffn": ffn,
        "fc1": torch.cat([ffn, ffn + old.ffn]) if old.gated else ffn,
    }


def _head_sources(old: Shape, new: Shape) -> Tensor:
    """Return the old dimension of a head that each new one copies: the rotated ones once, the others repeated."""
    rest = old.head_dim - old.rotary_dim
    repeated = old.rotary_dim + torch.arange(new.head_dim - old.rotary_dim) % max(1, rest)
    return torch.cat([torch.arange(old.rotary_dim), repeated])


def _query_key_scale(old: Shape, new: Shape) -> Tensor:
    """Return the factor of each row of the query, key and value matrix: 1 for all if heads keep their size.

    A dimension that is repeated `c` times adds its product to the score as often, and the score is divided by the root of the
    head size (not in GPT-Neo), so queries and keys are multiplied by `c ** -1/2 * (new size / old size) ** 1/4`.
    """
    inner = _head_sources(old, new)
    copies = torch.bincount(inner)[inner].float()
    ratio = new.head_dim / old.head_dim if new.traits.scaled else 1.0
    scale = copies.rsqrt() * ratio**0.25
    per_group = old.heads // old.kv_heads
    return torch.cat([scale.repeat(per_group + 1), torch.ones(new.head_dim)]).repeat(new.kv_heads)


def _expand_groups(groups: Tensor, heads: int, inner: Tensor, head_dim: int) -> Tensor:
    """Return the old index of each element: `[groups]`, each of `heads` heads whose dimensions copy `inner`, flattened."""
    places = groups[:, None, None] * heads + torch.arange(heads)[None, :, None]
    return (places * head_dim + inner).flatten()


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
