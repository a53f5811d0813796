"""A shape as the `config.json` of its counterpart in transformers, and such a file as a shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from textbookgen import TrainerError
from textbookgen.training.architectures import Architecture
from textbookgen_megatron.shape import Shape

CLASSES: dict[Architecture, tuple[str, str]] = {
    "phi": ("phi", "PhiForCausalLM"),
    "phi3": ("phi3", "Phi3ForCausalLM"),
    "llama": ("llama", "LlamaForCausalLM"),
    "neox": ("gpt_neox", "GPTNeoXForCausalLM"),
    "pythia": ("gpt_neox", "GPTNeoXForCausalLM"),
    "neo": ("gpt_neo", "GPTNeoForCausalLM"),
}

Config = dict[str, Any]


def config_of(shape: Shape, eod: int, dtype: str = "float32") -> Config:
    """The `config.json` of the model in transformers that computes what this shape computes.

    Raises:
        TrainerError: there is none.
    """
    if shape.window is not None and shape.architecture not in ("phi3", "neo"):
        raise TrainerError(
            f"no model in transformers has the {shape.architecture} block with a window",
            place="window",
            hint='of those with a window, architecture = "phi3" has a counterpart',
        )
    kind, name = CLASSES[shape.architecture]
    common = {
        "model_type": kind,
        "architectures": [name],
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "max_position_embeddings": shape.max_positions if shape.learned_positions else shape.sequence_length,
        "tie_word_embeddings": shape.tied,
        "bos_token_id": eod,
        "eos_token_id": eod,
        "initializer_range": 0.02,
        "torch_dtype": dtype,
    }
    return common | _PARTS[shape.architecture](shape, eod)


def _sizes(shape: Shape) -> Config:
    return {
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "rope_theta": float(shape.rotary_base),
    }


def _phi(shape: Shape, eod: int) -> Config:
    return _sizes(shape) | {
        "num_key_value_heads": shape.kv_heads,
        "hidden_act": "gelu_new",
        "layer_norm_eps": shape.epsilon,
        "partial_rotary_factor": shape.rotary_percent,
        "qk_layernorm": False,
    }


def _llama(shape: Shape, eod: int) -> Config:
    if shape.rotary_percent != 1.0:
        raise TrainerError("Llama rotates whole heads", place="rotary", hint='architecture = "phi3" may rotate a part')
    return _gated(shape, eod) | {"attention_bias": False, "mlp_bias": False, "head_dim": shape.head_dim}


def _gated(shape: Shape, eod: int) -> Config:
    return _sizes(shape) | {
        "num_key_value_heads": shape.kv_heads,
        "hidden_act": "silu",
        "rms_norm_eps": shape.epsilon,
    }


def _phi3(shape: Shape, eod: int) -> Config:
    return _gated(shape, eod) | {
        "sliding_window": shape.window,
        "partial_rotary_factor": shape.rotary_percent,
        "original_max_position_embeddings": shape.sequence_length,
        "pad_token_id": None,  # a token that pads is not learned there, and here the end of a document is
    }


def _neox(shape: Shape, eod: int) -> Config:
    return _sizes(shape) | {
        "hidden_act": "gelu",
        "layer_norm_eps": shape.epsilon,
        "rotary_pct": shape.rotary_percent,
        "rotary_emb_base": float(shape.rotary_base),
        "use_parallel_residual": shape.architecture == "pythia",
        "attention_bias": True,
    }


def _neo(shape: Shape, eod: int) -> Config:
    pairs, odd = divmod(shape.layers, 2)
    types: list[Any] = [[["global", "local"], pairs]] if pairs else []
    return {
        "num_layers": shape.layers,
        "num_heads": shape.heads,
        "intermediate_size": shape.ffn,
        "attention_types": types + ([[["global"], 1]] if odd else []),
        "window_size": shape.window or shape.max_positions,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": shape.epsilon,
    }


_PARTS: dict[Architecture, Callable[[Shape, int], Config]] = {
    "phi": _phi,
    "phi3": _phi3,
    "llama": _llama,
    "neox": _neox,
    "pythia": _neox,
    "neo": _neo,
}


def shape_of(config: Mapping[str, Any], place: str, *, head_bias: bool = False) -> Shape:
    """The shape of a model in transformers, from its `config.json`; whether its head has a bias only the weights tell.

    Raises:
        TrainerError: it computes what no shape here computes.
    """
    kind = config.get("model_type")
    readers = {"phi": _from_phi, "phi3": _from_phi3, "llama": _from_llama, "gpt_neox": _from_neox, "gpt_neo": _from_neo}
    if kind not in readers:
        raise TrainerError(f"models of type {kind!r} cannot be read", place=place, hint=f"those that can: {', '.join(readers)}")
    whole = {
        "vocabulary": config["vocab_size"],
        "hidden": config["hidden_size"],
        "sequence_length": config["max_position_embeddings"],
        "tied": bool(config.get("tie_word_embeddings", kind == "gpt_neo")),
        "head_bias": head_bias,
    }
    return Shape(**(whole | readers[kind](config, place)))


def _must(config: Mapping[str, Any], place: str, **expected: Any) -> None:
    """Raises TrainerError unless these keys, where they are there, have these values."""
    for key, value in expected.items():
        allowed = value if isinstance(value, tuple) else (value,)
        if config.get(key, allowed[0]) not in allowed:
            raise TrainerError(
                f"{key} is {config[key]!r}, and only {' or '.join(map(repr, allowed))} can be computed here", place=place
            )


def _read_sizes(config: Mapping[str, Any], place: str, share: float) -> dict[str, Any]:
    """Layers, heads, MLP and rotation; transformers 5 keeps the rotation in a table of its own."""
    rope = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    turn = rope.get("rope_type", rope.get("type", "default"))
    if turn != "default":
        raise TrainerError(f"rotary positions are scaled ({turn}), which is not computed here", place=place)
    heads = config["num_attention_heads"]
    head = config.get("head_dim")
    if head is not None and head * heads != config["hidden_size"]:
        raise TrainerError(f"heads of {head} times {heads} are not the width of {config['hidden_size']}", place=place)
    base = rope.get("rope_theta", config.get("rope_theta", config.get("rotary_emb_base", 10_000)))
    return {
        "layers": config["num_hidden_layers"],
        "heads": heads,
        "kv_heads": config.get("num_key_value_heads") or heads,
        "ffn": config["intermediate_size"],
        "rotary_base": base,
        "rotary": rope.get("partial_rotary_factor", config.get("partial_rotary_factor", config.get("rotary_pct", share))),
    }


def _from_phi(config: Mapping[str, Any], place: str) -> dict[str, Any]:
    _must(config, place, qk_layernorm=False, hidden_act=("gelu_new", "gelu_pytorch_tanh"))
    return _read_sizes(config, place, 0.5) | {"architecture": "phi", "epsilon": config.get("layer_norm_eps", 1e-5)}


def _from_phi3(config: Mapping[str, Any], place: str) -> dict[str, Any]:
    _must(config, place, hidden_act="silu")
    own = {"architecture": "phi3", "epsilon": config.get("rms_norm_eps", 1e-5), "window": config.get("sliding_window")}
    return _read_sizes(config, place, 1.0) | own


def _from_llama(config: Mapping[str, Any], place: str) -> dict[str, Any]:
    _must(config, place, hidden_act="silu", attention_bias=False, mlp_bias=False)
    return _read_sizes(config, place, 1.0) | {"architecture": "llama", "epsilon": config.get("rms_norm_eps", 1e-6)}


def _from_neox(config: Mapping[str, Any], place: str) -> dict[str, Any]:
    _must(config, place, hidden_act="gelu", attention_bias=True)
    architecture = "pythia" if config.get("use_parallel_residual", True) else "neox"
    return _read_sizes(config, place, 0.25) | {"architecture": architecture, "epsilon": config.get("layer_norm_eps", 1e-5)}


def _from_neo(config: Mapping[str, Any], place: str) -> dict[str, Any]:
    _must(config, place, activation_function="gelu_new")
    layers, heads = config["num_layers"], config["num_heads"]
    kinds = [kind for part, times in config["attention_types"] for _ in range(times) for kind in part]
    if kinds != [("global", "local")[layer % 2] for layer in range(layers)]:
        raise TrainerError(
            "layers do not take turns in looking far and near, as GPT-Neo's do", place=place, hint="see attention_types"
        )
    return {
        "architecture": "neo",
        "layers": layers,
        "heads": heads,
        "kv_heads": heads,
        "ffn": config.get("intermediate_size") or 4 * config["hidden_size"],
        "epsilon": config.get("layer_norm_epsilon", 1e-5),
        "window": config.get("window_size", 256),
        "positions": config["max_position_embeddings"],
    }
