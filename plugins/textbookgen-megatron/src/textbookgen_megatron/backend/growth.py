"""Makes a small model larger, by weights: deeper by a layer map, wider by tiling or by reuse.

Sources: the layer map and the names WR and tile are those of the phi-2 talk (M. Javaheripi, NeurIPS 2023). Dividing by how
often an input was copied, which keeps the function when the width grows by a whole factor, and noise that sums to zero over
the copies, which keeps it too and lets the copies drift apart, follow Net2Net (arXiv 1511.05641) and HyperCloning
(arXiv 2409.12903).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from textbookgen import TrainerError
from textbookgen_megatron.shape import Shape

Rounding = Literal["even", "down"]

#: The axes of each tensor: what its rows and its columns stand for; None for ids of the vocabulary, which do not grow.
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
    """Which old layer each new one copies: `round(i * old / new)`, at most the last.

    `even` rounds halves to the even number, as Python's and numpy's `round` do; `down` cuts off, which spreads copies evenly
    when depth doubles. The cap matters: 2 to 8 layers would otherwise name a third one.
    """
    if new < old:
        raise TrainerError(f"a model of {old} layers cannot grow to {new}", place="layers", hint=f"give {old} or more")
    near = round if rounding == "even" else math.floor
    return [min(old - 1, near(i * old / new)) for i in range(new)]


def check_width(old: Shape, hidden: int) -> None:
    """Raises TrainerError unless heads of the parent's size, in groups as large as the parent's, fill this width."""
    group = old.head_dim * (old.heads // old.kv_heads)
    if hidden % group:
        near = -(-max(hidden, old.hidden) // group) * group
        raise TrainerError(
            f"hidden {hidden} is no multiple of {group}, the parent's heads of {old.head_dim}"
            + (f" in groups of {old.heads // old.kv_heads}" if old.heads != old.kv_heads else ""),
            place="hidden",
            hint=f"heads keep their size when a model grows: give {near}",
        )


def check_growth(old: Shape, new: Shape) -> None:
    """Raises TrainerError unless `new` is `old`, only larger."""
    for name in ("layers", "hidden", "ffn", "heads"):
        if getattr(new, name) < getattr(old, name):
            raise TrainerError(
                f"{name} would shrink from {getattr(old, name)} to {getattr(new, name)}", place=name, hint="growing only adds"
            )
    if new.head_dim != old.head_dim:
        raise TrainerError(
            f"hidden {new.hidden} is no multiple of the parent's head of {old.head_dim}",
            place="hidden",
            hint="rotary positions fix the head",
        )
    if new.heads * old.kv_heads != old.heads * new.kv_heads:
        raise TrainerError(f"{new.heads} heads cannot share kv_heads as the parent's {old.heads} do", place="hidden")


def tile(
    weights: dict[str, Tensor], old: Shape, new: Shape, *, noise: float, seed: int, rounding: Rounding = "even"
) -> dict[str, Tensor]:
    """Every larger matrix filled with copies of the small one, divided by how often each of its inputs was copied.

    With a whole width factor and no new layers, logits stay what they were. `noise` is the standard deviation of what is
    added to the copies, as a share of the weights' own; over the copies of each input it sums to zero.
    """
    axes = _copied_axes(old, new)
    generator = torch.Generator().manual_seed(seed)
    grown = {}
    for name, source in _sources(weights, new, layer_map(new.layers, old.layers, rounding)):
        kinds = _AXES[next(ending for ending in _AXES if name.endswith(ending))]
        tiled = weights[source]
        for axis, kind in enumerate(kinds):
            if kind:
                tiled = tiled.index_select(axis, axes[kind])
        inputs = kinds[1] if len(kinds) == 2 else None
        if inputs and not name.startswith("embedding."):  # embeddings take no copies in, they only make them
            tiled = _shared_out(tiled, axes[inputs], noise, generator)
        elif new.tied and name.startswith("decoder.final_layernorm."):  # a tied head cannot be divided, what it reads can
            tiled = tiled * (old.hidden / new.hidden)
        grown[name] = tiled.contiguous()
    return grown


def reuse(
    weights: dict[str, Tensor], fresh: dict[str, Tensor], old: Shape, new: Shape, *, rounding: Rounding = "even"
) -> dict[str, Tensor]:
    """The small matrix in the corner of the larger, the rest as in `fresh` (WR)."""
    grown = {}
    for name, source in _sources(weights, new, layer_map(new.layers, old.layers, rounding)):
        grown[name] = fresh[name].clone()
        halves = 2 if new.gated and "linear_fc1" in name else 1
        for large, small in zip(grown[name].chunk(halves), weights[source].chunk(halves), strict=True):
            large[tuple(slice(size) for size in small.shape)] = small
    return grown


def _sources(weights: dict[str, Tensor], new: Shape, layers: list[int]) -> list[tuple[str, str]]:
    """Each name of the new model with the name of the tensor it comes from."""
    pairs = [(name, name) for name in weights if ".layers." not in name]
    for layer in range(new.layers):
        here, there = f"decoder.layers.{layer}.", f"decoder.layers.{layers[layer]}."
        pairs += [(here + name.removeprefix(there), name) for name in weights if name.startswith(there)]
    return pairs


def _copied_axes(old: Shape, new: Shape) -> dict[str, Tensor]:
    """For each kind of axis, which old place each new one copies. Heads are copied whole, as groups that share a key."""
    per_group = old.heads // old.kv_heads
    groups = torch.arange(new.kv_heads) % old.kv_heads
    ffn = torch.arange(new.ffn) % old.ffn
    return {
        "hidden": torch.arange(new.hidden) % old.hidden,
        "qkv": _blocks(groups, (per_group + 2) * old.head_dim),
        "heads": _blocks(groups, per_group * old.head_dim),
        "ffn": ffn,
        "fc1": torch.cat([ffn, ffn + old.ffn]) if old.gated else ffn,
    }


def _blocks(copies: Tensor, size: int) -> Tensor:
    return (copies[:, None] * size + torch.arange(size)).flatten()


def _shared_out(tiled: Tensor, copies: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Divides each column by how often its input was copied, and adds noise that sums to zero over those copies."""
    counts = torch.bincount(copies).to(tiled.dtype)
    shared = tiled / counts[copies]
    if not noise:
        return shared
    drawn = torch.randn(shared.shape, generator=generator) * (noise * shared.std())
    means = torch.zeros(shared.size(0), counts.numel()).index_add_(1, copies, drawn) / counts
    return shared + drawn - means[:, copies]
