"""The files of weights in a folder that `save_pretrained` wrote: their digest, and comparing it with the card's."""

from __future__ import annotations

import hashlib
from pathlib import Path

from textbookgen import TrainerError
from textbookgen.api.cards import CheckpointCard
from textbookgen.training.job import check_weights

#: The name of weights that fit into one file.
SINGLE_FILE = "model.safetensors"


def weights_digest(folder: Path) -> str:
    """Return the sha256 of all files of weights, concatenated by name; of a single file, its sha256."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("model*.safetensors")):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def check_weight_files(folder: Path, card: CheckpointCard) -> None:
    """Check the weights against the digest in the card; weights in several files are checked together.

    Without a digest, as in cards of others, transformers itself reports corrupt files.

    Raises:
        TrainerError: a file is missing, incomplete or changed.
    """
    if card.weights_digest is None:
        return
    if card.weights:
        check_weights(folder, card)
    elif weights_digest(folder) != card.weights_digest:
        raise TrainerError(
            "the weights do not match the digest in the card: a file is missing, corrupt or was changed",
            place=str(folder),
            hint="remove the checkpoint's folder and run the recipe again to train it again",
        )
