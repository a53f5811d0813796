"""Reads a model in transformers' format: its shape, its weights, and what its tokenizer says of documents and chats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from textbookgen import TrainerError
from textbookgen_megatron.exchange.configs import shape_of
from textbookgen_megatron.exchange.tokenizers import END
from textbookgen_megatron.exchange.weight_files import open_weights, read_config
from textbookgen_megatron.exchange.weight_names import from_transformers, head_bias_name
from textbookgen_megatron.shape import Shape


def read_model(folder: Path, sequence_length: int | None = None) -> tuple[Shape, dict[str, torch.Tensor]]:
    """The shape and the whole weights, under Megatron-core's names, of a model in transformers' format.

    Raises:
        TrainerError: something is missing, or is computed otherwise than here.
    """
    place = str(folder / "config.json")
    try:
        shape = shape_of(read_config(folder), place)
    except KeyError as error:
        raise TrainerError(f"it tells no {error}", place=place, hint="write it anew with save_pretrained") from None
    if sequence_length:
        shape = Shape(**{**shape.card(), "sequence_length": sequence_length})
    with open_weights(folder) as result:
        bias = head_bias_name(shape.architecture)
        if bias in result and bool(result(bias).any()):
            shape = Shape(**{**shape.card(), "head_bias": True})
        weights = {name: tensor.contiguous().clone() for name, tensor in from_transformers(result, shape)}
    numbers, wanted = sum(item.numel() for item in weights.values()), shape.parameters(padding=True)
    if numbers != wanted:
        raise TrainerError(
            f"the weights have {numbers:,} numbers, and a model as config.json tells of has {wanted:,}",
            place=str(folder),
            hint="weights and configuration must be of one model",
        )
    return shape, weights


def end_of_document(folder: Path) -> int:
    """The id that ends a document: `<|endoftext|>`, as this house has it, or else what the model's configuration says."""
    described = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    known = {token["content"]: token["id"] for token in described.get("added_tokens", [])}
    vocabulary = described["model"].get("vocab", {})
    if isinstance(vocabulary, dict):
        known = {**vocabulary, **known}
    if END in known:
        return int(known[END])
    told = read_config(folder).get("eos_token_id")
    if isinstance(told, list):
        told = told[0]
    if told is None:
        raise TrainerError(f"neither {END} nor an eos_token_id ends a document", place=str(folder))
    return int(told)


def chat_template(folder: Path) -> dict[str, Any] | None:
    """The chat template, where the folder has one."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return {"name": "imported", "template": path.read_text(encoding="utf-8")}
    config = folder / "tokenizer_config.json"
    template = json.loads(config.read_text(encoding="utf-8")).get("chat_template") if config.is_file() else None
    return {"name": "imported", "template": template} if isinstance(template, str) else None
