"""Models of transformers from a shape or from a checkpoint, with dropout and frozen parts as a job wants them."""

# transformers' types are partial
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from textbookgen import TrainerError
from textbookgen.training.architectures import TRAITS, Architecture, Parts
from textbookgen_transformers.backend.opening import config_at, model_at
from textbookgen_transformers.job import TrainingJob
from textbookgen_transformers.training import Pretrain, Training

#: What each model type calls its dropout rates.
_DROPOUTS = {
    "phi": ("attention_dropout", "resid_pdrop", "embd_pdrop"),
    "phi3": ("attention_dropout", "resid_pdrop", "embd_pdrop"),
    "llama": ("attention_dropout",),
    "gpt_neox": ("attention_dropout", "hidden_dropout"),
    "gpt_neo": ("attention_dropout", "resid_dropout", "embed_dropout"),
}


def _common(whole: Parts) -> dict[str, Any]:
    return {
        "intermediate_size": whole["ffn"],
        "num_hidden_layers": whole["layers"],
        "num_attention_heads": whole["heads"],
        "rope_theta": float(whole.get("rotary_base", 10_000)),
        "partial_rotary_factor": whole.get("rotary", TRAITS[whole["architecture"]].rotary),
    }


def _phi(whole: Parts) -> dict[str, Any]:
    return {"model_type": "phi", "num_key_value_heads": whole["kv_heads"], "hidden_act": "gelu_new", "layer_norm_eps": 1e-5}


def _llama(whole: Parts) -> dict[str, Any]:
    return {"model_type": "llama", "num_key_value_heads": whole["kv_heads"], "hidden_act": "silu", "rms_norm_eps": 1e-5}


def _phi3(whole: Parts) -> dict[str, Any]:
    return _llama(whole) | {
        "model_type": "phi3",
        "sliding_window": whole.get("window"),
        "original_max_position_embeddings": whole["sequence_length"],
    }


def _neox(whole: Parts) -> dict[str, Any]:
    return {
        "model_type": "gpt_neox",
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "rotary_pct": whole.get("rotary", 0.25),
        "rotary_emb_base": float(whole.get("rotary_base", 10_000)),
        "use_parallel_residual": whole["architecture"] == "pythia",
        "attention_bias": True,
    }


def _neo(whole: Parts) -> dict[str, Any]:
    pairs, odd = divmod(whole["layers"], 2)
    turns: list[Any] = [[["global", "local"], pairs]] if pairs else []
    places = max(whole["sequence_length"], whole.get("positions", 0))
    return {
        "model_type": "gpt_neo",
        "num_layers": whole["layers"],
        "num_heads": whole["heads"],
        "attention_types": turns + ([[["global"], 1]] if odd else []),
        "window_size": whole.get("window") or places,
        "max_position_embeddings": places,
        "activation_function": "gelu_new",
    }


_OWN: dict[Architecture, Callable[[Parts], dict[str, Any]]] = {
    "phi": _phi,
    "phi3": _phi3,
    "llama": _llama,
    "neox": _neox,
    "pythia": _neox,
    "neo": _neo,
}


def config_of(whole: Parts, eod: int) -> PretrainedConfig:
    """The configuration of the model with these parts.

    No token pads: transformers would not learn it, and the end of a document, which fills what is empty, must be learned.
    """
    own = _common(whole) | _OWN[whole["architecture"]](whole)
    return AutoConfig.for_model(
        own.pop("model_type"),
        **{"max_position_embeddings": whole["sequence_length"], **own},
        vocab_size=whole["vocabulary"],
        hidden_size=whole["hidden"],
        tie_word_embeddings=bool(whole.get("tied", False)),
        bos_token_id=eod,
        eos_token_id=eod,
        pad_token_id=None,
        initializer_range=0.02,
    )


def model_of(job: TrainingJob) -> PreTrainedModel:
    """The model a job trains, in float32: a new one drawn by the job's seed, or its parent's.

    Raises:
        TrainerError: the parent is not whole, or the shards do not fit it.
    """
    options, shards = job.options, job.shards
    torch.manual_seed(job.seed)
    if job.parent is None:
        assert isinstance(options, Pretrain)
        config = config_of(_settled(options, shards.vocabulary, shards.sequence_length), shards.eod)
        _set_dropout(config, options.dropout)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    else:
        config = config_at(job.parent.folder)
        config.pad_token_id = None
        _make_room(config, shards.sequence_length)
        _set_dropout(config, options.dropout)
        model = model_at(job.parent.folder, config)
    if config.vocab_size < shards.vocabulary:
        problem = f"the model has {config.vocab_size} rows, and the shards' tokenizer {shards.vocabulary} ids"
        raise TrainerError(problem, place="shards", hint="pack the shards with the tokenizer the model was trained with")
    _freeze(model, options)
    result: PreTrainedModel = model
    return result


def _settled(options: Pretrain, vocabulary: int, length: int) -> Parts:
    """Every part of a new shape; the vocabulary is the tokenizer's unless more rows were asked for."""
    rows = options.vocabulary or vocabulary
    if rows < vocabulary:
        raise TrainerError(
            f"a vocabulary of {rows} has no room for the tokenizer's {vocabulary} ids",
            place="vocabulary",
            hint="leave it out: the tokenizer's own size is taken",
        )
    return options.parts() | {"vocabulary": rows, "sequence_length": length}


def _make_room(config: PretrainedConfig, length: int) -> None:
    """Lets the model read windows of this length; learned positions do not reach further than they were learned."""
    if config.max_position_embeddings >= length:
        return
    if config.model_type == "gpt_neo":
        problem = f"windows of {length} tokens are longer than the model's table of {config.max_position_embeddings} positions"
        raise TrainerError(problem, place="shards", hint="pack shorter windows")
    config.max_position_embeddings = length


def _set_dropout(config: PretrainedConfig, rate: float) -> None:
    for name in _DROPOUTS.get(config.model_type, ()):
        setattr(config, name, rate)


def _freeze(model: PreTrainedModel, options: Training) -> None:
    body: Any = model.base_model
    layers = body.layers if hasattr(body, "layers") else body.h
    if options.freeze_layers >= len(layers):
        raise TrainerError(f"all {len(layers)} layers would be frozen", place="freeze_layers", hint="freeze fewer")
    tables = [model.get_input_embeddings(), *([body.wpe] if hasattr(body, "wpe") else [])]
    for module in [*(tables if options.freeze_embeddings else []), *layers[: options.freeze_layers]]:
        module.requires_grad_(False)


def parameters(model: PreTrainedModel) -> int:
    """How many there are; a table that is the head too counts once."""
    return sum(item.numel() for item in model.parameters())
