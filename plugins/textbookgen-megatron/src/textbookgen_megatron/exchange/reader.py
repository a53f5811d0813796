"""Reads models in the format of transformers: shape, weights, end-of-document token and chat template."""

from __future__ import annotations

from pathlib import Path

import torch

from textbookgen import TrainerError
from textbookgen.api.cards import ChatTemplateCard
from textbookgen.api.tokenizer import END_OF_DOCUMENT
from textbookgen_megatron.exchange.configs import config_to_shape
from textbookgen_megatron.exchange.weight_files import open_weights, read_json
from textbookgen_megatron.exchange.weight_names import from_transformers, head_bias_name
from textbookgen_megatron.shape import Shape


def read_model(folder: Path, sequence_length: int | None = None) -> tuple[Shape, dict[str, torch.Tensor]]:
    """Read a model in the format of transformers.

    Args:
        folder: Folder with config.json and weights.
        sequence_length: Maximum sequence length; default: `max_position_embeddings` of the model.

    Returns:
        The shape, and the full weights by Megatron-core's names, float32 on the CPU.

    Raises:
        TrainerError: A file is missing or invalid, or the model is not supported.
    """
    place = str(folder / "config.json")
    try:
        shape = config_to_shape(read_json(folder / "config.json"), place)
    except KeyError as error:
        raise TrainerError(f"the key {error} is missing", place=place, hint="save the model again") from None
    if sequence_length:
        shape = Shape(**{**shape.card(), "sequence_length": sequence_length})
    with open_weights(folder) as reader:
        bias = head_bias_name(shape.architecture)
        if bias in reader and bool(reader(bias).any()):
            shape = Shape(**{**shape.card(), "head_bias": True})
        weights = {name: tensor.contiguous().clone() for name, tensor in from_transformers(reader, shape)}
    size, expected = sum(weight.numel() for weight in weights.values()), shape.parameters(padding=True)
    if size != expected:
        raise TrainerError(
            f"the weights have {size:,} elements, but a model of this config.json has {expected:,}",
            place=str(folder),
            hint="weights and config.json must belong to the same model",
        )
    return shape, weights


def end_of_document(folder: Path) -> int:
    """Return the id of the end-of-document token: `<|endoftext|>` if the tokenizer has it, else `eos_token_id`.

    Raises:
        TrainerError: There is neither.
    """
    tokenizer = read_json(folder / "tokenizer.json")
    ids = {token["content"]: token["id"] for token in tokenizer.get("added_tokens", [])}
    vocabulary = tokenizer.get("model", {}).get("vocab", {})
    if isinstance(vocabulary, dict):
        ids = {**vocabulary, **ids}
    if END_OF_DOCUMENT in ids:
        return int(ids[END_OF_DOCUMENT])
    eos = read_json(folder / "config.json").get("eos_token_id")
    if isinstance(eos, list):
        eos = eos[0]
    if eos is None:
        raise TrainerError(
            f"no end-of-document token: the tokenizer has no {END_OF_DOCUMENT}, and config.json has no eos_token_id",
            place=str(folder),
            hint="add eos_token_id to config.json",
        )
    return int(eos)


def chat_template(folder: Path) -> ChatTemplateCard | None:
    """Return the chat template of a folder; None if it has none."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return ChatTemplateCard(name="imported", template=path.read_text(encoding="utf-8"))
    config = folder / "tokenizer_config.json"
    template = read_json(config).get("chat_template") if config.is_file() else None
    return ChatTemplateCard(name="imported", template=template) if isinstance(template, str) else None
