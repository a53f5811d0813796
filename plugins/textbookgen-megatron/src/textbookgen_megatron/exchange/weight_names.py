"""Weights under Megatron-core's names and under those of transformers: the same numbers, cut and joined otherwise.

Megatron-core keeps queries, keys and values in one matrix, by groups of heads that share a key: `[queries, key, value]` for
each group. A gated MLP has gate above up in one matrix, as Phi-3 has. Rotary positions are alike, and nothing is reordered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from textbookgen.training.architectures import Architecture
from textbookgen_megatron.shape import Shape

Get = Callable[[str], Tensor]

#: For each architecture: where layers are, and what its parts are called beside Megatron-core's names.
_LAYERS: dict[Architecture, str] = {
    "phi": "model.layers",
    "phi3": "model.layers",
    "llama": "model.layers",
    "neox": "gpt_neox.layers",
    "pythia": "gpt_neox.layers",
    "neo": "transformer.h",
}
_ENDS: dict[Architecture, dict[str, str]] = {
    "phi": {"embed": "model.embed_tokens", "norm": "model.final_layernorm", "head": "lm_head"},
    "phi3": {"embed": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"},
    "llama": {"embed": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"},
    "neox": {"embed": "gpt_neox.embed_in", "norm": "gpt_neox.final_layer_norm", "head": "embed_out"},
    "pythia": {"embed": "gpt_neox.embed_in", "norm": "gpt_neox.final_layer_norm", "head": "embed_out"},
    "neo": {"embed": "transformer.wte", "norm": "transformer.ln_f", "head": "lm_head", "places": "transformer.wpe"},
}
_GATED = {
    "input_layernorm": "input_layernorm",
    "pre_mlp_layernorm": "post_attention_layernorm",
    "self_attention.linear_proj": "self_attn.o_proj",
    "mlp.linear_fc2": "mlp.down_proj",
}
_NEOX = {
    "input_layernorm": "input_layernorm",
    "pre_mlp_layernorm": "post_attention_layernorm",
    "self_attention.linear_qkv": "attention.query_key_value",
    "self_attention.linear_proj": "attention.dense",
    "mlp.linear_fc1": "mlp.dense_h_to_4h",
    "mlp.linear_fc2": "mlp.dense_4h_to_h",
}
#: Parts of a layer that are the same tensor under both names.
_SAME: dict[Architecture, dict[str, str]] = {
    "phi": {
        "input_layernorm": "input_layernorm",
        "self_attention.linear_proj": "self_attn.dense",
        "mlp.linear_fc1": "mlp.fc1",
        "mlp.linear_fc2": "mlp.fc2",
    },
    "phi3": _GATED | {"mlp.linear_fc1": "mlp.gate_up_proj"},
    "llama": _GATED,
    "neox": _NEOX,
    "pythia": _NEOX,
    "neo": {
        "input_layernorm": "ln_1",
        "pre_mlp_layernorm": "ln_2",
        "self_attention.linear_proj": "attn.attention.out_proj",
        "mlp.linear_fc1": "mlp.c_fc",
        "mlp.linear_fc2": "mlp.c_proj",
    },
}
#: Where queries, keys and values are three matrices, or one that has them one after the other.
_QKV: dict[Architecture, str] = {"phi": "self_attn.", "llama": "self_attn.", "neo": "attn.attention."}
_QKV_JOINED: dict[Architecture, str] = {"phi3": "self_attn.qkv_proj"}


def _kinds(shape: Shape, part: str) -> tuple[str, ...]:
    """Whether a part of a layer has a bias beside its weight."""
    if part == "self_attention.linear_qkv":
        return ("weight", "bias") if shape.traits.qkv_biased else ("weight",)
    return ("weight", "bias") if shape.biased else ("weight",)


def to_transformers(get: Get, shape: Shape) -> Iterator[tuple[str, Tensor]]:
    """Each tensor under its name in transformers, one at a time; rows that pad the vocabulary are cut off."""
    ends, rows = _ENDS[shape.architecture], shape.vocabulary
    yield f"{ends['embed']}.weight", get("embedding.word_embeddings.weight")[:rows]
    if shape.learned_positions:
        yield f"{ends['places']}.weight", get("embedding.position_embeddings.weight")
    for layer in range(shape.layers):
        yield from _layer_out(get, shape, f"decoder.layers.{layer}.", f"{_LAYERS[shape.architecture]}.{layer}.")
    for kind in _kinds(shape, "norm"):
        yield f"{ends['norm']}.{kind}", get(f"decoder.final_layernorm.{kind}")
    if not shape.tied:
        head = get("output_layer.weight")[:rows]
        yield f"{ends['head']}.weight", head
        if shape.head_bias:
            yield f"{ends['head']}.bias", get("output_layer.bias")[:rows]
        elif shape.architecture == "phi":  # whose head always has one
            yield f"{ends['head']}.bias", head.new_zeros(rows)


def _layer_out(get: Get, shape: Shape, ours: str, theirs: str) -> Iterator[tuple[str, Tensor]]:
    for part, name in _SAME[shape.architecture].items():
        for kind in _kinds(shape, part):
            yield f"{theirs}{name}.{kind}", get(f"{ours}{part}.{kind}")
    if shape.architecture == "llama":
        gate, up = get(f"{ours}mlp.linear_fc1.weight").chunk(2)
        yield f"{theirs}mlp.gate_proj.weight", gate
        yield f"{theirs}mlp.up_proj.weight", up
    for kind in _kinds(shape, "self_attention.linear_qkv"):
        name = f"{ours}self_attention.linear_qkv.{kind}"
        if shape.architecture in _QKV:
            for letter, tensor in zip("qkv", _apart(get(name), shape), strict=True):
                yield f"{theirs}{_QKV[shape.architecture]}{letter}_proj.{kind}", tensor
        elif shape.architecture in _QKV_JOINED:
            yield f"{theirs}{_QKV_JOINED[shape.architecture]}.{kind}", torch.cat(_apart(get(name), shape))


def from_transformers(get: Get, shape: Shape) -> Iterator[tuple[str, Tensor]]:
    """Each tensor under Megatron-core's name, one at a time; the vocabulary is padded with rows of zeros."""
    ends = _ENDS[shape.architecture]
    yield "embedding.word_embeddings.weight", _padded(get(f"{ends['embed']}.weight"), shape)
    if shape.learned_positions:
        yield "embedding.position_embeddings.weight", get(f"{ends['places']}.weight")
    for layer in range(shape.layers):
        yield from _layer_in(get, shape, f"decoder.layers.{layer}.", f"{_LAYERS[shape.architecture]}.{layer}.")
    for kind in _kinds(shape, "norm"):
        yield f"decoder.final_layernorm.{kind}", get(f"{ends['norm']}.{kind}")
    if not shape.tied:
        yield "output_layer.weight", _padded(get(f"{ends['head']}.weight"), shape)
        if shape.head_bias:
            yield "output_layer.bias", _padded(get(f"{ends['head']}.bias"), shape)


def _layer_in(get: Get, shape: Shape, ours: str, theirs: str) -> Iterator[tuple[str, Tensor]]:
    for part, name in _SAME[shape.architecture].items():
        for kind in _kinds(shape, part):
            yield f"{ours}{part}.{kind}", get(f"{theirs}{name}.{kind}")
    if shape.architecture == "llama":
        gate, up = (get(f"{theirs}mlp.{name}_proj.weight") for name in ("gate", "up"))
        yield f"{ours}mlp.linear_fc1.weight", torch.cat([gate, up])
    for kind in _kinds(shape, "self_attention.linear_qkv"):
        if shape.architecture in _QKV:
            prefix = f"{theirs}{_QKV[shape.architecture]}"
            parts = [get(f"{prefix}{letter}_proj.{kind}") for letter in "qkv"]
        elif shape.architecture in _QKV_JOINED:
            shared = shape.kv_heads * shape.head_dim
            joined = get(f"{theirs}{_QKV_JOINED[shape.architecture]}.{kind}")
            parts = list(torch.split(joined, [shape.hidden, shared, shared]))
        else:
            continue
        yield f"{ours}self_attention.linear_qkv.{kind}", _together(parts, shape)


def _apart(joined: Tensor, shape: Shape) -> list[Tensor]:
    """Queries, keys and values, from Megatron-core's one matrix (or bias)."""
    rest, width, per_group = joined.shape[1:], shape.head_dim, shape.heads // shape.kv_heads
    groups = joined.reshape(shape.kv_heads, (per_group + 2) * width, *rest)
    return [part.reshape(-1, *rest) for part in torch.split(groups, [per_group * width, width, width], 1)]


def _together(parts: list[Tensor], shape: Shape) -> Tensor:
    """The other way round."""
    rest = parts[0].shape[1:]
    return torch.cat([part.reshape(shape.kv_heads, -1, *rest) for part in parts], 1).reshape(-1, *rest)


def _padded(rows: Tensor, shape: Shape) -> Tensor:
    more = shape.padded_vocabulary - rows.size(0)
    return torch.cat([rows, rows.new_zeros(more, *rows.shape[1:])]) if more else rows


def head_bias_name(shape_architecture: Architecture) -> str:
    """What the bias of the head is called in transformers."""
    return f"{_ENDS[shape_architecture]['head']}.bias"
