"""Maps weights between Megatron-core's names and those of transformers; the values do not change.

Megatron-core stores queries, keys and values in one matrix, by groups of heads that share keys and values: `[queries, key,
value]` for each group. A gated MLP has gate above up in one matrix, as in Phi-3. Rotary embeddings pair the same dimensions in
both, so nothing is permuted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from textbookgen.training.architectures import Architecture
from textbookgen_megatron.shape import Shape

#: Returns a tensor by name.
GetTensor = Callable[[str], Tensor]

#: Prefix of the layers in transformers.
_LAYERS: dict[Architecture, str] = {
    "phi": "model.layers",
    "phi3": "model.layers",
    "llama": "model.layers",
    "neox": "gpt_neox.layers",
    "pythia": "gpt_neox.layers",
    "neo": "transformer.h",
}
#: Names of embeddings, final norm and output layer in transformers.
_OUTER: dict[Architecture, dict[str, str]] = {
    "phi": {"embed": "model.embed_tokens", "norm": "model.final_layernorm", "head": "lm_head"},
    "phi3": {"embed": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"},
    "llama": {"embed": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"},
    "neox": {"embed": "gpt_neox.embed_in", "norm": "gpt_neox.final_layer_norm", "head": "embed_out"},
    "pythia": {"embed": "gpt_neox.embed_in", "norm": "gpt_neox.final_layer_norm", "head": "embed_out"},
    "neo": {"embed": "transformer.wte", "norm": "transformer.ln_f", "head": "lm_head", "positions": "transformer.wpe"},
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
#: Modules of a layer whose tensors are the same in both formats: Megatron-core's name and that in transformers.
_RENAMED: dict[Architecture, dict[str, str]] = {
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
#: Prefix of separate query, key and value projections in transformers, or the name of one that concatenates them.
_QKV_SEPARATE: dict[Architecture, str] = {"phi": "self_attn.", "llama": "self_attn.", "neo": "attn.attention."}
_QKV_CONCATENATED: dict[Architecture, str] = {"phi3": "self_attn.qkv_proj"}


def _tensors_of(shape: Shape, module: str) -> tuple[str, ...]:
    """Return which tensors a module of a layer has: a weight, and possibly a bias."""
    if module == "self_attention.linear_qkv":
        return ("weight", "bias") if shape.traits.qkv_biased else ("weight",)
    return ("weight", "bias") if shape.biased else ("weight",)


def to_transformers(get: GetTensor, shape: Shape) -> Iterator[tuple[str, Tensor]]:
    """Yield each tensor under its name in transformers, without the rows that pad the vocabulary.

    Args:
        get: Returns tensors by Megatron-core's names.
        shape: Shape of the model.
    """
    outer, rows = _OUTER[shape.architecture], shape.vocabulary
    yield f"{outer['embed']}.weight", get("embedding.word_embeddings.weight")[:rows]
    if shape.learned_positions:
        yield f"{outer['positions']}.weight", get("embedding.position_embeddings.weight")
    for layer in range(shape.layers):
        yield from _layer_to_transformers(get, shape, f"decoder.layers.{layer}.", f"{_LAYERS[shape.architecture]}.{layer}.")
    for kind in _tensors_of(shape, "norm"):
        yield f"{outer['norm']}.{kind}", get(f"decoder.final_layernorm.{kind}")
    if not shape.tied:
        head = get("output_layer.weight")[:rows]
        yield f"{outer['head']}.weight", head
        if shape.head_bias:
            yield f"{outer['head']}.bias", get("output_layer.bias")[:rows]
        elif shape.architecture == "phi":  # PhiForCausalLM always has a bias
            yield f"{outer['head']}.bias", head.new_zeros(rows)


def _layer_to_transformers(get: GetTensor, shape: Shape, ours: str, theirs: str) -> Iterator[tuple[str, Tensor]]:
    for module, name in _RENAMED[shape.architecture].items():
        for kind in _tensors_of(shape, module):
            yield f"{theirs}{name}.{kind}", get(f"{ours}{module}.{kind}")
    if shape.architecture == "llama":
        gate, up = get(f"{ours}mlp.linear_fc1.weight").chunk(2)
        yield f"{theirs}mlp.gate_proj.weight", gate
        yield f"{theirs}mlp.up_proj.weight", up
    for kind in _tensors_of(shape, "self_attention.linear_qkv"):
        name = f"{ours}self_attention.linear_qkv.{kind}"
        if shape.architecture in _QKV_SEPARATE:
            for letter, tensor in zip("qkv", _split_qkv(get(name), shape), strict=True):
                yield f"{theirs}{_QKV_SEPARATE[shape.architecture]}{letter}_proj.{kind}", tensor
        elif shape.architecture in _QKV_CONCATENATED:
            yield f"{theirs}{_QKV_CONCATENATED[shape.architecture]}.{kind}", torch.cat(_split_qkv(get(name), shape))


def from_transformers(get: GetTensor, shape: Shape) -> Iterator[tuple[str, Tensor]]:
    """Yield each tensor under Megatron-core's name, with rows of zeros that pad the vocabulary.

    Args:
        get: Returns tensors by their names in transformers.
        shape: Shape of the model.
    """
    outer = _OUTER[shape.architecture]
    yield "embedding.word_embeddings.weight", _pad_rows(get(f"{outer['embed']}.weight"), shape)
    if shape.learned_positions:
        yield "embedding.position_embeddings.weight", get(f"{outer['positions']}.weight")
    for layer in range(shape.layers):
        yield from _layer_from_transformers(get, shape, f"decoder.layers.{layer}.", f"{_LAYERS[shape.architecture]}.{layer}.")
    for kind in _tensors_of(shape, "norm"):
        yield f"decoder.final_layernorm.{kind}", get(f"{outer['norm']}.{kind}")
    if not shape.tied:
        yield "output_layer.weight", _pad_rows(get(f"{outer['head']}.weight"), shape)
        if shape.head_bias:
            yield "output_layer.bias", _pad_rows(get(f"{outer['head']}.bias"), shape)


def _layer_from_transformers(get: GetTensor, shape: Shape, ours: str, theirs: str) -> Iterator[tuple[str, Tensor]]:
    for module, name in _RENAMED[shape.architecture].items():
        for kind in _tensors_of(shape, module):
            yield f"{ours}{module}.{kind}", get(f"{theirs}{name}.{kind}")
    if shape.architecture == "llama":
        gate, up = (get(f"{theirs}mlp.{name}_proj.weight") for name in ("gate", "up"))
        yield f"{ours}mlp.linear_fc1.weight", torch.cat([gate, up])
    for kind in _tensors_of(shape, "self_attention.linear_qkv"):
        if shape.architecture in _QKV_SEPARATE:
            prefix = f"{theirs}{_QKV_SEPARATE[shape.architecture]}"
            parts = [get(f"{prefix}{letter}_proj.{kind}") for letter in "qkv"]
        elif shape.architecture in _QKV_CONCATENATED:
            shared = shape.kv_heads * shape.head_dim
            joined = get(f"{theirs}{_QKV_CONCATENATED[shape.architecture]}.{kind}")
            parts = list(torch.split(joined, [shape.hidden, shared, shared]))
        else:
            continue
        yield f"{ours}self_attention.linear_qkv.{kind}", _join_qkv(parts, shape)


def _split_qkv(joined: Tensor, shape: Shape) -> list[Tensor]:
    """Split Megatron-core's QKV weight `[rows, hidden]` or bias `[rows]` into queries, keys and values."""
    rest, width, per_group = joined.shape[1:], shape.head_dim, shape.heads // shape.kv_heads
    groups = joined.reshape(shape.kv_heads, (per_group + 2) * width, *rest)
    return [part.reshape(-1, *rest) for part in torch.split(groups, [per_group * width, width, width], 1)]


def _join_qkv(parts: list[Tensor], shape: Shape) -> Tensor:
    """Join queries, keys and values into Megatron-core's QKV weight or bias; the inverse of `_split_qkv`."""
    rest = parts[0].shape[1:]
    return torch.cat([part.reshape(shape.kv_heads, -1, *rest) for part in parts], 1).reshape(-1, *rest)


def _pad_rows(rows: Tensor, shape: Shape) -> Tensor:
    """Append rows of zeros up to the padded vocabulary size."""
    missing = shape.padded_vocabulary - rows.size(0)
    return torch.cat([rows, rows.new_zeros(missing, *rows.shape[1:])]) if missing else rows


def head_bias_name(architecture: Architecture) -> str:
    """Return the name of the output layer's bias in transformers."""
    return f"{_OUTER[architecture]['head']}.bias"
