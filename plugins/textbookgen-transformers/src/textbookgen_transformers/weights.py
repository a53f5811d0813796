"""The files of weights in a folder of transformers: their digest, and whether they are those that its card tells of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textbookgen import TrainerError
from textbookgen.training.job import checked_weights

#: What `save_pretrained` calls weights that fit into one file.
SINGLE = "model.safetensors"


def digest(folder: Path) -> str:
    """The sha256 of all weight files, one after the other by name; of a single one, its own."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob("model*.safetensors")):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                whole.update(block)
    return whole.hexdigest()


def check_weights(folder: Path, card: Mapping[str, Any]) -> None:
    """Raises TrainerError unless the weights are those that the card tells of.

    Weights in several files are named by no card, and are checked together. Where a card tells no digest, as others' may,
    transformers itself says what is torn.
    """
    told = card.get("weights_digest")
    if told is None:
        return
    if card.get("weights"):
        checked_weights(folder, card)
    elif digest(folder) != told:
        raise TrainerError(
            "the weights are not those that were written: a file is missing, torn or changed",
            place=str(folder),
            hint="remove the checkpoint's folder and run the recipe again: it is trained anew",
        )
