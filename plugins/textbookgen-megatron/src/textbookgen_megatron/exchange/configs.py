"""Conversion between shapes and the config.json of transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from textbookgen import TrainerError
from textbookgen.training.architectures import Architecture
from textbookgen_megatron.shape import Shape

#: `model_type` and class of each architecture in transformers.
CLASSES: dict[Architecture, tuple[str, str]] = {
    "phi": ("phi", "PhiForCausalLM"),
    "phi3": ("phi3", "Phi3ForCausalLM"),
    "llama": ("llama", "LlamaForCausalLM"),
    "neox": ("gpt_neox", "GPTNeoXForCausalLM"),
    "pythia": ("gpt_neox", "GPTNeoXForCausalLM"),
    "neo": ("gpt_neo", "GPTNeoForCausalLM"),
}

Config = dict[str, Any]


def shape_to_config(shape: Shape, eod: int, dtype: str = "float32") -> Config:
    """Return the config.json of the model in transformers that computes the same function.

    Args:
        shape: Shape of the model.
        eod: Id of the end-of-document token, used as `bos_token_id` and `eos_token_id`.
        dtype: dtype of the weights.

    Raises:
        TrainerError: No model in transformers does.
    """
    if shape.window is not None and shape.architecture not in ("phi3", "neo"):
        raise TrainerError(
            f"no model in transformers has the architecture {shape.architecture} with a sliding window",
            place="window",
            hint='remove the window, or use architecture = "phi3", which transformers supports with one',
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
    return common | _ARCHITECTURE_KEYS[shape.architecture](shape, eod)


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
        raise TrainerError(
            "LlamaForCausalLM applies rotary embeddings to whole heads only",
            place="rotary",
            hint='use architecture = "phi3", which supports partial rotary embeddings',
        )
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
        "pad_token_id": None,  # transformers zeroes the embedding of the padding token, and the eod is a trained token
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


_ARCHITECTURE_KEYS: dict[Architecture, Callable[[Shape, int], Config]] = {
    "phi": _phi,
    "phi3": _phi3,
    "llama": _llama,
    "neox": _neox,
    "pythia": _neox,
    "neo": _neo,
}


def config_to_shape(config: Mapping[str, Any], place: str, *, head_bias: bool = False) -> Shape:
    """Return the shape of a model in transformers.

    Args:
        config: Content of config.json.
        place: Path of config.json, for errors.
        head_bias: Whether the output layer has a bias, which only the weights say.

    Raises:
        KeyError: A required key is missing.
        TrainerError: The model is not supported, or uses a feature that is not.
    """
    kind = config.get("model_type")
    readers = {"phi": _from_phi, "phi3": _from_phi3, "llama": _from_llama, "gpt_neox": _from_neox, "gpt_neo": _from_neo}
    if kind not in readers:
        raise TrainerError(f"unsupported model_type {kind!r}", place=place, hint=f"supported: {', '.join(readers)}")
    common = {
        "vocabulary": config["vocab_size"],
        "hidden": config["hidden_size"],
        "sequence_length": config["max_position_embeddings"],
        "tied": bool(config.get("tie_word_embeddings", kind == "gpt_neo")),
        "head_bias": head_bias,
    }
    return Shape(**(common | readers[kind](config, place)))


def _require(config: Mapping[str, Any], place: str, **expected: Any) -> None:
    """Raise TrainerError if one of these keys is present with another value; a tuple lists alternatives."""
    for key, value in expected.items():
        allowed = value if isinstance(value, tuple) else (value,)
        if config.get(key, allowed[0]) not in allowed:
            raise TrainerError(f"{key} = {config[key]!r} is not supported, only {' or '.join(map(repr, allowed))}", place=place)


def _read_sizes(config: Mapping[str, Any], place: str, default_rotary: float) -> dict[str, Any]:
    """Return layers, heads, MLP and rotary embeddings; transformers 5 keeps the latter under `rope_parameters`."""
    rope = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    rope_type = rope.get("rope_type", rope.get("type", "default"))
    if rope_type != "default":
        raise TrainerError(f"RoPE scaling of type {rope_type!r} is not supported", place=place)
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim")
    if head_dim is not None and head_dim * heads != config["hidden_size"]:
        problem = f"head_dim {head_dim} times {heads} heads is not the hidden size {config['hidden_size']}"
        raise TrainerError(f"{problem}, which is not supported", place=place)
    base = rope.get("rope_theta", config.get("rope_theta", config.get("rotary_emb_base", 10_000)))
    return {
        "layers": config["num_hidden_layers"],
        "heads": heads,
        "kv_heads": config.get("num_key_value_heads") or heads,
        "ffn": config["intermediate_size"],
        "rotary_base": base,
        "rotary": rope.get(
            "partial_rotary_factor", config.get("partial_rotary_factor", config.get("rotary_pct", default_rotary))
        ),
    }


def _from_phi(config: Mapping[str, Any], place: str) -> dict[str, Any]:
    _require(config, place, qk_layernorm=False, hidden_act=("gelu_new", "gelu_pytorch_tanh"))
    return _read_sizes(config, place, 0.5) | {"architecture": "phi", "epsilon": config.get("layer_norm_eps", 1e-5)}


def _from_phi3(config: Mapping[str, Any], place: str) -> dict[str, Any]:
    _require(config, place, hidden_act="silu")
    values = {"architecture": "phi3", "epsilon": config.get("rms_norm_eps", 1e-5), "window": config.get("sliding_window")}
    return _read_sizes(config, place, 1.0) | values


def _from_llama(config: Mapping[str, Any], place: str) -> dict[str, Any]:
    _require(config, place, hidden_act="silu", attention_bias=False, mlp_bias=False)
    return _read_sizes(config, place, 1.0) | {"architecture": "llama", "epsilon": config.get("rms_norm_eps", 1e-6)}


def _from_neox(config: Mapping[str, Any], place: str) -> dict[str, Any]:
    _require(config, place, hidden_act="gelu", attention_bias=True)
    architecture = "pythia" if config.get("use_parallel_residual", True) else "neox"
    return _read_sizes(config, place, 0.25) | {"architecture": architecture, "epsilon": config.get("layer_norm_eps", 1e-5)}


def _from_neo(config: Mapping[str, Any], place: str) -> dict[str, Any]:
    _require(config, place, activation_function="gelu_new")
    layers, heads = config["num_layers"], config["num_heads"]
    types = [kind for part, times in config["attention_types"] for _ in range(times) for kind in part]
    if types != [("global", "local")[layer % 2] for layer in range(layers)]:
        raise TrainerError(
            "unsupported attention_types", place=place, hint="global and local layers must alternate, as in GPT-Neo"
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
