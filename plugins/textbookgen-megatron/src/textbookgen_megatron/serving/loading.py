"""Loads a TorchModel from a checkpoint folder."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from textbookgen.api.cards import CausalLMCard
from textbookgen.training.job import check_weights
from textbookgen_megatron.exchange.reader import read_model
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.torch_model import TorchModel


def load_model(checkpoint: Path) -> TorchModel:
    """Load the model of a checkpoint of this plugin, or of a folder in the format of transformers.

    Raises:
        TrainerError: A file is missing or corrupt, or the model is not supported.
    """
    if (checkpoint / "config.json").is_file():
        return TorchModel(*read_model(checkpoint))
    card = CausalLMCard.read(checkpoint)
    return TorchModel(Shape.from_card(card), load_file(check_weights(checkpoint, card)))
