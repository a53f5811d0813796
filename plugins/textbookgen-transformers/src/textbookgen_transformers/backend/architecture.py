"""Models of transformers from a shape or from a checkpoint, with the dropout and the frozen parts of a job."""

# transformers' types are partial
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from textbookgen import TrainerError
from textbookgen.training.architectures import TRAITS, Architecture, ShapeValues
from textbookgen_transformers.backend.loading import load_config, load_model
from textbookgen_transformers.job import StageOptions, TransformersJob
from textbookgen_transformers.stages.pretrain import Pretrain

#: The names of dropout rates in the configuration of each model type.
_DROPOUTS = {
    "phi": ("attention_dropout", "resid_pdrop", "embd_pdrop"),
    "phi3": ("attention_dropout", "resid_pdrop", "embd_pdrop"),
    "llama": ("attention_dropout",),
    "gpt_neox": ("attention_dropout", "hidden_dropout"),
    "gpt_neo": ("attention_dropout", "resid_dropout", "embed_dropout"),
}


def _common(shape: ShapeValues) -> dict[str, Any]:
    return {
        "intermediate_size": shape["ffn"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "rope_theta": float(shape.get("rotary_base", 10_000)),
        "partial_rotary_factor": shape.get("rotary", TRAITS[shape["architecture"]].rotary),
    }


def _phi(shape: ShapeValues) -> dict[str, Any]:
    return {"model_type": "phi", "num_key_value_heads": shape["kv_heads"], "hidden_act": "gelu_new", "layer_norm_eps": 1e-5}


def _llama(shape: ShapeValues) -> dict[str, Any]:
    return {"model_type": "llama", "num_key_value_heads": shape["kv_heads"], "hidden_act": "silu", "rms_norm_eps": 1e-5}


def _phi3(shape: ShapeValues) -> dict[str, Any]:
    return _llama(shape) | {
        "model_type": "phi3",
        "sliding_window": shape.get("window"),
        "original_max_position_embeddings": shape["sequence_length"],
    }


def _neox(shape: ShapeValues) -> dict[str, Any]:
    return {
        "model_type": "gpt_neox",
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "rotary_pct": shape.get("rotary", 0.25),
        "rotary_emb_base": float(shape.get("rotary_base", 10_000)),
        "use_parallel_residual": shape["architecture"] == "pythia",
        "attention_bias": True,
    }


def _neo(shape: ShapeValues) -> dict[str, Any]:
    pairs, odd = divmod(shape["layers"], 2)
    attention: list[Any] = [[["global", "local"], pairs]] if pairs else []
    positions = max(shape["sequence_length"], shape.get("positions", 0))
    return {
        "model_type": "gpt_neo",
        "num_layers": shape["layers"],
        "num_heads": shape["heads"],
        "attention_types": attention + ([[["global"], 1]] if odd else []),
        "window_size": shape.get("window") or positions,
        "max_position_embeddings": positions,
        "activation_function": "gelu_new",
    }


_CONFIG_OF: dict[Architecture, Callable[[ShapeValues], dict[str, Any]]] = {
    "phi": _phi,
    "phi3": _phi3,
    "llama": _llama,
    "neox": _neox,
    "pythia": _neox,
    "neo": _neo,
}


def config_of(shape: ShapeValues, eod: int) -> PretrainedConfig:
    """Return the configuration of the model with this shape.

    There is no padding token: transformers would exclude it from the loss, and the end of document, which fills empty places,
    must be in the loss.

    Args:
        shape: a complete shape.
        eod: the end-of-document id.
    """
    own = _common(shape) | _CONFIG_OF[shape["architecture"]](shape)
    return AutoConfig.for_model(
        own.pop("model_type"),
        **{"max_position_embeddings": shape["sequence_length"], **own},
        vocab_size=shape["vocabulary"],
        hidden_size=shape["hidden"],
        tie_word_embeddings=bool(shape.get("tied", False)),
        bos_token_id=eod,
        eos_token_id=eod,
        pad_token_id=None,
        initializer_range=0.02,
    )


def build_model(job: TransformersJob) -> PreTrainedModel:
    """Build the model that a job trains, in float32: a new one with random weights by the job's seed, or its parent.

    Raises:
        TrainerError: the parent is incomplete, or the shards do not fit it.
    """
    options, shards = job.options, job.shards
    torch.manual_seed(job.seed)
    if isinstance(options, Pretrain):
        config = config_of(_complete_shape(options, shards.vocabulary, shards.sequence_length), shards.eod)
        _set_dropout(config, options.dropout)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    else:
        folder = job.required_parent.folder
        config = load_config(folder)
        config.pad_token_id = None
        _extend_context(config, shards.sequence_length)
        _set_dropout(config, options.dropout)
        model = load_model(folder, config)
    if config.vocab_size < shards.vocabulary:
        problem = f"the model has {config.vocab_size} embedding rows, the shards' tokenizer {shards.vocabulary} ids"
        raise TrainerError(problem, place="shards", hint="pack the shards with the tokenizer the model was trained with")
    _freeze(model, options)
    initial: PreTrainedModel = model
    return initial


def _complete_shape(options: Pretrain, vocabulary: int, length: int) -> ShapeValues:
    """Return all values of a new shape; the vocabulary is the tokenizer's unless the options ask for more rows."""
    rows = options.vocabulary or vocabulary
    if rows < vocabulary:
        raise TrainerError(
            f"a vocabulary of {rows} is too small for the tokenizer's {vocabulary} ids",
            place="vocabulary",
            hint="remove the option to use the tokenizer's size",
        )
    return options.shape_values() | {"vocabulary": rows, "sequence_length": length}


def _extend_context(config: PretrainedConfig, length: int) -> None:
    """Allow windows of this length; learned positions cannot be extended."""
    if config.max_position_embeddings >= length:
        return
    if config.model_type == "gpt_neo":
        problem = f"windows of {length} tokens exceed the model's {config.max_position_embeddings} learned positions"
        raise TrainerError(problem, place="shards", hint="pack with a smaller sequence_length")
    config.max_position_embeddings = length


def _set_dropout(config: PretrainedConfig, rate: float) -> None:
    for name in _DROPOUTS.get(config.model_type, ()):
        setattr(config, name, rate)


def _freeze(model: PreTrainedModel, options: StageOptions) -> None:
    body: Any = model.base_model
    layers = body.layers if hasattr(body, "layers") else body.h
    if options.freeze_layers >= len(layers):
        raise TrainerError(f"all {len(layers)} layers would be frozen", place="freeze_layers", hint="freeze fewer layers")
    tables = [model.get_input_embeddings(), *([body.wpe] if hasattr(body, "wpe") else [])]
    for module in [*(tables if options.freeze_embeddings else []), *layers[: options.freeze_layers]]:
        module.requires_grad_(False)


def count_parameters(model: PreTrainedModel) -> int:
    """Return the number of parameters; an output layer tied to the embeddings counts once."""
    return sum(weight.numel() for weight in model.parameters())
